import {
  advanceCluster,
  type Cluster,
  type ClusterState,
  isLive,
  type WorkerIncident,
  withDrain,
  withIncident,
  withRestart,
  withScaleEvent,
} from './cluster.ts';
import { type Disposable, Emitter } from './emitter.ts';
import { builtinExecutor, type ExecutorSet } from './executor.ts';
import type { ClusterMember } from './members.ts';
import { advanceRun, type Run, type RunState, withClusterUse } from './run.ts';
import type { Drain, ScaleEvent, Scaling } from './scaling.ts';
import type { SchedulerInfo } from './schedulerInfo.ts';
import type { TaskGroup } from './tasks.ts';

/** All that the views show, at one moment. Never changed in place. */
export interface Snapshot {
  readonly clusters: ReadonlyMap<string, Cluster>;
  /** By age, oldest first. */
  readonly runs: ReadonlyMap<string, Run>;
  readonly executors: ExecutorSet;
  /** Static cluster that runs use instead of the default executor, if the user chose one. */
  readonly targetClusterId: string | undefined;
  /** Cluster that new terminals connect to, if the user chose one. */
  readonly activeClusterId: string | undefined;
}

export type StoreEvent =
  | { readonly type: 'cluster.added'; readonly cluster: Cluster }
  | { readonly type: 'cluster.state'; readonly id: string; readonly state: ClusterState }
  | { readonly type: 'cluster.info'; readonly id: string; readonly info: SchedulerInfo }
  | { readonly type: 'cluster.members'; readonly id: string; readonly members: readonly ClusterMember[] }
  | { readonly type: 'cluster.incident'; readonly id: string; readonly incident: WorkerIncident }
  | { readonly type: 'cluster.restarted'; readonly id: string; readonly worker: string }
  | { readonly type: 'cluster.scaling'; readonly id: string; readonly scaling: Scaling }
  | { readonly type: 'cluster.scaled'; readonly id: string; readonly event: ScaleEvent }
  /** Without a drain: that of this worker is over. */
  | { readonly type: 'cluster.drain'; readonly id: string; readonly worker: string; readonly drain?: Drain }
  | {
      readonly type: 'cluster.checked';
      readonly id: string;
      readonly checked: NonNullable<Cluster['checked']>;
    }
  | { readonly type: 'cluster.removed'; readonly id: string }
  | { readonly type: 'run.added'; readonly run: Run }
  | { readonly type: 'run.state'; readonly id: string; readonly state: RunState }
  | { readonly type: 'run.tasks'; readonly id: string; readonly tasks: readonly TaskGroup[] }
  | { readonly type: 'run.note'; readonly id: string; readonly text: string }
  | { readonly type: 'run.removed'; readonly id: string }
  | { readonly type: 'executors'; readonly executors: ExecutorSet }
  | { readonly type: 'target'; readonly clusterId: string | undefined }
  | { readonly type: 'active'; readonly clusterId: string | undefined };

/** A task that kills workers for hours must not fill the memory with notes. */
const keptNotes = 50;

/** What there is before anything happened. */
export const emptySnapshot: Snapshot = {
  clusters: new Map(),
  runs: new Map(),
  executors: { executors: [builtinExecutor], defaultName: builtinExecutor.name, problems: [] },
  targetClusterId: undefined,
  activeClusterId: undefined,
};

/** The cluster that a run uses, undefined once that has gone or if it needs none. */
export function clusterOf({ clusters }: Snapshot, { clusterId }: Run): Cluster | undefined {
  return clusterId === undefined ? undefined : clusters.get(clusterId);
}

