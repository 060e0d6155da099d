/** A task that the scheduler has assigned to a worker: it runs there, or waits there for a thread. */
export interface WorkerTask {
  readonly key: string;
  /** The key without its unique part, as Dask groups tasks by: `transform-3f2c…` is `transform`. */
  readonly prefix: string;
  /** The run that it is of, where the key tells. */
  readonly run?: string;
}

/** Tasks that a worker holds, of one name and of one run as far as the keys tell. */
export interface HeldTasks {
  readonly prefix: string;
  readonly run?: string;
  readonly count: number;
}

/** Who is connected to a scheduler as a client. */
export interface ClientList {
  /** Their ids as Dask makes them, `Client-<uuid>`; a client may bear a name in it. */
  readonly ids: readonly string[];
  /** Whether there may be more: the scheduler remembers the last events only. */
  readonly partial: boolean;
}

/** A worker as its scheduler sees it. Figures come from the worker's last heartbeat (0.5–1 s old). */
export interface WorkerInfo {
  /** Where it listens, `tcp://127.0.0.1:40123`. Unique in its scheduler. */
  readonly address: string;
  /** The name it was given (`0`, `worker-a`), its address if none. */
  readonly name: string;
  readonly host: string;
  /** Dask's own word: `running`, `paused`, `closing_gracefully`, `closing`, `init`, … */
  readonly status: string;
  readonly threads: number;
  /** Of one core: 200 is two cores busy. */
  readonly cpuPercent: number;
  readonly memoryBytes: number;
  /** 0 if it has no limit. */
  readonly memoryLimitBytes: number;
  /** Tasks in its threads now. */
  readonly executing: number;
  /** Tasks that have all they need and wait for a thread. */
  readonly ready: number;
  /** Results it holds. */
  readonly inMemory: number;
  /** Tasks assigned to it: executing, ready and waiting for data. */
  readonly processing: number;
  /** The first few of the assigned tasks, oldest first; empty when there are too many to ask for. */
  readonly tasks: readonly WorkerTask[];
  /** All of the assigned tasks, counted; absent when there are too many to ask for. */
  readonly held?: readonly HeldTasks[];
  /** Address of the nanny that restarts it, if it has one. */
  readonly nanny: string | undefined;
  /** When it was last heard of, milliseconds since the epoch (the scheduler's clock). */
  readonly lastSeenMs: number;
}

/** How many tasks are in which state. Dask's `queued` tasks are not counted by it before they are assigned. */
export interface TaskCounts {
  readonly waiting: number;
  readonly processing: number;
  readonly memory: number;
  readonly erred: number;
  readonly released: number;
}

/** The counts of all tasks of one name. */
export interface TaskPrefixInfo extends TaskCounts {
  readonly name: string;
}

/** One look at a scheduler: plain data, safe to keep and compare. */
export interface SchedulerInfo {
  /** As asked for, `tcp://127.0.0.1:8786`. */
  readonly address: string;
  /** Unique for the life of a scheduler: a new one means that it was restarted. */
  readonly id: string;
  /** Port of its dashboard on the scheduler's host, if it has one. */
  readonly dashboardPort: number | undefined;
  /** Milliseconds since the epoch (the scheduler's clock). */
  readonly startedAtMs: number;
  /** Version of `distributed`, once known. */
  readonly version: string | undefined;
  /** In the scheduler's order, that is, by arrival. */
  readonly workers: readonly WorkerInfo[];
  readonly prefixes: readonly TaskPrefixInfo[];
  readonly totals: SchedulerTotals;
  /** Looked up now and then; absent before that, and where the scheduler does not tell. */
  readonly clients?: ClientList;
}

/** Sums over workers and prefixes. */
export interface SchedulerTotals {
  readonly threads: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly tasks: TaskCounts;
}
