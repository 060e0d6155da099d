import type { Cluster, ClusterState } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import { plural } from '../core/executor.ts';
import { toFailure } from '../core/failure.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { Drain } from '../core/scaling.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';
import type { Security } from '../core/security.ts';
import type { Store } from '../core/store.ts';
import { type DrainEnd, drainWorker } from '../dask/drain.ts';
import type { SchedulerClient } from '../dask/scheduler.ts';

/** How long tasks of a worker that retires may take to finish. */
export const drainLimitMs = 600_000;

export interface RetirementOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  connect(address: string, security?: Security): SchedulerClient;
}

export interface RetireRequest {
  readonly clusterId: string;
  /** Its address. */
  readonly worker: string;
  /** Default {@link drainLimitMs}. */
  readonly limitMs?: number;
  /** False: what it works on runs again elsewhere. */
  readonly wait?: boolean;
}

/** What the user is told at the end. */
export interface RetireOutcome {
  readonly severity: 'info' | 'warning';
  readonly message: string;
  /** It has stopped half-way: retiring may go on, or be done without waiting for the tasks. */
  readonly unfinished: boolean;
}

/** Retires workers one by one, of any cluster: drains them, and says in the store how far that is. */
export class Retirements {
  readonly #options: RetirementOptions;
  /** By cluster and worker. */
  readonly #running = new Map<string, AbortController>();

  constructor(options: RetirementOptions) {
    this.#options = options;
  }

  /** Gives up every drain that is under way. */
  dispose(): void {
    for (const abort of this.#running.values()) abort.abort();
  }

  /** Gives up a drain; {@link retire} then tells what has become of the worker. */
  cancel(clusterId: string, worker: string): void {
    this.#running.get(`${clusterId} ${worker}`)?.abort();
  }

  /**
   * Retires a worker: resolves when it has left, or says why not. Rejects with a {@link UserError} for what is known
   * before, and for what the scheduler forbids: then nothing has changed.
   */
  async retire(request: RetireRequest): Promise<RetireOutcome> {
    const { store } = this.#options;
    const { clusterId, worker } = request;
    const key = `${clusterId} ${worker}`;
    const found = findWorker(store.snapshot.clusters.get(clusterId), worker);
    if (this.#running.has(key)) {
      throw new UserError('worker-kept', `${title(found.worker)} is being retired already`);
    }
    checkRetirable(found.cluster, found.worker);
    const abort = new AbortController();
    this.#running.set(key, abort);
    try {
      return await this.#retire(found.cluster, found.worker, request, abort.signal);
    } finally {
      this.#running.delete(key);
      if (store.snapshot.clusters.has(clusterId))
        store.dispatch({ type: 'cluster.drain', id: clusterId, worker });
    }
  }

  async #retire(
    cluster: Cluster,
    worker: WorkerInfo,
    { limitMs = drainLimitMs, wait }: RetireRequest,
    signal: AbortSignal,
  ): Promise<RetireOutcome> {
    const { store, manager, connect } = this.#options;
    const { id } = cluster;
    const { address, security } = manager.handle(id);
    const client = connect(address, security);
    const start = { worker: worker.address, name: worker.name, sinceMs: Date.now(), limitMs };
    const show = (progress: Pick<Drain, 'phase' | 'executing'>) => {
      if (!this.#isListed(cluster)) return;
      store.dispatch({ type: 'cluster.drain', id, worker: worker.address, drain: { ...start, ...progress } });
    };
    try {
      const end = await drainWorker(worker.address, {
        client,
        nextLook: (until) => nextLook(store, id, worker.address, until),
        limitMs,
        ...(wait !== undefined && { wait }),
        signal,
        onProgress: show,
      });
      return await this.#settle(cluster, worker, end);
    } catch (error) {
      if (error instanceof UserError && error.reason === 'not-permitted') throw error;
      // How far it had come is not known. What keeps it from being opened again is the same trouble.
      const open = await this.#reopen(cluster, worker).catch(() => false);
      const message = `${title(worker)} of ${cluster.name} could not be retired: ${toFailure(error).message}`;
      const hint = open ? 'It takes tasks.' : 'It may take no new tasks any more: retire it again.';
      throw new UserError('worker-kept', message, { hint, cause: error });
    } finally {
      client.close();
    }
  }

  /** What is still to be done once Dask has answered, and the words for it. */
  async #settle(cluster: Cluster, worker: WorkerInfo, end: DrainEnd): Promise<RetireOutcome> {
    const who = `${title(worker)} of ${cluster.name}`;
    const outcome = (severity: RetireOutcome['severity'], message: string, unfinished = false) => ({
      severity,
      message,
      unfinished,
    });
    switch (end.how) {
      case 'retired':
        await this.#left(cluster, worker);
        return outcome('info', `${who} has retired`);
      case 'gone':
        if (this.#isListed(cluster)) return outcome('info', `${who} has left by itself`);
        return outcome('info', `${cluster.name} went before ${title(worker)} had retired`);
      case 'kept': {
        const why = `${who} holds what cannot be moved to another worker (results without room elsewhere, or actors)`;
        const open = end.open || (await this.#reopen(cluster, worker));
        if (open) return outcome('warning', `${why}: it stays and goes on`);
        return outcome('warning', `${why}: it stays with it, but takes no new tasks`);
      }
      case 'stopped': {
        const still = end.executing > 0 ? `, ${plural(end.executing, 'task')} of it still executing` : '';
        const why =
          end.why === 'late' ? `Retiring ${who} took too long${still}` : `Retiring ${who} was cancelled`;
        if (await this.#reopen(cluster, worker))
          return outcome('warning', `${why}: it takes tasks again`, true);
        const closed =
          'Dask cannot open it again from outside: it takes no new tasks, and what waits there is stuck, until it is retired';
        return outcome('warning', `${why}. ${closed}`, true);
      }
      default:
        return end satisfies never;
    }
  }

  /** A cluster object of ours would start it again. Of one that is not ours we only say what happened. */
  async #left({ id }: Cluster, worker: WorkerInfo): Promise<void> {
    const { store, manager } = this.#options;
    const { drop } = manager.handle(id);
    if (drop) return drop(worker.name);
    const event = { message: `${title(worker)} retired`, atMs: Date.now() };
    store.dispatch({ type: 'cluster.scaled', id, event });
  }

  #isListed({ id }: Cluster): boolean {
    return this.#options.store.snapshot.clusters.has(id);
  }

  /** Whether a worker that had begun to retire takes tasks again: those of ours can be told to. */
  async #reopen({ id }: Cluster, worker: WorkerInfo): Promise<boolean> {
    const cluster = this.#options.store.snapshot.clusters.get(id);
    if (cluster?.state.kind !== 'running') return false;
    const { resume } = this.#options.manager.handle(id);
    if (!resume) return false;
    await resume(worker.address);
    return true;
  }
}

