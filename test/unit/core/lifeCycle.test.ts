import assert from 'node:assert/strict';
import { advanceCluster, type Cluster, type ClusterState, isLive } from '../../../src/core/cluster.ts';
import { advanceRun, isOver, type Run, type RunState, runDurationMs } from '../../../src/core/run.ts';
import { emptySnapshot, reduce, type Snapshot, Store, type StoreEvent } from '../../../src/core/store.ts';
import { aCluster, aRun } from './samples.ts';

const failure = { message: 'it broke' };
const place = { sinceMs: 2, address: 'tcp://127.0.0.1:1', dashboard: null };
const clusterStates: Record<ClusterState['kind'], ClusterState> = {
  seen: { kind: 'seen', sinceMs: 1, text: 'running' },
  starting: { kind: 'starting', sinceMs: 1, stage: 'scheduler' },
  running: { kind: 'running', ...place },
  lost: { kind: 'lost', ...place, reason: 'refused' },
  stopping: { kind: 'stopping', sinceMs: 3 },
  stopped: { kind: 'stopped', sinceMs: 4 },
  failed: { kind: 'failed', sinceMs: 5, failure },
};
const runStates: Record<RunState['kind'], RunState> = {
  queued: { kind: 'queued', stage: 'starting' },
  running: { kind: 'running', startedMs: 1 },
  cancelling: { kind: 'cancelling', forced: true },
  completed: { kind: 'completed', startedMs: 1, endedMs: 2 },
  failed: { kind: 'failed', endedMs: 2, failure },
  cancelled: { kind: 'cancelled', endedMs: 2 },
  crashed: { kind: 'crashed', endedMs: 2, failure },
};

/** From each state, the states that may follow. */
const clusterSteps: Record<ClusterState['kind'], string> = {
  seen: 'seen stopped',
  starting: 'failed lost running starting stopped stopping',
  running: 'failed lost stopped stopping',
  lost: 'failed lost running stopped stopping',
  stopping: 'failed stopped',
  stopped: '',
  failed: '',
};
const runSteps: Record<RunState['kind'], string> = {
  queued: 'cancelled cancelling crashed failed queued running',
  running: 'cancelled cancelling completed crashed failed running',
  cancelling: 'cancelled cancelling completed crashed failed',
  completed: '',
  failed: '',
  cancelled: '',
  crashed: '',
};

function allowed<S extends { kind: string }>(states: Record<string, S>, step: (to: S) => unknown): string {
  const works = (to: S) => {
    try {
      step(to);
      return true;
    } catch (error) {
      assert.match(String(error), /cannot become/);
      return false;
    }
  };
  return Object.values(states)
    .filter(works)
    .map(({ kind }) => kind)
    .sort()
    .join(' ');
}

describe('life cycle', () => {
  for (const state of Object.values(clusterStates)) {
    it(`of a cluster from ${state.kind}`, () => {
      const cluster: Cluster = { ...aCluster, state };
      assert.equal(
        allowed(clusterStates, (to) => advanceCluster(cluster, to)),
        clusterSteps[state.kind],
      );
      assert.equal(isLive(cluster), clusterSteps[state.kind] !== '');
    });
  }

  for (const state of Object.values(runStates)) {
    it(`of a run from ${state.kind}`, () => {
      const run: Run = { ...aRun, state };
      assert.equal(
        allowed(runStates, (to) => advanceRun(run, to)),
        runSteps[state.kind],
      );
      assert.equal(isOver(run), runSteps[state.kind] === '');
    });
  }

  it('says how long a run took, or takes', () => {
    const tookMs = (state: RunState) => runDurationMs({ ...aRun, state }, 10_000);
    assert.equal(tookMs(runStates.queued), undefined);
    assert.equal(tookMs({ kind: 'running', startedMs: 4_000 }), 6_000);
    assert.equal(tookMs({ kind: 'completed', startedMs: 4_000, endedMs: 5_000 }), 1_000);
    assert.equal(tookMs({ kind: 'cancelled', endedMs: 5_000 }), undefined, 'it never started');
  });
});

