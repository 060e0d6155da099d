import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../core/errors.ts';
import type {
  ClientList,
  HeldTasks,
  SchedulerInfo,
  TaskCounts,
  WorkerInfo,
  WorkerTask,
} from '../core/schedulerInfo.ts';
import type { Security } from '../core/security.ts';
import { ClientLog } from './clientLog.ts';
import { ConnectError } from './failures.ts';
import type { SchedulerIdentity } from './identity.ts';
import { RemoteError } from './rpc.ts';
import { SchedulerClient } from './scheduler.ts';

export interface SchedulerListener {
  /** A new look at the scheduler, once an interval. */
  onInfo(info: SchedulerInfo): void;
  /** It can't be reached, or does not answer; told at the first failure and when the reason changes. */
  onLost(reason: string): void;
}

export interface WatchOptions {
  readonly intervalMs?: number;
  readonly security?: Security | undefined;
}

const defaultIntervalMs = 1000;
/** A scheduler that is busy in Python answers late, but it does: longer is a loss. */
const lookTimeoutMs = 5000;
const firstRetryMs = 250;
const maxRetryMs = 5000;
/** With more assigned tasks than this their names are not asked for: the answer grows with their number. */
const maxNamedTasks = 5000;
const tasksPerWorker = 8;
/** Clients come and go seldom, and what tells of them may be long. */
const clientsIntervalMs = 5000;
/**
 * The more workers, the less often they report to their scheduler, 200 of them a second (distributed/scheduler.py:
 * `heartbeat_interval`): asking more often would cost both sides much and tell nothing new. Tasks are asked for each time.
 */
const workersPerSecond = 200;

/**
 * Keeps looking at a scheduler until disposed of: one cheap look at a time, on one connection. After a loss
 * it comes back by itself. Nothing at the scheduler changes by being watched.
 * @throws UserError `setting` if the address can't be read
 */
export function watchScheduler(
  address: string,
  listener: SchedulerListener,
  options: WatchOptions = {},
): { dispose(): void } {
  const watch = new Watch(address, listener, options);
  void watch.run();
  return { dispose: () => watch.dispose() };
}

class Watch {
  readonly #client: SchedulerClient;
  readonly #listener: SchedulerListener;
  readonly #intervalMs: number;
  readonly #stop = new AbortController();
  /** What holds for the life of a scheduler. */
  #known: { readonly id: string; readonly version: string; readonly clients: ClientLog } | undefined;
  #identity: SchedulerIdentity | undefined;
  #identityDueMs = 0;
  #clients: ClientList | undefined;
  #clientsDueMs = 0;