const title = ({ name, address }: Pick<WorkerInfo, 'name' | 'address'>) =>
  name === address ? address : `worker ${name}`;

function findWorker(
  cluster: Cluster | undefined,
  address: string,
): { readonly cluster: Cluster; readonly worker: WorkerInfo } {
  const worker = cluster?.info?.workers.find((one) => one.address === address);
  if (!cluster || !worker) throw new UserError('unreachable', `There is no worker ${address} any more`);
  return { cluster, worker };
}

/**
 * Throws a {@link UserError} if the worker is the last one that takes tasks and has something to lose: Dask would
 * refuse to move its results, or leave its tasks without a worker.
 */
export function checkRetirable({ name, info, drains = [] }: Cluster, worker: WorkerInfo): void {
  const draining = new Set(drains.map((drain) => drain.worker));
  const takers = (info?.workers ?? []).filter(
    ({ address, status }) =>
      address !== worker.address && !draining.has(address) && (status === 'running' || status === 'unknown'),
  );
  if (takers.length > 0) return;
  const { processing, inMemory } = worker;
  if (processing + inMemory === 0) return;
  const what = [
    processing > 0 ? plural(processing, 'task') : '',
    inMemory > 0 ? plural(inMemory, 'result') : '',
  ];
  throw new UserError(
    'worker-kept',
    `${title(worker)} is the only worker of ${name} that takes tasks: there is no other for its ${what.filter(Boolean).join(' and ')}`,
    { hint: 'Add a worker first, or wait until its results are no longer held.' },
  );
}

/** What the owner of a cluster that is not ours risks, for the question before a worker of it is retired. */
export function retireRisk(cluster: Cluster, worker: WorkerInfo): string {
  const { executing, processing, inMemory } = worker;
  const waiting = Math.max(0, processing - executing);
  const means = [
    executing > 0 ? `waits for ${plural(executing, 'task')} executing there` : '',
    waiting > 0 ? `hands ${plural(waiting, 'waiting task')} to other workers` : '',
    inMemory > 0 ? `copies ${plural(inMemory, 'result')} into the memory of other workers` : '',
  ].filter(Boolean);
  return [
    `${cluster.name} was not started from here: its owner and other users depend on it.`,
    means.length > 0
      ? `Retiring the worker ${means.join(', ')}, whosever they are.`
      : 'The worker has no tasks and no results now.',
    'What scales the cluster for its owner (adaptive scaling, Kubernetes, a batch system) may start another worker at once, or take this one for failed.',
    'Once begun, this cannot be taken back: the worker takes no new tasks any more.',
  ].join('\n\n');
}

const isOver = ({ kind }: ClusterState) => kind === 'stopping' || kind === 'stopped' || kind === 'failed';

/** The worker in the next look at the scheduler; undefined if it, or its cluster, has gone. */
function nextLook(
  store: Store,
  clusterId: string,
  worker: string,
  signal: AbortSignal,
): Promise<WorkerInfo | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = () => settle(() => reject(signal.reason));
    const listening = store.onDidChange((event) => {
      if (event.type === 'cluster.info' && event.id === clusterId)
        settle(() => resolve(event.info.workers.find(({ address }) => address === worker)));
      const over =
        event.type === 'cluster.removed' || (event.type === 'cluster.state' && isOver(event.state));
      if (over && event.id === clusterId) settle(() => resolve(undefined));
    });
    const settle = (act: () => void) => {
      listening.dispose();
      signal.removeEventListener('abort', onAbort);
      act();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
