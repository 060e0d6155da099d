import type { Lifetime } from './cluster.ts';
import type { Disposable } from './emitter.ts';
import type { Executor } from './executor.ts';
import type { MembersListener } from './members.ts';
import type { AdaptLimits, ScalingNews } from './scaling.ts';
import type { Security } from './security.ts';
import type { TaskState } from './tasks.ts';

/** How a cluster ended by itself: `closed` in order, else why it died. */
export type ClusterExit =
  | { readonly how: 'closed' }
  | { readonly how: 'died'; readonly message: string; readonly detail?: string };

/** Task name → state → how many. */
export type TaskNumbers = Readonly<Record<string, Readonly<Partial<Record<TaskState, number>>>>>;

/** What happened to a worker unasked. `gave-up`: a task that took too many workers with it fails; none is named. */
export interface WorkerNews {
  readonly what: 'died' | 'restarted' | 'lost' | 'gave-up';
  readonly name?: string;
  readonly message: string;
}

/** By what a later window takes up a cluster that outlives the one that started it. */
export interface Keepsake {
  /** Of the executor: which back end takes it up. */
  readonly kind: 'docker' | 'kubernetes';
  /** Unique among all of its kind. */
  readonly id: string;
  /** All that it takes, keys included: to be kept where secrets are. */
  readonly secret: string;
}

/** A cluster that runs can use: one that a back end runs for us, or somebody else's. */
export interface ClusterHandle {
  /** Scheduler address, as clients outside the cluster reach it. */
  readonly address: string;
  /** URL of the dashboard, null if it has none. */
  readonly dashboard: string | null;
  /** Certificates that its scheduler asks of clients; absent without TLS. */
  readonly security?: Security;
  /** How many workers it starts with, or keeps at least where it adapts; absent for clusters of others. */
  readonly workers?: number;
  /** Resolves once, when the cluster is gone for whatever reason. */
  readonly finished: Promise<ClusterExit>;
  /** Python and packages of the workers, by name; absent if not known. Clients of other versions may fail. */
  readonly versions?: Readonly<Record<string, string>>;
  /** Packages that runs may need and that its workers do not have; absent if nobody has looked. */
  readonly missing?: readonly string[];
  /** What those who run something there should know of it. */
  readonly notes?: readonly string[];
  /** Hears of the tasks of one run, counted in the scheduler. Absent: this cluster cannot count. */
  onTasks?(runId: string, listener: (groups: TaskNumbers) => void): Disposable;
  /**
   * Sets a fixed number of workers. Resolves when that is asked for, which they follow; rejects with a UserError if
   * it is refused. Absent, as the next ones: that is not ours to change.
   */
  scale?(workers: number): Promise<void>;
  /** Has it as many workers as the work asks for, within limits. */
  adapt?(limits: AdaptLimits): Promise<void>;
  /** Forgets a worker, by its name, that has retired: it is not to be started again. */
  drop?(name: string): Promise<void>;
  /** Lets a worker, by its address, that was to retire take tasks again. */
  resume?(worker: string): Promise<void>;
  /**
   * Lets its workers reach a port of this machine's loopback under the same number on theirs. Absent: theirs is this
   * machine's, or that is not ours to change.
   */
  reach?(port: number): Promise<void>;
  /** As it stands now. Absent, as the next one: it ends with its window. */
  keepsake?(): Keepsake;
  /** Lets go of it without ending it: another window may take it up. */
  leave?(): void;
  /**
   * Ends it and resolves when nothing of it is left. `force` kills at once; otherwise workers may say goodbye.
   * Closing twice is harmless.
   */
  close(options: { force: boolean }): Promise<void>;
}

/** Folder, import path and terminal of the workers of a cluster on this machine. */
export interface Inheritance {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Goes in front of Python's `sys.path`. */
  readonly path?: readonly string[];
  /** Where what they print goes: a loopback port of ours and a secret that names the receiver. */
  readonly output?: { readonly port: number; readonly token: string };
}

/** All that a back end may know of the outside while it starts a cluster. */
export interface BackendContext {
  /** Unique name for what it makes. */
  readonly clusterId: string;
  readonly lifetime: Lifetime;
  readonly signal: AbortSignal;
  /** What its workers inherit, as if the user's own script had started it. */
  readonly inherit: Inheritance;
  /** Says in a few words what is being waited for. */
  stage(text: string): void;
  /** Tells what happens to its workers, as long as it lives. */
  worker(news: WorkerNews): void;
  /** Tells how many workers it shall have, as long as it lives. */
  scaling(news: ScalingNews): void;
  /** Tells of all its containers whenever one changes; clusters without any say nothing. Absent: nobody listens. */
  readonly members?: MembersListener;
}

/** A kind of place where clusters can live. A start that fails or is aborted removes what it made. */
export interface Backend<E extends Executor = Executor> {
  start(executor: E, context: BackendContext): Promise<ClusterHandle>;
  /**
   * Takes up a cluster that another window has started or left. Undefined if it is gone, and then nothing of it is left;
   * rejects if that can't be told now. Absent: all end with their window.
   */
  adopt?(keepsake: Keepsake, context: BackendContext): Promise<ClusterHandle | undefined>;
}
