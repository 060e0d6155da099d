import type { Cluster, Lifetime } from './cluster.ts';
import type { Failure } from './failure.ts';
import type { FlowDef } from './flow.ts';
import type { TaskGroup } from './tasks.ts';

/** Times are milliseconds since the epoch. */
export type RunState =
  | { readonly kind: 'queued'; readonly stage: string }
  | { readonly kind: 'running'; readonly startedMs: number; readonly stage?: string }
  | { readonly kind: 'cancelling'; readonly startedMs?: number; readonly forced: boolean }
  | {
      readonly kind: 'completed';
      readonly startedMs: number;
      readonly endedMs: number;
      readonly result?: string;
    }
  | {
      readonly kind: 'failed';
      readonly startedMs?: number;
      readonly endedMs: number;
      readonly failure: Failure;
    }
  | { readonly kind: 'cancelled'; readonly startedMs?: number; readonly endedMs: number }
  | {
      readonly kind: 'crashed';
      readonly startedMs?: number;
      readonly endedMs: number;
      readonly failure: Failure;
    };

/** What is kept of the cluster of a run, which the cluster itself does not outlive. */
export interface ClusterUse {
  /** Name of the executor that it was made from. */
  readonly executor: string;
  readonly lifetime: Lifetime;
  /** When it came up, milliseconds since the epoch: ids of clusters are used again in later windows. */
  readonly upSinceMs: number;
  /** How long its start took, in milliseconds; absent if it was found running. */
  readonly startupMs?: number;
  /** How many workers it keeps; absent if that is not known, or changes with the work. */
  readonly workers?: number;
}

/** One execution of a flow on a cluster. */
export interface Run {
  readonly id: string;
  /** Document URI of the flow's file. */
  readonly uri: string;
  readonly flow: FlowDef;
  readonly executor: string;
  /** Absent: it runs without a cluster. */
  readonly clusterId?: string;
  /** Of a cluster of ours, from when it runs there; runs of older versions have none. */
  readonly clusterUse?: ClusterUse;
  /** What the user gave, secrets hidden; the flow's own defaults are not among them. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly createdMs: number;
  readonly state: RunState;
  readonly tasks: readonly TaskGroup[];
  /** What the runner or Prefect had to say besides states, newest last. */
  readonly notes: readonly string[];
  /** Modules that its tasks use and workers lacked when it began; absent: none, or not looked at. */
  readonly missing?: readonly string[];
}

const next: Record<RunState['kind'], readonly RunState['kind'][]> = {
  queued: ['queued', 'running', 'cancelling', 'cancelled', 'failed', 'crashed'],
  running: ['running', 'cancelling', 'completed', 'failed', 'cancelled', 'crashed'],
  cancelling: ['cancelling', 'cancelled', 'completed', 'failed', 'crashed'],
  completed: [],
  failed: [],
  cancelled: [],
  crashed: [],
};

/** The run in its new state. Throws on a step that the life cycle does not have: that is a bug of ours. */
export function advanceRun(run: Run, state: RunState): Run {
  if (!next[run.state.kind].includes(state.kind)) {
    throw new Error(`run ${run.id}: ${run.state.kind} cannot become ${state.kind}`);
  }
  return { ...run, state };
}

/** The run with what is to be kept of its cluster, once it runs there. Clusters of others are not ours to judge. */
export function withClusterUse(run: Run, cluster: Cluster | undefined): Run {
  if (run.clusterUse || run.state.kind === 'queued') return run;
  if (cluster?.ownership !== 'owned' || cluster.state.kind !== 'running') return run;
  const { executor, lifetime, scaling, info } = cluster;
  const { sinceMs: upSinceMs, startupMs } = cluster.state;
  const clusterUse = {
    ...{ executor, lifetime, upSinceMs },
    ...(startupMs !== undefined && { startupMs }),
    ...(info && !scaling?.adaptive && { workers: info.workers.length }),
  };
  return { ...run, clusterUse };
}

/** Whether the run has reached an end state. */
export function isOver(run: Run): boolean {
  return next[run.state.kind].length === 0;
}

/** How long the run has taken so far, or took, in milliseconds; undefined if it never started. */
export function runDurationMs(run: Run, nowMs: number): number | undefined {
  const { state } = run;
  if (state.kind === 'queued' || state.startedMs === undefined) return undefined;
  return ('endedMs' in state ? state.endedMs : nowMs) - state.startedMs;
}
