import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Cluster, ClusterState } from '../../../src/core/cluster.ts';
import { readExecutors } from '../../../src/core/executor.ts';
import { formatClock } from '../../../src/core/format.ts';
import type { Run, RunState } from '../../../src/core/run.ts';
import { emptySnapshot, type Snapshot } from '../../../src/core/store.ts';
import { clusterNodes, executorNodes, runNodes, type TreeNode } from '../../../src/core/tree.ts';
import { aCluster, aRun, aWorker, infoOf } from './samples.ts';

const nowMs = new Date(2026, 0, 1, 10, 42).getTime();
const clock = formatClock(nowMs);
const running: ClusterState = {
  kind: 'running',
  sinceMs: nowMs,
  address: 'tcp://127.0.0.1:41873',
  dashboard: 'http://127.0.0.1:8787/status',
};

function snapshotOf(clusters: readonly Cluster[], runs: readonly Run[] = [], target?: string): Snapshot {
  return {
    ...emptySnapshot,
    clusters: new Map(clusters.map((cluster) => [cluster.id, cluster])),
    runs: new Map(runs.map((run) => [run.id, run])),
    targetClusterId: target,
  };
}

/** The rows as the user reads them: two spaces a level, label and description. */
function read(nodes: readonly TreeNode[], indent = ''): string[] {
  return nodes.flatMap((node) => [
    `${indent}${[node.label, node.description].filter(Boolean).join(' | ')}`,
    ...read(node.children ?? [], `${indent}  `),
  ]);
}

function all(nodes: readonly TreeNode[]): TreeNode[] {
  return nodes.flatMap((node) => [node, ...all(node.children ?? [])]);
}

const clusterRow = (state: ClusterState, other: Partial<Cluster> = {}) =>
  clusterNodes(snapshotOf([{ ...aCluster, ...other, state }]), nowMs)[0] as TreeNode;
const runRow = (state: RunState, other: Partial<Run> = {}) =>
  runNodes(snapshotOf([], [{ ...aRun, ...other, state }]), nowMs)[0] as TreeNode;

