/**
 * What a look at a cluster has found, before anybody judges it. Names of fields are those of the wire: the Python side
 * (`src/python/flow_clusters/preflight`) fills them in.
 */
export interface PreflightFacts {
  readonly ours: Environment & {
    /** Of this machine, on the way to the scheduler. */ readonly host?: string | null;
  };
  /** Why the scheduler could not be asked; then there is no more than `ours` and `needs`. */
  readonly problem?: string;
  readonly scheduler?: SchedulerFacts;
  readonly workers: readonly WorkerFacts[];
  /** Null without a flow. */
  readonly needs: FlowNeeds | null;
  /** Null where no Prefect API is needed. */
  readonly api?: ApiFacts | null;
  /** What to install for a module that is missing somewhere: `pandas==2.2.3` where it is installed here. */
  readonly distributions?: Readonly<Record<string, string>>;
  /** How long the look took. */
  readonly seconds: number;
}

/** An interpreter; fields are absent where it could not be asked. */
export interface Environment {
  /** `3.11.7`. */
  readonly python?: string;
  /** Path of the interpreter on its own machine. */
  readonly executable?: string;
  /** Distribution → version, of those that matter and are installed. */
  readonly packages?: Readonly<Record<string, string>> | null;
}

/** What a scheduler or a worker has said, or why it has not: it forbids to be asked, or does not answer. */
export interface Answer extends Environment {
  /** Modules that the flow needs and that cannot be found there. */
  readonly missing?: readonly string[] | null;
  readonly error?: 'forbidden' | 'silent' | 'other';
  readonly text?: string;
}

export interface SchedulerFacts extends Answer {
  /** Clients that are connected → how many results they want. */
  readonly clients?: Readonly<Record<string, number>>;
  /** Tasks that wait in the scheduler because no worker has room for them, or none fits. */
  readonly held?: number;
}

export interface WorkerFacts extends Answer {
  readonly address: string;
  readonly name: string;
  readonly host: string;
  /** Dask's own word; `unknown` from schedulers before 2022.8. */
  readonly status: string;
  readonly threads: number;
  /** Tasks that are assigned to it. */
  readonly busy: number;
  /** Bytes. */
  readonly memory: number;
  /** Bytes; 0 without a limit. */
  readonly memory_limit: number;
  readonly resources: Readonly<Record<string, number>>;
  /** Null: it reaches the Prefect API. Text: why not. Absent: it was not asked to try. */
  readonly api?: string | null;
}

/** A place in the user's source; the line is one-based. */
export interface SourcePlace {
  readonly file: string;
  readonly line: number;
}

export interface NeededModule extends SourcePlace {
  /** As far as it is one distribution's: `pandas`, `google.cloud.storage`. */
  readonly name: string;
  /**
   * `tasks`: functions that may travel to workers use it. `script`: code of a plain script that runs here, but its data
   * may travel. `main`: only code that runs here.
   */
  readonly use: 'tasks' | 'script' | 'main';
  /** Imported in functions only. */
  readonly inside: boolean;
  /** Whether it is installed for the interpreter that runs flows. */
  readonly here: boolean;
}

/** What single tasks ask for: no worker that offers less takes them. */
export interface NeededResources extends SourcePlace {
  readonly amounts: Readonly<Record<string, number>>;
}

export interface FlowNeeds {
  readonly modules: readonly NeededModule[];
  readonly resources: readonly NeededResources[];
  /** The workspace's own modules that the flow imports. */
  readonly workspace: readonly string[];
  /** There was too much source to read all of it. */
  readonly partial: boolean;
}

export interface ApiFacts {
  /** Null: a server of ours that has yet to start, on this machine's loopback. */
  readonly url: string | null;
  /** Beside the host, not one that the user's settings name. */
  readonly ours: boolean;
  /** Null: this machine reaches it. Text: why not. Absent: nobody has tried. */
  readonly here?: string | null;
}
