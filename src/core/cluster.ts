import type { Failure } from './failure.ts';
import { formatClock } from './format.ts';
import type { ClusterMember } from './members.ts';
import type { PodScheduler } from './podScheduler.ts';
import type { Drain, ScaleEvent, Scaling } from './scaling.ts';
import type { SchedulerInfo } from './schedulerInfo.ts';

/** Temporary: made for one run, gone after it. Static: stays until someone stops it. */
export type Lifetime = 'temporary' | 'static';

/** Owned: we made it, so we clean it up. Attached and discovered: other people's, never changed unasked. */
export type Ownership = 'owned' | 'attached' | 'discovered';

/** Times are milliseconds since the epoch. */
export type ClusterState =
  /** Known of, and not connected to. */
  | { readonly kind: 'seen'; readonly sinceMs: number; readonly text: string }
  | { readonly kind: 'starting'; readonly sinceMs: number; readonly stage: string }
  | {
      readonly kind: 'running';
      readonly sinceMs: number;
      readonly address: string;
      readonly dashboard: string | null;
      /** How long its start has taken, if it has just been started from here. */
      readonly startupMs?: number;
    }
  | {
      readonly kind: 'lost';
      readonly sinceMs: number;
      readonly address: string;
      readonly dashboard: string | null;
      readonly reason: string;
    }
  | { readonly kind: 'stopping'; readonly sinceMs: number }
  | { readonly kind: 'stopped'; readonly sinceMs: number }
  | { readonly kind: 'failed'; readonly sinceMs: number; readonly failure: Failure };

/** What happened to a worker of a cluster unasked. */
export interface WorkerIncident {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** The worker's name; none if it is about a task that took several with it. */
  readonly worker?: string;
  /** A sentence: `worker 1 was killed (signal 9) while working on load`. */
  readonly message: string;
  /** Whether another has taken its place since. */
  readonly restarted: boolean;
}

/** Whose a cluster is that was found on this machine. */
export interface Origin {
  /** Of its scheduler. */
  readonly pid: number;
  /** What runs in that process: `etl.py`, `Jupyter`, `dask scheduler`. */
  readonly what: string;
  /** Where it was started, if that is known. */
  readonly folder?: string | undefined;
  readonly user: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Another window of this editor has started it. */
  readonly otherWindow: boolean;
}

export interface Cluster {
  readonly id: string;
  readonly name: string;
  /** Name of the executor that it was made from; its own for clusters of others. */
  readonly executor: string;
  readonly lifetime: Lifetime;
  readonly ownership: Ownership;
  readonly state: ClusterState;
  /** A static one that stays when its window closes ends by itself after so many idle seconds. */
  readonly idleSeconds?: number;
  /** The run that a temporary cluster is for. */
  readonly runId?: string;
  /** Of one that was discovered on this machine. */
  readonly origin?: Origin;
  /** Of one that was discovered on Kubernetes, attached or not. */
  readonly pods?: PodScheduler;
  /** What its scheduler last said. */
  readonly info?: SchedulerInfo;
  /** The containers that it consists of, as their engine tells; absent where there are none. */
  readonly members?: readonly ClusterMember[];
  /** The last few, oldest first. */
  readonly incidents?: readonly WorkerIncident[];
  /** How many workers it shall have; absent where that is not ours to say, or as it was started. */
  readonly scaling?: Scaling;
  /** What it was asked to become: the last few, oldest first. */
  readonly scaleEvents?: readonly ScaleEvent[];
  /** Workers that are being retired from here. */
  readonly drains?: readonly Drain[];
  /** When it was last looked at before a run, and what spoke against it. */
  readonly checked?: { readonly atMs: number; readonly messages: readonly string[] };
}

const next: Record<ClusterState['kind'], readonly ClusterState['kind'][]> = {
  seen: ['seen', 'stopped'],
  starting: ['starting', 'running', 'lost', 'failed', 'stopping', 'stopped'],
  running: ['stopping', 'lost', 'failed', 'stopped'],
  lost: ['running', 'lost', 'failed', 'stopping', 'stopped'],
  stopping: ['stopped', 'failed'],
  stopped: [],
  failed: [],
};

/** The cluster in its new state. Throws on a step that the life cycle does not have: that is a bug of ours. */
export function advanceCluster(cluster: Cluster, state: ClusterState): Cluster {
  if (!next[cluster.state.kind].includes(state.kind)) {
    throw new Error(`cluster ${cluster.id}: ${cluster.state.kind} cannot become ${state.kind}`);
  }
  return { ...cluster, state };
}

const keptIncidents = 5;

/** The cluster with one more incident. */
export function withIncident(cluster: Cluster, incident: WorkerIncident): Cluster {
  return { ...cluster, incidents: [...(cluster.incidents ?? []), incident].slice(-keptIncidents) };
}

const keptScaleEvents = 3;

/** The cluster with one more step of its size. */
export function withScaleEvent(cluster: Cluster, event: ScaleEvent): Cluster {
  return { ...cluster, scaleEvents: [...(cluster.scaleEvents ?? []), event].slice(-keptScaleEvents) };
}

/** The cluster with a drain as it stands now, or, if `drain` is undefined, without the one of this worker. */
export function withDrain(cluster: Cluster, worker: string, drain: Drain | undefined): Cluster {
  const others = (cluster.drains ?? []).filter((one) => one.worker !== worker);
  return { ...cluster, drains: drain ? [...others, drain] : others };
}

/** The cluster after a worker of that name has come back, from however many deaths: its incidents say so. */
export function withRestart(cluster: Cluster, worker: string): Cluster {
  const incidents = (cluster.incidents ?? []).map((incident) =>
    incident.worker === worker ? { ...incident, restarted: true } : incident,
  );
  return { ...cluster, incidents };
}

/** An incident in one line, with its time last: `worker 1 was killed (signal 9), restarted · 10:41`. */
export function incidentText({ message, restarted, atMs }: WorkerIncident): string {
  return `${message}${restarted ? ', restarted' : ''} · ${formatClock(atMs)}`;
}

/**
 * URL of the dashboard beside a scheduler; null if it has none. Dask serves it on the scheduler's own host, which nobody
 * knows behind the proxy of a gateway.
 */
export function dashboardUrl(address: string, port: number | undefined): string | null {
  const host = /^(?!gateway:)[a-z]+:\/\/(\[[^\]]+\]|[^:/]+)/.exec(address)?.[1];
  return host && port ? `http://${host}:${port}/status` : null;
}

/** The name, or where one of the clusters has it the first free one after it: `prod 2`. */
export function freeName(name: string, clusters: Iterable<Pick<Cluster, 'name'>>): string {
  const taken = new Set([...clusters].map((cluster) => cluster.name));
  let free = name;
  for (let n = 2; taken.has(free); n += 1) free = `${name} ${n}`;
  return free;
}

/** Whether it may still hold processes. */
export function isLive(cluster: Cluster): boolean {
  return cluster.state.kind !== 'stopped' && cluster.state.kind !== 'failed';
}
