import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { DockerBackend } from '../../src/backends/docker/dockerBackend.ts';
import { findLeftovers } from '../../src/backends/docker/removal.ts';
import type { BackendContext, ClusterHandle, Keepsake, WorkerNews } from '../../src/core/backend.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import {
  dockerBackend,
  dockerExecutor,
  leftovers,
  ownLabel,
  removeTestOrphans,
  testEngine,
  testOwner,
} from '../support/docker.ts';

describe('a static cluster in Docker', function () {
  this.timeout(60_000);
  let engine: Docker;
  const handles: ClusterHandle[] = [];
  const news: WorkerNews[] = [];

  before(() => {
    engine = testEngine();
  });
  afterEach(async () => {
    await Promise.all(handles.splice(0).map((one) => one.close({ force: true })));
    news.length = 0;
    assert.deepEqual(await leftovers(engine), []);
  });

  const context = (): BackendContext => ({
    ...{ clusterId: 'c1', lifetime: 'static', signal: new AbortController().signal, inherit: {} },
    ...{ stage: () => undefined, scaling: () => undefined },
    worker: (one) => news.push(one),
  });

  async function start(options: Partial<DockerExecutor> = {}): Promise<ClusterHandle> {
    const executor = await dockerExecutor('dask-latest', { n_workers: 1, ...options });
    const handle = await dockerBackend().start(executor, context());
    handles.push(handle);
    return handle;
  }

  async function adopt(keepsake: Keepsake, backend: DockerBackend = dockerBackend()) {
    const handle = await backend.adopt(keepsake, context());
    if (handle) handles.push(handle);
    return handle;
  }

  function keepsakeOf(handle: ClusterHandle): Keepsake {
    const keepsake = handle.keepsake?.();
    assert.ok(keepsake);
    return keepsake;
  }

  async function workersOf(handle: ClusterHandle): Promise<number> {
    const client = new SchedulerClient(handle.address, { security: handle.security });
    try {
      return (await client.identity()).workers.length;
    } finally {
      client.close();
    }
  }

  async function until(condition: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
    for (const began = performance.now(); !(await condition()); await sleep(50)) {
      assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
    }
  }

  const killWorker = async (name: string) => {
    const filters = { label: [ownLabel, `flow-clusters/workers=${name}`] };
    const [container] = await engine.listContainers({ filters });
    await engine.getContainer(container?.Id ?? '').kill();
  };

  it('goes on when its window leaves it, and is used, scaled, mended and stopped from the next one', async () => {
    const first = await start();
    await until(async () => (await workersOf(first)) === 1);
    const keepsake = keepsakeOf(first);
    first.leave?.();
    handles.length = 0;
    await sleep(500);
    const second = await adopt(keepsake);
    assert.ok(second);
    assert.equal(second.address, first.address);
    assert.equal(second.dashboard, first.dashboard);
    assert.equal(second.workers, 1);
    assert.equal(await workersOf(second), 1);
    await second.scale?.(3);
    await until(async () => (await workersOf(second)) === 3);
    await killWorker('2');
    await until(() => news.some(({ what }) => what === 'restarted'));
    await second.scale?.(1);
    await until(async () => (await workersOf(second)) === 1);
    await second.close({ force: false });
    assert.deepEqual(await leftovers(engine), []);
    assert.equal(await adopt(keepsake), undefined);
  });

  it('is the same one in two windows: whoever changed it last sees to it', async () => {
    const first = await start({ n_workers: 2 });
    await until(async () => (await workersOf(first)) === 2);
    const second = await adopt(keepsakeOf(first));
    assert.ok(second);
    await second.scale?.(1);
    await until(async () => (await workersOf(first)) === 1);
    await sleep(2_000);
    assert.deepEqual(news, [], 'what the second has ended, the first does not start again');
    await first.scale?.(3);
    await until(async () => (await workersOf(second)) === 3);
    await second.close({ force: false });
    assert.deepEqual(await first.finished, { how: 'closed' });
  });

  it('adapts on in the next window, or keeps the number that it was given since', async () => {
    const limits = { minimum: 2, maximum: 3 };
    const first = await start({ adapt_kwargs: limits });
    await until(async () => (await workersOf(first)) === 2);
    const keepsake = keepsakeOf(first);
    first.leave?.();
    handles.length = 0;
    const second = await adopt(keepsake);
    assert.ok(second);
    await killWorker('0');
    await until(async () => (await workersOf(second)) === 2);
    assert.deepEqual(JSON.parse(keepsakeOf(second).secret).limits, limits);
    await second.scale?.(1);
    assert.equal(JSON.parse(keepsakeOf(second).secret).limits, undefined);
    const third = keepsakeOf(second);
    second.leave?.();
    handles.length = 0;
    assert.ok(await adopt(third));
    await sleep(2_500);
    const filters = { label: [ownLabel, 'flow-clusters/role=worker'] };
    assert.equal((await engine.listContainers({ filters })).length, 1);
  });

  it('outlives a window that is killed, and is found when its executor is swept', async () => {
    const owner = spawn(process.execPath, ['--import', 'tsx', 'test/support/dockerOwner.ts', 'static'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(owner.stdout, 'data');
    const keepsake = JSON.parse(String(said).split('\n')[1] ?? '') as Keepsake;
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await removeTestOrphans(engine);
    const [left] = await findLeftovers(engine, { machine: testOwner });
    assert.equal(left?.safe, false);
    assert.equal(left?.running, 2);
    const handle = await adopt(keepsake);
    assert.ok(handle);
    assert.equal(await workersOf(handle), 1);
  });

  it('is forgotten when it has idled out, and nothing of it is left', async () => {
    const handle = await start({ idle_timeout: 10, n_workers: 0 });
    const keepsake = keepsakeOf(handle);
    handle.leave?.();
    handles.length = 0;
    const containers = () => engine.listContainers({ all: true, filters: { label: [ownLabel] } });
    await until(async () => (await containers()).length === 0);
    assert.equal(await adopt(keepsake), undefined);
  });
});
