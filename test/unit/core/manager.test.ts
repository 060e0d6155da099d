import assert from 'node:assert/strict';
import type { Backend, BackendContext, ClusterExit, ClusterHandle } from '../../../src/core/backend.ts';
import { UserError } from '../../../src/core/errors.ts';
import { ClusterManager, type Watch } from '../../../src/core/manager.ts';
import type { MembersListener } from '../../../src/core/members.ts';
import type { PodScheduler } from '../../../src/core/podScheduler.ts';
import { Store } from '../../../src/core/store.ts';
import { MemoryLog } from '../../support/host.ts';
import { aMember, aWorker, infoOf } from './samples.ts';

const executor = { name: 'local', kind: 'local' } as const;

/** A back end that does what it is told, when it is told. */
class HandBackend implements Backend {
  context: BackendContext | undefined;
  readonly closes: boolean[] = [];
  readonly sizes: unknown[] = [];
  #started = Promise.withResolvers<ClusterHandle>();
  readonly finished = Promise.withResolvers<ClusterExit>();
  closeError: Error | undefined;
  /** Resolves with the close. */
  letClose = true;

  start(_: unknown, context: BackendContext): Promise<ClusterHandle> {
    this.context = context;
    return this.#started.promise;
  }

  answer(): void {
    this.#started.resolve({
      address: 'tcp://127.0.0.1:1',
      dashboard: null,
      workers: 1,
      finished: this.finished.promise,
      scale: async (workers) => void this.sizes.push(workers),
      adapt: async (limits) => void this.sizes.push(limits),
      close: async ({ force }) => {
        this.closes.push(force);
        if (this.closeError) throw this.closeError;
        if (this.letClose || force) this.finished.resolve({ how: 'closed' });
        await this.finished.promise;
      },
    });
  }

  refuse(error: Error): void {
    this.#started.reject(error);
  }
}

function bench(lifetime: 'static' | 'temporary' = 'static') {
  const store = new Store();
  const backend = new HandBackend();
  const watched: { listener?: Parameters<Watch>[1]; options?: Parameters<Watch>[2]; disposed: number } = {
    disposed: 0,
  };
  const watch: Watch = (_, listener, options) => {
    watched.listener = listener;
    watched.options = options;
    const dispose = () => {
      watched.disposed += 1;
    };
    return { dispose };
  };
  const manager = new ClusterManager({ store, watch, log: new MemoryLog() });
  const { id, started } = manager.start({ executor, backend, name: 'laptop', lifetime });
  const state = () => store.snapshot.clusters.get(id)?.state;
  return { store, backend, manager, id, started, state, watched };
}

