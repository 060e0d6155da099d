import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowDef } from '../../../src/core/flow.ts';
import type { Run } from '../../../src/core/run.ts';
import { runDescription } from '../../../src/core/tree.ts';
import type { RunChannel } from '../../../src/runs/channel.ts';
import { type RunRequest, specOf } from '../../../src/runs/request.ts';
import {
  Bench,
  clusterClosed,
  clusterStarted,
  daskFlow,
  followedBy,
  goodScenario,
  hello,
  runExited,
  runKilled,
  runStarted,
  type Scenario,
  type Step,
} from '../../support/host.ts';

const end = (state: string, other: object = {}): Step => ({ event: { event: 'end', state, ...other } });
const tasks = (...states: [id: string, state: string][]): Step => ({
  event: {
    event: 'tasks',
    tasks: states.map(([id, state]) => ({ id, name: id.split('-')[0], state, time: 0 })),
  },
});
const completes: Scenario = followedBy('run.start', end('completed'), { leave: true }, runExited);

const failureOf = (run: Run) => ('failure' in run.state ? run.state.failure : assert.fail(run.state.kind));
const prefectFlow = { ...daskFlow, api: 'prefect', name: 'etl' } as const;

describe('run', () => {
  let bench: Bench;
  const make = async (scenario: Scenario) => {
    bench = await Bench.fake(scenario);
    return bench;
  };

  afterEach(() => bench.dispose());

  /** Runs to its end on a temporary cluster, which then has to be gone. */
  async function runToEnd(scenario: Scenario, request?: Parameters<Bench['start']>[0]): Promise<Run> {
    const bed = await make(scenario);
    const run = await bed.over(await bed.start(request));
    await bed.until(() => bed.store.snapshot.clusters.size === 0);
    return run;
  }

  it('completes, and its cluster is gone after it', async () => {
    const run = await runToEnd(
      followedBy(
        'run.start',
        { print: '\x1b[32mhello\x1b[0m\n' },
        tasks(['load-1', 'running'], ['load-2', 'submitted']),
        tasks(['load-1', 'completed'], ['load-2', 'completed']),
        { event: { event: 'note', text: 'by the way' } },
        { sleep: 20 },
        end('completed', { result: '42' }),
        { leave: true },
        runExited,
      ),
    );
    assert.ok(run.state.kind === 'completed');
    assert.equal(run.state.result, '42');
    assert.deepEqual(run.notes, ['by the way']);
    assert.equal(bench.runs.output(run.id)?.text(), '\x1b[32mhello\x1b[0m\n');
    assert.deepEqual(bench.history.filter((step) => step.startsWith('run')).slice(-2), [
      'run running',
      'run completed',
    ]);
    assert.deepEqual(
      bench.history.filter((step) => /cluster (?!starting)/.test(step)),
      ['cluster running', 'cluster stopping', 'cluster stopped', 'cluster removed'],
    );
  });

  it('tells what was found before it started', async () => {
    const run = await runToEnd(completes, { notes: ['a worker hangs'] });
    assert.deepEqual(run.notes, ['a worker hangs']);
    assert.match(bench.runs.output(run.id)?.text() ?? '', /^\S*! a worker hangs\S*\n/);
  });

  it('adds up its tasks', async () => {
    const bed = await make(
      followedBy(
        'run.start',
        tasks(['load-1', 'completed'], ['load-2', 'running']),
        { sleep: 20 },
        end('completed'),
      ),
    );
    const run = await bed.over(await bed.start({ flow: prefectFlow }));
    assert.deepEqual(run.tasks, [{ name: 'load', total: 2, counts: { completed: 1, running: 1 } }]);
  });

  it('fails with the words of its flow', async () => {
    const error = { type: 'ValueError', message: 'no', task: 'load', file: '/w/flow.py', line: 3 };
    const run = await runToEnd(followedBy('run.start', end('failed', { error }), runExited));
    assert.equal(run.state.kind, 'failed');
    assert.equal(failureOf(run).message, 'load: ValueError: no');
    assert.deepEqual(failureOf(run).action, { kind: 'open-file', path: '/w/flow.py', line: 3 });
  });

  describe('is refused before anything starts', () => {
    const refused = async (scenario: Scenario, request: Parameters<Bench['start']>[0], message: RegExp) => {
      const bed = await make(scenario);
      await assert.rejects(bed.start(request), { name: 'UserError', message });
      assert.equal(bed.store.snapshot.runs.size + bed.store.snapshot.clusters.size, 0);
    };

    it('with a syntax error', () =>
      refused(
        {
          ...goodScenario,
          check: [{ say: { event: 'checked', id: '$id', error: { message: 'SyntaxError', line: 2 } } }],
        },
        {},
        /SyntaxError \(line 2\)/,
      ));

    it('when the host cannot be used', () =>
      refused({ start: [{ complain: 'bad\n' }, { exit: 1 }] }, {}, /host ended with code 1: bad/));

    it('when the host dies while it looks at the file', () =>
      refused({ ...goodScenario, check: [{ kill: 'SIGKILL' }] }, {}, /was killed \(SIGKILL\)/));

    it('on a cluster that is not there any more, and listens no longer', async () => {
      const bed = await make(goodScenario);
      const opened = mock.method(bed.channels, 'open');
      await assert.rejects(bed.start({ clusterId: 'c9' }), { message: /Cluster c9 is not running/ });
      const channel = await opened.mock.calls[0]?.result;
      assert.ok(channel);
      const socket = createConnection(channel.port, '127.0.0.1');
      socket.write(`${channel.token} events\n`);
      await once(socket, 'close');
      assert.equal(bed.store.snapshot.runs.size + bed.store.snapshot.clusters.size, 0);
    });
  });

  describe('whose cluster', () => {
    it('cannot start fails with its reason', async () => {
      const message = 'Port 8786 is already in use on this machine.';
      const run = await runToEnd({
        ...goodScenario,
        'cluster.start': [
          {
            say: {
              event: 'cluster.ended',
              cluster: '$cluster',
              reason: 'failed',
              kind: 'port-in-use',
              message,
            },
          },
        ],
      });
      assert.equal(run.state.kind, 'failed');
      assert.equal(failureOf(run).message, message);
    });

    it('dies crashes with its reason', async () => {
      const message = "The cluster's process was ended by SIGKILL.";
      const run = await runToEnd(
        followedBy('run.start', { say: { event: 'cluster.ended', cluster: 'c1', reason: 'died', message } }),
      );
      assert.equal(run.state.kind, 'crashed');
      assert.equal(failureOf(run).message, message);
    });

    it('dies while the run still waits for its Prefect API crashes with its reason', async () => {
      const message = "The cluster's process was ended by SIGKILL.";
      const run = await runToEnd(
        {
          ...goodScenario,
          'prefect.start': [{ say: { event: 'prefect.server', state: 'migrating' } }],
          'cluster.start': [
            clusterStarted,
            { sleep: 50 },
            { say: { event: 'cluster.ended', cluster: '$cluster', reason: 'died', message } },
          ],
        },
        { flow: prefectFlow },
      );
      assert.equal(run.state.kind, 'crashed');
      assert.equal(failureOf(run).message, message);
    });

    it('is stopped by the user while it starts is cancelled, and says why', async () => {
      const bed = await make({ ...goodScenario, 'cluster.start': [] });
      const id = await bed.start();
      await bed.manager.stop(bed.run(id).clusterId ?? '', { force: true });
      const run = await bed.over(id);
      assert.equal(run.state.kind, 'cancelled');
      assert.deepEqual(run.notes, ['The cluster was stopped.']);
    });

    it('is stopped by the user is cancelled, and says why', async () => {
      const bed = await make(goodScenario);
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.manager.stop(bed.run(id).clusterId ?? '', { force: true });
      const run = await bed.over(id);
      assert.equal(run.state.kind, 'cancelled');
      assert.deepEqual(run.notes, ['The cluster was stopped.']);
    });
  });

  describe('whose host', () => {
    const dies: Step = { kill: 'SIGKILL' };
    const message = 'The cluster host was killed (SIGKILL)';
    for (const [stage, scenario] of [
      ['while the cluster starts', { ...goodScenario, 'cluster.start': [dies] }],
      ['while the run starts', { ...goodScenario, 'run.start': [dies] }],
      ['while the run waits for its cluster', { ...goodScenario, 'cluster.start': [{ sleep: 100 }, dies] }],
      ['while tasks run', followedBy('run.start', dies)],
    ] as [string, Scenario][]) {
      it(`dies ${stage} crashes with that reason`, async () => {
        const run = await runToEnd(scenario);
        assert.equal(run.state.kind, 'crashed');
        assert.equal(failureOf(run).message, message);
      });
    }

    it('dies after its end keeps its end', async () => {
      const run = await runToEnd(followedBy('run.start', end('completed'), { sleep: 50 }, dies));
      assert.equal(run.state.kind, 'completed');
    });
  });

  describe('whose runner', () => {
    it('is killed crashes, and points to its output', async () => {
      const run = await runToEnd(followedBy('run.start', runKilled));
      assert.equal(run.state.kind, 'crashed');
      assert.deepEqual(failureOf(run), {
        message: 'The runner was killed (signal 9)',
        hint: 'What it printed last is in its terminal.',
        action: { kind: 'show-run', id: run.id },
      });
    });

    it('ends without a word crashes', async () => {
      const run = await runToEnd({ ...goodScenario, 'run.start': [runStarted, runExited] });
      assert.equal(failureOf(run).message, 'The runner ended with code 0 without saying how the flow ended');
    });

    it('says its end after its process is gone has that end', async () => {
      const run = await runToEnd(followedBy('run.start', runExited, { sleep: 50 }, end('completed')));
      assert.equal(run.state.kind, 'completed');
    });

    it('could not be started at all fails with that reason', async () => {
      const error = { event: 'error', op: 'run.start', run: '$run', message: 'OSError: no more processes' };
      const run = await runToEnd({ ...goodScenario, 'run.start': [{ say: error }] });
      assert.equal(run.state.kind, 'crashed');
      assert.equal(failureOf(run).message, 'The runner could not be started: OSError: no more processes');
    });

    it('does not leave after its end is ended', async () => {
      const run = await runToEnd(followedBy('run.start', end('completed')));
      assert.equal(run.state.kind, 'completed');
    });

    it('talks nonsense is heard all the same', async () => {
      const bed = await make(
        followedBy(
          'run.start',
          { event: { hello: 1 } },
          { event: { event: 'unheard-of' } },
          end('completed'),
        ),
      );
      const run = await bed.over(await bed.start());
      assert.equal(run.state.kind, 'completed');
      assert.match(run.notes[0] ?? '', /not of its protocol/);
    });
  });

  describe('cancel', () => {
    it('ends a run on its own cluster, and the cluster, at once', async () => {
      const bed = await make(goodScenario);
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
      assert.equal(bed.store.snapshot.clusters.size, 0);
      await bed.runs.cancel(id);
      assert.equal(bed.history.filter((step) => step === 'run cancelled').length, 1);
    });

    for (const [stage, scenario] of [
      ['while its cluster starts', { ...goodScenario, 'cluster.start': [] }],
      ['while Python warms up', { ...goodScenario, 'cluster.start': [], 'run.start': [], start: [hello] }],
      ['when the cluster is there and the runner is not', { ...goodScenario, 'run.start': [runStarted] }],
      ['when the host does not say that the runner has gone', { ...goodScenario, 'run.kill': [] }],
    ] as [string, Scenario][]) {
      it(`${stage} is a cancel, and no failure`, async () => {
        const bed = await make(scenario);
        const id = await bed.start();
        await sleep(50);
        await bed.runs.cancel(id);
        assert.equal(bed.run(id).state.kind, 'cancelled');
        assert.equal(bed.store.snapshot.clusters.size, 0);
      });
    }

    it('is not undone by what breaks because of it', async () => {
      const bed = await make({
        ...goodScenario,
        'run.kill': [end('failed', { message: 'CommClosedError' }), { sleep: 20 }, runKilled],
        'cluster.close': [
          { say: { event: 'cluster.ended', cluster: '$cluster', reason: 'died', message: 'killed' } },
        ],
      });
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
    });

    it('of a run that has just completed leaves it completed', async () => {
      const bed = await make({
        ...goodScenario,
        'run.kill': [end('completed'), { sleep: 200 }, runKilled],
        'cluster.close': [{ sleep: 200 }, clusterClosed],
      });
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'completed');
    });

    it('twice at once is one cancel', async () => {
      const bed = await make(goodScenario);
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await Promise.all([bed.runs.cancel(id), bed.runs.cancel(id)]);
      assert.equal(bed.run(id).state.kind, 'cancelled');
    });

    it('when the host has gone meanwhile still ends the run', async () => {
      const bed = await make({ ...goodScenario, 'run.kill': [{ kill: 'SIGKILL' }] });
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
      assert.equal(bed.store.snapshot.clusters.size, 0);
    });
  });

  describe('is recorded as cancelled by Prefect', () => {
    const kills = (bed: Bench) =>
      bed.log.lines.flatMap((line) => /"run.kill".*"record":(\w+)/.exec(line)?.[1] ?? []);

    it('when the user cancels', async () => {
      const bed = await make({ ...goodScenario, echo: true });
      const id = await bed.start();
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      await bed.host.dispose();
      assert.equal(kills(bed)[0], 'true');
    });

    it('and not when it ends in another way', async () => {
      for (const step of [end('completed'), end('failed'), runKilled]) {
        await runToEnd({ ...followedBy('run.start', step, { leave: true }, runExited), echo: true });
        await bench.host.dispose();
        assert.deepEqual(kills(bench), ['false']);
        await bench.dispose();
      }
    });
  });

  describe('on a static cluster', () => {
    it('leaves the cluster when it ends', async () => {
      const bed = await make(completes);
      const clusterId = await bed.startStatic();
      const run = await bed.over(await bed.start({ clusterId }));
      assert.equal(run.state.kind, 'completed');
      assert.equal(run.executor, 'local');
      await sleep(50);
      assert.equal(bed.cluster(clusterId)?.state.kind, 'running');
    });

    it('is cancelled gently: active tasks finish, the cluster stays', async () => {
      const bed = await make(
        followedBy('run.start', { await: 'stop' }, end('cancelled'), { leave: true }, runExited),
      );
      const clusterId = await bed.startStatic();
      const id = await bed.start({ clusterId });
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      const state = bed.run(id).state;
      assert.ok(state.kind === 'cancelling' && !state.forced);
      assert.equal((await bed.over(id)).state.kind, 'cancelled');
      assert.equal(bed.cluster(clusterId)?.state.kind, 'running');
    });

    it('is abandoned by a second cancel; the cluster stays', async () => {
      const bed = await make(goodScenario);
      const clusterId = await bed.startStatic();
      const id = await bed.start({ clusterId });
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
      assert.equal(bed.cluster(clusterId)?.state.kind, 'running');
    });

    it('whose runner dies while it is being cancelled does not wait for ever', async () => {
      const bed = await make(followedBy('run.start', { await: 'stop' }, runKilled));
      const clusterId = await bed.startStatic();
      const id = await bed.start({ clusterId });
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      const run = await bed.over(id);
      assert.equal(run.state.kind, 'crashed');
      assert.equal(failureOf(run).message, 'The runner was killed (signal 9)');
    });

    it('crashes when the cluster dies, and only then', async () => {
      const died = {
        event: 'cluster.ended',
        cluster: 'c1',
        reason: 'died',
        message: 'The scheduler has closed.',
      };
      const bed = await make({ ...goodScenario, 'cluster.scale': [{ say: died }] });
      const clusterId = await bed.startStatic();
      const ids = [await bed.start({ clusterId }), await bed.start({ clusterId })];
      for (const id of ids) await bed.until(() => bed.run(id).state.kind === 'running');
      await assert.rejects(bed.manager.scale(clusterId, 1));
      for (const id of ids) {
        const run = await bed.over(id);
        assert.equal(run.state.kind, 'crashed');
        assert.equal(failureOf(run).message, 'The scheduler has closed.');
      }
      assert.equal(bed.cluster(clusterId)?.state.kind, 'failed');
    });
  });

  describe('of Prefect', () => {
    const server = (state: string, other: object = {}) => ({
      say: { event: 'prefect.server', state, ...other },
    });

    it('waits for the API, says so, and gets its URL', async () => {
      const bed = await make({
        ...followedBy('run.start', end('completed'), { leave: true }, runExited),
        'prefect.start': [
          server('migrating'),
          { sleep: 50 },
          server('ready', { url: 'http://127.0.0.1:4200/api' }),
        ],
      });
      const stages: string[] = [];
      bed.store.onDidChange((event) => {
        if (event.type === 'run.state' && event.state.kind === 'queued') stages.push(event.state.stage);
      });
      const run = await bed.over(await bed.start({ flow: prefectFlow }));
      assert.equal(run.state.kind, 'completed');
      assert.deepEqual(stages, ['preparing the Prefect database (once)']);
    });

    it('crashes when the API goes away', async () => {
      const bed = await make(followedBy('run.start', server('ended', { url: 'http://127.0.0.1:4200/api' })));
      const run = await bed.over(await bed.start({ flow: prefectFlow }));
      assert.equal(run.state.kind, 'crashed');
      assert.match(failureOf(run).message, /Prefect API server .* has ended/);
    });

    it('goes on when a server that it does not report to goes away', async () => {
      const bed = await make(
        followedBy(
          'run.start',
          server('ended'),
          server('ended', { url: 'http://127.0.0.1:4201/api' }),
          { sleep: 50 },
          end('completed'),
          { leave: true },
          runExited,
        ),
      );
      for (const flow of [prefectFlow, daskFlow]) {
        const run = await bed.over(await bed.start({ flow }));
        assert.equal(run.state.kind, 'completed');
      }
    });

    it('fails when the API cannot be had, and nothing stays', async () => {
      const bed = await make({ ...goodScenario, 'prefect.start': [server('failed', { message: 'locked' })] });
      const run = await bed.over(await bed.start({ flow: prefectFlow }));
      assert.equal(failureOf(run).message, 'The Prefect API server did not start: locked');
      await bed.until(() => bed.store.snapshot.clusters.size === 0);
    });
  });

  /** Runs to its end with no cluster ever there. Gives what the run was first told. */
  async function completed(bed: Bench, request: Parameters<Bench['start']>[0]) {
    const opened = mock.method(bed.channels, 'open');
    const id = await bed.start(request);
    const channel = await opened.mock.calls[0]?.result;
    assert.ok(channel);
    const control = mock.method(channel, 'control');
    const run = await bed.over(id);
    assert.equal(run.state.kind, 'completed');
    assert.equal('clusterId' in run, false);
    assert.ok(!bed.history.some((step) => step.startsWith('cluster')));
    return { run, said: control.mock.calls[0]?.arguments };
  }

  describe('as written', () => {
    const flow = {
      ...daskFlow,
      api: 'prefect',
      name: 'nightly etl',
      entry: { how: 'import', path: 'etl' },
      written: { type: 'DaskTaskRunner', from: 'flow' },
    } as const;
    const request = { flow, target: { kind: 'written' } } as const;

    it('goes with the API alone, says so, and starts no cluster', async () => {
      const bed = await make({ ...completes, echo: true });
      const { run, said } = await completed(bed, request);
      assert.equal(run.executor, 'DaskTaskRunner, as written');
      assert.match(run.notes.join(), /As written/);
      assert.deepEqual(said, [{ op: 'go', as_written: true, prefect_api_url: 'http://127.0.0.1:4200/api' }]);
    });

    it('is asked to stop first, and killed by a second cancel', async () => {
      const bed = await make(goodScenario);
      const id = await bed.start(request);
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      const state = bed.run(id).state;
      assert.ok(state.kind === 'cancelling' && !state.forced);
      assert.match(runDescription(bed.run(id), Date.now()), /it closes what it has made/);
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
    });

    it('is the file that runs, where one call in it has the executor', () => {
      const channel = { port: 1, token: 't' } as RunChannel;
      const entryOf = (other: Partial<FlowDef>) => {
        const parts = { ...request, flow: { ...flow, ...other } as FlowDef };
        return specOf('r1', parts as unknown as RunRequest, channel).entry;
      };
      const written = { type: 'DaskTaskRunner', from: 'call' } as const;
      assert.deepEqual(entryOf({}), { how: 'import', path: 'etl' });
      assert.deepEqual(entryOf({ written }), { how: 'script', qualname: 'etl' });
      assert.deepEqual(entryOf({ written, api: 'prefect1' }), { how: 'script', qualname: 'nightly etl' });
    });
  });

  describe('without a cluster', () => {
    const executor = { name: 'threads', kind: 'localDask', scheduler: 'threads', num_workers: 2 } as const;
    const flow = { ...daskFlow, api: 'prefect1', name: 'etl' } as const;
    const request = { flow, target: { kind: 'alone', executor } } as const;

    it('goes at once, with the options of the executor, and starts none', async () => {
      const bed = await make({ ...completes, echo: true });
      const { run, said } = await completed(bed, request);
      assert.equal(run.executor, 'threads');
      assert.deepEqual(said, [{ op: 'go', local_dask: { scheduler: 'threads', num_workers: 2 } }]);
    });

    it('is cancelled by force', async () => {
      const bed = await make(goodScenario);
      const id = await bed.start(request);
      await bed.until(() => bed.run(id).state.kind === 'running');
      await bed.runs.cancel(id);
      assert.equal(bed.run(id).state.kind, 'cancelled');
    });

    it('is refused for other flows, before anything starts', async () => {
      const bed = await make(goodScenario);
      await assert.rejects(bed.start({ ...request, flow: prefectFlow }), {
        message: 'threads runs flows of Prefect 1 only, and etl is a flow of Prefect 2 or 3',
        hint: 'Run it with an executor of another kind: those have clusters.',
      });
      await assert.rejects(bed.start({ ...request, flow: daskFlow }), { message: /is a Dask script$/ });
      assert.equal(bed.store.snapshot.runs.size, 0);
    });
  });

  it('takes what is typed', async () => {
    const bed = await make(followedBy('run.start', { print: 'name? ' }));
    const id = await bed.start();
    await bed.until(() => bed.run(id).state.kind === 'running');
    bed.runs.input(id, 'Ada\n');
    while (!bed.runs.output(id)?.text().includes('typed: Ada')) await sleep(10);
    assert.equal(bed.runs.output(id)?.text(), 'name? typed: Ada\n');
    bed.runs.input('nobody', 'x');
  });

  it('can be removed from the history when it is over, and not before', async () => {
    const bed = await make(goodScenario);
    const id = await bed.start();
    bed.runs.remove(id);
    assert.ok(bed.run(id));
    await bed.runs.cancel(id);
    bed.runs.remove(id);
    assert.equal(bed.store.snapshot.runs.size, 0);
    assert.equal(bed.runs.output(id), undefined);
    bed.runs.remove(id);
    await bed.runs.cancel(id);
  });

  it('ends with the window', async () => {
    const bed = await make(goodScenario);
    const id = await bed.start();
    await bed.until(() => bed.run(id).state.kind === 'running');
    await bed.dispose();
    assert.equal(bed.run(id).state.kind, 'cancelled');
    assert.equal(bed.store.snapshot.clusters.size, 0);
    assert.equal(bed.host.usable, false);
  });
});
