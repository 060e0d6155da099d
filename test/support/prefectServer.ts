import { CoreV1Api } from '@kubernetes/client-node';
import { executorPod } from '../../src/backends/kubernetes/manifests.ts';
import type { EnvironmentName } from './hostLive.ts';
import { kubernetesExecutor, testCluster, until } from './kubernetes.ts';

/**
 * A Prefect API server of the user's, in a pod of a namespace and gone with it. Resolves when it answers.
 * @returns its URL, by which pods and this machine reach it: a port of the node
 */
export async function startPrefectServer(
  environment: Extract<EnvironmentName, `prefect${string}`>,
  namespace: string,
): Promise<string> {
  const core = testCluster().makeApiClient(CoreV1Api);
  const name = `${environment}-server`;
  const labels = { app: name };
  const port = 4200;
  // Its pages are written to where Prefect is installed, which its user may not.
  const env = ['env', 'PREFECT_UI_ENABLED=false'];
  const command = [...env, 'prefect', 'server', 'start', '--host', '0.0.0.0', '--port', `${port}`];
  const pod = executorPod(await kubernetesExecutor(environment, namespace), {
    ...{ role: 'scheduler', metadata: { name, labels }, container: { command } },
    ...{ mounts: [], volumes: [], template: undefined },
  });
  const { spec } = await core.createNamespacedService({
    namespace,
    body: { metadata: { name }, spec: { type: 'NodePort', selector: labels, ports: [{ port }] } },
  });
  await core.createNamespacedPod({ namespace, body: pod });
  const { items } = await core.listNode();
  const address = items[0]?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  const url = `http://${address}:${spec?.ports?.[0]?.nodePort}/api`;
  const answers = () => fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) }).then(({ ok }) => ok);
  await until(() => answers().catch(() => false), 180_000);
  return url;
}
