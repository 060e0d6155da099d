import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowApiId, FlowDef, Written } from '../../src/core/flow.ts';
import { isOver, type Run } from '../../src/core/run.ts';
import { type Bench, patienceMs } from '../support/host.ts';
import {
  type EnvironmentName,
  flowsDirectory,
  liveBench,
  prefectHome,
  pythonOf,
  removeFolder,
} from '../support/hostLive.ts';
import { Family } from '../support/processes.ts';
import { tasksRun } from '../support/stories.ts';

/** Two workers of one thread: enough to see several tasks at once. */
const small = { name: 'local', kind: 'local', n_workers: 2, threads_per_worker: 1 } as const;

interface Sample {
  readonly file: string;
  readonly flow: FlowDef;
}

function sample(api: FlowApiId, file: string, path?: string): Sample {
  const entry = path === undefined ? ({ how: 'script' } as const) : ({ how: 'import', path } as const);
  const name = path ?? file.replace('.py', '');
  return { file: join(flowsDirectory, file), flow: { api, name, entry, line: 0, parameters: [] } };
}

/** Its tasks take as long as they are told, on a cluster that its source makes. */
function writtenSample(api: FlowApiId, file: string, type: Written['type'], path?: string): Sample {
  const of = sample(api, file, path);
  return { ...of, flow: { ...of.flow, written: { type, from: 'flow' } } };
}

/** The same story for each API: what completes, what fails and where, what takes its time. */
const stories: {
  environment: EnvironmentName;
  completes: Sample;
  groups: Record<string, number>;
  prints: RegExp;
  fails: Sample;
  message: RegExp;
  line: number;
  slow: Sample;
  /** Has a cluster of its own. */
  written: Sample;
}[] = [
  {
    environment: 'prefect3',
    completes: sample('prefect', 'etl.py', 'etl'),
    groups: { extract: 1, transform: 4, load: 1 },
    prints: /loaded \[0, 10, 20, 30\]/,
    fails: sample('prefect', 'failing.py', 'fail'),
    message: /^boom\S*: ValueError: bad row \d$/,
    line: 11,
    slow: sample('prefect', 'slow.py', 'slowflow'),
    written: writtenSample('prefect', 'written.py', 'DaskTaskRunner', 'written'),
  },
  {
    environment: 'prefect2',
    completes: sample('prefect', 'etl.py', 'etl'),
    groups: { extract: 1, transform: 4, load: 1 },
    prints: /loaded \[0, 10, 20, 30\]/,
    fails: sample('prefect', 'failing.py', 'fail'),
    message: /^boom\S*: ValueError: bad row \d$/,
    line: 11,
    slow: sample('prefect', 'slow.py', 'slowflow'),
    written: writtenSample('prefect', 'written.py', 'DaskTaskRunner', 'written'),
  },
  {
    environment: 'prefect1',
    completes: sample('prefect1', 'etl1.py', 'flow'),
    // A parameter is a task there.
    groups: { n: 1, extract: 1, transform: 4, load: 1 },
    prints: /loaded \[0, 10, 20, 30\]/,
    fails: sample('prefect1', 'failing1.py', 'flow'),
    message: /^boom\S*: ValueError: bad row \d$/,
    line: 11,
    slow: sample('prefect1', 'slow1.py', 'flow'),
    written: writtenSample('prefect1', 'written1.py', 'DaskExecutor', 'flow'),
  },
  {
    environment: 'dask-latest',
    completes: sample('dask', 'plain.py'),
    groups: { inc: 4, sum: 1 },
    prints: /total 10/,
    fails: sample('dask', 'failingplain.py'),
    message: /ValueError: bad row 3$/,
    line: 5,
    slow: sample('dask', 'slowplain.py'),
    written: writtenSample('dask', 'writtenplain.py', 'Client'),
  },
  {
    environment: 'dask-2023',
    completes: sample('dask', 'plain.py'),
    groups: { inc: 4, sum: 1 },
    prints: /total 10/,
    fails: sample('dask', 'failingplain.py'),
    message: /ValueError: bad row 3$/,
    line: 5,
    slow: sample('dask', 'slowplain.py'),
    written: writtenSample('dask', 'writtenplain.py', 'Client'),
  },
];

const isForced = ({ state }: Run) => state.kind === 'cancelling' && state.forced;

/** A host on one environment for the tests of a `describe`, in a folder of its own. */
function useBench(environment: EnvironmentName) {
  const used = { family: new Family(), marks: '' } as {
    family: Family;
    bench: Bench;
    marks: string;
    start(of: Sample, other?: Partial<Parameters<Bench['start']>[0]>): Promise<string>;
  };
  let folder: string;

  before(async function () {
    this.timeout(600_000);
    const python = await pythonOf(environment);
    const home =
      environment.startsWith('prefect') && environment !== 'prefect1' ? await prefectHome(python) : undefined;
    folder = home?.folder ?? (await mkdtemp(join(tmpdir(), 'runs-')));
    used.marks = join(folder, 'marks');
    const env = { ...home?.env, ...used.family.env, MARKS: used.marks };
    used.bench = await liveBench({ python, env });
    used.start = (of, other = {}) =>
      used.bench.start({
        ...of,
        target: { kind: 'executor', executor: small, backend: used.bench.backend },
        ...other,
      });
    await used.bench.host.whenReady();
  });

  after(async () => {
    try {
      await used.bench.dispose();
      await used.family.gone();
    } finally {
      used.family.kill();
      await removeFolder(folder);
    }
  });

  return used;
}

