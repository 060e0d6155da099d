import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CoreV1Api } from '@kubernetes/client-node';
import type { WorkerNews } from '../../src/core/backend.ts';
import type { FlowDef } from '../../src/core/flow.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import type { Bench } from '../support/host.ts';
import {
  type EnvironmentName,
  flowsDirectory,
  liveBench,
  prefectHome,
  pythonOf,
  removeFolder,
} from '../support/hostLive.ts';
import {
  kubernetesBackend,
  kubernetesExecutor,
  testCluster,
  testKubernetes,
  testNamespace,
  until,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';
import { TcpProxy } from '../support/network.ts';
import { tasksRun } from '../support/stories.ts';

/** As long as an API server takes to start again, or a laptop to be in another network. */
const awayMs = 5_000;

/** The API server through a piece of network that the test can cut, and a kubeconfig that leads there. */
async function cuttable(): Promise<{ proxy: TcpProxy; kubeconfig: string; folder: string }> {
  const server = new URL(testCluster().getCurrentCluster()?.server ?? '');
  const proxy = await TcpProxy.start({ host: server.hostname, port: Number(server.port) });
  const text = await readFile(testKubernetes().kubeconfig, 'utf8');
  const folder = await mkdtemp(join(tmpdir(), 'flow-clusters-cut-'));
  const kubeconfig = join(folder, 'config');
  const there = `server: "https://127.0.0.1:${proxy.port}", tls-server-name: kubernetes`;
  await writeFile(kubeconfig, text.replace(/server: "[^"]*"/, there), { mode: 0o600 });
  return { proxy, kubeconfig, folder };
}

describe('on Kubernetes, when the API server is away for a while', function () {
  this.timeout(120_000);
  let namespace: string;
  let remove: () => Promise<void>;
  let proxy: TcpProxy;
  let kubeconfig: string;
  let folder: string;

  before(async () => {
    ({ namespace, remove } = await testNamespace('cut'));
    ({ proxy, kubeconfig, folder } = await cuttable());
  });
  after(async () => {
    await proxy.cut();
    await remove();
    await removeFolder(folder);
  });
  afterEach(() => untilNothingIsLeft(namespace));

  const executorOf = (environment: EnvironmentName & ('dask-latest' | 'prefect3')) =>
    kubernetesExecutor(environment, namespace, { kubeconfig });

  async function goAway(): Promise<void> {
    await proxy.cut();
    await sleep(awayMs);
    await proxy.restore();
  }

  async function started(bench: Bench, executor: KubernetesExecutor, flow: FlowDef, file: string) {
    const target = { kind: 'executor', executor, backend: kubernetesBackend() } as const;
    const id = await bench.start({
      env: { MARKS: '/tmp/marks' },
      ...{ file: `${flowsDirectory}/${file}`, flow, target },
    });
    await bench.until(() => tasksRun(bench.run(id)), 60_000);
    return id;
  }

  /** It was seen as it was, but for the time away and what it takes to come back. */
  function notLost(bench: Bench): void {
    const states = bench.history.filter((entry) => entry.startsWith('cluster'));
    assert.ok(!states.includes('cluster failed'), bench.history.join());
    assert.ok(states.filter((state) => state === 'cluster lost').length <= 1, bench.history.join());
  }

  it('a script goes on, with all its results and nothing begun again', async () => {
    const bench = await liveBench({ python: await pythonOf('dask-latest') });
    try {
      await bench.host.whenReady();
      const flow: FlowDef = {
        api: 'dask',
        name: 'cutplain.py',
        entry: { how: 'script' },
        line: 0,
        parameters: [],
      };
      const id = await started(bench, await executorOf('dask-latest'), flow, 'cutplain.py');
      await goAway();
      const run = await bench.over(id, 60_000);
      const printed = await bench.printed(id);
      assert.equal(run.state.kind, 'completed', `${JSON.stringify(run.state)}\n${printed}`);
      assert.match(printed, /results 16 True begun 16/);
      notLost(bench);
    } finally {
      await bench.dispose();
    }
  });

  it('a flow of Prefect goes on', async () => {
    const python = await pythonOf('prefect3');
    const home = await prefectHome(python);
    const bench = await liveBench({ python, env: home.env });
    try {
      await bench.host.whenReady();
      const entry = { how: 'import', path: 'slowflow' } as const;
      const flow: FlowDef = { api: 'prefect', name: 'slowflow', entry, line: 0, parameters: [] };
      const id = await started(bench, await executorOf('prefect3'), flow, 'slow.py');
      await goAway();
      const run = await bench.over(id, 90_000);
      const printed = await bench.printed(id);
      assert.equal(run.state.kind, 'completed', `${JSON.stringify(run.state)}\n${printed}`);
      assert.deepEqual(
        run.tasks.map(({ name, counts }) => [name, counts.completed]),
        [['slow', 8]],
      );
      notLost(bench);
    } finally {
      await bench.dispose();
      await removeFolder(home.folder);
    }
  });

  it('what happens to pods is heard again', async () => {
    const core = testCluster().makeApiClient(CoreV1Api);
    const news: WorkerNews[] = [];
    const handle = await kubernetesBackend().start(await executorOf('dask-latest'), {
      ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
      ...{ stage: () => undefined, scaling: () => undefined, worker: (one) => news.push(one) },
    });
    const client = new SchedulerClient(handle.address, { security: handle.security });
    const names = async () => (await client.identity()).workers.map(({ name }) => name).sort();
    try {
      await until(async () => (await names()).length === 2);
      await goAway();
      // The very connection of before.
      assert.deepEqual(await names(), ['0', '1']);
      assert.deepEqual(news, []);
      const labelSelector = 'flow-clusters/worker=1';
      await core.deleteCollectionNamespacedPod({ namespace, labelSelector });
      await until(async () => (await names()).join() === '0,2');
      assert.deepEqual(
        news.map(({ what }) => what),
        ['died', 'restarted'],
      );
    } finally {
      client.close();
      await handle.close({ force: true });
    }
  });
});