describe('clusters in the explorer', () => {
  it('read as a cluster with its scheduler, workers, runs and tasks', () => {
    const run: Run = {
      ...aRun,
      state: { kind: 'running', startedMs: nowMs - 12_000 },
      tasks: [
        { name: 'extract', total: 1, counts: { completed: 1 } },
        { name: 'transform', total: 18, counts: { completed: 13, running: 3, retrying: 1, submitted: 1 } },
        { name: 'load', total: 1, counts: { submitted: 1 } },
      ],
    };
    const cluster: Cluster = { ...aCluster, state: running, info: infoOf(aWorker(0), aWorker(1)) };
    assert.deepEqual(read(clusterNodes(snapshotOf([cluster], [run]), nowMs)), [
      'laptop | running · 2 workers · 4 threads · static',
      '  scheduler | tcp://127.0.0.1:41873',
      '  workers (2)',
      '    worker 0 | 2 threads · 73 % · 412 MiB of 4 GiB · transform',
      '    worker 1 | 2 threads · 73 % · 412 MiB of 4 GiB · transform',
      '  etl | running 14/20 · 00:12',
      '    extract | 1/1',
      '    transform | 13/18 · 3 running · 1 retrying',
      '    load | 0/1 · waiting',
    ]);
  });

  it('say their state first, in lower case', () => {
    const description = (state: ClusterState, other?: Partial<Cluster>) =>
      clusterRow(state, other).description;
    const temporary = { lifetime: 'temporary' } as const;
    const starting: ClusterState = { kind: 'starting', sinceMs: nowMs - 3_000, stage: 'warming Python up' };
    assert.equal(description(starting, temporary), 'starting · warming Python up · 00:03');
    assert.equal(description(running, temporary), 'running');
    assert.equal(description(running), 'running · static');
    assert.equal(
      description({ ...running, kind: 'lost', sinceMs: nowMs, reason: 'connection refused' }),
      `lost since ${clock} (connection refused) · static`,
    );
    const failure = {
      message: 'Port 8786 is already in use\nTraceback…',
      hint: 'Change it.',
      detail: 'Traceback',
    };
    const failed = clusterRow({ kind: 'failed', sinceMs: nowMs, failure });
    assert.equal(failed.description, 'failed · Port 8786 is already in use · static', 'one line');
    assert.match(failed.tooltip ?? '', /Change it\.\nTraceback$/);
    assert.equal(failed.children, undefined, 'nothing to open');
    assert.equal(description({ kind: 'stopping', sinceMs: nowMs }, temporary), 'stopping');
    assert.equal(description({ kind: 'stopped', sinceMs: nowMs }, temporary), 'stopped');
  });

  it('say whose one is that was found, after those that were asked for', () => {
    const origin = {
      pid: 4711,
      what: 'etl.py',
      folder: '/work',
      user: 'ana',
      sinceMs: nowMs,
      otherWindow: false,
    };
    const found: Cluster = {
      ...aCluster,
      id: 'found-1',
      name: 'etl.py',
      ownership: 'discovered',
      origin,
      state: running,
    };
    const rows = clusterNodes(snapshotOf([found, { ...aCluster, state: running }]), nowMs);
    assert.deepEqual(
      rows.map(({ label, description, expanded }) => [label, description, expanded]),
      [
        ['laptop', 'running · static', true],
        ['etl.py', `running · discovered (pid 4711, since ${clock})`, false],
      ],
    );
    assert.deepEqual([rows[1]?.icon, rows[1]?.color], ['plug', 'disabledForeground']);
    assert.match(
      rows[1]?.tooltip ?? '',
      /etl\.py, process 4711 of ana in \/work, since .*\nNot started from here/,
    );
  });

  it('say when one ends by itself that stays when the window closes', () => {
    const [row] = clusterNodes(snapshotOf([{ ...aCluster, state: running, idleSeconds: 3600 }]), nowMs);
    assert.equal(row?.description, 'running · static · idles out after 1 h');
  });

  it('say which one runs use', () => {
    const [row] = clusterNodes(snapshotOf([{ ...aCluster, state: running }], [], aCluster.id), nowMs);
    assert.equal(row?.description, 'running · static · used for runs');
    assert.equal(row?.context, 'cluster.owned.static.running.target');
    assert.equal(row?.icon, 'star-full');
  });

  it('say which one is active: terminals connect to it', () => {
    const snapshot = snapshotOf([{ ...aCluster, state: running }], [], aCluster.id);
    const [row] = clusterNodes({ ...snapshot, activeClusterId: aCluster.id }, nowMs);
    assert.equal(row?.description, 'running · static · used for runs · active');
    assert.equal(row?.context, 'cluster.owned.static.running.target.active');
  });

  it('name what can be done with them', () => {
    assert.equal(clusterRow(running).context, 'cluster.owned.static.running');
    assert.equal(
      clusterRow({ kind: 'failed', sinceMs: 0, failure: { message: '' } }, { ownership: 'attached' }).context,
      'cluster.attached.static.failed',
    );
    const scheduler = (dashboard: string | null) => clusterRow({ ...running, dashboard }).children?.[0];
    assert.equal(scheduler('http://x')?.context, 'scheduler.dashboard');
    assert.equal(scheduler(null)?.context, 'scheduler');
    assert.match(scheduler(null)?.tooltip ?? '', /No dashboard \(bokeh is not installed\)/);
  });

  it('show what is unusual about a worker', () => {
    const worker = (other: Parameters<typeof aWorker>[1]) => {
      const row = clusterRow(running, { info: infoOf(aWorker(0, other)) });
      return row.children?.[1]?.children?.[0];
    };
    assert.equal(
      worker({ status: 'paused', tasks: [] })?.description,
      'paused · 2 threads · 73 % · 412 MiB of 4 GiB',
    );
    assert.equal(worker({ memoryLimitBytes: 0, tasks: [] })?.description, '2 threads · 73 % · 412 MiB');
    assert.equal(worker({ threads: 1, tasks: [] })?.description, '1 thread · 73 % · 412 MiB of 4 GiB');
    assert.equal(worker({ name: 'tcp://127.0.0.1:40000' })?.label, 'tcp://127.0.0.1:40000');
    const tasks = ['a', 'b', 'a', 'c', 'd'].map((prefix, i) => ({ key: `${prefix}-${i}`, prefix }));
    assert.match(worker({ tasks })?.description ?? '', / · a, b, c$/);
  });

  it('group many workers by the hundred, and make the rows of a group only when it is opened', () => {
    const workers = Array.from({ length: 250 }, (_, n) => aWorker(n));
    workers[101] = aWorker(101, { status: 'paused' });
    const row = clusterRow(running, { info: infoOf(...workers) }).children?.[1];
    assert.equal(row?.label, 'workers (250)');
    assert.deepEqual(
      row?.children?.map(({ label, description }) => `${label} | ${description}`),
      [
        'workers 1–100 | 200 threads · 100 tasks · 40 GiB',
        'workers 101–200 | 200 threads · 100 tasks · 40 GiB · 1 paused',
        'workers 201–250 | 100 threads · 50 tasks · 20 GiB',
      ],
    );
    const [, second] = row?.children ?? [];
    assert.equal(second?.children?.length, 100);
    assert.equal(second?.children?.[1]?.label, 'worker 101');
    assert.equal(second?.expanded, undefined);
    assert.equal(
      clusterRow(running, { info: infoOf(...workers.slice(0, 100)) }).children?.[1]?.children?.length,
      100,
    );
  });

  it('show who shares them: each run with its threads, and the others', () => {
    const held = [
      { prefix: 'load', run: 'r1', count: 1 },
      { prefix: 'nap', count: 2 },
    ];
    const info = {
      ...infoOf(aWorker(0, { held, processing: 3 }), aWorker(1, { held: [], processing: 0 })),
      clients: { ids: ['Client-fcflow-r1-7e', 'Client-a', 'Client-b'], partial: false },
    };
    const one: Run = {
      ...aRun,
      state: { kind: 'running', startedMs: nowMs },
      tasks: [{ name: 'load', total: 1, counts: { running: 1 } }],
    };
    const two: Run = { ...one, id: 'r2', tasks: [] };
    const attached: Cluster = { ...aCluster, ownership: 'attached', name: 'prod', state: running, info };
    const rows = read(clusterNodes(snapshotOf([attached], [one, two]), nowMs));
    assert.deepEqual(
      rows.filter((row) => !/worker \d|scheduler/.test(row)),
      [
        'prod | running · 2 workers · 4 threads · attached · 2 runs, 2 others',
        '  workers (2)',
        '  etl | running 0/1 · 1 of 4 threads · 00:00',
        '    load | 0/1 · 1 running',
        '  etl | running · 0 of 4 threads · 00:00',
        '  others | 1 of 4 threads · nap · 2 clients',
      ],
    );
    assert.equal(
      runNodes(snapshotOf([attached], [one, two]), nowMs)[1]?.description,
      'running 0/1 · 1 of 4 threads · 00:00',
    );
    // What a scheduler said before it was lost holds no more.
    const lost: Cluster = { ...attached, state: { ...running, kind: 'lost', reason: 'gone' } };
    assert.doesNotMatch(
      read(clusterNodes(snapshotOf([lost], [one, two]), nowMs)).join('\n'),
      /others|of 4 threads/,
    );
  });

  it('tell in their tooltip what spoke against them when they were checked', () => {
    const tooltip = (...messages: string[]) =>
      clusterRow(running, { checked: { atMs: nowMs, messages } }).tooltip ?? '';
    assert.match(tooltip(), new RegExp(`Checked at ${clock}: all is well$`));
    assert.match(tooltip('numpy is missing'), new RegExp(`Checked at ${clock}:\n• numpy is missing$`));
  });

  it('show how workers ended, newest first, when they are back and when the cluster is not', () => {
    const atMs = nowMs;
    const incidents = [
      { atMs, worker: '1', message: 'worker 1 was killed (signal 9)', restarted: true },
      { atMs, worker: '0', message: 'worker 0 ended by itself (exit code 3)', restarted: false },
    ];
    const shown = [
      `worker 0 ended by itself (exit code 3) | ${clock}`,
      `worker 1 was killed (signal 9) | restarted · ${clock}`,
    ];
    const alive = clusterNodes(snapshotOf([{ ...aCluster, state: running, incidents }]), nowMs);
    assert.deepEqual(read(alive[0]?.children ?? []).slice(-2), shown);
    assert.match(alive[0]?.tooltip ?? '', /worker 1 was killed \(signal 9\), restarted · /);
    const failed = { kind: 'failed', sinceMs: 0, failure: { message: 'gone' } } as const;
    const dead = clusterNodes(snapshotOf([{ ...aCluster, state: failed, incidents }]), nowMs);
    assert.deepEqual(read(dead[0]?.children ?? []), shown);
  });

  it('say that they adapt, what they were asked to become, and why they keep workers', () => {
    const scaling = { workers: 2, adaptive: { minimum: 1, maximum: 8 } };
    const atMs = nowMs;
    const scaleEvents = [
      { atMs, message: 'scaled to 4' },
      { atMs: atMs + 2, message: 'adaptive: 2 → 4 (12 tasks waiting)' },
    ];
    const incidents = [{ atMs: atMs + 1, worker: '1', message: 'worker 1 was killed', restarted: true }];
    const info = infoOf(aWorker(0, { tasks: [] }), aWorker(1, { tasks: [] }));
    const row = clusterRow(running, { scaling, scaleEvents, incidents, info });
    assert.equal(row.description, 'running · 2 workers · 4 threads · adaptive 1–8 · static');
    assert.deepEqual(read(row.children ?? []).slice(-3), [
      `adaptive: 2 → 4 (12 tasks waiting) | ${clock}`,
      `worker 1 was killed | restarted · ${clock}`,
      `scaled to 4 | ${clock}`,
    ]);
    assert.match(row.tooltip ?? '', /adaptive: 2 → 4 \(12 tasks waiting\) · /);
    assert.doesNotMatch(row.tooltip ?? '', /results are held/);
    const tasks = { ...info.totals.tasks, memory: 3 };
    const held = clusterRow(running, { scaling, info: { ...info, totals: { ...info.totals, tasks } } });
    assert.match(held.tooltip ?? '', /Workers may stay above the minimum while results are held \(3\)\./);
    const fixed = clusterRow(running, { scaling: { workers: 2 }, info });
    assert.equal(fixed.description, 'running · 2 workers · 4 threads · static');
  });

  it('show a worker that is being retired, and how far that is', () => {
    const worker = (phase: 'moving' | 'finishing' | 'closing', executing: number) => {
      const drain = { name: '0', sinceMs: nowMs - 12_000, limitMs: 600_000, phase, executing };
      const drains = [{ worker: aWorker(0).address, ...drain }];
      const row = clusterRow(running, { drains, info: infoOf(aWorker(0, { tasks: [] })) });
      return row.children?.[1]?.children?.[0];
    };
    const usual = '2 threads · 73 % · 412 MiB of 4 GiB';
    assert.equal(worker('moving', 0)?.description, `draining · its results move · 00:12 of 10:00 · ${usual}`);
    assert.equal(
      worker('finishing', 1)?.description,
      `draining · 1 task executing · 00:12 of 10:00 · ${usual}`,
    );
    assert.equal(worker('closing', 0)?.description, `draining · it closes · ${usual}`);
    assert.equal(worker('finishing', 1)?.context, 'worker.owned.draining');
    assert.equal(worker('finishing', 1)?.worker, aWorker(0).address);
  });

  it('show the run that waits while a cluster starts, and none that is over', () => {
    const starting = snapshotOf([aCluster], [aRun]);
    assert.deepEqual(read(clusterNodes(starting, 1_000)), [
      'laptop | starting · launching scheduler and workers · 00:01 · static',
      '  etl | queued · launching scheduler and workers · 00:01',
    ]);
    const own: Run = { ...aRun, state: { kind: 'queued', stage: 'preparing the Prefect database (once)' } };
    const [row] = clusterNodes(snapshotOf([aCluster], [own]), 1_000)[0]?.children ?? [];
    assert.equal(row?.description, 'queued · preparing the Prefect database (once) · 00:01');
    const over: Run = { ...aRun, state: { kind: 'cancelled', endedMs: 1 } };
    assert.deepEqual(clusterNodes(snapshotOf([aCluster], [over]), nowMs)[0]?.children, []);
  });
});

