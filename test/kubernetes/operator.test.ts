import assert from 'node:assert/strict';
import { CoreV1Api } from '@kubernetes/client-node';
import { kubectl } from '../../scripts/lib/kubernetes.mjs';
import { ensureDefinitions, withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import { PodDiscovery } from '../../src/backends/kubernetes/discovery.ts';
import type { FoundPod } from '../../src/backends/kubernetes/foundPods.ts';
import type { BackendContext, ClusterHandle, WorkerNews } from '../../src/core/backend.ts';
import { UserError } from '../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { MemoryLog } from '../support/host.ts';
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

describe('Dask’s operator', function () {
  this.timeout(180_000);
  let core: CoreV1Api;
  let namespace: string;
  let remove: () => Promise<void>;
  const news: WorkerNews[] = [];

  before(async () => {
    core = testCluster().makeApiClient(CoreV1Api);
    ({ namespace, remove } = await testNamespace('operator'));
  });
  after(() => remove());
  beforeEach(() => {
    news.length = 0;
  });
  afterEach(() => untilNothingIsLeft(namespace));

  async function start(
    options: Partial<KubernetesExecutor> = {},
    lifetime: BackendContext['lifetime'] = 'temporary',
  ): Promise<ClusterHandle> {
    const executor = await kubernetesExecutor('dask-latest', namespace, {
      ...{ n_workers: 1, operator: true },
      ...options,
    });
    return kubernetesBackend().start(executor, {
      ...{ clusterId: 'c1', lifetime, signal: new AbortController().signal, inherit: {} },
      ...{ stage: () => undefined, worker: (one) => news.push(one), scaling: () => undefined },
    });
  }

  it('is missed within seconds where it does not run, and nothing is left', async () => {
    await ensureDefinitions(testKubernetes());
    await assert.rejects(start(), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /does nothing: nobody has looked at the DaskCluster for 15 s$/);
      assert.match(error.hint ?? '', /not for the namespace .* Leave "operator" out/);
      return true;
    });
  });

  it('is not waited for when it has gone: its clusters end all the same', async () => {
    const handle = await withOperator(testKubernetes(), namespace, () => start());
    await handle.close({ force: true });
    assert.deepEqual(
      (await leftovers(namespace)).filter((one) => /^(pod|dask)/.test(one)),
      [],
    );
  });

  it('starts no scheduler again that has ended, also where no window is there: all goes', async () => {
    const { items: before } = await core.listNamespacedPod({ namespace });
    assert.deepEqual(before, []);
    await withOperator(testKubernetes(), namespace, async () => {
      const handle = await start({}, 'static');
      handle.leave?.();
      const labelSelector = 'flow-clusters/role=scheduler';
      const { items } = await core.listNamespacedPod({ namespace, labelSelector });
      const name = items[0]?.metadata?.name ?? '';
      await kubectl(testKubernetes(), ['-n', namespace, 'exec', name, '--', 'sh', '-c', 'kill -TERM 1']);
      await untilNothingIsLeft(namespace, 120_000);
    });
  });

  it('has clusters of ours that are found once, as ours', async () => {
    const found: FoundPod[] = [];
    const discovery = new PodDiscovery({
      log: new MemoryLog(),
      onChange: (now) => void found.splice(0, found.length, ...now),
    });
    await withOperator(testKubernetes(), namespace, async () => {
      const handle = await start();
      discovery.look([{ namespace }]);
      const here = () => found.filter(({ scheduler }) => scheduler.namespace === namespace);
      await until(() => here().length > 0);
      assert.deepEqual(
        here().map(({ scheduler, own }) => [scheduler.maker, own?.executor]),
        [['flow-clusters', 'pods']],
      );
      discovery.look([]);
      await handle.close({ force: true });
    });
  });

  it('takes no part of a template that its resources do not know', async () => {
    await withOperator(testKubernetes(), namespace, () =>
      assert.rejects(start({ pod_template: { spec: { notAField: true } } }), /unknown field .*notAField/),
    );
  });

  it('says why a worker does not come that is asked for later', async () => {
    const body = { metadata: { name: 'small' }, spec: { hard: { pods: '3' } } };
    await core.createNamespacedResourceQuota({ namespace, body });
    try {
      await withOperator(testKubernetes(), namespace, async () => {
        const handle = await start();
        await handle.scale?.(2);
        await until(() => news.length > 0);
        assert.match(news[0]?.message ?? '', /^worker 1 waits: .*exceeded quota: small/);
        await core.deleteNamespacedResourceQuota({ namespace, name: 'small' });
        const client = new SchedulerClient(handle.address, { security: handle.security });
        await until(async () => (await client.identity()).workers.length === 2);
        client.close();
        await handle.close({ force: true });
      });
    } finally {
      await core.deleteNamespacedResourceQuota({ namespace, name: 'small' }).catch(() => undefined);
    }
  });
});
