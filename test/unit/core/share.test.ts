import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Cluster } from '../../../src/core/cluster.ts';
import type { Run, RunState } from '../../../src/core/run.ts';
import type { HeldTasks, SchedulerInfo, WorkerInfo } from '../../../src/core/schedulerInfo.ts';
import { type ClusterShare, shareOf } from '../../../src/core/share.ts';
import { companyText, othersNodes, runShareText, runShareTooltip } from '../../../src/core/shareRows.ts';
import type { TaskState } from '../../../src/core/tasks.ts';
import { aCluster, aRun, aWorker, infoOf } from './samples.ts';

const nowMs = 1_000_000;
const state = { kind: 'running', sinceMs: 0, address: 'tcp://x:1', dashboard: null } as const;
const cluster: Cluster = { ...aCluster, ownership: 'attached', state };

type Counts = Partial<Record<TaskState, number>>;

function run(id: string, groups: Record<string, Counts>, other: Partial<Run> = {}): Run {
  const tasks = Object.entries(groups).map(([name, counts]) => ({
    name,
    counts,
    total: Object.values(counts).reduce((sum, n) => sum + n, 0),
  }));
  return { ...aRun, id, state: { kind: 'running', startedMs: 0 }, tasks, ...other };
}

const script = (id: string, groups: Record<string, Counts>, other: Partial<Run> = {}) =>
  run(id, groups, { flow: { ...aRun.flow, api: 'dask', entry: { how: 'script' } }, ...other });

/** `nap 2` are two tasks of somebody's, `r1:nap 2` two of the run r1's. */
function held(...texts: string[]): HeldTasks[] {
  return texts.map((text) => {
    const [, owner, prefix = '', count] = /^(?:(\w+):)?(\S+) (\d+)$/.exec(text) ?? [];
    return { prefix, count: Number(count), ...(owner !== undefined && { run: owner }) };
  });
}

/** A worker of four threads. */
function worker(n: number, tasks: string[], other: Partial<WorkerInfo> = {}): WorkerInfo {
  const list = held(...tasks);
  const processing = list.reduce((sum, { count }) => sum + count, 0);
  return aWorker(n, { threads: 4, held: list, processing, executing: processing, tasks: [], ...other });
}

interface Look {
  readonly workers: WorkerInfo[];
  readonly runs?: Run[];
  readonly info?: Partial<SchedulerInfo>;
  readonly cluster?: Partial<Cluster>;
}

function look({ workers, runs = [], info = {}, cluster: other = {} }: Look) {
  const shown: Cluster = { ...cluster, ...other, info: { ...infoOf(...workers), ...info } };
  const share = shareOf(shown, runs, nowMs) as ClusterShare;
  return {
    share,
    company: companyText(share),
    runs: runs.map((one) => runShareText(one, shown, share)),
    tooltips: runs.map((one) => runShareTooltip(one, shown, share)),
    others: othersNodes(shown, share).map(({ description }) => description),
    tooltip: othersNodes(shown, share)[0]?.tooltip ?? '',
  };
}

const clients = (...ids: string[]) => ({ clients: { ids, partial: false } });