for (const story of stories) {
  describe(`runs with ${story.environment}`, function () {
    this.timeout(180_000);
    const used = useBench(story.environment);

    it('complete, with their tasks by name and what they print, and leave no cluster', async () => {
      const { bench } = used;
      const run = await bench.over(await used.start(story.completes));
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
      // The scheduler's last counts may come after the run's last word.
      const { tasks } = bench.run(run.id);
      const done = Object.fromEntries(tasks.map(({ name, counts }) => [name, counts.completed]));
      assert.deepEqual(done, story.groups);
      const printed = await bench.printed(run.id);
      assert.match(printed, story.prints);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what colours are made of.
      if (story.environment === 'prefect3') assert.match(printed, /\x1b\[[\d;]+m/, 'in colour');
    });

    it("fail with the task, the exception and the user's line", async () => {
      const run = await used.bench.over(await used.start(story.fails));
      assert.ok(run.state.kind === 'failed', JSON.stringify(run.state));
      assert.match(run.state.failure.message, story.message);
      const { file: path } = story.fails;
      assert.deepEqual(run.state.failure.action, { kind: 'open-file', path, line: story.line });
      assert.match(run.state.failure.detail ?? '', /Traceback/);
    });

    it('are gone when they are cancelled, with their cluster', async () => {
      const { bench, family } = used;
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
      const groups = family.members().map(({ pgid }) => pgid);
      const id = await used.start(story.slow);
      await bench.until(() => tasksRun(bench.run(id)));
      await bench.runs.cancel(id);
      assert.equal(bench.run(id).state.kind, 'cancelled');
      await family.gone(groups);
    });

    const asWritten = { target: { kind: 'written' } } as const;

    it('as written go to the cluster that the source makes, and none of ours is there', async () => {
      const { bench } = used;
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
      const steps = bench.history.length;
      const run = await bench.over(await used.start(story.written, asWritten));
      const printed = await bench.printed(run.id);
      assert.equal(run.state.kind, 'completed', `${JSON.stringify(run.state)} ${printed}`);
      assert.match(printed, /on worker 0/);
      assert.match(printed, /closing its cluster/);
      assert.match(run.executor, /^\w+, as written$/);
      assert.equal(run.clusterId, undefined);
      assert.ok(!bench.history.slice(steps).some((step) => step.startsWith('cluster')));
    });

    it('as written close their cluster when cancelled, and are killed when cancelled again', async () => {
      const { bench, family } = used;
      const groups = family.members().map(({ pgid }) => pgid);
      for (const again of [false, true]) {
        await rm(used.marks, { force: true });
        const dask = story.written.flow.api === 'dask';
        const id = await used.start(story.written, {
          ...asWritten,
          ...(dask ? { env: { SECONDS: '100' } } : { parameters: { seconds: 100 } }),
        });
        const begun = () =>
          readFile(used.marks, 'utf8').then(
            (text) => text !== '',
            () => false,
          );
        for (const deadline = performance.now() + patienceMs; !(await begun()); await sleep(50))
          assert.ok(performance.now() < deadline, `no task has begun: ${bench.runs.output(id)?.text()}`);
        await bench.runs.cancel(id);
        assert.ok(isOver(bench.run(id)) || !isForced(bench.run(id)), 'at first as by Ctrl-C');
        if (again) await bench.runs.cancel(id);
        const run = await bench.over(id);
        assert.equal(run.state.kind, 'cancelled', JSON.stringify(run.state));
        if (!again) assert.match(await bench.printed(id), /closing its cluster/);
        await family.gone(groups);
      }
    });
  });
}

describe('runs on clusters of plain Dask', function () {
  this.timeout(180_000);
  const used = useBench('dask-latest');
  const [slow, plain] = [sample('dask', 'cancelsplain.py'), sample('dask', 'plain.py')];

  it('share a static cluster: one is cancelled gently, the other goes on', async () => {
    const { bench, marks } = used;
    const clusterId = await bench.startStatic({ n_workers: 2, threads_per_worker: 1 });
    const cancelled = await bench.start({ ...slow, env: { HOW: 'mapped' }, clusterId });
    await bench.until(() => tasksRun(bench.run(cancelled)));
    const other = await bench.start({ ...plain, clusterId });
    await bench.runs.cancel(cancelled);
    assert.equal((await bench.over(cancelled)).state.kind, 'cancelled');
    assert.equal((await bench.over(other)).state.kind, 'completed');
    const lines = (await readFile(marks, 'utf8')).trim().split('\n');
    const count = (what: string) => lines.filter((line) => line.startsWith(what)).length;
    assert.equal(count('end'), count('start'), 'active tasks have finished');
    assert.ok(count('start') < 40, 'pending ones never started');
    assert.equal(bench.cluster(clusterId)?.state.kind, 'running');
    await bench.manager.stop(clusterId, { force: false });
    assert.equal(bench.store.snapshot.clusters.size, 0);
  });

  it('have static clusters that grow and shrink', async () => {
    const { bench } = used;
    const clusterId = await bench.startStatic({ n_workers: 1, threads_per_worker: 1 });
    const workers = () => bench.cluster(clusterId)?.info?.workers.length;
    await bench.until(() => workers() === 1);
    await bench.manager.scale(clusterId, 3);
    await bench.until(() => workers() === 3);
    await bench.manager.scale(clusterId, 1);
    await bench.until(() => workers() === 1);
    await bench.manager.stop(clusterId, { force: true });
  });

  it('have two temporary clusters at once, each its own', async () => {
    const { bench } = used;
    const ids = await Promise.all([used.start(plain), used.start(plain)]);
    const runs = await Promise.all(ids.map((id) => bench.over(id)));
    assert.deepEqual(
      runs.map(({ state }) => state.kind),
      ['completed', 'completed'],
    );
    assert.notEqual(runs[0]?.clusterId, runs[1]?.clusterId);
    await bench.until(() => bench.store.snapshot.clusters.size === 0);
  });

  it('keep of their cluster how long its start took, and how many workers a static one has', async () => {
    const { bench } = used;
    const own = await bench.over(await used.start(plain));
    assert.equal(own.clusterUse?.lifetime, 'temporary');
    const { startupMs = 0 } = own.clusterUse;
    assert.ok(startupMs > 0 && 'endedMs' in own.state && startupMs < own.state.endedMs - own.createdMs);
    const clusterId = await bench.startStatic({ n_workers: 2, threads_per_worker: 1 });
    await bench.until(() => bench.cluster(clusterId)?.info?.workers.length === 2);
    const shared = await bench.over(await bench.start({ ...plain, clusterId }));
    assert.equal(shared.clusterUse?.lifetime, 'static');
    assert.equal(shared.clusterUse.workers, 2);
    assert.ok(shared.clusterUse.upSinceMs < shared.createdMs);
    await bench.manager.stop(clusterId, { force: true });
  });

  it('read what is typed, and see a terminal', async () => {
    const { bench } = used;
    const id = await used.start(sample('dask', 'reads.py'));
    const text = () => bench.runs.output(id)?.text() ?? '';
    while (!text().includes('name? ')) await sleep(10);
    bench.runs.input(id, 'Ada\n');
    const run = await bench.over(id);
    assert.equal(run.state.kind, 'completed');
    await bench.until(() => bench.store.snapshot.clusters.size === 0);
    assert.match(await bench.printed(id), /tty True[\s\S]*name\? got Ada[\s\S]*to stderr/);
    assert.deepEqual(run.notes, ['The script asked for no Dask client: nothing ran on the cluster.']);
  });

  it('are refused with the line of a syntax error, and nothing starts', async () => {
    const { bench } = used;
    await assert.rejects(used.start(sample('dask', 'syntax_error.py')), { reason: 'syntax-error' });
    assert.equal(bench.store.snapshot.clusters.size, 0);
  });

  it('fail with the reason when the port of the scheduler is taken', async () => {
    const { bench } = used;
    const clusterId = await bench.startStatic({ n_workers: 1, threads_per_worker: 1 });
    const state = bench.cluster(clusterId)?.state;
    assert.ok(state?.kind === 'running');
    const port = Number(new URL(state.address.replace('tcp:', 'http:')).port);
    const executor = { ...small, scheduler_port: port };
    const target = { kind: 'executor', executor, backend: bench.backend } as const;
    const run = await bench.over(await used.start(plain, { target }));
    assert.ok(run.state.kind === 'failed');
    assert.equal(run.state.failure.message, `Port ${port} is already in use on this machine.`);
    await bench.manager.stop(clusterId, { force: true });
  });
});

describe('parameters of runs with prefect3', function () {
  this.timeout(180_000);
  const used = useBench('prefect3');
  const ledger = sample('prefect', 'etl.py', 'ledger');

  it('reach the flow', async () => {
    const parameters = { rows: 3, name: 'Ada' };
    const run = await used.bench.over(await used.start(ledger, { parameters }));
    assert.ok(run.state.kind === 'completed', JSON.stringify(run.state));
    assert.match(run.state.result ?? '', /Ada: 2/);
  });

  it('that are wrong or missing fail with their name', async () => {
    const wrong = await used.bench.over(
      await used.start(ledger, { parameters: { rows: 'many', name: 'x' } }),
    );
    assert.ok(wrong.state.kind === 'failed');
    assert.match(wrong.state.failure.message, /rows/);
    const missing = await used.bench.over(await used.start(ledger, { parameters: { rows: 1 } }));
    assert.ok(missing.state.kind === 'failed');
    assert.match(missing.state.failure.message, /name/);
  });
});