/** The snapshot after an event. Pure; throws on an unknown id or a step that a life cycle does not have. */
export function reduce(snapshot: Snapshot, event: StoreEvent): Snapshot {
  switch (event.type) {
    case 'cluster.added':
      return { ...snapshot, clusters: put(snapshot.clusters, event.cluster) };
    case 'cluster.state': {
      const cluster = advanceCluster(get(snapshot.clusters, event.id), event.state);
      const clusters = put(snapshot.clusters, cluster);
      // Runs must not go on being sent to a cluster that has died, nor terminals told of it.
      return { ...(isLive(cluster) ? snapshot : unchoose(snapshot, event.id)), clusters };
    }
    case 'cluster.info':
      return {
        ...snapshot,
        clusters: put(snapshot.clusters, { ...get(snapshot.clusters, event.id), info: event.info }),
      };
    case 'cluster.members': {
      const cluster = { ...get(snapshot.clusters, event.id), members: event.members };
      return { ...snapshot, clusters: put(snapshot.clusters, cluster) };
    }
    case 'cluster.incident':
      return {
        ...snapshot,
        clusters: put(snapshot.clusters, withIncident(get(snapshot.clusters, event.id), event.incident)),
      };
    case 'cluster.restarted':
      return {
        ...snapshot,
        clusters: put(snapshot.clusters, withRestart(get(snapshot.clusters, event.id), event.worker)),
      };
    case 'cluster.scaling':
      return {
        ...snapshot,
        clusters: put(snapshot.clusters, { ...get(snapshot.clusters, event.id), scaling: event.scaling }),
      };
    case 'cluster.scaled':
      return {
        ...snapshot,
        clusters: put(snapshot.clusters, withScaleEvent(get(snapshot.clusters, event.id), event.event)),
      };
    case 'cluster.drain':
      return {
        ...snapshot,
        clusters: put(
          snapshot.clusters,
          withDrain(get(snapshot.clusters, event.id), event.worker, event.drain),
        ),
      };
    case 'cluster.checked': {
      const cluster = { ...get(snapshot.clusters, event.id), checked: event.checked };
      return { ...snapshot, clusters: put(snapshot.clusters, cluster) };
    }
    case 'cluster.removed':
      return { ...unchoose(snapshot, event.id), clusters: drop(snapshot.clusters, event.id) };
    case 'run.added':
      return { ...snapshot, runs: put(snapshot.runs, event.run) };
    case 'run.state': {
      const run = advanceRun(get(snapshot.runs, event.id), event.state);
      return { ...snapshot, runs: put(snapshot.runs, withClusterUse(run, clusterOf(snapshot, run))) };
    }
    case 'run.tasks':
      return {
        ...snapshot,
        runs: put(snapshot.runs, { ...get(snapshot.runs, event.id), tasks: event.tasks }),
      };
    case 'run.note': {
      const run = get(snapshot.runs, event.id);
      return {
        ...snapshot,
        runs: put(snapshot.runs, { ...run, notes: [...run.notes, event.text].slice(-keptNotes) }),
      };
    }
    case 'run.removed':
      return { ...snapshot, runs: drop(snapshot.runs, event.id) };
    case 'executors':
      return { ...snapshot, executors: event.executors };
    case 'target':
      return { ...snapshot, targetClusterId: event.clusterId };
    case 'active':
      return { ...snapshot, activeClusterId: event.clusterId };
    default:
      return event satisfies never;
  }
}

function unchoose(snapshot: Snapshot, clusterId: string): Snapshot {
  const left = (chosen: string | undefined) => (chosen === clusterId ? undefined : chosen);
  const { targetClusterId, activeClusterId } = snapshot;
  return { ...snapshot, targetClusterId: left(targetClusterId), activeClusterId: left(activeClusterId) };
}

function get<T>(map: ReadonlyMap<string, T>, id: string): T {
  const value = map.get(id);
  if (value === undefined) throw new Error(`nothing is called ${id}`);
  return value;
}

function put<T extends { readonly id: string }>(
  map: ReadonlyMap<string, T>,
  value: T,
): ReadonlyMap<string, T> {
  return new Map(map).set(value.id, value);
}

function drop<T>(map: ReadonlyMap<string, T>, id: string): ReadonlyMap<string, T> {
  const copy = new Map(map);
  copy.delete(id);
  return copy;
}

/** The one place where the product's state is kept. Writers dispatch, readers take the snapshot. */
export class Store {
  #snapshot: Snapshot = emptySnapshot;
  readonly #changed = new Emitter<StoreEvent>();

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  dispatch(event: StoreEvent): void {
    const { targetClusterId, activeClusterId } = this.#snapshot;
    this.#snapshot = reduce(this.#snapshot, event);
    const target: StoreEvent = { type: 'target', clusterId: this.#snapshot.targetClusterId };
    const active: StoreEvent = { type: 'active', clusterId: this.#snapshot.activeClusterId };
    this.#changed.fire(event);
    // Whoever shows what runs and terminals use need not know which other events change it.
    if (event.type !== 'target' && target.clusterId !== targetClusterId) this.#changed.fire(target);
    if (event.type !== 'active' && active.clusterId !== activeClusterId) this.#changed.fire(active);
  }

  /** Calls `listener` after each event, with the snapshot already new. */
  onDidChange(listener: (event: StoreEvent) => void): Disposable {
    return this.#changed.on(listener);
  }
}