describe('who uses a cluster', () => {
  it('is nobody else while there is one run, and then nothing is said', () => {
    const seen = look({ workers: [worker(0, ['r1:load 3'])], runs: [run('r1', { load: { running: 3 } })] });
    assert.deepEqual([seen.company, seen.runs, seen.others, seen.tooltips], ['', [''], [], ['']]);
  });

  it('is told by the keys of the tasks, even where others run tasks of the same name', () => {
    const seen = look({
      workers: [worker(0, ['r1:load 2', 'load 2']), worker(1, ['r1:load 1', 'nap 3'])],
      runs: [run('r1', { load: { running: 3, submitted: 5 } })],
      info: clients('Client-fcflow-r1-7e', 'Client-a', 'Client-b'),
    });
    assert.equal(seen.company, '1 run, 2 others');
    assert.deepEqual(seen.runs, ['3 of 8 threads']);
    assert.deepEqual(seen.others, ['5 of 8 threads · nap, load · 2 clients']);
    assert.match(seen.tooltip, /nap: 3 tasks with workers\nload: 2 tasks with workers$/);
    assert.deepEqual(seen.tooltips, [
      'Shares laptop with 2 others: has 3 of 8 threads for 8 tasks to be done, others have 5.',
    ]);
  });

  it('is told for several runs, each with its own threads', () => {
    const runs = [run('r1', { load: { running: 3 } }), run('r2', { load: { running: 1, completed: 9 } })];
    const seen = look({ workers: [worker(0, ['r1:load 3', 'r2:load 1']), worker(1, [])], runs });
    assert.equal(seen.company, '2 runs');
    assert.deepEqual(seen.runs, ['3 of 8 threads', '1 of 8 threads']);
    assert.deepEqual(seen.others, []);
    assert.equal(seen.share.busy, 4);
    assert.equal(
      seen.tooltips[1],
      'Shares laptop with 1 other run: has 1 of 8 threads for 1 task to be done.',
    );
  });

  it('is told for plain scripts by the names of their tasks', () => {
    const seen = look({
      workers: [worker(0, ['inc 2', 'nap 1'])],
      runs: [script('r1', { inc: { running: 2 } })],
    });
    assert.deepEqual(seen.runs, ['2 of 4 threads']);
    assert.deepEqual(seen.others, ['1 of 4 threads · nap']);
  });

  it('is not a run that ended just now, whose tasks the last look still shows', () => {
    const ended = (endedMs: number): { state: RunState } => ({
      state: { kind: 'completed', startedMs: 0, endedMs },
    });
    const workers = [worker(0, ['r1:load 2', 'inc 2'])];
    const runs = (endedMs: number) => [
      run('r1', { load: { completed: 2 } }, ended(endedMs)),
      script('r2', { inc: { completed: 2 } }, ended(endedMs)),
    ];
    assert.deepEqual(look({ workers, runs: runs(nowMs - 1000) }).others, []);
    // What is still there of it then is in everybody's way.
    assert.deepEqual(look({ workers, runs: runs(nowMs - 10_000) }).others, ['4 of 4 threads · load, inc']);
  });

  it('never adds up to more threads than there are, however old the figures', () => {
    const many = run('r1', { load: { running: 3 } });
    const late = look({ workers: [worker(0, ['nap 4'])], runs: [many] });
    assert.deepEqual([late.runs, late.others], [['3 of 4 threads'], ['1 of 4 threads · nap']]);
    // Of a script, tasks that wait with a worker may count as running.
    const both = look({ workers: [worker(0, [])], runs: [script('r2', { inc: { running: 9 } }), many] });
    assert.deepEqual(both.runs, ['1 of 4 threads', '3 of 4 threads']);
  });

  it('is told by our own runs where workers hold more of both than they have threads', () => {
    const seen = look({
      workers: [worker(0, ['r1:load 6', 'nap 6'])],
      runs: [run('r1', { load: { running: 1, submitted: 5 } })],
    });
    assert.deepEqual([seen.runs, seen.others], [['1 of 4 threads'], ['3 of 4 threads · nap']]);
    // Late news of ours do not change what is plain to see: three of theirs run at most, two at least.
    const others = (running: number) =>
      look({ workers: [worker(0, ['r1:load 2', 'nap 3'])], runs: [run('r1', { load: { running } })] }).others;
    assert.deepEqual([0, 1, 2].flatMap(others), [
      '3 of 4 threads · nap',
      '3 of 4 threads · nap',
      '2 of 4 threads · nap',
    ]);
  });

  it('is an estimate there with scripts, whose tasks do not tell when they begin', () => {
    const seen = look({
      workers: [worker(0, ['inc 6', 'nap 6'])],
      runs: [script('r1', { inc: { running: 1, submitted: 5 } })],
    });
    assert.deepEqual(seen.others, ['about 3 of 4 threads · nap']);
    assert.match(seen.tooltip, /an estimate/);
  });

  it('is an estimate by name where there are too many tasks to ask for', () => {
    const { held: _, ...unasked } = worker(0, [], { executing: 4, processing: 9000 });
    const counts = { waiting: 0, memory: 0, erred: 0, released: 0 };
    const prefixes = [
      { name: 'load', processing: 40, ...counts },
      { name: 'nap', processing: 8960, ...counts },
      { name: 'gone', processing: 0, ...counts },
    ];
    const runs = [run('r1', { 'load-2024': { running: 1, submitted: 39 } })];
    const seen = look({ workers: [unasked], runs, info: { prefixes } });
    assert.deepEqual(seen.others, ['about 3 of 4 threads · nap']);
    const alone = look({ workers: [unasked], runs, info: { prefixes: prefixes.slice(0, 1) } });
    assert.deepEqual(alone.others, []);
  });

  it('is an estimate where tasks start tasks of their own, which are not one more client', () => {
    const seen = look({
      workers: [worker(0, ['r1:load 1', 'nap 1'])],
      runs: [run('r1', { load: { running: 1 } })],
      info: clients('Client-fcflow-r1-7e', 'Client-worker-5f'),
    });
    assert.deepEqual(seen.others, ['about 1 of 4 threads · nap']);
  });

  it('counts clients of others: not our runs’, nor who only looks', () => {
    const over = run('r0', {}, { state: { kind: 'cancelled', endedMs: 0 }, clusterId: 'gone' });
    const company = (...ids: string[]) =>
      look({ workers: [worker(0, [])], runs: [over], info: clients(...ids) }).company;
    assert.equal(
      company('Client-fcrun-r0-script-1', 'PrefectDaskClient-fcflow-r0-2', 'Client-flow-clusters-3'),
      '',
    );
    assert.equal(company('Client-flow-clusters-stop-3'), '');
    // Another window's run, or another person's.
    assert.equal(company('Client-fcflow-r9-1', 'Client-fcrun-r9-script-1'), '2 others');
    const partial = { clients: { ids: ['Client-a'], partial: true } };
    const seen = look({ workers: [worker(0, [])], info: partial });
    assert.equal(seen.company, 'at least 1 other');
    assert.deepEqual(seen.others, ['idle · at least 1 client']);
    assert.match(seen.tooltip, /there may be more/);
  });

  it('has others without a number where the scheduler does not tell of clients', () => {
    const seen = look({ workers: [worker(0, ['nap 1'])] });
    assert.equal(seen.company, 'others');
    assert.match(seen.tooltip, /does not tell who is connected/);
  });

  it('is nobody but its run on a temporary cluster, whatever runs there', () => {
    const seen = look({
      workers: [worker(0, ['r1:load 1', 'nap 1'])],
      runs: [run('r1', { load: { running: 1 } })],
      info: clients('Client-fcflow-r1-7e', 'Client-worker-5f'),
      cluster: { lifetime: 'temporary', ownership: 'owned' },
    });
    assert.deepEqual([seen.company, seen.runs, seen.others], ['', [''], []]);
  });

  it('adds up, whatever is there', () => {
    const names = fc.constantFrom('a', 'b', 'c');
    const counts = fc.record({ running: fc.nat(9), retrying: fc.nat(2), submitted: fc.nat(9) });
    const runs = fc.array(fc.record({ groups: fc.dictionary(names, counts), plain: fc.boolean() }), {
      maxLength: 4,
    });
    const tasks = fc.array(
      fc.record({
        prefix: names,
        run: fc.option(fc.constantFrom('r0', 'r1', 'x'), { nil: undefined }),
        count: fc.nat(9),
      }),
      { maxLength: 5 },
    );
    const workers = fc.array(
      fc.record({
        tasks,
        status: fc.constantFrom('running', 'paused'),
        threads: fc.nat(5),
        asked: fc.boolean(),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(runs, workers, (ofRuns, ofWorkers) => {
        const live = ofRuns.map(({ groups, plain }, i) => (plain ? script : run)(`r${i}`, groups));
        const there = ofWorkers.map(({ tasks: list, status, threads, asked }, n) => {
          const processing = list.reduce((sum, { count }) => sum + count, 0);
          const owned = list.map(({ run: owner, ...rest }) => ({ ...rest, ...(owner && { run: owner }) }));
          return aWorker(n, {
            threads,
            status,
            processing,
            executing: processing,
            ...(asked && { held: owned }),
          });
        });
        const { share } = look({ workers: there, runs: live });
        const used = [...share.runs.values(), share.others.threads];
        assert.ok(
          used.every((n) => n >= 0 && Number.isInteger(n)),
          String(used),
        );
        assert.equal(
          used.reduce((a, b) => a + b, 0),
          share.busy,
        );
        assert.ok(share.busy <= share.threads);
      }),
    );
  });
});

describe('a run that does not get on', () => {
  const waiting = run('r1', { load: { submitted: 6 } });

  it('waits for a thread, and says who has them', () => {
    const full = [worker(0, ['nap 4']), worker(1, ['nap 1', 'r2:load 3'])];
    const other = run('r2', { load: { running: 3 } });
    assert.deepEqual(look({ workers: full, runs: [waiting, other] }).runs, [
      'waits for a thread: 8 of 8 busy (5 by others)',
      '3 of 8 threads',
    ]);
    const own = look({
      workers: [worker(0, ['r2:load 4'])],
      runs: [waiting, run('r2', { load: { running: 4 } })],
    });
    assert.equal(own.runs[0], 'waits for a thread: 4 of 4 busy');
    const mixed = look({ workers: [worker(0, ['nap 6', 'r1:load 2'])], runs: [waiting] });
    assert.equal(mixed.runs[0], 'waits for a thread: 4 of 4 busy (4 by others)');
  });

  it('waits for a worker that has other things to do, though others have not', () => {
    const text = (...workers: WorkerInfo[]) => look({ workers, runs: [waiting] }).runs[0];
    const busy = (n: number) => worker(n, ['nap 4', 'r1:load 1']);
    assert.equal(text(busy(0), worker(1, [])), 'waits for a thread of worker 0');
    assert.equal(text(busy(0), busy(1), worker(2, [])), 'waits for a thread of workers that are busy');
    assert.equal(text(busy(0), worker(1, ['r1:load 1'])), '0 of 8 threads', 'it is about to begin');
  });

  it('waits for a worker, on a cluster of its own too', () => {
    const text = (...workers: WorkerInfo[]) => look({ workers, runs: [waiting] }).runs[0];
    assert.equal(text(), 'waits for a worker: there is none');
    const paused = { status: 'paused' };
    assert.equal(text(worker(0, [], paused), worker(1, [], paused)), 'waits for a worker: 2 paused');
    assert.equal(text(worker(0, [], paused), worker(1, [])), '');
  });

  it('says nothing of it while it has threads, has nothing to do, or is about to end', () => {
    const full = [worker(0, ['nap 4'])];
    const text = (one: Run) => look({ workers: full, runs: [one] }).runs[0];
    assert.equal(text(run('r1', { load: { running: 1, submitted: 5 } })), '1 of 4 threads');
    assert.equal(text(run('r1', { load: { completed: 6 } })), '0 of 4 threads');
    assert.equal(text(run('r1', {})), '0 of 4 threads');
    assert.equal(text({ ...waiting, state: { kind: 'cancelling', forced: false } }), '');
  });

  it('has the thread in which Prefect 2 and 3 wait for the next try', () => {
    const workers = [worker(0, ['r1:load 2']), worker(1, ['nap 1'])];
    const retrying = { load: { running: 1, retrying: 1 } };
    assert.equal(look({ workers, runs: [run('r1', retrying)] }).runs[0], '2 of 8 threads');
    const prefect1 = { flow: { ...aRun.flow, api: 'prefect1' as const } };
    assert.equal(look({ workers, runs: [run('r1', retrying, prefect1)] }).runs[0], '1 of 8 threads');
  });
});
