import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { patienceMs } from '../support/host.ts';
import { flowsDirectory, prefectHome, pythonOf, removeFolder } from '../support/hostLive.ts';
import type { ProcessInfo } from '../support/processes.ts';
import { SlurmBed } from '../support/slurmBed.ts';
import { type DriverOptions, Scene, type Told } from './support.ts';

const isEvent = (name: string) => (told: Told) => told.event === name;
const tasksRun = (told: Told) =>
  told.type === 'run.tasks' && told.tasks.some((group: Told) => (group.counts.running ?? 0) > 0);

/** A worker of the cluster that `leader` leads: it has no children, and is none of the leader's own. */
const isWorkerOf = (leader: number) => (one: ProcessInfo, all: readonly ProcessInfo[]) =>
  one.pgid === leader &&
  one.ppid !== leader &&
  one.pid !== leader &&
  all.every(({ ppid }) => ppid !== one.pid);

describe('SIGKILL', function () {
  this.timeout(240_000);
  let python: string;
  let prefectPython: string;
  let home: Awaited<ReturnType<typeof prefectHome>>;
  let scene: Scene | undefined;

  before(async function () {
    this.timeout(600_000);
    if (process.platform !== 'linux') this.skip();
    [python, prefectPython] = await Promise.all([pythonOf('dask-latest'), pythonOf('prefect3')]);
    home = await prefectHome(prefectPython);
  });

  after(() => removeFolder(home.folder));

  afterEach(async () => {
    await scene?.dispose();
    scene = undefined;
  });

  /** A plain Dask script whose eight tasks take a second each on two threads. */
  async function dask(what: DriverOptions['what']): Promise<Scene> {
    scene = await Scene.start({
      python,
      workspace: flowsDirectory,
      file: join(flowsDirectory, 'slowplain.py'),
      flow: { api: 'dask', name: 'slowplain', entry: { how: 'script' }, line: 0, parameters: [] },
      env: { MARKS: '/dev/null' },
      what,
    });
    return scene;
  }

  /** A script with a cluster of its own, run as it is written; one task of it runs. */
  async function written(): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), 'marks-'));
    const marks = join(folder, 'marks');
    scene = await Scene.start({
      python,
      workspace: flowsDirectory,
      file: join(flowsDirectory, 'writtenplain.py'),
      flow: { api: 'dask', name: 'writtenplain', entry: { how: 'script' }, line: 0, parameters: [] },
      env: { MARKS: marks, SECONDS: '100' },
      what: 'written',
    });
    const begun = () =>
      readFile(marks, 'utf8').then(
        (text) => text !== '',
        () => false,
      );
    for (const deadline = performance.now() + patienceMs; !(await begun()); await sleep(50))
      assert.ok(performance.now() < deadline, 'no task has begun');
    await removeFolder(folder);
    return scene;
  }

  /** A Prefect flow of tasks that never end: one computes, one sleeps, one waits for a program. */
  async function prefect(what: DriverOptions['what']): Promise<Scene> {
    scene = await Scene.start({
      python: prefectPython,
      workspace: flowsDirectory,
      file: join(flowsDirectory, 'slow.py'),
      flow: {
        api: 'prefect',
        name: 'endless',
        entry: { how: 'import', path: 'endless' },
        line: 0,
        parameters: [],
      },
      env: { MARKS: '/dev/null', PREFECT_HOME: home.env.PREFECT_HOME ?? '' },
      what,
    });
    return scene;
  }

  describe('of the extension host leaves nothing', () => {
    it('while the warm host loads', async () => {
      const killed = await dask('host');
      await killed.hears(isEvent('hello'));
      killed.kill();
      await killed.nothingLeft();
    });

    it('while the cluster starts', async () => {
      const killed = await dask('temporary');
      await killed.hears(isEvent('cluster.stage'));
      killed.kill();
      await killed.nothingLeft();
    });

    it('while the run starts', async () => {
      const killed = await dask('temporary');
      await killed.hears(isEvent('run.started'));
      killed.kill();
      await killed.nothingLeft();
    });

    it('while tasks run', async () => {
      const killed = await dask('temporary');
      await killed.hears(tasksRun);
      killed.kill();
      await killed.nothingLeft();
    });

    it('while tasks of Prefect run, with their programs and its API server', async () => {
      const killed = await prefect('temporary');
      await killed.hears(tasksRun);
      killed.kill();
      await killed.nothingLeft();
    });

    it('while a run on a static cluster is cancelled gently', async () => {
      const killed = await dask('static');
      await killed.hears(tasksRun);
      killed.say('cancel');
      await killed.hears(({ type, state }) => type === 'run.state' && state.kind === 'cancelling');
      killed.kill();
      await killed.nothingLeft();
    });

    it('while a run is cancelled by force', async () => {
      const killed = await dask('temporary');
      await killed.hears(tasksRun);
      killed.say('cancel');
      await killed.hears(({ type, state }) => type === 'run.state' && state.kind === 'cancelling');
      killed.kill();
      await killed.nothingLeft();
    });

    it('while it closes', async () => {
      const killed = await dask('static');
      await killed.hears(tasksRun);
      killed.say('close');
      await killed.hears(({ type, state }) => type === 'cluster.state' && state.kind === 'stopping');
      killed.kill();
      await killed.nothingLeft();
    });
  });

  // Files of workers that are killed Dask removes itself, before the next worker starts there.
  describe('under a run as written leaves no process', () => {
    it('of the extension host', async () => {
      const killed = await written();
      killed.kill();
      await killed.family.gone();
    });

    it('of the warm host: the run says so', async () => {
      const bereft = await written();
      const { pid } = await bereft.hears(isEvent('host'));
      bereft.kill(pid);
      assert.equal((await bereft.runEnd()).kind, 'crashed');
      await bereft.family.gone([bereft.pid]);
    });

    it('while it is cancelled', async () => {
      const killed = await written();
      killed.say('cancel');
      await killed.hears(({ type, state }) => type === 'run.state' && state.kind === 'cancelling');
      killed.kill();
      await killed.family.gone();
    });
  });

  /** After the window closes in order nothing is left either. */
  async function closesClean(closing: Scene): Promise<void> {
    closing.say('close');
    await closing.family.gone([closing.pid]);
    closing.kill();
    await closing.nothingLeft();
  }

  describe('of the warm host', () => {
    it('while the cluster starts: the run says so, nothing is left', async () => {
      const bereft = await dask('temporary');
      const { pid } = await bereft.hears(isEvent('host'));
      await bereft.hears(isEvent('cluster.stage'));
      bereft.kill(pid);
      const state = await bereft.runEnd();
      assert.equal(state.kind, 'crashed');
      assert.match(state.failure.message, /The cluster host was killed \(SIGKILL\)/);
      await bereft.family.gone([bereft.pid]);
      bereft.kill();
      await bereft.nothingLeft();
    });

    it('while tasks run: the run says so, nothing is left', async () => {
      const bereft = await dask('temporary');
      const { pid } = await bereft.hears(isEvent('host'));
      await bereft.hears(tasksRun);
      bereft.kill(pid);
      const state = await bereft.runEnd();
      assert.equal(state.kind, 'crashed');
      assert.match(state.failure.message, /The cluster host was killed \(SIGKILL\)/);
      await bereft.family.gone([bereft.pid]);
      bereft.kill();
      await bereft.nothingLeft();
    });

    it('and of the extension host at once leaves nothing', async () => {
      const killed = await dask('static');
      const { pid } = await killed.hears(isEvent('host'));
      await killed.hears(tasksRun);
      killed.kill(pid);
      killed.kill();
      await killed.nothingLeft();
    });
  });

  describe('of a cluster', () => {
    it('while tasks run: the run says so', async () => {
      const bereft = await dask('temporary');
      const { pid } = await bereft.hears(isEvent('cluster.started'));
      await bereft.hears(tasksRun);
      bereft.kill(pid);
      const state = await bereft.runEnd();
      assert.equal(state.kind, 'crashed');
      assert.match(state.failure.message, /The cluster's process was ended by SIGKILL/);
      await closesClean(bereft);
    });

    it('that is static, under a run: both say so', async () => {
      const bereft = await dask('static');
      const { pid } = await bereft.hears(isEvent('cluster.started'));
      await bereft.hears(tasksRun);
      bereft.kill(pid);
      assert.equal((await bereft.runEnd()).kind, 'crashed');
      const { state } = await bereft.hears(
        ({ type, state: of }) => type === 'cluster.state' && of.kind === 'failed',
      );
      assert.match(state.failure.message, /SIGKILL/);
      await closesClean(bereft);
    });
  });

  it('of a worker: another takes its place, and the run completes', async () => {
    const hurt = await dask('temporary');
    const { pid } = await hurt.hears(isEvent('cluster.started'));
    await hurt.hears(tasksRun);
    hurt.kill(hurt.member(isWorkerOf(pid)).pid);
    assert.equal((await hurt.runEnd()).kind, 'completed');
    await closesClean(hurt);
  });

  describe('of the runner', () => {
    it('while it starts: the run says so', async () => {
      const bereft = await dask('temporary');
      const { pid } = await bereft.hears(isEvent('run.started'));
      bereft.kill(pid);
      const state = await bereft.runEnd();
      assert.equal(state.kind, 'crashed');
      assert.equal(state.failure.message, 'The runner was killed (signal 9)');
      await closesClean(bereft);
    });

    it('while tasks run: the run says so, its cluster goes', async () => {
      const bereft = await dask('temporary');
      const { pid } = await bereft.hears(isEvent('run.started'));
      await bereft.hears(tasksRun);
      bereft.kill(pid);
      assert.equal((await bereft.runEnd()).failure.message, 'The runner was killed (signal 9)');
      await bereft.hears(({ type }) => type === 'cluster.removed');
      await closesClean(bereft);
    });
  });

  /** A cluster that has something elsewhere, in a session of its own: only the class's own `close` ends that. */
  describe('beside a cluster of a class, which closes itself', () => {
    async function clusterClass(
      cluster_kwargs: Record<string, unknown>,
      { env = { MARKS: '/dev/null' }, ...other }: Partial<DriverOptions & ClusterClassExecutor> = {},
    ): Promise<Scene> {
      const { cluster_class = 'my_clusters.JobCluster', n_workers } = other;
      scene = await Scene.start({
        python: other.python ?? python,
        ...{ workspace: flowsDirectory, file: join(flowsDirectory, 'slowplain.py') },
        flow: { api: 'dask', name: 'slowplain', entry: { how: 'script' }, line: 0, parameters: [] },
        ...{ env, what: 'class' },
        clusterClass: { name: 'jobs', kind: 'clusterClass', cluster_class, cluster_kwargs, n_workers },
      });
      return scene;
    }
    const isJob = ({ command }: ProcessInfo) => command === 'sleep 600';

    async function jobIsThere(killed: Scene): Promise<void> {
      for (const end = Date.now() + patienceMs; !killed.family.members().some(isJob); await sleep(20))
        assert.ok(Date.now() < end, 'no job');
    }

    it('of the extension host while it starts', async () => {
      const killed = await clusterClass({ stage: 'starting' });
      await jobIsThere(killed);
      killed.kill();
      await killed.nothingLeft();
    });

    it('of the extension host while tasks run', async () => {
      const killed = await clusterClass({});
      await killed.hears(tasksRun);
      killed.member(isJob);
      killed.kill();
      await killed.nothingLeft();
    });

    it('of the extension host while it closes, which takes a while', async () => {
      const killed = await clusterClass({ close_seconds: 2 });
      await killed.hears(tasksRun);
      killed.say('close');
      await killed.hears(({ type, state }) => type === 'cluster.state' && state.kind === 'stopping');
      killed.kill();
      await killed.nothingLeft();
    });

    it('of the warm host', async () => {
      const bereft = await clusterClass({});
      const { pid } = await bereft.hears(isEvent('host'));
      await bereft.hears(tasksRun);
      bereft.member(isJob);
      bereft.kill(pid);
      const state = await bereft.runEnd();
      assert.equal(state.kind, 'crashed');
      await bereft.family.gone([bereft.pid]);
      bereft.kill();
      await bereft.nothingLeft();
    });

    it('of the extension host while jobs of Slurm run', async function () {
      this.timeout(900_000);
      const classes = await pythonOf('classes');
      const bed = await SlurmBed.start();
      try {
        const job = { cores: 1, memory: '200MB', local_directory: bed.folder, log_directory: bed.folder };
        const killed = await clusterClass(job, {
          ...{ python: classes, env: { MARKS: '/dev/null', ...bed.env } },
          ...{ cluster_class: 'dask_jobqueue.SLURMCluster', n_workers: 2 },
        });
        await killed.hears(tasksRun);
        assert.equal((await bed.jobs()).length, 2);
        killed.kill();
        await killed.nothingLeft();
        assert.deepEqual(await bed.jobs(), []);
      } finally {
        await bed.dispose();
      }
    });

    it('of both at once, while it starts', async () => {
      const killed = await clusterClass({ stage: 'starting' });
      const { pid } = await killed.hears(isEvent('host'));
      await jobIsThere(killed);
      killed.kill(pid);
      killed.kill();
      await killed.nothingLeft();
    });
  });

  it('of the Prefect API server: its run says so', async () => {
    const bereft = await prefect('temporary');
    await bereft.hears(tasksRun);
    bereft.kill(bereft.member(({ command }) => command.includes('--server')).pid);
    const state = await bereft.runEnd();
    assert.equal(state.kind, 'crashed');
    assert.equal(state.failure.message, 'The Prefect API server that the run reports to has ended');
    await closesClean(bereft);
  });
});