describe('runs in the explorer', () => {
  const tasks = [{ name: 'load', total: 20, counts: { completed: 20 } }];
  const time = { startedMs: nowMs - 31_000, endedMs: nowMs };

  it('say their state first, in lower case', () => {
    const description = (state: RunState, other?: Partial<Run>) => runRow(state, other).description;
    assert.equal(
      description({ kind: 'queued', stage: 'preparing the Prefect database (once)' }, { createdMs: nowMs }),
      'queued · preparing the Prefect database (once) · 00:00',
    );
    assert.equal(description({ kind: 'running', startedMs: nowMs }), 'running · 00:00');
    assert.equal(
      description({ kind: 'running', startedMs: nowMs, stage: 'draining' }),
      'running · active tasks finish · 00:00',
    );
    const cancelling = { kind: 'cancelling', startedMs: nowMs - 1_000 } as const;
    assert.equal(
      description({ ...cancelling, forced: false }, { tasks }),
      'cancelling 20/20 · active tasks finish · 00:01',
    );
    assert.equal(description({ ...cancelling, forced: true }), 'cancelling · 00:01');
    assert.equal(
      description({ kind: 'completed', ...time }, { tasks }),
      `completed · 20 tasks · 00:31 · laptop · ${clock}`,
    );
    const failure = { message: 'balance[3]: ZeroDivisionError: division\nby zero' };
    assert.equal(
      description({ kind: 'failed', ...time, failure }),
      `failed · balance[3]: ZeroDivisionError: division · 00:31 · laptop · ${clock}`,
    );
    assert.equal(
      description({ kind: 'crashed', endedMs: nowMs, failure: { message: 'killed' } }),
      `crashed · killed · laptop · ${clock}`,
    );
    assert.equal(description({ kind: 'cancelled', endedMs: nowMs }), `cancelled · laptop · ${clock}`);
  });

  it('are newest first, with their tasks', () => {
    const runs = ['a', 'b'].map((id): Run => ({ ...aRun, id, flow: { ...aRun.flow, name: id }, tasks }));
    const rows = runNodes(snapshotOf([], runs), 0);
    assert.deepEqual(
      rows.map(({ label }) => label),
      ['b', 'a'],
    );
    assert.deepEqual(
      rows[0]?.children?.map(({ label, description }) => [label, description]),
      [['load', '20/20']],
    );
  });

  it('name what can be done with them', () => {
    assert.equal(runRow({ kind: 'queued', stage: '' }).context, 'run.live.queued');
    assert.equal(runRow({ kind: 'cancelling', forced: false }).context, 'run.live.cancelling');
    assert.equal(runRow({ kind: 'cancelled', endedMs: 1 }).context, 'run.over.cancelled');
    assert.equal(runRow({ kind: 'completed', ...time }, { tasks }).children?.[0]?.context, 'taskGroup');
  });

  it('tell in the tooltip what happened: on what, why, what to do, and the notes', () => {
    const failure = { message: 'Prefect is not installed', hint: 'Install it.', detail: 'Traceback…' };
    const notes = ['The script makes a LocalCluster of its own'];
    assert.equal(
      runRow({ kind: 'failed', endedMs: 1, failure }, { notes }).tooltip,
      'etl on laptop\nPrefect is not installed\nInstall it.\nTraceback…\nThe script makes a LocalCluster of its own',
    );
    // A cluster of this window may have the id that one of an earlier window had.
    const earlier: Run = { ...aRun, executor: 'k8s', state: { kind: 'completed', ...time, result: '42' } };
    const [row] = runNodes(snapshotOf([{ ...aCluster, state: running }], [earlier]), 0);
    assert.equal(row?.tooltip, 'etl on k8s\nResult: 42');
  });

  it('open on Enter what tells more about them', () => {
    assert.equal(runRow({ kind: 'cancelled', endedMs: 1 }).opens, 'run');
    const groups = [
      { name: 'bad', total: 2, counts: { completed: 1, failed: 1 } },
      { name: 'good', total: 1, counts: { completed: 1 } },
    ];
    const row = runRow({ kind: 'failed', endedMs: 1, failure: { message: '' } }, { tasks: groups });
    assert.deepEqual(
      row.children?.map(({ opens }) => opens),
      ['run', undefined],
    );
  });

  it('show what is unusual about a group of tasks', () => {
    const group = (counts: object, message?: string) =>
      runRow(
        { kind: 'running', startedMs: 0 },
        { tasks: [{ name: 'load', total: 4, counts, ...(message && { message }) }] },
      ).children?.[0];
    assert.equal(group({ submitted: 4 })?.description, '0/4 · waiting');
    assert.equal(group({ completed: 3, failed: 1 }, 'boo')?.description, '4/4 · 1 failed');
    assert.equal(group({ completed: 3, failed: 1 }, 'boo')?.icon, 'error');
    assert.equal(group({ failed: 1 }, 'boo')?.tooltip, 'load\nboo');
    assert.equal(group({ running: 0, completed: 4 })?.description, '4/4');
    assert.equal(
      group({ cached: 1, skipped: 1, cancelled: 1, crashed: 1 })?.description,
      '4/4 · 1 crashed · 1 cancelled · 1 cached · 1 skipped',
    );
  });
});