describe('cluster manager', () => {
  it('shows a start with its stages, then what the scheduler says', async () => {
    const { store, backend, id, started, state, watched } = bench();
    assert.deepEqual({ ...state(), sinceMs: 0 }, { kind: 'starting', sinceMs: 0, stage: 'starting' });
    backend.context?.stage('scheduler');
    assert.equal((state() as { stage: string }).stage, 'scheduler');
    backend.answer();
    await started;
    assert.equal(state()?.kind, 'running');
    watched.listener?.onInfo(infoOf(aWorker(0)));
    assert.equal(store.snapshot.clusters.get(id)?.info?.workers.length, 1);
    backend.context?.stage('a late word');
    assert.equal(state()?.kind, 'running');
  });

  it('shows a static cluster that could not start until it is dismissed', async () => {
    const { store, backend, manager, id, started, state } = bench();
    backend.refuse(new UserError('port-in-use', 'Port 8786 is in use', { hint: 'Change it.' }));
    await assert.rejects(started, { message: 'Port 8786 is in use' });
    const failed = state();
    assert.ok(failed?.kind === 'failed');
    assert.deepEqual(failed.failure, { message: 'Port 8786 is in use', hint: 'Change it.' });
    assert.throws(() => manager.handle(id), { message: 'Cluster laptop is not running' });
    manager.dismiss(id);
    assert.equal(store.snapshot.clusters.size, 0);
    manager.dismiss(id);
  });

  it('leaves no row of a temporary cluster that could not start', async () => {
    const { store, backend, started } = bench('temporary');
    backend.refuse(new Error('no'));
    await assert.rejects(started);
    assert.equal(store.snapshot.clusters.size, 0);
  });

  it('ends a cluster that comes up after it was stopped', async () => {
    const { store, backend, manager, id, started, state } = bench();
    const stopped = manager.stop(id, { force: false });
    assert.equal(state()?.kind, 'stopping');
    assert.equal(backend.context?.signal.aborted, true);
    backend.answer();
    await assert.rejects(started, { reason: 'cancelled' });
    await stopped;
    assert.deepEqual(backend.closes, [true]);
    assert.equal(store.snapshot.clusters.size, 0);
  });

  it('takes a start that fails after a stop as stopped', async () => {
    const { store, backend, manager, id, started } = bench();
    const stopped = manager.stop(id, { force: true });
    backend.refuse(new Error('aborted'));
    await assert.rejects(started, { name: 'UserError', reason: 'cancelled' });
    await stopped;
    assert.equal(store.snapshot.clusters.size, 0);
  });

  it('stops once, however often it is told; force hurries', async () => {
    const { store, backend, manager, id, started, watched } = bench();
    backend.letClose = false;
    backend.answer();
    await started;
    const first = manager.stop(id, { force: false });
    assert.equal(manager.stop(id, { force: false }), first);
    const forced = manager.stop(id, { force: true });
    await Promise.all([first, forced]);
    assert.deepEqual(backend.closes, [false, true]);
    assert.ok(watched.disposed > 0);
    assert.equal(store.snapshot.clusters.size, 0);
    await manager.stop(id, { force: true });
    await manager.stop('never was', { force: false });
    assert.deepEqual(backend.closes, [false, true]);
  });

  it('knows the containers of a cluster from its start on, and how to get at them', async () => {
    const { backend, manager, id, started, store } = bench();
    assert.equal(manager.members(id), undefined);
    const access = {
      follow: () => Promise.resolve(),
      shell: () => Promise.reject(new UserError('unreachable', 'gone')),
    };
    backend.context?.members?.([aMember('scheduler', { state: 'created' })], access);
    assert.equal(store.snapshot.clusters.get(id)?.members?.[0]?.state, 'created');
    assert.equal(manager.members(id), access);
    backend.answer();
    await started;
    await manager.stop(id, { force: true });
    backend.context?.members?.([], access);
    assert.equal(manager.members(id), undefined);
  });

  it('knows the pods of a cluster that it is attached to until it is detached', () => {
    const store = new Store();
    let look: Parameters<Watch>[1] | undefined;
    const watch: Watch = (_, listener) => {
      look = listener;
      return { dispose: () => undefined };
    };
    const manager = new ClusterManager({ store, watch, log: new MemoryLog() });
    const access = { follow: () => Promise.resolve(), shell: () => Promise.reject(new Error('gone')) };
    const pod = aMember('etl-worker-abc', { kind: 'pod', host: '10.0.0.2' });
    const listeners = new Set<MembersListener>();
    const onMembers = (listener: MembersListener) => {
      listeners.add(listener);
      listener([pod], access);
      return { dispose: () => listeners.delete(listener) };
    };
    const pods: PodScheduler = {
      ...{ context: 'prod', server: 'https://prod', namespace: 'etl', maker: 'helm', name: 'etl' },
      ...{ selector: 'app=dask', port: 8786, dashboardPort: 8787 },
    };
    const forwarded = { pods, onMembers };
    const id = manager.attach({ name: 'etl', address: 'tcp://127.0.0.1:1', forwarded });
    const workers = () => store.snapshot.clusters.get(id)?.members?.map((one) => one.workers);
    assert.deepEqual(workers(), [['etl-worker-abc']], 'also before it answers');
    assert.equal(manager.members(id), access);
    look?.onInfo(infoOf(aWorker(0, { name: 'tcp://10.0.0.2:1', host: '10.0.0.2' })));
    assert.deepEqual(workers(), [['tcp://10.0.0.2:1']]);
    look?.onLost('it is gone');
    for (const listener of listeners) listener([{ ...pod, restarts: 1 }], access);
    assert.deepEqual(workers(), [['tcp://10.0.0.2:1']]);
    const leaving = 'it was evicted';
    for (const listener of listeners)
      listener(
        [
          { ...pod, leaving },
          { ...pod, id: 'other', leaving },
        ],
        access,
      );
    for (const listener of listeners) listener([{ ...pod, leaving }], access);
    assert.deepEqual(
      store.snapshot.clusters.get(id)?.incidents?.map(({ message }) => message),
      ['the pod of worker tcp://10.0.0.2:1 has gone: it was evicted'],
    );
    manager.detach(id);
    assert.equal(listeners.size, 0);
    assert.equal(manager.members(id), undefined);
  });

  it('says of a cluster, temporary ones too, that it could not be stopped', async () => {
    for (const lifetime of ['static', 'temporary'] as const) {
      const { backend, manager, id, started, state, store } = bench(lifetime);
      backend.closeError = new Error('ENOTEMPTY');
      backend.answer();
      await started;
      await manager.stop(id, { force: true });
      const failed = state();
      assert.ok(failed?.kind === 'failed');
      assert.equal(failed.failure.message, 'ENOTEMPTY');
      manager.dismiss(id);
      assert.equal(store.snapshot.clusters.size, 0);
    }
  });

  it('shows why a cluster died', async () => {
    const { backend, started, state, watched } = bench();
    backend.answer();
    await started;
    backend.finished.resolve({ how: 'died', message: 'ended by SIGKILL', detail: 'log' });
    await backend.finished.promise;
    await Promise.resolve();
    const failed = state();
    assert.ok(failed?.kind === 'failed');
    assert.deepEqual(failed.failure, { message: 'ended by SIGKILL', detail: 'log' });
    assert.equal(watched.disposed, 1);
    watched.listener?.onLost('refused');
    watched.listener?.onInfo(infoOf());
    assert.equal(state()?.kind, 'failed', 'a late look changes nothing');
  });

  it('keeps how the last few workers ended, and whether they are back', async () => {
    const { store, backend, manager, id, started } = bench();
    backend.answer();
    await started;
    const incidents = () =>
      store.snapshot.clusters.get(id)?.incidents?.map((one) => [one.message, one.restarted]);
    backend.context?.worker({ what: 'died', name: '0', message: 'worker 0 was killed' });
    backend.context?.worker({ what: 'died', name: '1', message: 'worker 1 was killed' });
    backend.context?.worker({ what: 'restarted', name: '0', message: 'worker 0 was restarted' });
    assert.deepEqual(incidents(), [
      ['worker 0 was killed', true],
      ['worker 1 was killed', false],
    ]);
    for (let n = 2; n < 9; n += 1)
      backend.context?.worker({ what: 'died', name: String(n), message: `worker ${n} was killed` });
    assert.deepEqual(incidents()?.at(0), ['worker 4 was killed', false]);
    const before = incidents();
    const stopped = manager.stop(id, { force: false });
    backend.context?.worker({ what: 'died', name: '4', message: 'of the end' });
    assert.deepEqual(incidents(), before, 'what dies of a stop is no incident');
    await stopped;
  });

  it('keeps how many workers a cluster shall have, and the last few steps to that', async () => {
    const { store, backend, manager, id, started } = bench();
    backend.answer();
    await started;
    const cluster = () => store.snapshot.clusters.get(id);
    const adaptive = { minimum: 1, maximum: 8 };
    backend.context?.scaling({ scaling: { workers: 1, adaptive } });
    assert.deepEqual(cluster()?.scaling, { workers: 1, adaptive });
    assert.equal(cluster()?.scaleEvents, undefined, 'nothing has changed');
    const step = { from: 1, to: 2, why: 'tasks', waiting: 3 } as const;
    backend.context?.scaling({ scaling: { workers: 2, adaptive }, step });
    for (let to = 3; to < 6; to += 1)
      backend.context?.scaling({ scaling: { workers: to }, step: { from: to - 1, to, why: 'asked' } });
    assert.deepEqual(cluster()?.scaling, { workers: 5 });
    const messages = () => cluster()?.scaleEvents?.map(({ message }) => message);
    assert.deepEqual(messages(), ['scaled to 3', 'scaled to 4', 'scaled to 5']);
    const stopped = manager.stop(id, { force: false });
    backend.context?.scaling({ scaling: { workers: 0 }, step: { from: 5, to: 0, why: 'asked' } });
    assert.equal(messages()?.length, 3, 'an end is no step');
    await stopped;
  });

  it('scales what is ours, and nothing else', async () => {
    const { backend, manager, id, started, watched } = bench();
    await assert.rejects(manager.scale(id, 2), { reason: 'unreachable' });
    backend.answer();
    await started;
    await manager.scale(id, 2);
    await manager.adapt(id, { minimum: 1, maximum: 2 });
    assert.deepEqual(backend.sizes, [2, { minimum: 1, maximum: 2 }]);
    const attached = manager.attach({ name: 'prod', address: 'tcp://10.0.0.5:8786' });
    watched.listener?.onInfo(infoOf());
    const message = 'prod was not started from here: its owner says how many workers';
    await assert.rejects(manager.scale(attached, 2), { reason: 'not-permitted', message });
    await assert.rejects(manager.adapt(attached, {}), { reason: 'not-permitted', message });
  });

  it('shows a scheduler that is lost, and that it is back', async () => {
    const { backend, manager, id, started, state, watched } = bench();
    backend.answer();
    await started;
    watched.listener?.onLost('connection refused');
    const lost = state();
    assert.ok(lost?.kind === 'lost');
    assert.equal(lost.reason, 'connection refused');
    assert.throws(() => manager.handle(id), {
      reason: 'unreachable',
      message: /lost since \d\d:\d\d: connection refused/,
    });
    watched.listener?.onInfo(infoOf());
    assert.equal(state()?.kind, 'running');
    watched.listener?.onLost('timed out');
    await manager.stop(id, { force: false });
    assert.equal(state(), undefined);
  });

  it('says the reason of a loss as it changes', async () => {
    const { backend, started, state, watched } = bench();
    backend.answer();
    await started;
    watched.listener?.onLost('timed out');
    watched.listener?.onLost('connection refused');
    const lost = state();
    assert.ok(lost?.kind === 'lost');
    assert.equal(lost.reason, 'connection refused');
  });

  it('takes up a cluster of others: lost until it answers, running when it does', () => {
    const { manager, store, watched } = bench();
    const security = { ca: 'CA', cert: 'CERT' };
    const id = manager.attach({ name: 'prod', address: 'tls://10.0.0.5:8786', security });
    const row = () => store.snapshot.clusters.get(id);
    assert.equal(row()?.ownership, 'attached');
    assert.equal(row()?.state.kind, 'starting');
    assert.deepEqual(watched.options, { security });
    assert.throws(() => manager.handle(id), { reason: 'unreachable' });
    watched.listener?.onLost('connection refused');
    const lost = row()?.state;
    assert.ok(lost?.kind === 'lost');
    assert.equal(lost.address, 'tls://10.0.0.5:8786');
    watched.listener?.onInfo({ ...infoOf(aWorker(0)), dashboardPort: 8787 });
    const running = row()?.state;
    assert.ok(running?.kind === 'running');
    assert.equal(running.dashboard, 'http://10.0.0.5:8787/status');
    assert.equal(row()?.info?.workers.length, 1);
    assert.deepEqual(manager.handle(id).security, security);
    assert.equal(manager.handle(id).scale, undefined, 'how many workers it has is for its owner to say');
  });

  it('never stops what it has not started; it lets go of it', async () => {
    const { manager, store, watched, id: owned } = bench();
    const id = manager.attach({ name: 'prod', address: 'tcp://10.0.0.5:8786' });
    watched.listener?.onInfo(infoOf());
    await manager.stop(id, { force: true });
    assert.equal(store.snapshot.clusters.get(id)?.state.kind, 'running');
    manager.detach(owned);
    assert.ok(store.snapshot.clusters.has(owned), 'what is ours is stopped, not let go');
    manager.detach(id);
    assert.equal(store.snapshot.clusters.has(id), false);
    assert.equal(watched.disposed, 1);
    manager.detach(id);
  });

  it('lets go of what outlives the window when that closes, but not of what still starts', async () => {
    const store = new Store();
    const manager = new ClusterManager({
      store,
      watch: () => ({ dispose: () => undefined }),
      log: new MemoryLog(),
    });
    const done: string[] = [];
    const handle = (name: string): ClusterHandle => ({
      ...{ address: 'tls://127.0.0.1:1', dashboard: null, finished: new Promise(() => undefined) },
      leave: () => void done.push(`left ${name}`),
      close: async () => void done.push(`closed ${name}`),
    });
    const slow = Promise.withResolvers<ClusterHandle>();
    const found = Promise.withResolvers<ClusterHandle>();
    const backend: Backend = {
      start: ({ name }) => (name === 'slow' ? slow.promise : Promise.resolve(handle(name))),
      adopt: () => found.promise,
    };
    const start = (name: string) =>
      manager.start({ executor: { ...executor, name }, backend, name, lifetime: 'static' }).started;
    await start('quick');
    start('slow').catch(() => undefined);
    const keepsake = { kind: 'docker', id: 'old', secret: '' } as const;
    const adopted = manager.adopt({ name: 'old', executor: 'docker', backend, keepsake });
    const disposed = manager.dispose();
    found.resolve(handle('old'));
    slow.resolve(handle('slow'));
    await disposed;
    await assert.rejects(adopted.found, { reason: 'cancelled' });
    assert.deepEqual(done.sort(), ['closed slow', 'left old', 'left quick']);
    assert.equal(store.snapshot.clusters.size, 0);
  });

  it('ends everything with force when the window closes', async () => {
    const { store, backend, manager, started } = bench();
    backend.answer();
    await started;
    await manager.dispose();
    assert.deepEqual(backend.closes, [true]);
    assert.equal(store.snapshot.clusters.size, 0);
  });
});
