import assert from 'node:assert/strict';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { locateScheduler } from '../../src/dask/locate.ts';
import { patienceMs, plain, sample, until, useClasses } from '../support/classBench.ts';
import { GatewayBed } from '../support/gatewayBed.ts';

describe('clusters of a Dask Gateway', function () {
  this.timeout(240_000);
  let bed: GatewayBed;

  before(async function () {
    this.timeout(600_000);
    bed = await GatewayBed.start();
  });

  after(() => bed?.dispose());

  const used = useClasses('clouds');

  const executor = (
    more: Partial<ClusterClassExecutor> = {},
    kwargs: Record<string, unknown> = {},
  ): ClusterClassExecutor =>
    used.executor('dask_gateway.GatewayCluster', { cluster_kwargs: { ...bed.kwargs, ...kwargs }, ...more });

  async function nothingIsThere(): Promise<void> {
    await used.nothingIsLeft();
    await until(async () => (await bed.clusters()).length === 0, 'no cluster at the gateway');
  }

  it('run a script, and are gone afterwards', async () => {
    const id = await used.begin(executor({ n_workers: 1 }), plain);
    const run = await used.bench.over(id, patienceMs);
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    assert.match(used.output(id), /total 10/);
    assert.doesNotMatch(used.bench.log.lines.join('\n'), /BEGIN|let me in/);
    await nothingIsThere();
  });

  it('scale and adapt, watched through the gateway’s proxy, and say so when the gateway ends them', async () => {
    const id = await used.startStatic(executor({}, { worker_cores: 2 }));
    const { address } = used.bench.manager.handle(id);
    await assert.rejects(locateScheduler(address), /only its gateway gives the certificates/);
    const workers = () => used.bench.cluster(id)?.info?.workers.length;
    await used.bench.manager.scale(id, 1);
    await until(() => workers() === 1, 'one worker');
    assert.equal(used.bench.cluster(id)?.info?.workers[0]?.threads, 2);
    await used.bench.manager.adapt(id, { minimum: 0, maximum: 1 });
    const run = await used.bench.over(await used.bench.start({ ...plain, clusterId: id }), patienceMs);
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    const [name = ''] = await bed.clusters();
    await bed.stop(name);
    await until(() => used.bench.cluster(id)?.state.kind === 'failed', 'its end');
    used.bench.manager.dismiss(id);
    await nothingIsThere();
  });

  it('are given back when a start or a run is cancelled', async () => {
    const starting = await used.begin(executor(), plain);
    await until(async () => (await bed.clusters()).length === 1, 'a cluster at the gateway');
    await used.bench.runs.cancel(starting);
    assert.equal(used.bench.run(starting).state.kind, 'cancelled');
    await nothingIsThere();
    const id = await used.begin(executor({ n_workers: 1 }), sample('dask', 'slowplain.py'));
    await until(() => used.bench.run(id).state.kind === 'running', 'a run');
    await used.bench.runs.cancel(id);
    await nothingIsThere();
  });

  it('have the options that the administrator has made', async () => {
    const { host } = used.bench;
    const { parameters, open } = await host.describeClass(
      'dask_gateway.GatewayCluster',
      undefined,
      bed.kwargs,
    );
    assert.equal(open, false);
    const cores = parameters.find(({ name }) => name === 'worker_cores');
    assert.equal(cores?.doc, 'An option of this gateway: Cores of a worker, from 1 to 4.');
    assert.deepEqual([cores?.annotation, cores?.value], ['integer', 1]);
    assert.deepEqual(parameters.find(({ name }) => name === 'size')?.choices, ['small', 'large']);
    const wrong = await used.refusal(executor({}, { worker_core: 2 }));
    assert.equal(wrong.message, 'GatewayCluster takes no "worker_core".');
    assert.match(wrong.hint ?? '', /Did you mean "worker_cores"/);
    const big = await used.refusal(executor({}, { worker_cores: 20 }));
    assert.match(big.message, /worker_cores must be <= 4/);
    await nothingIsThere();
  });
});
