import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SchedulerInfo } from '../../../src/core/schedulerInfo.ts';
import { ClientLog } from '../../../src/dask/clientLog.ts';
import { taskPrefix } from '../../../src/dask/taskKey.ts';
import { watchScheduler } from '../../../src/dask/watch.ts';
import { type Behave, type Fake, startFake } from '../../support/schedulerFake.ts';

const worker = {
  type: 'Worker',
  id: 0,
  name: 0,
  host: '127.0.0.1',
  nthreads: 2,
  memory_limit: 1000,
  last_seen: 12.5,
  status: 'running',
  nanny: 'tcp://127.0.0.1:11',
  metrics: { cpu: 150, memory: 300, task_counts: { executing: 1, 'long-running': 1, ready: 3, memory: 7 } },
};
const old = {
  ...worker,
  name: 'b',
  nanny: null,
  metrics: { cpu: 2, memory: 4, executing: 1, ready: 2, in_memory: 3 },
};
const answers: Record<string, unknown> = {
  identity: {
    type: 'Scheduler',
    id: 'Scheduler-1',
    address: 'tcp://10.0.0.1:8786',
    services: { dashboard: 8787 },
    started: 10.5,
    workers: { 'tcp://127.0.0.1:1': worker, 'tcp://127.0.0.1:2': old },
  },
  versions: { host: {}, packages: { python: '3.11.7.final.0', distributed: '2024.8.2', numpy: null } },
  get_task_prefix_states: { nap: { memory: 1, erred: 2, released: 3, processing: 4, waiting: 5 } },
  processing: {
    'tcp://127.0.0.1:1': ['nap-1', ['sum-ab12', 0], 'nap-fcrun.r1a2-7f', 'nap-fcrun.r1a2-80'],
    'tcp://127.0.0.1:2': [],
  },
  events: [
    [10.6, { action: 'add-worker', worker: 'tcp://127.0.0.1:1' }],
    [10.7, { action: 'add-worker', worker: 'tcp://127.0.0.1:2' }],
    [11.5, { action: 'add-client', client: 'Client-a' }],
    [12.5, { action: 'add-client', client: 'Client-b' }],
    [13.5, { action: 'remove-client', client: 'Client-a' }],
  ],
};
const behave: Behave = (peer, message) => peer.send(answers[String(message.op)] ?? null);