describe('executors in the explorer', () => {
  const rows = (executors: unknown, target?: string) =>
    executorNodes({ ...snapshotOf([], [], target), executors: readExecutors(executors, '') }, nowMs);

  it('say what they are and which one is the default', () => {
    const nodes = rows([{ name: 'laptop', kind: 'local', n_workers: 2, threads_per_worker: 2 }]);
    assert.deepEqual(read(nodes), [
      'laptop | default · local · 2 workers × 2 threads',
      'local | local · sized by the cores',
    ]);
    assert.deepEqual(
      nodes.map(({ context }) => context),
      ['executor.default', 'executor'],
    );
  });

  it('say under a row what is to be known before it is started', () => {
    const nodes = rows([{ name: 'wide', kind: 'local', adapt_kwargs: { minimum: 1 } }]);
    assert.equal(nodes[0]?.description, 'default · local · 1 or more workers, adaptive');
    const [advice] = nodes[0]?.children ?? [];
    assert.match(advice?.label ?? '', /^Without a maximum Dask starts as many workers as/);
    assert.deepEqual([advice?.icon, advice?.context], ['warning', 'executorAdvice']);
    assert.equal(nodes[1]?.children, undefined);
  });

  it('say under a row, and at its static cluster, what the record of their runs advises', () => {
    const hour = 3_600_000;
    const at = 40 * hour;
    const times = { upSinceMs: at - 20 * hour, startupMs: 400 };
    const use = { executor: 'local', lifetime: 'static', workers: 2, ...times } as const;
    const runs = Array.from({ length: 6 }, (_, i): Run => {
      const createdMs = at - (20 - i) * hour;
      const state = { kind: 'completed', startedMs: createdMs, endedMs: createdMs + 60_000 } as const;
      return { ...aRun, id: `r${i}`, createdMs, state, clusterUse: use };
    });
    const state = { ...running, sinceMs: use.upSinceMs } as const;
    const snapshot = snapshotOf([{ ...aCluster, executor: 'local', state }], runs);
    const message =
      'Its static clusters were used less than 1% of the 20 h that they were up: a temporary one starts in 0.4 s';
    const [local] = executorNodes(snapshot, at);
    assert.equal(local?.description, 'default · local · sized by the cores · temporary may suit it better');
    assert.ok(local.tooltip?.endsWith(message));
    const [row] = local.children ?? [];
    assert.deepEqual(
      [row?.label, row?.icon, row?.opens, row?.key],
      [message, 'lightbulb', 'clusterAdvice', 'local'],
    );
    assert.ok(clusterNodes(snapshot, at)[0]?.tooltip?.endsWith(message));
    assert.equal(executorNodes({ ...snapshot, clusters: new Map() }, at)[0]?.children, undefined);
  });

  it('have no default while runs use a cluster', () => {
    const nodes = rows([], 'c1');
    assert.deepEqual(
      nodes.map(({ context, description }) => [context, description]),
      [['executor', 'local · sized by the cores']],
    );
  });

  it('show those that cannot be read', () => {
    const bad = { name: 'bad', kind: 'local', n_workers: 0 };
    const [, row] = rows([bad]);
    assert.equal(row?.label, 'bad');
    assert.equal(row?.description, 'n_workers must be a whole number from 1 to 4096');
    assert.equal(row?.context, 'executorProblem');
    assert.equal(row?.opens, 'executors');
  });
});

