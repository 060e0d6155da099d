import assert from 'node:assert/strict';
import { parseAddress } from '../../src/core/address.ts';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import type { Executor } from '../../src/core/executor.ts';
import { locateScheduler } from '../../src/dask/locate.ts';
import { Attachments } from '../../src/runs/attachments.ts';
import { askGateway } from '../../src/runs/gatewayClusters.ts';
import { type ClassBench, patienceMs, plain, sample, until, useClasses } from '../support/classBench.ts';
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

  async function nothingIsThere(of: ClassBench = used): Promise<void> {
    await of.nothingIsLeft();
    await until(async () => (await bed.clusters()).length === 0, 'no cluster at the gateway');
  }

  it('run a script, and are gone afterwards', async () => {
    const id = await used.begin(executor({ n_workers: 1 }), plain);
    const run = await used.bench.over(id, patienceMs);
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    assert.match(used.output(id), /total 10/);
    assert.doesNotMatch(used.output(id), /Exception ignored|Traceback/);
    assert.doesNotMatch(used.bench.log.lines.join('\n'), /BEGIN|let me in/);
    await nothingIsThere();
  });

  it('scale and adapt, watched through the gateway’s proxy, and say so when the gateway ends them', async () => {
    const id = await used.startStatic(executor({}, { worker_cores: 2 }));
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

  for (const [environment, flow, parameters] of [
    ['prefect3', sample('prefect', 'etl.py', 'etl'), {}],
    ['prefect2', sample('prefect', 'etl.py', 'etl'), {}],
    ['prefect1', sample('prefect1', 'etl1.py', 'flow'), { n: 1 }],
  ] as const) {
    describe(`for a flow with ${environment}`, () => {
      const flows = useClasses(environment, () => ({ PYTHONPATH: bed.client }));

      it('run its mapped tasks, and are gone afterwards', async () => {
        const run = await flows.run(executor({ n_workers: 1 }, { environment }), flow);
        assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
        const done = run.tasks.map(({ name, counts }) => [name, counts.completed]);
        assert.deepEqual(Object.fromEntries(done), { extract: 1, transform: 4, load: 1, ...parameters });
        assert.doesNotMatch(flows.output(run.id), /Exception ignored|Traceback/);
        await nothingIsThere(flows);
      });
    });
  }

  it('of others are attached to by the gateway’s word, run scripts, and are left as they are', async () => {
    const owner = await bed.someoneElse();
    const { bench } = used;
    try {
      const without = await locateScheduler(owner.address);
      assert.ok(without.kind === 'certificates');
      assert.match(without.error.message, /only its gateway gives the certificates/);
      const ask = (address: string, ...executors: Executor[]) => askGateway(bench.host, address, executors);
      const given = await ask(owner.address, executor());
      assert.equal((await fetch(given.dashboard ?? '')).status, 200, 'its dashboard, through the proxy');
      const found = await locateScheduler(owner.address, { security: given.security });
      assert.ok(found.kind === 'scheduler');
      const attachments = new Attachments({
        ...{ store: bench.store, manager: bench.manager, log: bench.log },
        memory: { get: () => undefined, update: async () => undefined },
        secrets: { get: async () => undefined, store: async () => undefined, delete: async () => undefined },
        readCertificates: async () => assert.fail('there are no files'),
        link: async () => assert.fail('there are no pods'),
      });
      const id = await attachments.add({ address: found.address, given });
      await attachments.ready(id);
      await until(() => bench.cluster(id)?.info?.workers.length === 1, 'its worker');
      const { state, ownership } = bench.cluster(id) ?? {};
      assert.equal(ownership, 'attached');
      assert.ok(state?.kind === 'running');
      assert.equal(state.dashboard, given.dashboard);
      const run = await bench.over(await bench.start({ ...plain, clusterId: id }), patienceMs);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.match(used.output(run.id), /total 10/);
      await attachments.detach(id);
      attachments.dispose();
      assert.deepEqual(await owner.says(), { status: 'running', workers: 1 }, 'as its owner sees it');

      const nobody = parseAddress(owner.address);
      await assert.rejects(ask(owner.address), /No gateway is known here whose clusters are at gateway:/);
      const gone = `gateway://${nobody.host}:${nobody.port}/nobody`;
      await assert.rejects(ask(gone, executor()), /tells nothing of nobody: ValueError: .*nobody/);
    } finally {
      await owner.end();
    }
    await until(async () => (await bed.clusters()).length === 0, 'the end that its owner wants');
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
