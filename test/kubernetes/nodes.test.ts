import assert from 'node:assert/strict';
import { CoreV1Api, type V1Node, type V1Pod } from '@kubernetes/client-node';
import { kubectl } from '../../scripts/lib/kubernetes.mjs';
import type { WorkerNews } from '../../src/core/backend.ts';
import { type ClusterMember, memberText } from '../../src/core/members.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { liveBench, pythonOf } from '../support/hostLive.ts';
import {
  kubernetesBackend,
  kubernetesExecutor,
  leftovers,
  testCluster,
  testKubernetes,
  testNamespace,
  until,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';
import { startStory, tasksRun } from '../support/stories.ts';

/** Of the node that the tests have. */
const node = 'test-node';
/** For Kubernetes to give up a node. */
const lossMs = 180_000;

describe('on Kubernetes, when nodes go', function () {
  this.timeout(120_000);
  let core: CoreV1Api;
  let namespace: string;
  let remove: () => Promise<void>;

  before(async () => {
    core = testCluster().makeApiClient(CoreV1Api);
    ({ namespace, remove } = await testNamespace('nodes'));
  });
  after(() => remove());
  afterEach(() => untilNothingIsLeft(namespace));

  const said = (...args: string[]) => kubectl(testKubernetes(), args);

  it('a run goes on while its node is drained, and what happens is said', async () => {
    const bench = await liveBench({ python: await pythonOf('dask-latest') });
    const texts = new Set<string>();
    bench.store.onDidChange((event) => {
      if (event.type === 'cluster.members') for (const one of event.members) texts.add(memberText(one));
    });
    try {
      await bench.host.whenReady();
      const executor = await kubernetesExecutor('dask-latest', namespace);
      const target = { kind: 'executor', executor, backend: kubernetesBackend() } as const;
      const id = await startStory(bench, 'dask', ['slowplain.py'], target);
      await bench.until(() => tasksRun(bench.run(id)), 60_000);
      const options = ['--force', '--delete-emptydir-data', '--timeout=60s', '--request-timeout=60s'];
      try {
        // Those of other tests stay; only their new ones wait meanwhile.
        const selector = 'flow-clusters/role=worker';
        const pods = await core.listNamespacedPod({ namespace, labelSelector: selector });
        const cluster = pods.items[0]?.metadata?.labels?.['flow-clusters/cluster'];
        await said('drain', node, `--pod-selector=${selector},flow-clusters/cluster=${cluster}`, ...options);
        await bench.until(() => [...texts].some((text) => /no node takes it: .*unschedulable/.test(text)));
      } finally {
        await said('uncordon', node);
      }
      const run = await bench.over(id, 90_000);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      const evicted = run.notes.filter((note) =>
        /^the pod of worker \d has gone: it was evicted, as its node is being drained/.test(note),
      );
      assert.equal(evicted.length, 2, run.notes.join('\n'));
      await bench.until(() => bench.store.snapshot.clusters.size === 0, 60_000);
    } finally {
      await bench.dispose();
    }
  });

  it('a cluster whose scheduler is evicted is over, and says so', async () => {
    const handle = await kubernetesBackend().start(
      await kubernetesExecutor('dask-latest', namespace, { n_workers: 0 }),
      {
        ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
        ...{ stage: () => undefined, worker: () => undefined, scaling: () => undefined },
      },
    );
    const labelSelector = 'flow-clusters/role=scheduler';
    const [pod] = (await core.listNamespacedPod({ namespace, labelSelector })).items;
    const name = pod?.metadata?.name ?? '';
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
    await core.createNamespacedPodEviction({ name, namespace, body });
    const exit = await handle.finished;
    assert.match(
      exit.how === 'died' ? exit.message : exit.how,
      /^The scheduler's pod ended: it was evicted, as its node is being drained/,
    );
  });

  describe('for good', () => {
    const pool = 'flow-clusters-test/pool';
    const nodes = ['silent', 'spot'].map((name) => `${name}-${process.pid}`);

    after(async () => {
      await Promise.allSettled(nodes.map((name) => core.deleteNode({ name })));
      await said('label', 'node', node, `${pool}-`);
    });

    /** One that runs nothing; this test says in its name what its kubelet would. Others are kept off it by its taint. */
    async function aNode(name: string): Promise<void> {
      const taints = [{ key: pool, effect: 'NoSchedule' }];
      await core.createNode({
        body: { metadata: { name, labels: { [pool]: namespace } }, spec: { taints } },
      });
      await retried(async () => {
        const made: V1Node = await core.readNode({ name });
        const now = new Date();
        const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'ready' };
        const amounts = { cpu: '1', memory: '4Gi', pods: '1' };
        made.status = {
          ...{ ...made.status, capacity: amounts, allocatable: amounts },
          conditions: [{ ...ready, lastHeartbeatTime: now, lastTransitionTime: now }],
        };
        await core.replaceNodeStatus({ name, body: made });
      });
    }

    async function runOn(name: string): Promise<void> {
      const podThere = async () =>
        (await core.listNamespacedPod({ namespace, fieldSelector: `spec.nodeName=${name}` })).items[0];
      await until(async () => (await podThere()) !== undefined);
      await retried(async () => {
        const pod: V1Pod = (await podThere()) ?? assert.fail('no pod');
        const { image = '', name: container = '' } = pod.spec?.containers[0] ?? {};
        const state = { running: { startedAt: new Date() } };
        const types = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'];
        pod.status = {
          ...{ ...pod.status, phase: 'Running' },
          conditions: types.map((type) => ({ type, status: 'True', lastTransitionTime: new Date() })),
          containerStatuses: [
            { name: container, image, imageID: '', ready: true, restartCount: 0, state, started: true },
          ],
        };
        await core.replaceNamespacedPodStatus({ name: pod.metadata?.name ?? '', namespace, body: pod });
      });
    }

    it('their workers are replaced, with why, and nothing is left', async function () {
      this.timeout(2 * lossMs);
      const news: WorkerNews[] = [];
      let members: readonly ClusterMember[] = [];
      const texts = new Set<string>();
      await Promise.all(nodes.map(aNode));
      const handle = await kubernetesBackend().start(
        await kubernetesExecutor('dask-latest', namespace, {
          n_workers: 0,
          tolerations: [{ key: pool, operator: 'Exists' }],
          pod_template: { spec: { nodeSelector: { [pool]: namespace } } },
          scheduler: { pod_template: { spec: { nodeName: node } } },
        }),
        {
          ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
          ...{ stage: () => undefined, scaling: () => undefined, worker: (one) => news.push(one) },
          members: (some) => {
            members = some;
            for (const one of some) texts.add(memberText(one));
          },
        },
      );
      const client = new SchedulerClient(handle.address, { security: handle.security });
      try {
        await handle.scale?.(2);
        await Promise.all(nodes.map(runOn));
        await until(() => members.filter(({ state }) => state === 'running').length === 3);
        // Those that take their places find a node that runs them.
        await said('label', 'node', node, `${pool}=${namespace}`);
        await core.deleteNode({ name: nodes[1] ?? '' });
        await until(() => news.filter(({ what }) => what === 'restarted').length === 2, lossMs);
        const died = news.filter(({ what }) => what === 'died').map(({ message }) => message);
        assert.deepEqual(died.map((text) => text.replace(/worker \d/, 'worker N')).sort(), [
          'the pod of worker N has gone: its node does not answer any more: Taint manager: deleting due to NoExecute taint',
          'the pod of worker N has gone: its node is gone: PodGC: node no longer exists',
        ]);
        assert.ok(texts.has(`pod on ${nodes[0]} · its node does not answer`), [...texts].join('\n'));
        await until(async () => (await client.identity()).workers.length === 2);
      } finally {
        client.close();
        await handle.close({ force: true });
      }
      assert.deepEqual(
        (await leftovers(namespace)).filter((one) => one.startsWith('pod')),
        [],
      );
    });
  });
});

/** Others change the same object at the same time. */
async function retried(change: () => Promise<void>): Promise<void> {
  await until(() =>
    change().then(
      () => true,
      () => false,
    ),
  );
}
