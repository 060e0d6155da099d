import assert from 'node:assert/strict';
import type { ClusterAdvice } from '../../../src/core/clusterAdvice.ts';
import { readHistory, toHistory } from '../../../src/core/history.ts';
import { Store } from '../../../src/core/store.ts';
import { adviceKey, followAdvice } from '../../../src/runs/adviceNews.ts';
import { aCluster, aRun } from '../core/samples.ts';

const second = 1_000;
const day = 24 * 3_600 * second;

/** A window in which runs go by, each on a temporary cluster of `local`, by a clock of its own. */
class Window {
  readonly store = new Store();
  readonly told: [string, ClusterAdvice['to']][] = [];
  nowMs = 1_000 * day;
  readonly memory: Map<string, unknown>;
  #count = 0;

  constructor(memory = new Map<string, unknown>()) {
    this.memory = memory;
    followAdvice({
      store: this.store,
      memory: { get: (key) => memory.get(key), update: async (key, value) => void memory.set(key, value) },
      now: () => this.nowMs,
      tell: (executor, { to }) => this.told.push([executor, to]),
    });
  }

  /** @param kind how it ends */
  run(kind: 'completed' | 'cancelled' = 'completed', waitSeconds = 48): void {
    const { store } = this;
    this.#count += 1;
    const [id, clusterId] = [`r${this.#count}`, `c${this.#count}`];
    const startedMs = this.nowMs;
    store.dispatch({
      type: 'cluster.added',
      cluster: { ...aCluster, id: clusterId, executor: 'local', lifetime: 'temporary', runId: id },
    });
    store.dispatch({
      type: 'run.added',
      run: { ...aRun, id, executor: 'local', clusterId, createdMs: startedMs },
    });
    this.nowMs += waitSeconds * second;
    const up = { address: 'tcp://127.0.0.1:1', dashboard: null, sinceMs: this.nowMs };
    store.dispatch({
      type: 'cluster.state',
      id: clusterId,
      state: { kind: 'running', ...up, startupMs: waitSeconds * second },
    });
    store.dispatch({ type: 'run.state', id, state: { kind: 'running', startedMs } });
    this.nowMs += 20 * second;
    store.dispatch({ type: 'run.state', id, state: { kind, startedMs, endedMs: this.nowMs } });
    store.dispatch({ type: 'cluster.state', id: clusterId, state: { kind: 'stopped', sinceMs: this.nowMs } });
    store.dispatch({ type: 'cluster.removed', id: clusterId });
    this.nowMs += 60 * second;
  }
}

describe('news of advice on clusters', () => {
  it('come once, after the run that makes it hold, and again after 30 days', () => {
    const window = new Window();
    for (let i = 0; i < 4; i += 1) window.run();
    assert.deepEqual(window.told, []);
    for (let i = 0; i < 8; i += 1) window.run();
    assert.deepEqual(window.told, [['local', 'static']]);
    window.nowMs += 31 * day;
    window.run();
    assert.equal(window.told.length, 1, 'what was long ago is no reason');
    for (let i = 0; i < 8; i += 1) window.run();
    assert.equal(window.told.length, 2);
  });

  it('wait for a run that went well', () => {
    const window = new Window();
    for (let i = 0; i < 5; i += 1) window.run();
    window.memory.clear();
    window.told.length = 0;
    window.run('cancelled');
    assert.deepEqual(window.told, []);
    window.run();
    assert.equal(window.told.length, 1);
  });

  it('do not come again in a later window, which goes by the history of the one before', () => {
    const before = new Window();
    for (let i = 0; i < 5; i += 1) before.run();
    assert.equal(before.told.length, 1);
    const kept: unknown = JSON.parse(JSON.stringify(toHistory(before.store.snapshot.runs.values())));
    const later = (memory: Map<string, unknown>) => {
      const window = new Window(memory);
      for (const run of readHistory(kept)) {
        window.store.dispatch({ type: 'run.added', run: { ...run, id: `old ${run.id}` } });
      }
      window.nowMs = before.nowMs;
      window.run();
      return window.told;
    };
    assert.deepEqual(later(before.memory), []);
    // Of an executor that nothing was told of, the history is reason enough.
    assert.deepEqual(later(new Map()), [['local', 'static']]);
  });

  it('read no more of the memory than is theirs', () => {
    for (const stored of [null, 'text', { local: 'soon' }, []]) {
      const window = new Window(new Map([[adviceKey, stored]]));
      for (let i = 0; i < 6; i += 1) window.run();
      assert.equal(window.told.length, 1, JSON.stringify(stored));
    }
  });

  it('do not come where starts are quick', () => {
    const window = new Window();
    for (let i = 0; i < 20; i += 1) window.run('completed', 1);
    assert.deepEqual(window.told, []);
  });
});
