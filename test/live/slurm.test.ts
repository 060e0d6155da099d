import assert from 'node:assert/strict';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { plain, sample, until, useClasses } from '../support/classBench.ts';
import { SlurmBed } from '../support/slurmBed.ts';

describe('clusters in jobs of Slurm', function () {
  this.timeout(240_000);
  let bed: SlurmBed;

  before(async function () {
    this.timeout(900_000);
    bed = await SlurmBed.start();
  });

  after(() => bed?.dispose());

  const used = useClasses('classes', () => bed.env);

  const executor = (
    more: Partial<ClusterClassExecutor> = {},
    kwargs: Record<string, unknown> = {},
  ): ClusterClassExecutor =>
    used.executor('dask_jobqueue.SLURMCluster', {
      cluster_kwargs: {
        ...{ cores: 1, memory: '200MB', walltime: '00:10:00' },
        ...{ local_directory: bed.folder, log_directory: bed.folder, ...kwargs },
      },
      ...more,
    });

  async function noJobs(): Promise<void> {
    let jobs: string[] = ['?'];
    await until(async () => {
      jobs = await bed.jobs();
      return jobs.length === 0;
    }, 'no jobs');
  }

  it('run a script, and are gone afterwards', async () => {
    const run = await used.run(executor({ n_workers: 2 }), plain);
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    assert.match(used.output(run.id), /total 10/);
    await used.nothingIsLeft();
    await noJobs();
  });

  it('follow the work, and stay till they are stopped', async () => {
    const id = await used.startStatic(executor({ adapt_kwargs: { minimum: 0, maximum: 2 } }));
    assert.deepEqual(await bed.jobs(), []);
    const run = await used.bench.over(await used.bench.start({ ...plain, clusterId: id }));
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    await used.bench.manager.scale(id, 1);
    await until(() => used.bench.cluster(id)?.info?.workers.length === 1, 'one worker');
    await used.bench.manager.stop(id, { force: false });
    await used.nothingIsLeft();
    await noJobs();
  });

  it('give their jobs back when a run is cancelled, those in the queue included', async () => {
    const held = { job_extra_directives: ['--hold'] };
    const id = await used.begin(executor({ n_workers: 2 }, held), sample('dask', 'slowplain.py'));
    await until(async () => (await bed.jobs()).length === 2, 'two jobs');
    assert.deepEqual(await bed.jobs(), ['PENDING', 'PENDING']);
    await used.bench.runs.cancel(id);
    assert.equal(used.bench.run(id).state.kind, 'cancelled');
    await used.nothingIsLeft();
    await noJobs();
  });

  it('say what is wrong with their arguments', async () => {
    const { host } = used.bench;
    const { parameters, open } = await host.describeClass('dask_jobqueue.SLURMCluster');
    const cores = parameters.find(({ name }) => name === 'cores');
    assert.match(cores?.doc ?? '', /^Total number of cores per job/);
    assert.equal(open, true);
    const id = await used.begin(executor({}, { cores: null, core: 1 }), plain);
    const run = await used.bench.over(id);
    assert.ok(run.state.kind === 'failed');
    assert.match(run.state.failure.message, /core/);
    assert.match(used.output(id), /SLURMCluster passes "core" on without a look. Did you mean "cores"/);
    await used.nothingIsLeft();
  });

  it('show the words of the batch system', async () => {
    const id = await used.begin(executor({ n_workers: 1 }, { queue: 'nowhere' }), plain);
    await until(() => /invalid partition/i.test(used.output(id)), 'what sbatch says');
    await used.bench.runs.cancel(id);
    await used.nothingIsLeft();
    await noJobs();
  });
});
