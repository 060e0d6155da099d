/**
 * The wire between the extension and the cluster host (`src/python/cluster_host.py`), the user's own
 * interpreter kept warm: one JSON object a line, requests on its stdin, events on its stdout. Its stderr is
 * log text. When its stdin ends it closes every cluster and run that it started, then leaves.
 */

import type { TaskNumbers } from '../core/backend.ts';
import type { ClassDescription } from '../core/classArguments.ts';
import type { FlowApiId } from '../core/flow.ts';
import type { PreflightFacts } from '../core/preflight/facts.ts';
import type { ScaleStep } from '../core/scaling.ts';
import type { Security } from '../core/security.ts';
import type { TaskState } from '../core/tasks.ts';

/** First argument of the host's command line, as JSON. */
export interface HostConfig {
  /**
   * Folder of ours for everything the host writes (spill folders, sockets); at most 80 bytes of path, as a
   * socket's name must fit. The host makes it and removes it, even when it is killed itself (its guardian does).
   */
  readonly directory: string;
  /** The workspace folder: where Prefect's settings files are looked for. */
  readonly workspace: string;
  /**
   * A folder that outlives the host: it remembers there which modules runs import late, and imports them early
   * the next time. Absent: it learns anew with every start.
   */
  readonly cache?: string;
  /** `fork` where processes can be forked from the preloaded one, `spawn` elsewhere; default by platform. */
  readonly mode?: 'fork' | 'spawn';
}

/** Options of `LocalCluster` under Dask's own names; what is absent is Dask's default. */
export interface LocalClusterOptions {
  readonly n_workers?: number;
  readonly threads_per_worker?: number;
  /** False: worker threads in the one process of the cluster. */
  readonly processes?: boolean;
  /** As Dask reads it: `auto`, a number of bytes, a fraction, or text such as `4GiB`; per worker. */
  readonly memory_limit?: string | number;
  /** 0 or absent: any free port. */
  readonly scheduler_port?: number;
  /** Absent: any free loopback port; null: no dashboard. */
  readonly dashboard_address?: string | null;
}

/** A cluster of a class that the user names, or of a function that makes one: called as Prefect calls it in a flow. */
export interface ClusterClassOrder {
  /** Its import path. */
  readonly path: string;
  /** Values beside JSON's are `{"$import": path, "args": […], "kwargs": {…}}`. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** What its `scale` is called with then. */
  readonly n_workers?: number;
  /** Seconds that it has until it is there. */
  readonly start_timeout: number;
  /** What `prefect.context.image` of Prefect 1 is for a function. */
  readonly image?: string;
}

/** Why a cluster class can't be used. */
export interface ClassRefusal {
  readonly kind:
    | 'module-missing'
    | 'attribute-missing'
    | 'import-failed'
    | 'arguments'
    | 'value'
    | 'not-a-cluster'
    | 'no-scaling'
    | 'address'
    /** It has raised an exception. */
    | 'class-failed'
    | 'timeout';
  readonly message: string;
  readonly hint?: string;
  readonly traceback?: string;
  /** Top-level module that is not there. */
  readonly module?: string;
  /** Where in the user's own code, if it was there; the line is one-based. */
  readonly file?: string;
  readonly line?: number;
}

/** What a gateway tells of a cluster of it. */
export interface GatewayCluster {
  /** URL; null if there is none. */
  readonly dashboard: string | null;
  /** PEM texts. */
  readonly security: Security;
}