describe('watching a scheduler', () => {
  let fake: Fake;
  const disposables: { dispose(): void }[] = [];
  const infos: SchedulerInfo[] = [];
  const losses: string[] = [];

  function watch(address: string, intervalMs = 10) {
    const listener = {
      onInfo: (info: SchedulerInfo) => void infos.push(info),
      onLost: (reason: string) => void losses.push(reason),
    };
    const watcher = watchScheduler(address, listener, { intervalMs });
    disposables.push(watcher);
    return watcher;
  }

  async function until(condition: () => boolean) {
    while (!condition()) await sleep(10);
  }

  afterEach(async () => {
    for (const disposable of disposables.splice(0)) disposable.dispose();
    infos.length = 0;
    losses.length = 0;
    await fake.stop();
  });

  it('tells of workers, tasks and totals in plain data', async () => {
    fake = await startFake(behave);
    watch(fake.address);
    await until(() => infos.length > 0);
    const figures = {
      host: '127.0.0.1',
      status: 'running',
      threads: 2,
      memoryLimitBytes: 1000,
      lastSeenMs: 12_500,
    };
    assert.deepEqual(infos[0], {
      address: fake.address,
      id: 'Scheduler-1',
      dashboardPort: 8787,
      startedAtMs: 10_500,
      version: '2024.8.2',
      workers: [
        {
          ...figures,
          address: 'tcp://127.0.0.1:1',
          name: '0',
          cpuPercent: 150,
          memoryBytes: 300,
          executing: 2,
          ready: 3,
          inMemory: 7,
          nanny: 'tcp://127.0.0.1:11',
          processing: 4,
          tasks: [
            { key: 'nap-1', prefix: 'nap' },
            { key: "('sum-ab12', 0)", prefix: 'sum' },
            { key: 'nap-fcrun.r1a2-7f', prefix: 'nap', run: 'r1a2' },
            { key: 'nap-fcrun.r1a2-80', prefix: 'nap', run: 'r1a2' },
          ],
          held: [
            { prefix: 'nap', count: 1 },
            { prefix: 'sum', count: 1 },
            { prefix: 'nap', run: 'r1a2', count: 2 },
          ],
        },
        {
          ...figures,
          address: 'tcp://127.0.0.1:2',
          name: 'b',
          cpuPercent: 2,
          memoryBytes: 4,
          executing: 1,
          ready: 2,
          inMemory: 3,
          nanny: undefined,
          processing: 0,
          tasks: [],
          held: [],
        },
      ],
      prefixes: [{ name: 'nap', memory: 1, erred: 2, released: 3, processing: 4, waiting: 5 }],
      totals: {
        threads: 4,
        memoryBytes: 304,
        memoryLimitBytes: 2000,
        tasks: { memory: 1, erred: 2, released: 3, processing: 4, waiting: 5 },
      },
      clients: { ids: ['Client-b'], partial: false },
    });
  });

  it('asks only cheap questions, one at a time, on one connection', async () => {
    fake = await startFake(behave);
    watch(fake.address);
    await until(() => infos.length >= 3);
    assert.deepEqual([...new Set(fake.ops)].sort(), [
      'events',
      'get_task_prefix_states',
      'identity',
      'processing',
      'versions',
    ]);
    for (const rare of ['versions', 'events']) assert.equal(fake.ops.filter((op) => op === rare).length, 1);
    assert.equal(fake.open.size, 1);
  });

  it('does not ask for names when there are too many', async () => {
    fake = await startFake((peer, message) => {
      if (message.op === 'get_task_prefix_states') peer.send({ nap: { processing: 1_000_000 } });
      else behave(peer, message);
    });
    watch(fake.address);
    await until(() => infos.length >= 2);
    assert.ok(!fake.ops.includes('processing'));
    assert.deepEqual(
      infos[0]?.workers.map(({ processing, tasks }) => [processing, tasks.length]),
      [
        [5, 0],
        [3, 0],
      ],
    );
  });

  it('does not ask for names when there are none, nor know clients when that is forbidden', async () => {
    const forbidden = { status: 'uncaught-error', exception_text: 'it has been explicitly disallowed' };
    fake = await startFake((peer, message) => {
      if (message.op === 'get_task_prefix_states') peer.send({ nap: { processing: 0 } });
      else if (message.op === 'events') peer.send(forbidden);
      else behave(peer, message);
    });
    watch(fake.address);
    await until(() => infos.length >= 3);
    assert.ok(!fake.ops.includes('processing'));
    assert.equal(infos[2]?.clients, undefined);
    assert.deepEqual(
      infos[2]?.workers.map(({ processing, held }) => [processing, held]),
      [
        [0, []],
        [0, []],
      ],
    );
    assert.deepEqual(losses, []);
  });

  it('tells of a loss once, with its reason, and comes back by itself', async () => {
    let silent = false;
    fake = await startFake((peer, message) => {
      if (silent) peer.socket.destroy();
      else behave(peer, message);
    });
    watch(fake.address);
    await until(() => infos.length > 0);
    silent = true;
    await until(() => losses.length > 0);
    await sleep(600);
    assert.deepEqual(losses, [`The connection to ${fake.address} was closed`]);
    const before = infos.length;
    silent = false;
    await until(() => infos.length > before);
  });

  it('says what else listens there', async () => {
    fake = await startFake((peer) => peer.send({ type: 'Nanny', id: 'x' }));
    watch(fake.address);
    await until(() => losses.length > 0);
    assert.match(losses[0] ?? '', /a Dask Nanny listens there, not a scheduler/);
  });

  it('is quiet and gone once disposed of, in whatever it was doing', async () => {
    fake = await startFake(() => undefined);
    const watcher = watch(fake.address);
    await until(() => fake.ops.length > 0);
    watcher.dispose();
    watcher.dispose();
    await until(() => fake.open.size === 0);
    await sleep(300);
    assert.deepEqual([infos, losses, fake.ops], [[], [], ['identity']]);
  });

  it('keeps nothing of its looks, however long it goes on', async () => {
    const signals: AbortSignal[] = [];
    class Kept extends AbortController {
      constructor() {
        super();
        signals.push(this.signal);
      }
    }
    const replaced = mock.property(globalThis, 'AbortController', Kept);
    fake = await startFake(behave);
    watch(fake.address, 1);
    replaced.mock.restore();
    await until(() => infos.length >= 10);
    const listeners = signals.map((signal) => getEventListeners(signal, 'abort').length);
    assert.ok(listeners.length > 0 && Math.max(...listeners) <= 1, String(listeners));
  });
});

