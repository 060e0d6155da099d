import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendContext, ClusterExit } from '../core/backend.ts';
import { UserError } from '../core/errors.ts';
import type { AdaptLimits, ScalingNews } from '../core/scaling.ts';
import type { HostEventOf, PythonHost } from '../host/pythonHost.ts';
import type { HostEvent, HostRequest } from '../protocol/host.ts';

/** Workers that leave hand their results on first, which may be gigabytes. */
const scaleTimeoutMs = 120_000;

/** How a cluster of the host ended. */
export type Ended = HostEventOf<'cluster.ended'>;

type StartRequest = Omit<Extract<HostRequest, { op: 'cluster.start' }>, 'op' | 'cluster'>;

/** What differs between kinds of clusters that the host has. */
export interface HostStart {
  readonly order: Pick<StartRequest, 'options' | 'class'>;
  readonly limits: AdaptLimits | undefined;
  /** Longer than the host itself waits, as it knows the reason; warming up comes before. */
  readonly startTimeoutMs: number;
  /** How long a cancelled start may take to end, in the worst case. */
  readonly cancelTimeoutMs: number;
  failure(event: Ended): UserError;
}

/** A cluster that the host has started. `ended` resolves once, however it ends. */
export interface HostCluster {
  readonly started: HostEventOf<'cluster.started'>;
  readonly ended: Promise<Ended>;
}

/** Has the warm host of the user's interpreter start a cluster. One that fails or is cancelled leaves nothing. */
export async function startInHost(
  host: PythonHost,
  context: BackendContext,
  { order, limits, startTimeoutMs, cancelTimeoutMs, failure }: HostStart,
): Promise<HostCluster> {
  const { clusterId, signal } = context;
  signal.throwIfAborted();
  if (!host.ready) context.stage('warming Python up');
  const ended = watchEnd(host, clusterId);
  const stages = host.onEvent((event) => {
    if (event.event === 'cluster.stage' && event.cluster === clusterId) context.stage(event.stage);
  });
  const late = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    closeInHost(host, clusterId, true);
    // A host in the middle of an import hears it later; nobody waits for that.
    timer = setTimeout(() => late.reject(signal.reason), cancelTimeoutMs);
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
    const adapt = limits && { adapt: adaptKwargs(limits) };
    host.send({ op: 'cluster.start', cluster: clusterId, ...order, ...adapt, ...context.inherit });
    const first = await Promise.race([started, ended, late.promise]);
    if (first.event === 'cluster.ended') {
      signal.throwIfAborted();
      throw host.usable ? failure(first) : host.endError();
    }
    return { started: first, ended };
  } catch (error) {
    closeInHost(host, clusterId, true);
    throw error;
  } finally {
    clearTimeout(timer);
    stages.dispose();
    signal.removeEventListener('abort', onAbort);
  }
}

/** Limits as keyword arguments of `adapt`; null is what Dask's configuration says: by default, no limit. */
export function adaptKwargs({ minimum = null, maximum = null }: AdaptLimits) {
  return { minimum, maximum };
}

function newsOf({ n_workers, adaptive, step }: HostEventOf<'cluster.scaling'>): ScalingNews {
  return { scaling: { workers: n_workers, ...(adaptive && { adaptive }) }, ...(step && { step }) };
}

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

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;
type ScalingOp = 'cluster.scale' | 'cluster.adapt' | 'cluster.drop' | 'cluster.resume';
export type ScalingChange = Without<Extract<HostRequest, { op: ScalingOp }>, 'cluster' | 'id'>;

/** Asks for another number of workers; rejects with what Dask has against it, or when the cluster ends. */
export async function askHost(
  host: PythonHost,
  { started: { cluster }, ended }: HostCluster,
  change: ScalingChange,
): Promise<void> {
  const request = { ...change, cluster, id: randomUUID() };
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
export async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const timeout = new AbortController();
  const late = sleep(ms, false, { signal: timeout.signal }).catch(() => false);
  const inTime = await Promise.race([promise.then(() => true), late]);
  timeout.abort();
  return inTime;
}

/** Asks for the end; a host that is gone has ended it already. */
export function closeInHost(host: PythonHost, cluster: string, force: boolean): void {
  if (host.usable) host.send({ op: 'cluster.close', cluster, force });
}

export function exitOf(event: Ended): ClusterExit {
  if (event.reason === 'closed') return { how: 'closed' };
  const message = event.message ?? 'The cluster ended unexpectedly';
  return { how: 'died', message, ...(event.traceback && { detail: event.traceback }) };
}