export type HostRequest =
  /** Compiles the file without running it; answered by `checked`. */
  | { readonly op: 'check'; readonly id: string; readonly file: string }
  | {
      readonly op: 'cluster.start';
      readonly cluster: string;
      /** Of a `LocalCluster`. */
      readonly options?: LocalClusterOptions;
      /**
       * Instead: a cluster of this class. However it ends, its `close` gets up to 30 s, as what it has made elsewhere only
       * that can end: a `cluster.close` does not kill it before, and neither does the end of the host.
       */
      readonly class?: ClusterClassOrder;
      /** As for `LocalCluster.adapt`: the number of workers follows the work; `n_workers` is the start size. */
      readonly adapt?: { readonly minimum?: number | null; readonly maximum?: number | null };
      /** What workers inherit when a script starts its own cluster: its folder, environment and import path. */
      readonly cwd?: string;
      readonly env?: Readonly<Record<string, string>>;
      /** Goes in front of `sys.path`: the folder of the flow's file. */
      readonly path?: readonly string[];
      /**
       * Where what workers print goes: the cluster connects once and sends the line `<token> output`. Absent: to
       * the host's stderr.
       */
      readonly output?: { readonly port: number; readonly token: string };
    }
  /** `force`: kill at once instead of closing; used by a forced cancel. Answered by `cluster.ended`. */
  | { readonly op: 'cluster.close'; readonly cluster: string; readonly force: boolean }
  /** A fixed number of workers. Answered, as the next ones, by `cluster.scaling` with this id, or `error`. */
  | {
      readonly op: 'cluster.scale';
      readonly cluster: string;
      readonly id: string;
      readonly n_workers: number;
    }
  /** As many workers as the work asks for; null: no such limit. */
  | {
      readonly op: 'cluster.adapt';
      readonly cluster: string;
      readonly id: string;
      readonly minimum: number | null;
      readonly maximum: number | null;
    }
  /** The worker of this name has retired: it is not to be started again. */
  | { readonly op: 'cluster.drop'; readonly cluster: string; readonly id: string; readonly name: string }
  /** The worker at this address, which was to retire, shall take tasks again. */
  | { readonly op: 'cluster.resume'; readonly cluster: string; readonly id: string; readonly worker: string }
  | { readonly op: 'run.start'; readonly spec: RunSpec }
  /**
   * Kills the run's process group. `record`: the user has cancelled, so a flow run that a Prefect API knows of is
   * recorded as Cancelled there unless it has ended. A gentle stop goes over the run's own channel.
   */
  | { readonly op: 'run.kill'; readonly run: string; readonly record: boolean }
  /**
   * Reads the user's Prefect settings anew, and makes sure that a server of ours is up if they name none (2 and 3
   * only); answered by `prefect.server`.
   */
  | { readonly op: 'prefect.start' }
  /** Looks at a cluster before a run: answered once, by `preflight` or `error` of this id. */
  | ({ readonly op: 'preflight'; readonly id: string } & PreflightQuestion)
  /** Imports what is at the path, in a process of its own; answered by `class.described` or `error` of this id. */
  | {
      readonly op: 'class.describe';
      readonly id: string;
      readonly path: string;
      /** What it is to be called with: by that, a gateway tells the options that its administrator has made. */
      readonly kwargs?: Readonly<Record<string, unknown>>;
    }
  /**
   * Asks the gateway of a cluster that is there for what clients of it need, in a process of its own; answered by
   * `gateway.told` or `error` of this id.
   */
  | {
      readonly op: 'gateway.cluster';
      readonly id: string;
      /** `gateway://host:port/cluster` */
      readonly address: string;
      /** What gateways may be reached by, as `cluster_kwargs` have it, before what Dask is configured with. */
      readonly gateways: readonly Readonly<Record<string, unknown>>[];
    }
  /** Nobody waits any more for the answer to one of these three, of this id: it ends without. */
  | { readonly op: 'look.stop'; readonly id: string };

/** Which cluster, and for which flow. */
export interface PreflightQuestion {
  /** Of the scheduler. */
  readonly address: string;
  /** PEM texts for a scheduler with TLS. */
  readonly security?: Security;
  /** Absent: the cluster alone is looked at. */
  readonly flow?: { readonly file: string; readonly workspace: string; readonly api: FlowApiId };
  /** How long the scheduler and its workers have for their answers. */
  readonly seconds?: number;
}

export interface HostPackages {
  /** Distribution name → version; absent when not installed. */
  readonly dask?: string;
  readonly distributed?: string;
  readonly prefect?: string;
  readonly 'prefect-dask'?: string;
  readonly bokeh?: string;
  readonly cloudpickle?: string;
}

