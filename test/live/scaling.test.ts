import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../src/core/cluster.ts';
import type { LocalExecutor } from '../../src/core/executor.ts';
import type { FlowDef } from '../../src/core/flow.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { clusterNodes, type TreeNode } from '../../src/core/tree.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { Retirements } from '../../src/runs/retire.ts';
import { daskEnv, daskVersions } from '../support/daskEnvs.ts';
import { type Bench, MemoryLog, patienceMs } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf, removeFolder } from '../support/hostLive.ts';
import { type Bed, type BedOptions, startBed } from '../support/schedulerBed.ts';

const script: FlowDef = { api: 'dask', name: 'script', entry: { how: 'script' }, line: 0, parameters: [] };

async function until(condition: () => unknown, what: string): Promise<void> {
  const end = Date.now() + patienceMs;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `did not happen: ${what}`);
    await sleep(20);
  }
}

const rowsOf = (store: Store): TreeNode[] => {
  const all = (nodes: readonly TreeNode[]): TreeNode[] =>
    nodes.flatMap((node) => [node, ...all(node.children ?? [])]);
  return all(clusterNodes(store.snapshot, Date.now()));
};

const retirementsOf = (store: Store, manager: ClusterManager) =>
  new Retirements({
    store,
    manager,
    connect: (address, security) => new SchedulerClient(address, { security }),
  });

