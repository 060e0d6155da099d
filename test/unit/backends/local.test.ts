import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { localClusterOptions } from '../../../src/backends/local.ts';
import { UserError } from '../../../src/core/errors.ts';
import {
  Bench,
  clusterStarted,
  goodScenario,
  hello,
  ready,
  type Scenario,
  type Step,
} from '../../support/host.ts';

const ended = (reason: string, other: object = {}): Step => ({
  say: { event: 'cluster.ended', cluster: '$cluster', reason, ...other },
});

describe('local clusters', () => {
  let bench: Bench | undefined;
  const make = async (scenario: Scenario) => {
    bench = await Bench.fake({ ...goodScenario, ...scenario });
    return bench;
  };

  afterEach(() => bench?.dispose());

  /** The error of a start that fails, after which no row may say "starting". */
  async function startError(scenario: Scenario): Promise<UserError> {
    const bed = await make(scenario);
    const error: unknown = await bed.startStatic().then(
      () => assert.fail('it started'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof UserError, String(error));
    const states = [...bed.store.snapshot.clusters.values()].map(({ state }) => state);
    assert.deepEqual(
      states.map((state) => state.kind === 'failed' && state.failure.message),
      [error.message],
    );
    return error;
  }

  it('pass on the options that were given, and no others', () => {
    assert.deepEqual(localClusterOptions({ name: 'a', kind: 'local' }), {});
    const options = {
      n_workers: 2,
      threads_per_worker: 1,
      processes: false,
      memory_limit: 'auto',
      scheduler_port: 0,
    };
    assert.deepEqual(localClusterOptions({ name: 'a', kind: 'local', ...options }), options);
  });

  it('start with their limits, and tell how many workers they shall have', async () => {
    const limits = { minimum: 1, maximum: 4 };
    const told = { event: 'cluster.scaling', cluster: '$cluster', n_workers: 1, adaptive: limits };
    const bed = await make({ 'cluster.start': [clusterStarted, { say: told }], echo: true });
    const { id, started } = bed.manager.start({
      executor: { name: 'local', kind: 'local', n_workers: 1, adapt_kwargs: { minimum: 1, maximum: 4 } },
      backend: bed.backend,
      name: 'local',
      lifetime: 'static',
    });
    await started;
    await bed.until(() => bed.cluster(id)?.scaling !== undefined);
    assert.deepEqual(bed.cluster(id)?.scaling, { workers: 1, adaptive: limits });
    const heard = () => bed.log.lines.find((line) => line.includes('"op":"cluster.start"'));
    while (!heard()) await sleep(10);
    assert.match(heard() ?? '', /"options":\{"n_workers":1\},"adapt":\{"minimum":1,"maximum":4\}/);
  });

  it('change how many workers they have, or say why not', async () => {
    const answer = { event: 'cluster.scaling', cluster: '$cluster', id: '$id', n_workers: 3 };
    const step = { from: 2, to: 3, why: 'asked' };
    const refusal = { event: 'error', op: 'cluster.adapt', id: '$id', message: 'maximum must be int or inf' };
    const bed = await make({
      'cluster.scale': [{ say: { ...answer, step } }],
      'cluster.adapt': [{ say: refusal }],
      'cluster.drop': [{ say: { ...answer, step: { ...step, why: 'retired', worker: '1' } } }],
      'cluster.resume': [{ say: answer }],
    });
    const id = await bed.startStatic();
    await bed.manager.scale(id, 3);
    await assert.rejects(bed.manager.adapt(id, { maximum: 2 }), {
      reason: 'cluster-failed',
      message: 'Dask refuses: maximum must be int or inf',
    });
    await bed.manager.handle(id).drop?.('1');
    await bed.manager.handle(id).resume?.('tcp://127.0.0.1:1');
    const messages = bed.cluster(id)?.scaleEvents?.map(({ message }) => message);
    assert.deepEqual(messages, ['scaled to 3', 'worker 1 retired: 2 → 3']);
  });

  it('start, say their stage, and end when told to', async () => {
    const bed = await make({});
    const stages: string[] = [];
    bed.store.onDidChange((event) => {
      if (event.type === 'cluster.state' && event.state.kind === 'starting') stages.push(event.state.stage);
    });
    const id = await bed.startStatic();
    assert.ok(stages.includes('scheduler'));
    const state = bed.cluster(id)?.state;
    assert.ok(state?.kind === 'running');
    assert.equal(state.address, 'tcp://127.0.0.1:1');
    assert.equal(state.dashboard, 'http://127.0.0.1:2/status');
    await bed.manager.stop(id, { force: false });
    assert.deepEqual(bed.history.slice(-3), ['cluster stopping', 'cluster stopped', 'cluster removed']);
  });

  it('say which port is in use, and where to change it', async () => {
    const message = 'Port 8786 is already in use on this machine.';
    const error = await startError({
      'cluster.start': [ended('failed', { kind: 'port-in-use', message, traceback: 'Traceback…' })],
    });
    assert.equal(error.reason, 'port-in-use');
    assert.equal(error.message, message);
    assert.equal(
      error.hint,
      'Change scheduler_port of the executor "local", or leave it out for any free port.',
    );
    assert.deepEqual(error.action, { kind: 'open-settings', key: 'flowClusters.executors' });
  });

  it('show the reason and the traceback of a start that failed', async () => {
    const error = await startError({
      'cluster.start': [
        ended('failed', { kind: 'option', message: 'ValueError: bad', traceback: 'Traceback…' }),
      ],
    });
    assert.equal(error.message, 'ValueError: bad');
    assert.equal(error.hint, 'Check the options of the executor "local".');
    const [cluster] = [...(bench?.store.snapshot.clusters.values() ?? [])];
    assert.ok(cluster?.state.kind === 'failed');
    assert.equal(cluster.state.failure.detail, 'Traceback…');
  });

  it('say why the host refused a start', async () => {
    const refused = {
      event: 'error',
      op: 'cluster.start',
      cluster: '$cluster',
      message: 'OSError: no processes',
    };
    const error = await startError({ 'cluster.start': [{ say: refused }] });
    assert.equal(error.message, 'OSError: no processes');
  });

  it('fail with the reason of the host when it dies under the start', async () => {
    const error = await startError({ 'cluster.start': [{ complain: 'OOM\n' }, { kill: 'SIGKILL' }] });
    assert.equal(error.reason, 'host-crashed');
    assert.equal(error.message, 'The cluster host was killed (SIGKILL): OOM');
    assert.equal(error.hint, 'It starts again with the next run.');
  });

  it('fail with the reason of a host that cannot be used', async () => {
    const unusable = { event: 'unusable', reason: 'package-missing', package: 'dask', message: 'No dask' };
    const error = await startError({ start: [{ say: unusable }, { exit: 0 }] });
    assert.equal(error.message, 'No dask');
  });

  it('show why they died later', async () => {
    const bed = await make({
      'cluster.scale': [ended('died', { message: "The cluster's process was ended by SIGKILL." })],
    });
    const id = await bed.startStatic();
    await assert.rejects(bed.manager.scale(id, 3), { message: 'The cluster has ended meanwhile' });
    await bed.until(() => bed.cluster(id)?.state.kind === 'failed');
    const state = bed.cluster(id)?.state;
    assert.ok(state?.kind === 'failed');
    assert.equal(state.failure.message, "The cluster's process was ended by SIGKILL.");
  });

  it('end with the host, and the row says so', async () => {
    const bed = await make({ 'cluster.scale': [{ kill: 'SIGKILL' }] });
    const id = await bed.startStatic();
    await assert.rejects(bed.manager.scale(id, 3));
    await bed.until(() => bed.cluster(id)?.state.kind === 'failed');
    const state = bed.cluster(id)?.state;
    assert.ok(state?.kind === 'failed');
    assert.equal(state.failure.message, 'The cluster host was killed (SIGKILL)');
  });

  it('that are stopped while they start go away, and whoever waited is told', async () => {
    for (const start of [[], [{ sleep: 50 }, clusterStarted]] as Step[][]) {
      const bed = await make({ 'cluster.start': start });
      const { id, started } = bed.manager.start({
        executor: { name: 'local', kind: 'local' },
        backend: bed.backend,
        name: 'local',
        lifetime: 'static',
      });
      await bed.host.whenReady();
      await Promise.all([assert.rejects(started), bed.manager.stop(id, { force: false })]);
      assert.equal(bed.store.snapshot.clusters.size, 0);
      await bed.dispose();
    }
  });

  it('that are stopped while Python imports are gone, although the host does not hear of it yet', async () => {
    const bed = await make({ start: [hello], 'cluster.start': [], 'cluster.close': [] });
    const started = bed.startStatic();
    started.catch(() => undefined);
    await bed.manager.stop('c1', { force: false });
    assert.equal(bed.store.snapshot.clusters.size, 0);
    assert.equal(bed.host.usable, true);
  });

  it('that do not end take their broken host along', async () => {
    const bed = await make({ 'cluster.close': [], outlivesStdin: true });
    const id = await bed.startStatic();
    await bed.manager.stop(id, { force: true });
    assert.equal(bed.store.snapshot.clusters.size, 0);
    assert.equal(bed.host.usable, false);
  });

  it('wait for a host that is still warming up', async () => {
    const bed = await make({ start: [{ sleep: 100 }, hello, { sleep: 100 }, ready] });
    const stages: string[] = [];
    bed.store.onDidChange((event) => {
      if (event.type === 'cluster.state' && event.state.kind === 'starting') stages.push(event.state.stage);
    });
    await bed.startStatic();
    assert.equal(stages[0], 'warming Python up');
  });
});