export type HostEvent =
  /** At once, before any heavy import. */
  | {
      readonly event: 'hello';
      readonly pid: number;
      readonly executable: string;
      readonly python: string;
      readonly packages: HostPackages;
      readonly mode: 'fork' | 'spawn';
    }
  /** The host cannot work with this interpreter (too old, no dask); it exits after this line. */
  | {
      readonly event: 'unusable';
      readonly reason: 'python-too-old' | 'package-missing' | 'package-too-old';
      readonly message: string;
      readonly package?: string;
    }
  /** Preloading has finished: from now on a start takes a tenth of a second. Requests before are accepted. */
  | { readonly event: 'ready'; readonly seconds: number }
  /** The Prefect API that the user's environment or profile names, null when it names none. */
  | { readonly event: 'prefect.profile'; readonly api_url: string | null; readonly home: string }
  | {
      readonly event: 'prefect.server';
      readonly state: 'migrating' | 'starting' | 'ready' | 'failed' | 'ended';
      /** With `ready`, and with `ended` if it was ready before. */
      readonly url?: string;
      readonly message?: string;
    }
  | {
      readonly event: 'checked';
      readonly id: string;
      /** Absent when the file compiles. Line is one-based. */
      readonly error?: { readonly message: string; readonly line: number; readonly text?: string };
    }
  /**
   * `python`: the host is still importing. `running`: all workers that were asked for have joined; comes after
   * `cluster.started`. Of a class: what is being done, in words.
   */
  | {
      readonly event: 'cluster.stage';
      readonly cluster: string;
      readonly stage: string;
    }
  /** The scheduler answers at `address`; workers join next. Runs may go at once. */
  | {
      readonly event: 'cluster.started';
      readonly cluster: string;
      readonly address: string;
      readonly dashboard: string | null;
      /** What clients need for a scheduler with TLS; only classes of others have it. */
      readonly security?: Security;
      /** How many workers it makes, as Dask chose; of one that adapts, how many it keeps at least; of a class, how many there are. */
      readonly n_workers: number;
      readonly pid: number;
      /** Process group that everything of this cluster is in (POSIX). */
      readonly pgid: number | null;
      readonly seconds: number;
    }
  /** Tasks of a plain Dask run, counted in a scheduler of ours: name → state → number. At most five a second. */
  | {
      readonly event: 'cluster.tasks';
      readonly cluster: string;
      readonly run: string;
      readonly groups: TaskNumbers;
    }
  /**
   * What happened to a worker unasked, in words (`worker 1 was killed (signal 9) while working on load`). After
   * `died` its nanny starts another; `restarted`: it did; `lost`: nobody comes back; `gave-up`: a task that took
   * too many workers with it fails, no worker is named.
   */
  | {
      readonly event: 'cluster.worker';
      readonly cluster: string;
      readonly what: 'died' | 'restarted' | 'lost' | 'gave-up';
      /** Address, as in the scheduler's list; null if it had none yet. */
      readonly worker?: string | null;
      readonly name?: string;
      readonly message: string;
    }
  /**
   * How many workers a cluster shall have. Answers a request, which `id` names, and comes by itself when one that
   * adapts has started, and with each step that it takes.
   */
  | {
      readonly event: 'cluster.scaling';
      readonly cluster: string;
      readonly id?: string;
      readonly n_workers: number;
      /** Its limits, if it adapts; a maximum of null is none. */
      readonly adaptive?: { readonly minimum: number; readonly maximum: number | null };
      readonly step?: ScaleStep;
    }
  | {
      /** Once per cluster that was asked for: closed by request, failed to start, or died. */
      readonly event: 'cluster.ended';
      readonly cluster: string;
      readonly reason: 'closed' | 'failed' | 'died';
      readonly message?: string;
      readonly kind?: 'port-in-use' | 'option' | 'other' | ClassRefusal['kind'];
      readonly traceback?: string;
      readonly hint?: string;
      readonly module?: string;
      readonly file?: string;
      readonly line?: number;
      /** Its class could not be closed, for this reason: what it has made elsewhere may still be there. */
      readonly left?: string;
    }
  | {
      readonly event: 'run.started';
      readonly run: string;
      readonly pid: number;
      readonly pgid: number | null;
    }
  /** Once per run, when its process is gone. `signal` is the number that ended it, if one did. */
  | {
      readonly event: 'run.exited';
      readonly run: string;
      readonly code: number | null;
      readonly signal: number | null;
    }
  | { readonly event: 'preflight'; readonly id: string; readonly facts: PreflightFacts }
  /** One of the two. */
  | {
      readonly event: 'class.described';
      readonly id: string;
      readonly description?: ClassDescription;
      readonly refusal?: ClassRefusal;
    }
  /** One of the two. */
  | {
      readonly event: 'gateway.told';
      readonly id: string;
      readonly cluster?: GatewayCluster;
      readonly refusal?: ClassRefusal;
    }
  /** A request could not be carried out: nothing else follows. Names what it was about. */
  | {
      readonly event: 'error';
      readonly op: string;
      readonly message: string;
      /** Of the request, if it had one. */
      readonly id?: string;
      readonly cluster?: string;
      readonly run?: string;
    };