describe('store', () => {
  const withBoth = (): Snapshot =>
    (
      [
        { type: 'cluster.added', cluster: aCluster },
        { type: 'run.added', run: aRun },
      ] as StoreEvent[]
    ).reduce(reduce, emptySnapshot);

  it('keeps clusters and runs as they change, and never changes a snapshot in place', () => {
    const before = withBoth();
    const steps: StoreEvent[] = [
      { type: 'cluster.state', id: aCluster.id, state: clusterStates.running },
      { type: 'run.state', id: aRun.id, state: runStates.running },
      { type: 'run.tasks', id: aRun.id, tasks: [{ name: 'load', total: 2, counts: { running: 2 } }] },
      { type: 'run.note', id: aRun.id, text: 'first' },
      { type: 'run.note', id: aRun.id, text: 'second' },
    ];
    const later = steps.reduce(reduce, before);
    assert.equal(later.clusters.get(aCluster.id)?.state.kind, 'running');
    assert.equal(later.runs.get(aRun.id)?.state.kind, 'running');
    assert.deepEqual(later.runs.get(aRun.id)?.notes, ['first', 'second']);
    assert.equal(later.runs.get(aRun.id)?.tasks[0]?.total, 2);
    assert.deepEqual(before, withBoth());
  });

  it('forgets that runs use a cluster when the cluster is removed', () => {
    const target: StoreEvent = { type: 'target', clusterId: aCluster.id };
    const chosen = reduce(withBoth(), target);
    assert.equal(chosen.targetClusterId, aCluster.id);
    const gone = reduce(chosen, { type: 'cluster.removed', id: aCluster.id });
    assert.equal(gone.targetClusterId, undefined);
    assert.equal(gone.clusters.size, 0);
    const other = reduce(chosen, { type: 'cluster.removed', id: 'other' });
    assert.equal(other.targetClusterId, aCluster.id);
  });

  it('forgets that runs use a cluster when the cluster dies, and not before', () => {
    const at = (...kinds: ClusterState['kind'][]) =>
      kinds
        .map((kind): StoreEvent => ({ type: 'cluster.state', id: aCluster.id, state: clusterStates[kind] }))
        .reduce(reduce, reduce(withBoth(), { type: 'target', clusterId: aCluster.id })).targetClusterId;
    assert.equal(at('running', 'lost', 'running'), aCluster.id);
    assert.equal(at('running', 'failed'), undefined);
    assert.equal(at('running', 'stopping', 'stopped'), undefined);
  });

  it('takes an event about something unknown as a bug', () => {
    const events: StoreEvent[] = [
      { type: 'cluster.state', id: 'none', state: clusterStates.running },
      { type: 'run.state', id: 'none', state: runStates.running },
      { type: 'run.note', id: 'none', text: '' },
      { type: 'run.tasks', id: 'none', tasks: [] },
    ];
    for (const event of events) assert.throws(() => reduce(emptySnapshot, event), /nothing is called none/);
  });

  it('tells that runs use another cluster now, whatever has changed it', () => {
    const store = new Store();
    const seen: string[] = [];
    store.dispatch({ type: 'cluster.added', cluster: aCluster });
    store.dispatch({ type: 'target', clusterId: aCluster.id });
    store.dispatch({ type: 'active', clusterId: aCluster.id });
    store.onDidChange((event) => seen.push(event.type));
    store.dispatch({ type: 'cluster.state', id: aCluster.id, state: clusterStates.failed });
    store.dispatch({ type: 'cluster.removed', id: aCluster.id });
    assert.deepEqual(seen, ['cluster.state', 'target', 'active', 'cluster.removed']);
    assert.equal(store.snapshot.activeClusterId, undefined);
  });

  it('tells listeners after the change, until they leave', () => {
    const store = new Store();
    const seen: string[] = [];
    const listening = store.onDidChange((event) => seen.push(`${event.type} ${store.snapshot.runs.size}`));
    store.dispatch({ type: 'run.added', run: aRun });
    listening.dispose();
    listening.dispose();
    store.dispatch({ type: 'run.removed', id: aRun.id });
    assert.deepEqual(seen, ['run.added 1']);
    assert.equal(store.snapshot.runs.size, 0);
  });
});