describe('rows', () => {
  it('have ids of their own, the same after a refresh', () => {
    const name = fc.constantFrom('a', 'b', 'a/b', 'workers', 'scheduler', '');
    const states = fc.constantFrom<ClusterState>(running, aCluster.state, { kind: 'stopping', sinceMs: 0 });
    const group = fc.record({ name, total: fc.constant(1), counts: fc.constant({}) });
    const snapshots = fc
      .record({
        clusters: fc.array(fc.record({ state: states, workers: fc.nat(3) }), { maxLength: 3 }),
        runs: fc.array(
          fc.record({
            clusterId: fc.constantFrom('c0', 'c1', 'gone'),
            tasks: fc.uniqueArray(group, { selector: ({ name: of }) => of }),
          }),
          { maxLength: 4 },
        ),
        executors: fc.array(fc.record({ name, kind: fc.constantFrom('local', 'other') })),
      })
      .map(
        ({ clusters, runs, executors }): Snapshot => ({
          ...snapshotOf(
            clusters.map(({ state, workers }, i) => ({
              ...aCluster,
              id: `c${i}`,
              state,
              info: infoOf(...Array.from({ length: workers }, (_, n) => aWorker(n))),
            })),
            runs.map((run, i) => ({ ...aRun, ...run, id: `r${i}` })),
          ),
          executors: readExecutors(executors, 'missing'),
        }),
      );
    fc.assert(
      fc.property(snapshots, (snapshot) => {
        for (const rows of [clusterNodes, runNodes, executorNodes]) {
          const ids = all(rows(snapshot, nowMs)).map(({ id }) => id);
          assert.equal(new Set(ids).size, ids.length, ids.join(' '));
          assert.deepEqual(
            all(rows(snapshot, nowMs + 60_000)).map(({ id }) => id),
            ids,
          );
        }
      }),
    );
  });
});