  constructor(address: string, listener: SchedulerListener, options: WatchOptions) {
    this.#client = new SchedulerClient(address, {
      security: options.security,
      timeoutMs: lookTimeoutMs,
      maxConnections: 1,
    });
    this.#listener = listener;
    this.#intervalMs = options.intervalMs ?? defaultIntervalMs;
  }

  dispose(): void {
    this.#stop.abort();
    this.#client.close();
  }

  async run(): Promise<void> {
    let retryMs = firstRetryMs;
    let lostReason: string | undefined;
    while (!this.#stop.signal.aborted) {
      const started = performance.now();
      try {
        const info = await this.#look();
        retryMs = firstRetryMs;
        lostReason = undefined;
        this.#tell(() => this.#listener.onInfo(info));
        const tookMs = performance.now() - started;
        // A slow scheduler is left alone for as long as it took.
        await this.#sleep(Math.max(this.#intervalMs - tookMs, Math.min(tookMs, maxRetryMs)));
      } catch (error) {
        const reason = reasonOf(error);
        if (reason !== lostReason) this.#tell(() => this.#listener.onLost(reason));
        lostReason = reason;
        this.#identityDueMs = 0;
        await this.#sleep(retryMs);
        retryMs = Math.min(2 * retryMs, maxRetryMs);
      }
    }
  }

  async #look(): Promise<SchedulerInfo> {
    const identity = await this.#lookForWorkers();
    if (this.#known?.id !== identity.id) {
      const version = (await this.#client.versions()).distributed;
      this.#known = { id: identity.id, version, clients: new ClientLog() };
      this.#clientsDueMs = 0;
    }
    const clients = await this.#lookForClients(this.#known.clients, identity);
    const prefixes = await this.#client.taskPrefixStates();
    const tasks = sumOf(prefixes);
    const processing = await this.#lookForTasks(tasks.processing);
    return {
      address: this.#client.address,
      id: identity.id,
      dashboardPort: identity.dashboardPort,
      startedAtMs: identity.startedAtMs,
      version: this.#known.version || undefined,
      workers: withTasks(identity, processing),
      prefixes,
      totals: {
        threads: sum(identity.workers, (worker) => worker.threads),
        memoryBytes: sum(identity.workers, (worker) => worker.memoryBytes),
        memoryLimitBytes: sum(identity.workers, (worker) => worker.memoryLimitBytes),
        tasks,
      },
      ...(clients && { clients }),
    };
  }

  async #lookForWorkers(): Promise<SchedulerIdentity> {
    const started = performance.now();
    if (this.#identity && started < this.#identityDueMs) return this.#identity;
    this.#identity = await this.#client.identity();
    const seconds = Math.floor(this.#identity.workers.length / workersPerSecond);
    // A little less, so that the look that is due then does not just miss it.
    this.#identityDueMs = started + (seconds - 0.5) * 1000;
    return this.#identity;
  }

  /** Which tasks each worker has, if that can be had at little cost. */
  async #lookForTasks(count: number): Promise<ReadonlyMap<string, readonly WorkerTask[]> | undefined> {
    if (count === 0) return new Map();
    return count <= maxNamedTasks ? await this.#client.processing() : undefined;
  }

  async #lookForClients(log: ClientLog, { workers }: SchedulerIdentity): Promise<ClientList | undefined> {
    const started = performance.now();
    if (started < this.#clientsDueMs) return this.#clients;
    try {
      const events = await this.#client.events('all');
      this.#clients = log.update(
        events,
        workers.map(({ address }) => address),
      );
    } catch (error) {
      // Some settings forbid it: then nobody knows.
      if (!(error instanceof RemoteError)) throw error;
      this.#clients = undefined;
    }
    const tookMs = performance.now() - started;
    this.#clientsDueMs = started + Math.max(clientsIntervalMs, 100 * tookMs);
    return this.#clients;
  }

  /** An error of the listener's must not end the watch, nor be taken for a loss. */
  #tell(report: () => void): void {
    queueMicrotask(() => {
      if (!this.#stop.signal.aborted) report();
    });
  }

  async #sleep(ms: number): Promise<void> {
    // It rejects when disposed of, which the loop sees by itself.
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}

/** In few words: it stands beside the address. Anything but a UserError is a bug of ours, which it should not hide. */
function reasonOf(error: unknown): string {
  if (!(error instanceof UserError)) return String(error);
  return (error instanceof ConnectError ? error.what : error.message).replace(/\.$/, '');
}

function withTasks(
  identity: SchedulerIdentity,
  processing: ReadonlyMap<string, readonly WorkerTask[]> | undefined,
): WorkerInfo[] {
  return identity.workers.map((worker) => {
    const tasks = processing?.get(worker.address) ?? [];
    return {
      ...worker,
      // Without the list, the worker's own count of what it has is the nearest.
      processing: processing === undefined ? worker.executing + worker.ready : tasks.length,
      tasks: tasks.slice(0, tasksPerWorker),
      ...(processing && { held: counted(tasks) }),
    };
  });
}

function counted(tasks: readonly WorkerTask[]): HeldTasks[] {
  const held = new Map<string, HeldTasks>();
  for (const { prefix, run } of tasks) {
    const key = `${run ?? ''} ${prefix}`;
    const count = (held.get(key)?.count ?? 0) + 1;
    held.set(key, { prefix, ...(run !== undefined && { run }), count });
  }
  return [...held.values()];
}

function sumOf(prefixes: readonly TaskCounts[]): TaskCounts {
  return {
    waiting: sum(prefixes, (prefix) => prefix.waiting),
    processing: sum(prefixes, (prefix) => prefix.processing),
    memory: sum(prefixes, (prefix) => prefix.memory),
    erred: sum(prefixes, (prefix) => prefix.erred),
    released: sum(prefixes, (prefix) => prefix.released),
  };
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
