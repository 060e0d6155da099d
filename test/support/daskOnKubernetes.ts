import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { testCluster } from './kubernetes.ts';

/** As the documentation of the operator has it, but for the commands: those of old are not in a Dask of today. */
export function daskCluster(name: string, image: string, workers: number): object {
  const container = { image, imagePullPolicy: 'IfNotPresent' };
  const grace = { terminationGracePeriodSeconds: 5 };
  const labels = { 'dask.org/cluster-name': name, 'dask.org/component': 'scheduler' };
  const ports = [
    { name: 'tcp-comm', containerPort: 8786, protocol: 'TCP' },
    { name: 'http-dashboard', containerPort: 8787, protocol: 'TCP' },
  ];
  const readinessProbe = { httpGet: { port: 'http-dashboard', path: '/health' }, periodSeconds: 1 };
  const scheduler = { ...container, name: 'scheduler', args: ['dask', 'scheduler'], ports, readinessProbe };
  const worker = { ...container, name: 'worker', args: ['dask', 'worker', '--name', '$(DASK_WORKER_NAME)'] };
  return {
    ...{ apiVersion: 'kubernetes.dask.org/v1', kind: 'DaskCluster', metadata: { name } },
    spec: {
      worker: { replicas: workers, spec: { ...grace, containers: [worker] } },
      scheduler: {
        spec: { ...grace, containers: [scheduler] },
        service: {
          ...{ type: 'ClusterIP', selector: labels },
          ports: ports.map((port) => ({
            name: port.name,
            ...{ port: port.containerPort, targetPort: port.name, protocol: 'TCP' },
          })),
        },
      },
    },
  };
}

/** As the Helm chart `dask/dask` makes it, but for Jupyter. Its workers are called by their addresses. */
export async function helmRelease(release: string, where: string, workers = 0): Promise<void> {
  const image = await imageOf('dask-latest');
  const apps = testCluster().makeApiClient(AppsV1Api);
  const deploy = async (component: 'scheduler' | 'worker', replicas: number, args: readonly string[]) => {
    const name = `${release}-${component}`;
    const labels = { app: 'dask', release, component };
    const container = { name, image, imagePullPolicy: 'IfNotPresent', args: ['dask', component, ...args] };
    const ports = component === 'scheduler' ? [{ containerPort: 8786 }, { containerPort: 8787 }] : [];
    const spec = { terminationGracePeriodSeconds: 1, containers: [{ ...container, ports }] };
    await apps.createNamespacedDeployment({
      namespace: where,
      body: {
        metadata: { name, labels },
        spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
      },
    });
    return { name, labels };
  };
  const { name, labels: selector } = await deploy('scheduler', 1, []);
  if (workers === 0) return;
  await testCluster()
    .makeApiClient(CoreV1Api)
    .createNamespacedService({
      namespace: where,
      body: { metadata: { name }, spec: { selector, ports: [{ port: 8786 }] } },
    });
  await deploy('worker', workers, [`tcp://${name}:8786`]);
}
