import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { CoreV1Api } from '@kubernetes/client-node';
import type { BackendContext, ClusterHandle, Keepsake } from '../../src/core/backend.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import {
  describeWays,
  kubernetesBackend,
  kubernetesExecutor,
  optionsOf,
  startOwner,
  testCluster,
  until,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';

describeWays('a static cluster on Kubernetes', 'static', (way, namespaceOf) => {
  let namespace: string;
  const handles: ClusterHandle[] = [];

  before(() => {
    namespace = namespaceOf();
  });
  afterEach(async () => {
    await Promise.all(handles.splice(0).map((one) => one.close({ force: true })));
    await untilNothingIsLeft(namespace);
  });

  const context = (): BackendContext => ({
    ...{ clusterId: 'c1', lifetime: 'static', signal: new AbortController().signal, inherit: {} },
    ...{ stage: () => undefined, scaling: () => undefined, worker: () => undefined },
  });

  async function start(options: Partial<KubernetesExecutor> = {}): Promise<ClusterHandle> {
    const executor = await kubernetesExecutor('dask-latest', namespace, {
      ...{ n_workers: 1, ...optionsOf(way) },
      ...options,
    });
    const handle = await kubernetesBackend().start(executor, context());
    handles.push(handle);
    return handle;
  }

  async function adopt(keepsake: Keepsake): Promise<ClusterHandle | undefined> {
    const handle = await kubernetesBackend().adopt(keepsake, context());
    if (handle) handles.push(handle);
    return handle;
  }

  function keepsakeOf(handle: ClusterHandle): Keepsake {
    const keepsake = handle.keepsake?.();
    assert.ok(keepsake);
    return keepsake;
  }

  async function workersOf({ address, security }: ClusterHandle): Promise<string[]> {
    const client = new SchedulerClient(address, { security });
    try {
      return (await client.identity()).workers.map(({ name }) => name).sort();
    } finally {
      client.close();
    }
  }

  it('outlives its window, and the next one scales and stops it', async () => {
    const first = await start();
    const keepsake = keepsakeOf(first);
    first.leave?.();
    handles.length = 0;
    const second = await adopt(keepsake);
    assert.ok(second);
    assert.equal(second.workers, 1);
    assert.deepEqual(await workersOf(second), ['0']);
    await second.scale?.(2);
    await until(async () => (await workersOf(second)).length === 2);
    await second.close({ force: false });
    handles.length = 0;
    assert.equal(await adopt(keepsake), undefined);
  });

  it('is used by several windows: what one changes the other follows, and its end is no accident', async () => {
    const first = await start();
    const { secret, ...keepsake } = keepsakeOf(first);
    // As one made by a version whose schedulers had no sessions.
    const { sessions, ...older } = JSON.parse(secret) as { sessions?: true };
    assert.equal(sessions, true);
    const second = await adopt({ ...keepsake, secret: JSON.stringify(older) });
    assert.ok(second);
    await second.scale?.(2);
    await until(async () => (await workersOf(first)).length === 2);
    await first.scale?.(1);
    await until(async () => (await workersOf(second)).length === 1);
    await first.close({ force: false });
    assert.deepEqual(await second.finished, { how: 'closed' });
    handles.length = 0;
  });

  it('idles out, and is gone', async () => {
    const one = await start({ idle_timeout: 10 });
    assert.deepEqual(await one.finished, { how: 'closed' });
    handles.length = 0;
  });

  it('is found as a leftover of a window that was killed, and removed', async () => {
    const owner = startOwner({ namespace, lifetime: 'static', options: optionsOf(way) });
    for await (const line of createInterface(owner.stdout)) if (line === 'ready') break;
    // Windows of the tests are told apart by the process that starts them.
    const backend = kubernetesBackend({ owner: { machine: `test-${owner.pid}`, pid: process.pid } });
    const look = () => backend.leftovers([{ namespace }], new AbortController().signal);
    assert.deepEqual((await look()).found, []);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const { found } = await look();
    assert.deepEqual(
      found.map(({ leftover: { name, lifetime, running } }) => ({ name, lifetime, running })),
      [{ name: 'pods', lifetime: 'static', running: true }],
    );
    for (const one of found) await backend.removeLeftover(one);
    assert.deepEqual((await look()).found, []);
  });

  it('says where it could not look for leftovers', async () => {
    const none = { kubeconfig: '/nowhere/config' };
    const { found, unreachable } = await kubernetesBackend().leftovers([none], new AbortController().signal);
    assert.deepEqual(found, []);
    assert.match(unreachable[0]?.message ?? '', /The kubeconfig can't be read/);
  });

  it('keeps no more than its certificates with its window', async () => {
    const one = await start();
    const core = testCluster().makeApiClient(CoreV1Api);
    const { items } = await core.listNamespacedPod({ namespace });
    assert.ok(items.every(({ spec }) => spec?.automountServiceAccountToken === false));
    assert.doesNotMatch(keepsakeOf(one).secret, /token|client-key-data/i);
  });
});
