import type { Backend, BackendContext, ClusterHandle } from '../core/backend.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import type { LocalExecutor } from '../core/executor.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import { type Versions, versionsOf } from '../host/versions.ts';
import type { LocalClusterOptions } from '../protocol/host.ts';
import {
  adaptKwargs,
  askHost,
  closeInHost,
  type Ended,
  exitOf,
  type HostCluster,
  startInHost,
  within,
} from './hostCluster.ts';

/** Longer than the host itself waits, as it knows the reason; warming up comes before. */
const startTimeoutMs = 90_000;
const closeTimeoutMs = 10_000;
const killTimeoutMs = 5_000;

/** Dask's `LocalCluster`, started by the warm host of the user's interpreter. */
export class LocalBackend implements Backend<LocalExecutor> {
  readonly #host: PythonHost;

  constructor(host: PythonHost) {
    this.#host = host;
  }

  async start(executor: LocalExecutor, context: BackendContext): Promise<ClusterHandle> {
    const cluster = await startInHost(this.#host, context, {
      order: { options: localClusterOptions(executor) },
      limits: executor.adapt_kwargs,
      startTimeoutMs,
      cancelTimeoutMs: killTimeoutMs,
      failure: (event) => startError(executor, event),
    });
    return handle(this.#host, versionsOf(await this.#host.hello), cluster);
  }
}

/** The executor's own keys as keyword arguments: what is not said stays Dask's default. */
export function localClusterOptions(executor: LocalExecutor): LocalClusterOptions {
  const { n_workers, threads_per_worker, processes, memory_limit, scheduler_port } = executor;
  return {
    ...(n_workers !== undefined && { n_workers }),
    ...(threads_per_worker !== undefined && { threads_per_worker }),
    ...(processes !== undefined && { processes }),
    ...(memory_limit !== undefined && { memory_limit }),
    ...(scheduler_port !== undefined && { scheduler_port }),
  };
}

function handle(host: PythonHost, versions: Versions, made: HostCluster): ClusterHandle {
  const { started, ended } = made;
  const { cluster } = started;
  return {
    address: started.address,
    dashboard: started.dashboard,
    workers: started.n_workers,
    versions,
    finished: ended.then((event) => exitOf(event)),
    onTasks: (run, listener) =>
      host.onEvent((event) => {
        if (event.event === 'cluster.tasks' && event.cluster === cluster && event.run === run)
          listener(event.groups);
      }),
    scale: (workers) => askHost(host, made, { op: 'cluster.scale', n_workers: workers }),
    adapt: (limits) => askHost(host, made, { op: 'cluster.adapt', ...adaptKwargs(limits) }),
    drop: (name) => askHost(host, made, { op: 'cluster.drop', name }),
    resume: (worker) => askHost(host, made, { op: 'cluster.resume', worker }),
    close: async ({ force }) => {
      closeInHost(host, cluster, force);
      if (!force && !(await within(closeTimeoutMs, ended))) closeInHost(host, cluster, true);
      // A host that cannot even kill is broken: it goes, with all that it has started.
      if (!(await within(killTimeoutMs, ended))) await host.dispose();
    },
  };
}

function startError(executor: LocalExecutor, event: Ended): UserError {
  const message = event.message ?? 'LocalCluster could not be started';
  const cause = event.traceback && new Error(event.traceback);
  if (event.kind === 'port-in-use') {
    return new UserError('port-in-use', message, {
      hint: `Change scheduler_port of the executor "${executor.name}", or leave it out for any free port.`,
      action: executorSettings,
      cause,
    });
  }
  return new UserError('cluster-failed', message, {
    hint: `Check the options of the executor "${executor.name}".`,
    action: executorSettings,
    cause,
  });
}