/** What a runner needs to run one unmodified flow. */
export interface RunSpec {
  readonly run: string;
  /**
   * Loopback port of the extension, and a secret that names this run. The run connects twice and sends one
   * line, `<token> io` and `<token> events`: the first socket becomes its stdin, stdout and stderr, the second
   * carries {@link RunEvent} lines out and {@link RunControl} lines in.
   */
  readonly channel: { readonly port: number; readonly token: string };
  readonly file: string;
  readonly cwd: string;
  /** Modules under this folder travel to the workers by value. */
  readonly workspace: string;
  readonly api: 'prefect' | 'prefect1' | 'dask';
  readonly entry: { readonly how: 'import' | 'script'; readonly path?: string; readonly qualname?: string };
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Beside the host's own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Whether the cluster is this run's own, or there is none. Losing the editor then ends the run at once; on a shared cluster
   * it stops gently: nothing new is submitted, active tasks finish. As written, it gets time to close what it has made.
   */
  readonly temporary: boolean;
}

/** Extension → run. */
export type RunControl =
  /** The cluster (and API server) that the run was waiting for while it loaded. */
  | {
      readonly op: 'go';
      readonly address: string;
      /** PEM texts for a scheduler with TLS. */
      readonly security?: Security;
      readonly prefect_api_url?: string;
      /** True where no one in the scheduler counts the tasks of a plain script: the run asks for their states. */
      readonly count_tasks?: boolean;
      /** Of `cluster.started`; a plain script waits for that many before it goes on from `Client()`. */
      readonly n_workers?: number;
    }
  /** There is no cluster: Prefect 1 runs its tasks with these options of its `LocalDaskExecutor`. */
  | {
      readonly op: 'go';
      readonly local_dask: {
        readonly scheduler?: 'threads' | 'processes';
        readonly num_workers?: number;
      };
    }
  /** The flow or script runs as its source says, on whatever that asks for. */
  | { readonly op: 'go'; readonly as_written: true; readonly prefect_api_url?: string }
  /** Gentle cancel: nothing pending starts, active tasks finish, the run ends as cancelled. */
  | { readonly op: 'stop' };

export interface TaskEvent {
  /** Stable for one task run, over retries. */
  readonly id: string;
  /** The task's name without an index: what the explorer groups by. */
  readonly name: string;
  /** The task run's own name (`transform-3`, `transform[3]`), where the API has one. */
  readonly label?: string;
  readonly state: TaskState;
  readonly message?: string;
  /** Worker address. */
  readonly worker?: string;
  /** Seconds since the epoch. */
  readonly time: number;
}

export interface RunError {
  /** Exception class. */
  readonly type: string;
  readonly message: string;
  readonly traceback?: string;
  /** Name of the task run that failed first, if one did. */
  readonly task?: string;
  /** Set when the failure was known before the flow started. */
  readonly reason?:
    | 'syntax-error'
    | 'flow-not-found'
    | 'parameter'
    | 'package-missing'
    | 'unreachable'
    | 'prefect-server';
  /** With `package-missing`: the distribution, if installing it helps. */
  readonly package?: string;
  /** User's file and one-based line where it happened. */
  readonly file?: string;
  readonly line?: number;
}

/** Run → extension. */
export type RunEvent =
  | {
      readonly event: 'stage';
      readonly stage: 'loading' | 'waiting' | 'starting' | 'running' | 'draining' | 'finishing';
    }
  /** Known once Prefect has made the flow run. */
  | {
      readonly event: 'flow';
      readonly name: string;
      readonly prefect_run_id?: string;
      readonly prefect_run_name?: string;
    }
  | { readonly event: 'tasks'; readonly tasks: readonly TaskEvent[] }
  /** As `cluster.tasks`, of a run that was told to `count_tasks`. */
  | { readonly event: 'counts'; readonly groups: TaskNumbers }
  | { readonly event: 'note'; readonly text: string }
  | {
      readonly event: 'end';
      readonly state: 'completed' | 'failed' | 'cancelled' | 'crashed';
      readonly message?: string;
      readonly result?: string;
      readonly error?: RunError;
    };