describe('scaling of live clusters of ours', function () {
  this.timeout(240_000);
  let bench: Bench;
  let retirements: Retirements;
  let folder: string;

  before(async function () {
    this.timeout(600_000);
    folder = await mkdtemp(join(tmpdir(), 'scaling-'));
    bench = await liveBench({ python: await pythonOf('dask-latest') });
    retirements = retirementsOf(bench.store, bench.manager);
    await bench.host.whenReady();
  });

  afterEach(async () => {
    for (const id of bench.store.snapshot.clusters.keys()) await bench.manager.stop(id, { force: true });
  });

  after(async () => {
    try {
      await bench.dispose();
    } finally {
      await removeFolder(folder);
    }
  });

  async function startCluster(options: Partial<LocalExecutor>): Promise<string> {
    const executor: LocalExecutor = { name: 'laptop', kind: 'local', ...options };
    const { backend } = bench;
    const { id, started } = await bench.outputs.start({
      executor,
      backend,
      name: 'laptop',
      lifetime: 'static',
    });
    await started;
    return id;
  }

  const small = { threads_per_worker: 1, memory_limit: '400MiB' } as const;
  const cluster = (id: string) => bench.cluster(id) as Cluster;
  const workers = (id: string) => cluster(id).info?.workers ?? [];
  const row = (label: string) => rowsOf(bench.store).find((one) => one.label.startsWith(label));
  const steps = (id: string) => (cluster(id).scaleEvents ?? []).map(({ message }) => message);

  /** @param more environment, such as `HOLD` and `UNTIL`; see marks.py */
  async function startWork(
    clusterId: string,
    count: number,
    seconds: number,
    more: Record<string, string> = {},
  ) {
    const marks = join(folder, `${clusterId}-${count}-${Date.now()}`);
    const env = { COUNT: `${count}`, SECONDS: `${seconds}`, MARKS: marks, ...more };
    const id = await bench.start({ flow: script, file: join(flowsDirectory, 'marks.py'), env, clusterId });
    const read = async () => {
      const text = await readFile(marks, 'utf8').catch(() => '');
      return text.split('\n').filter(Boolean);
    };
    return { id, read };
  }

  const busy = (id: string) => workers(id).filter(({ executing }) => executing > 0);

  it('follows the work within its limits, and says what it does and why', async () => {
    const id = await startCluster({ ...small, adapt_kwargs: { minimum: 1, maximum: 2 } });
    await until(() => workers(id).length === 1, 'one worker');
    assert.match(row('laptop')?.description ?? '', /^running · 1 worker · 1 thread · adaptive 1–2 · static$/);
    const sizes = new Set<number>();
    bench.store.onDidChange((event) => event.type === 'cluster.info' && sizes.add(event.info.workers.length));
    const { id: run } = await startWork(id, 40, 0.25);
    await until(() => workers(id).length === 2, 'the second worker');
    await bench.over(run);
    await until(() => workers(id).length === 1 && steps(id).length === 2, 'the minimum');
    assert.deepEqual([...sizes].sort(), [1, 2], 'its limits hold');
    assert.match(steps(id)[0] ?? '', /^adaptive: 1 → 2 \(\d+ tasks waiting\)$/);
    assert.deepEqual(steps(id).slice(1), ['adaptive: 2 → 1 (idle)']);
    assert.deepEqual(cluster(id).incidents, undefined, 'who goes because of scaling has not died');
    assert.match(row('adaptive: 1 → 2')?.description ?? '', /^\d\d:\d\d$/);
  });

  it('stays above its minimum while results are held, and says why', async () => {
    const id = await startCluster({ ...small, n_workers: 1, adapt_kwargs: { minimum: 0, maximum: 2 } });
    const { id: run } = await startWork(id, 4, 0.01, { HOLD: '1' });
    await until(() => bench.runs.output(run)?.text().includes('holding'), 'results');
    // Three looks of Dask's, a second apart, and it would be gone.
    await sleep(4_500);
    assert.equal(workers(id).length, 1);
    assert.match(row('laptop')?.tooltip ?? '', /above the minimum while results are held \(4\)/);
    bench.runs.input(run, '\n');
    await bench.over(run);
    await until(() => workers(id).length === 0, 'no worker');
    assert.match(
      row('laptop')?.description ?? '',
      /^running · 0 workers · 0 threads · adaptive 0–2 · static$/,
    );
  });

  it('changes from a fixed number to adaptive and back, and keeps results when it shrinks', async () => {
    const id = await startCluster({ ...small, n_workers: 1 });
    await bench.manager.adapt(id, { minimum: 2, maximum: null });
    await until(() => workers(id).length === 2, 'the minimum');
    assert.match(row('laptop')?.description ?? '', /adaptive from 2/);
    await bench.manager.adapt(id, { minimum: 0, maximum: 3 });
    assert.match(row('laptop')?.description ?? '', /adaptive 0–3/);
    await bench.manager.scale(id, 2);
    assert.doesNotMatch(row('laptop')?.description ?? '', /adaptive/);
    const { id: run, read } = await startWork(id, 6, 0.01, { HOLD: '1' });
    await until(() => bench.runs.output(run)?.text().includes('holding'), 'results');
    await bench.manager.scale(id, 1);
    await until(() => workers(id).length === 1, 'one worker');
    await until(() => workers(id)[0]?.inMemory === 6, 'all results on the last worker');
    bench.runs.input(run, '\n');
    await bench.over(run);
    assert.equal((await read()).length, 12, 'none was computed twice');
    assert.deepEqual(steps(id), ['set to adaptive 0–3', 'scaled to 2', 'scaled to 1']);
  });

  it('shows what Dask refuses', async () => {
    const id = await startCluster({ ...small, n_workers: 1, adapt_kwargs: { minimum: 1, maximum: 2 } });
    const wrong = { minimum: 0, maximum: 'many' as unknown as number };
    await assert.rejects(bench.manager.adapt(id, wrong), {
      reason: 'cluster-failed',
      message: /^Dask refuses: /,
    });
    await until(() => cluster(id).scaling?.adaptive === undefined, 'a fixed number: the old limits are gone');
  });

  it('retires a worker without losing work: what runs there finishes, what waits moves', async () => {
    const id = await startCluster({ ...small, n_workers: 2 });
    await until(() => workers(id).length === 2, 'two workers');
    const seen = join(folder, 'seen');
    const { id: run, read } = await startWork(id, 4, 0.1, { UNTIL: seen });
    const starts = async () => (await read()).filter((line) => line.startsWith('start'));
    await until(async () => (await starts()).length === 2, 'work on both');
    const name = (await starts())[0]?.split(' ')[2];
    const { address } = workers(id).find((worker) => worker.name === name) ?? assert.fail(name);
    const retired = retirements.retire({ clusterId: id, worker: address });
    await until(() => row(`worker ${name}`)?.description?.startsWith('draining · 1 task'), 'its row');
    const shown = row(`worker ${name}`);
    assert.match(shown?.description ?? '', /^draining · 1 task executing · 00:0\d of 10:00 · 1 thread/);
    assert.equal(shown?.context, 'worker.owned.draining');
    await assert.rejects(retirements.retire({ clusterId: id, worker: address }), /already/);
    await writeFile(seen, '');
    const message = `worker ${name} of laptop has retired`;
    assert.deepEqual(await retired, { severity: 'info', message, unfinished: false });
    assert.equal((await bench.over(run)).state.kind, 'completed');
    assert.equal((await read()).length, 8, 'none ran twice');
    const there = (await starts()).filter((line) => line.endsWith(` ${name}`));
    assert.equal(there.length, 1, 'what waited there went elsewhere');
    assert.deepEqual(steps(id), [`worker ${name} retired: 2 → 1`]);
    await until(() => workers(id).length === 1, 'one worker');
    assert.equal(cluster(id).incidents, undefined);
    await bench.manager.scale(id, 2);
    await until(() => workers(id).length === 2, 'another worker, when it is asked for');
  });

  it('lets a worker go on whose retirement is cancelled, or takes too long', async () => {
    const id = await startCluster({ ...small, n_workers: 2 });
    const released = join(folder, 'released');
    const { id: run, read } = await startWork(id, 8, 0.5, { UNTIL: released });
    await until(() => busy(id).length === 2, 'work on both');
    const [first, second] = workers(id);
    assert.ok(first && second);
    const cancelled = retirements.retire({ clusterId: id, worker: first.address });
    await until(() => row(`worker ${first.name}`)?.description?.includes('executing'), 'its row');
    retirements.cancel(id, first.address);
    assert.deepEqual(await cancelled, {
      severity: 'warning',
      message: `Retiring worker ${first.name} of laptop was cancelled: it takes tasks again`,
      unfinished: true,
    });
    await until(() => workers(id).every(({ status }) => status === 'running'), 'both at work');
    const late = await retirements.retire({ clusterId: id, worker: second.address, limitMs: 100 });
    assert.match(late.message, /took too long.*: it takes tasks again$/);
    await writeFile(released, '');
    await bench.over(run);
    const marks = await read();
    assert.equal(marks.length, 16, 'none ran twice');
    for (const { name } of [first, second])
      assert.ok(marks.filter((line) => line.startsWith('start') && line.endsWith(` ${name}`)).length > 1);
  });

  it('replaces a worker that retires below the minimum, and says so', async () => {
    const id = await startCluster({ ...small, adapt_kwargs: { minimum: 2, maximum: 3 } });
    await until(() => workers(id).length === 2, 'two workers');
    const [leaving] = workers(id);
    assert.ok(leaving);
    await retirements.retire({ clusterId: id, worker: leaving.address });
    await until(() => steps(id).length === 2, 'its replacement');
    assert.deepEqual(steps(id), [`worker ${leaving.name} retired: 2 → 1`, 'adaptive: 1 → 2 (at least 2)']);
    await until(() => workers(id).length === 2, 'two workers again');
  });

  it('has a temporary cluster follow the work of its run', async () => {
    const executor = { ...small, name: 'laptop', kind: 'local', adapt_kwargs: { maximum: 2 } } as const;
    const target = { kind: 'executor', executor, backend: bench.backend } as const;
    const marks = join(folder, 'temporary');
    const env = { COUNT: '40', SECONDS: '0.25', MARKS: marks };
    const file = join(flowsDirectory, 'marks.py');
    const run = await bench.start({ flow: script, file, env, target });
    await until(() => row('laptop for script')?.description?.includes('adaptive 0–2'), 'its row');
    assert.equal((await bench.over(run)).state.kind, 'completed');
    const names = (await readFile(marks, 'utf8')).split('\n').map((line) => line.split(' ')[2]);
    assert.equal(new Set(names.filter(Boolean)).size, 2, 'two workers had a share');
  });
});

