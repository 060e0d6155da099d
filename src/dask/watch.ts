import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../core/errors.ts';
import type { SchedulerInfo, TaskCounts, WorkerInfo, WorkerTask } from '../core/schedulerInfo.ts';
import type { Security } from '../core/security.ts';
import { ConnectError } from './failures.ts';
import type { SchedulerIdentity } from './identity.ts';
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
  #version: { readonly id: string; readonly text: string } | undefined;

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
        await this.#sleep(retryMs);
        retryMs = Math.min(2 * retryMs, maxRetryMs);
      }
    }
  }

  async #look(): Promise<SchedulerInfo> {
    const identity = await this.#client.identity();
    if (this.#version?.id !== identity.id) {
      this.#version = { id: identity.id, text: (await this.#client.versions()).distributed };
    }
    const prefixes = await this.#client.taskPrefixStates();
    const tasks = sumOf(prefixes);
    const named = tasks.processing > 0 && tasks.processing <= maxNamedTasks;
    const processing = named ? await this.#client.processing() : undefined;
    return {
      address: this.#client.address,
      id: identity.id,
      dashboardPort: identity.dashboardPort,
      startedAtMs: identity.startedAtMs,
      version: this.#version.text || undefined,
      workers: withTasks(identity, processing),
      prefixes,
      totals: {
        threads: sum(identity.workers, (worker) => worker.threads),
        memoryBytes: sum(identity.workers, (worker) => worker.memoryBytes),
        memoryLimitBytes: sum(identity.workers, (worker) => worker.memoryLimitBytes),
        tasks,
      },
    };
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
    };
  });
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
