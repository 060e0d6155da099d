import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api } from '@kubernetes/client-node';
import { kubectl } from '../../scripts/lib/kubernetes.mjs';
import { operatorPython, withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import { run } from '../../scripts/lib/processes.mjs';
import type { ExportForm } from '../../src/backends/kubernetes/deployment/deployments.ts';
import { openKubernetes } from '../../src/backends/kubernetes/kubernetesApi.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import type { PodScheduler } from '../../src/core/podScheduler.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { deployments, podsOf, type Way, wayTo, workersOf } from '../support/deployments.ts';
import { runOn } from '../support/foreignClient.ts';
import {
  kubernetesExecutor,
  testCluster,
  testKubernetes,
  testNamespace,
  until,
} from '../support/kubernetes.ts';

const greeting = 'client.submit(lambda: __import__("os").environ["GREETING"]).result()';
const options = { networkPolicy: true, dashboard: false };

describe('a static cluster that was exported', function () {
  this.timeout(240_000);
  let namespace: string;
  let remove: () => Promise<void>;
  let folder: string;
  let python: string;
  const ways: Way[] = [];

  before(async function () {
    this.timeout(600_000);
    ({ python } = await daskEnv('latest'));
    ({ namespace, remove } = await testNamespace('exports'));
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-exports-'));
  });
  afterEach(() => {
    for (const way of ways.splice(0)) way.close();
  });
  after(async () => {
    await remove();
    await rm(folder, { recursive: true });
  });

  async function exported(name: string, form: ExportForm, more: Partial<KubernetesExecutor>) {
    const executor = await kubernetesExecutor('dask-latest', namespace, more);
    const { files } = await deployments().export(executor, name, options, form);
    for (const [file, text] of files) await writeFile(join(folder, file), text);
    return { executor, paths: [...files.keys()].map((file) => join(folder, file)) };
  }

  async function way(name: string, of?: PodScheduler): Promise<Way> {
    const one = await wayTo(namespace, name, of);
    ways.push(one);
    return one;
  }

  it('as a folder lives by “kubectl apply -k” alone, is attached to as a deployed one, and can be deployed over', async () => {
    const env = { GREETING: 'hello' };
    const { executor } = await exported('team', 'kustomize', {
      env,
      adapt_kwargs: { minimum: 1, maximum: 2 },
    });
    const { kubeconfig, programs } = testKubernetes();
    // What stands for kubectl here takes a word before its arguments.
    const command = join(folder, 'kubectl');
    await writeFile(command, `#!/bin/sh\nexec ${join(programs, 'hyper')} kubectl "$@"\n`);
    await chmod(command, 0o755);
    const makeSecrets = (greeting: string) =>
      run('sh', [join(folder, 'secrets.sh')], {
        quiet: true,
        env: { ...process.env, KUBECONFIG: kubeconfig, KUBECTL: command, GREETING: greeting },
      });
    const core = testCluster().makeApiClient(CoreV1Api);
    const secret = (name: string) => core.readNamespacedSecret({ namespace, name });
    await makeSecrets('from somebody');
    const first = await secret('team-tls');
    await makeSecrets('from the team');
    assert.equal((await secret('team-tls')).metadata?.uid, first.metadata?.uid);
    assert.deepEqual((await secret('team-tls')).data, first.data, 'certificates stay');
    await core.deleteNamespacedSecret({ namespace, name: 'team-client-tls' });
    await makeSecrets('from the team');
    const [members, clients] = [await secret('team-tls'), await secret('team-client-tls')];
    assert.equal(members.data?.['ca.crt'], clients.data?.['ca.crt'], 'both from one authority');
    assert.equal(members.metadata?.annotations, undefined);
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'website-tls' } } });
    const { paths } = await exported('website', 'kustomize', {});
    const script = paths.find((path) => path.endsWith('secrets.sh')) ?? '';
    await assert.rejects(
      run('sh', [script], { quiet: true, env: { ...process.env, KUBECONFIG: kubeconfig, KUBECTL: command } }),
      /There is a secret website-tls already, which does not belong to website/,
    );
    await exported('team', 'kustomize', { env, adapt_kwargs: { minimum: 1, maximum: 2 } });
    await kubectl(testKubernetes(), ['apply', '-k', folder]);
    await until(async () =>
      (await podsOf(namespace, 'scheduler')).some(({ status }) => status?.phase === 'Running'),
    );
    const team = await way('team');
    assert.ok(team.security);
    await workersOf(team, 1, 90_000);
    assert.equal(await runOn(python, team, greeting), 'from the team');

    const signal = new AbortController().signal;
    const { plan } = await deployments().plan(executor, 'team', options, signal);
    assert.ok(!plan.isNew && !plan.renewsCertificates);
    await kubectl(testKubernetes(), ['delete', '-k', folder]);
    await until(async () => (await podsOf(namespace, 'scheduler')).length === 0);
  });

  it('as a resource of the operator, and as Python for KubeCluster, is run by these', async () => {
    const core = testCluster().makeApiClient(CoreV1Api);
    await withOperator(testKubernetes(), namespace, async () => {
      const env = { GREETING: 'hello' };
      const { paths } = await exported('by-operator', 'operator', { n_workers: 1, env });
      // As the head of the file says, before all else.
      const [, line = ''] =
        /^# +kubectl (create secret .*) FILE$/m.exec(await readFile(paths[0] ?? '', 'utf8')) ?? [];
      await writeFile(join(folder, 'variables'), 'GREETING=hello\n');
      await kubectl(testKubernetes(), [...line.split(' '), join(folder, 'variables')]);
      await kubectl(testKubernetes(), ['apply', '-n', namespace, '-f', paths[0] ?? '']);
      const labels = 'dask.org/component=scheduler,dask.org/cluster-name=by-operator';
      await until(async () => {
        const { items } = await core.listNamespacedPod({ namespace, labelSelector: labels });
        return items.some(({ status }) => status?.phase === 'Running');
      });
      const { place } = await openKubernetes({ namespace });
      const made = await way('by-operator', {
        ...place,
        ...{ maker: 'operator', name: 'by-operator', selector: labels, port: 8786, dashboardPort: 8787 },
      });
      await workersOf(made, 1, 90_000);
      assert.equal(await runOn(python, made, greeting), 'hello');
      await kubectl(testKubernetes(), ['delete', '-n', namespace, '-f', paths[0] ?? '']);

      const [script = ''] = (await exported('by-python', 'python', { n_workers: 1 })).paths;
      const more =
        'print("sum", client.submit(sum, [1, 2]).result())\ncluster.shutdown_on_close = True\ncluster.close()\n';
      await writeFile(script, (await readFile(script, 'utf8')) + more);
      const { kubeconfig } = testKubernetes();
      const printed = await run(await operatorPython(), [script], {
        ...{ quiet: true, env: { ...process.env, KUBECONFIG: kubeconfig } },
      });
      assert.match(printed, /^sum 3$/m);
    });
  });
});
