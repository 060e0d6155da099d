import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend, BackendContext, ClusterExit, ClusterHandle } from '../core/backend.ts';
import { UserError } from '../core/errors.ts';
import type { LocalExecutor } from '../core/executor.ts';
import type { AdaptLimits, ScalingNews } from '../core/scaling.ts';
import type { HostEventOf, PythonHost } from '../host/pythonHost.ts';
import { type Versions, versionsOf } from '../host/versions.ts';
import type { HostEvent, HostRequest, LocalClusterOptions } from '../protocol/host.ts';

/** Longer than the host itself waits, as it knows the reason; warming up comes before. */
const startTimeoutMs = 90_000;
const closeTimeoutMs = 10_000;
const killTimeoutMs = 5_000;
/** Workers that leave hand their results on first, which may be gigabytes. */
const scaleTimeoutMs = 120_000;

/** Dask's `LocalCluster`, started by the warm host of the user's interpreter. */
export class LocalBackend implements Backend<LocalExecutor> {
  readonly #host: PythonHost;

  constructor(host: PythonHost) {
    this.#host = host;
  }

  async start(executor: LocalExecutor, context: BackendContext): Promise<ClusterHandle> {
    const { clusterId, signal } = context;
    const host = this.#host;
    signal.throwIfAborted();
    if (!host.ready) context.stage('warming Python up');
    const ended = watchEnd(host, clusterId);
    const stages = host.onEvent((event) => {
      if (event.event === 'cluster.stage' && event.cluster === clusterId) context.stage(event.stage);
    });
    const late = Promise.withResolvers<never>();
    let timer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      close(host, clusterId, true);
      // A host in the middle of an import hears it later; nobody waits for that.
      timer = setTimeout(() => late.reject(signal.reason), killTimeoutMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const workers = host.onEvent((event) => {
      if (event.event === 'cluster.worker' && event.cluster === clusterId) context.worker(event);
      if (event.event === 'cluster.scaling' && event.cluster === clusterId) context.scaling(newsOf(event));
    });
    void ended.then(() => workers.dispose());
    try {
      const started = host.next('cluster.started', startTimeoutMs, (event) => event.cluster === clusterId);
      started.catch(() => undefined);
      const options = localClusterOptions(executor);
      const { adapt_kwargs } = executor;
      const adapt = adapt_kwargs && { adapt: localAdaptLimits(adapt_kwargs) };
      host.send({ op: 'cluster.start', cluster: clusterId, options, ...adapt, ...context.inherit });
      const first = await Promise.race([started, ended, late.promise]);
      if (first.event === 'cluster.ended') {
        signal.throwIfAborted();
        throw host.usable ? startError(executor, first) : host.endError();
      }
      return handle(host, versionsOf(await host.hello), first, ended);
    } catch (error) {
      close(host, clusterId, true);
      throw error;
    } finally {
      clearTimeout(timer);
      stages.dispose();
      signal.removeEventListener('abort', onAbort);
    }
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

/** Limits as keyword arguments of `adapt`; null is what Dask's configuration says: by default, no limit. */
function localAdaptLimits({ minimum = null, maximum = null }: AdaptLimits) {
  return { minimum, maximum };
}

function newsOf({ n_workers, adaptive, step }: HostEventOf<'cluster.scaling'>): ScalingNews {
  return { scaling: { workers: n_workers, ...(adaptive && { adaptive }) }, ...(step && { step }) };
}

type Ended = HostEventOf<'cluster.ended'>;

/** Resolves with the cluster's end, also when the whole host goes down. */
function watchEnd(host: PythonHost, cluster: string): Promise<Ended> {
  return new Promise((resolve) => {
    const listening = host.onEvent((event) => {
      const end = endOf(event);
      if (end?.cluster !== cluster) return;
      listening.dispose();
      resolve(end);
    });
    void host.ended.then(() => {
      listening.dispose();
      resolve({ event: 'cluster.ended', cluster, reason: 'died', message: host.endError().message });
    });
  });
}

/** The end that an event tells of, if it does: a start that was refused is one too. */
function endOf(event: HostEvent): Ended | undefined {
  if (event.event === 'cluster.ended') return event;
  if (event.event !== 'error' || event.op !== 'cluster.start' || !event.cluster) return undefined;
  return { event: 'cluster.ended', cluster: event.cluster, reason: 'failed', message: event.message };
}

function handle(
  host: PythonHost,
  versions: Versions,
  started: HostEventOf<'cluster.started'>,
  ended: Promise<Ended>,
): ClusterHandle {
  const { cluster } = started;
  const change = (request: ScalingRequest) => ask(host, { ...request, cluster, id: randomUUID() }, ended);
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
    scale: (workers) => change({ op: 'cluster.scale', n_workers: workers }),
    adapt: (limits) => change({ op: 'cluster.adapt', ...localAdaptLimits(limits) }),
    drop: (name) => change({ op: 'cluster.drop', name }),
    resume: (worker) => change({ op: 'cluster.resume', worker }),
    close: async ({ force }) => {
      close(host, cluster, force);
      if (!force && !(await within(closeTimeoutMs, ended))) close(host, cluster, true);
      // A host that cannot even kill is broken: it goes, with all that it has started.
      if (!(await within(killTimeoutMs, ended))) await host.dispose();
    },
  };
}

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;
type ScalingOp = 'cluster.scale' | 'cluster.adapt' | 'cluster.drop' | 'cluster.resume';
type ScalingRequest = Without<Extract<HostRequest, { op: ScalingOp }>, 'cluster' | 'id'>;

/** Asks for another number of workers; rejects with what Dask has against it, or when the cluster ends. */
async function ask(
  host: PythonHost,
  request: Extract<HostRequest, { op: ScalingOp }>,
  ended: Promise<Ended>,
): Promise<void> {
  const answered = host.next(
    'cluster.scaling',
    scaleTimeoutMs,
    ({ id }) => id === request.id,
    ({ id, message }) =>
      id === request.id ? new UserError('cluster-failed', `Dask refuses: ${message}`) : undefined,
  );
  answered.catch(() => undefined);
  host.send(request);
  const over = ended.then(() => {
    throw new UserError('unreachable', 'The cluster has ended meanwhile');
  });
  await Promise.race([answered, over]);
}

/** Whether the promise resolved in time. */
async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const timeout = new AbortController();
  const late = sleep(ms, false, { signal: timeout.signal }).catch(() => false);
  const inTime = await Promise.race([promise.then(() => true), late]);
  timeout.abort();
  return inTime;
}

/** Asks for the end; a host that is gone has ended it already. */
function close(host: PythonHost, cluster: string, force: boolean): void {
  if (host.usable) host.send({ op: 'cluster.close', cluster, force });
}

function exitOf(event: Ended): ClusterExit {
  if (event.reason === 'closed') return { how: 'closed' };
  const message = event.message ?? 'The cluster ended unexpectedly';
  return { how: 'died', message, ...(event.traceback && { detail: event.traceback }) };
}

function startError(executor: LocalExecutor, event: Ended): UserError {
  const message = event.message ?? 'LocalCluster could not be started';
  const cause = event.traceback && new Error(event.traceback);
  if (event.kind === 'port-in-use') {
    return new UserError('port-in-use', message, {
      hint: `Change scheduler_port of the executor "${executor.name}", or leave it out for any free port.`,
      action: { kind: 'open-settings', key: 'flowClusters.executors' },
      cause,
    });
  }
  return new UserError('cluster-failed', message, {
    hint: `Check the options of the executor "${executor.name}".`,
    action: { kind: 'open-settings', key: 'flowClusters.executors' },
    cause,
  });
}