for (const version of daskVersions.filter((one) => one !== '2024')) {
  describe(`retiring workers of others, distributed ${version}`, function () {
    this.timeout(240_000);
    const store = new Store();
    const manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
    const retirements = retirementsOf(store, manager);
    const beds: Bed[] = [];

    before(async function () {
      this.timeout(300_000);
      await daskEnv(version);
    });
    afterEach(async () => {
      await manager.dispose();
      for (const bed of beds.splice(0)) await bed.stop();
    });

    async function attach(options: Partial<BedOptions> = {}) {
      const bed = await startBed({ version, ...options });
      beds.push(bed);
      const id = manager.attach({ name: 'prod', address: bed.address });
      const workers = () => store.snapshot.clusters.get(id)?.info?.workers ?? [];
      await until(() => workers().length === (options.workers ?? 2), 'its workers');
      const worker = (name: string) => {
        const found = workers().find((one) => one.name === name);
        assert.ok(found, name);
        return found;
      };
      return { bed, id, workers, worker };
    }

    it('lets a task of 2 s finish and moves what waits', async () => {
      const { bed, id, workers, worker } = await attach();
      await bed.call('submit', 'nap', 5, 2);
      const begun = async () => ((await bed.call('naps')) as { begun: number }).begun;
      await until(async () => (await begun()) >= 2, 'work on both');
      const outcome = await retirements.retire({ clusterId: id, worker: worker('w0').address });
      assert.equal(outcome.message, 'worker w0 of prod has retired');
      await until(() => workers().length === 1, 'one worker');
      assert.ok(
        rowsOf(store).some(({ label, context }) => label === 'worker w0 retired' && context === 'scaled'),
      );
      await until(() => workers()[0]?.inMemory === 5, 'all results');
      assert.deepEqual(await bed.call('naps'), { begun: 5, ended: 5 }, 'none ran twice');
    });

    it('refuses the last worker that has something to lose, which stays as it was', async () => {
      const { bed, id, workers, worker } = await attach({ workers: 1 });
      await bed.call('submit', 'nap', 3, 0);
      await until(() => workers()[0]?.inMemory === 3, 'results');
      const { address } = worker('w0');
      await assert.rejects(retirements.retire({ clusterId: id, worker: address }), {
        reason: 'worker-kept',
        message: 'worker w0 is the only worker of prod that takes tasks: there is no other for its 3 results',
      });
      // Had another come and gone in between, Dask itself would say so.
      const client = new SchedulerClient(bed.address);
      assert.deepEqual((await client.retireWorkers([address], { close: false })).kept, [address]);
      client.close();
      await bed.call('submit', 'nap', 1, 0);
      await until(() => workers()[0]?.inMemory === 4, 'it takes tasks');
      await bed.call('release');
      await until(() => workers()[0]?.inMemory === 0, 'nothing held');
      const outcome = await retirements.retire({ clusterId: id, worker: address });
      assert.equal(outcome.message, 'worker w0 of prod has retired', 'with nothing to lose it goes');
    });

    it('says that a scheduler forbids it; nothing changes', async () => {
      const { bed, id, workers, worker } = await attach({ blocked: ['retire_workers'] });
      await assert.rejects(retirements.retire({ clusterId: id, worker: worker('w0').address }), {
        reason: 'not-permitted',
        message: 'The scheduler’s settings forbid “retire_workers”.',
      });
      await bed.call('submit', 'nap', 4, 0.1);
      await until(() => workers().every(({ inMemory }) => inMemory === 2), 'work on both');
      assert.deepEqual(store.snapshot.clusters.get(id)?.drains, []);
    });

    it('says of one that was cancelled that it stays closed, until it is retired', async () => {
      const { bed, id, workers, worker } = await attach();
      await bed.call('submit', 'nap', 6, 1);
      await until(() => workers().every(({ processing }) => processing > 0), 'work on both');
      const { address } = worker('w0');
      const cancelled = retirements.retire({ clusterId: id, worker: address });
      await until(() => store.snapshot.clusters.get(id)?.drains?.[0]?.phase === 'finishing', 'the drain');
      retirements.cancel(id, address);
      const { message, unfinished } = await cancelled;
      assert.match(message, /cancelled\. Dask cannot open it again from outside: it takes no new tasks/);
      assert.equal(unfinished, true);
      await until(() => worker('w0').executing === 0, 'its task to end');
      const { begun } = (await bed.call('naps')) as { begun: number };
      assert.ok(begun < 6, 'what waits there is stuck');
      const now = await retirements.retire({ clusterId: id, worker: address, wait: false });
      assert.equal(now.message, 'worker w0 of prod has retired');
      await until(() => worker('w1').inMemory === 6, 'all results');
      assert.deepEqual(await bed.call('naps'), { begun: 6, ended: 6 });
    });
  });
}
