import assert from 'node:assert/strict';
import { keptRuns, readHistory, toHistory, tooOld } from '../../../src/core/history.ts';
import type { Run, RunState } from '../../../src/core/run.ts';

const completed: RunState = { kind: 'completed', startedMs: 1, endedMs: 5, result: '3' };
const run = (id: string, state: RunState = completed): Run => ({
  id,
  uri: 'file:///etl.py',
  flow: {
    api: 'prefect',
    name: 'etl',
    entry: { how: 'import', path: 'etl' },
    line: 4,
    parameters: [{ name: 'day', annotation: 'str', default: '"today"' }],
  },
  executor: 'local',
  clusterId: 'c1',
  parameters: { day: 'x', deep: [{ a: null }] },
  createdMs: 7,
  state,
  tasks: [{ name: 'load', total: 2, counts: { completed: 1, failed: 1 }, message: 'no' }],
  notes: ['a note'],
});
const stored = (value: unknown) => readHistory(JSON.parse(JSON.stringify(value)));

describe('the history of runs', () => {
  it('comes back as it was', () => {
    const failure = { message: 'no', action: { kind: 'open-file', path: '/a.py', line: 3 } } as const;
    const runs = [
      run('a'),
      run('b', { kind: 'failed', endedMs: 3, failure }),
      run('c', { kind: 'cancelled', startedMs: 1, endedMs: 3 }),
      run('d', { kind: 'crashed', startedMs: 1, endedMs: 3, failure: { message: 'no', detail: 'trace' } }),
    ];
    assert.deepEqual(stored(toHistory(runs)), runs);
  });

  it('keeps what is known of the cluster of a run', () => {
    const clusterUse = {
      executor: 'pods',
      lifetime: 'static',
      upSinceMs: 3,
      startupMs: 2,
      workers: 4,
    } as const;
    const found = { executor: 'pods', lifetime: 'static', upSinceMs: 3 } as const;
    const runs = [
      { ...run('a'), clusterUse },
      { ...run('b'), clusterUse: found },
    ];
    assert.deepEqual(stored(toHistory(runs)), runs);
  });

  it('leaves out what is not of its shape, and keeps the rest', () => {
    const { flow: _, ...noFlow } = run('b');
    const odd = [null, 'text', {}, noFlow, { ...run('c'), state: { kind: 'exploded' } }, run('good')];
    assert.deepEqual(
      stored(odd).map(({ id }) => id),
      ['good'],
    );
    for (const whole of [undefined, null, 'text', { runs: [] }]) assert.deepEqual(readHistory(whole), []);
  });

  it('tells of a run that was live when its window went away', () => {
    const live: RunState[] = [
      { kind: 'queued', stage: 'starting' },
      { kind: 'running', startedMs: 1 },
      { kind: 'cancelling', forced: false },
    ];
    for (const state of live) {
      const [back] = stored(toHistory([run('a', state)]));
      assert.equal(back?.state.kind, 'crashed');
      assert.ok('failure' in back.state && back.state.failure.message.includes('window was closed'));
    }
  });

  it('has a limit; live runs do not count', () => {
    const many = [run('live', { kind: 'running', startedMs: 1 })];
    for (let i = 0; i < keptRuns + 2; i += 1) many.push(run(`r${i}`));
    assert.deepEqual(tooOld(many), ['r0', 'r1']);
    const kept = toHistory(many);
    assert.equal(kept.length, keptRuns + 1);
    assert.equal(kept[0]?.id, 'live');
    assert.equal(kept.at(-1)?.id, `r${keptRuns + 1}`);
    assert.deepEqual(tooOld([run('a')]), []);
  });
});