describe('clients of a scheduler', () => {
  const event = (timeMs: number, action: string, who: string) => ({
    timeMs,
    message: { action, [action.split('-')[1] ?? '']: who },
  });
  const worker = 'tcp://127.0.0.1:1';
  const came = event(1, 'add-worker', worker);

  it('are those that came and have not gone', () => {
    const log = new ClientLog();
    const first = [came, event(2, 'add-client', 'a'), event(3, 'add-client', 'b')];
    assert.deepEqual(log.update(first, [worker]), { ids: ['a', 'b'], partial: false });
    const next = [...first, event(4, 'remove-client', 'a'), event(5, 'add-client', 'c')];
    assert.deepEqual(log.update(next, [worker]), { ids: ['b', 'c'], partial: false });
    assert.deepEqual(log.update(next, [worker]), { ids: ['b', 'c'], partial: false });
  });

  it('are kept when the scheduler has forgotten their coming, and may be more when it had forgotten before', () => {
    const log = new ClientLog();
    log.update([came, event(2, 'add-client', 'a')], [worker]);
    const later = [event(2, 'add-client', 'a'), event(3, 'add-client', 'b')];
    assert.deepEqual(log.update(later, [worker]), { ids: ['a', 'b'], partial: false });
    assert.deepEqual(log.update([event(9, 'add-client', 'c')], [worker]), {
      ids: ['a', 'b', 'c'],
      partial: true,
    });
    assert.deepEqual(new ClientLog().update(later, [worker]), { ids: ['a', 'b'], partial: true });
    const young = new ClientLog();
    assert.deepEqual(young.update([], []), { ids: [], partial: false });
    assert.deepEqual(young.update([came, event(2, 'add-client', 'a')], [worker]), {
      ids: ['a'],
      partial: false,
    });
  });

  it('are no more than memory has room for', () => {
    const log = new ClientLog();
    const many = Array.from({ length: 20_000 }, (_, i) => event(i + 1, 'add-client', `c${i}`));
    const { ids, partial } = log.update(many, []);
    assert.deepEqual([ids.length, partial], [10_000, true]);
  });

  it('are read from whatever comes', () => {
    const odd = [undefined, null, 5, { action: 'add-client' }, { action: 'add-client', client: {} }];
    const events = odd.map((message, i) => ({ timeMs: i, message }));
    assert.deepEqual(new ClientLog().update(events, []), { ids: [], partial: false });
  });
});

describe('prefix of a task', () => {
  for (const [key, prefix] of [
    ['nap-1', 'nap'],
    ['load-csv-3f2c9a', 'load-csv'],
    ['x', 'x'],
    [['sum-9b1e', 0, 1], 'sum'],
    ["('sum-9b1e', 0)", 'sum'],
    ['hello-world-abcdefab', 'hello-world'],
    ['ae05086432ca935f6eba409a8ecd4896', 'data'],
    ['<module.submodule.myclass object at 0xdaf372', 'myclass'],
    ['', 'Other'],
    [5, 'Other'],
  ] as const) {
    it(`of ${JSON.stringify(key)} is ${prefix}`, () => assert.equal(taskPrefix(key), prefix));
  }
});
