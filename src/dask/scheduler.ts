import { parseAddress } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { TaskPrefixInfo, WorkerTask } from '../core/schedulerInfo.ts';
import { notAScheduler } from './failures.ts';
import { asArray, asNumber, asRecord, asText } from './fields.ts';
import { readIdentity, type SchedulerIdentity, serverType } from './identity.ts';
import type { Limit } from './limit.ts';
import { Rpc, type RpcOptions } from './rpc.ts';
import { taskKeyText, taskPrefix, taskRun } from './taskKey.ts';

/**
 * All that this client ever asks of a scheduler. Every answer is plain msgpack on 2022.5 to 2026.8.
 * Not among them, and never to be: `subscribe_worker_status`, which has room for one subscriber and would
 * take it from the cluster object of whoever owns the scheduler.
 */
export type SchedulerOp =
  | 'identity'
  | 'versions'
  | 'processing'
  | 'get_task_prefix_states'
  | 'call_stack'
  | 'get_logs'
  | 'broadcast'
  | 'events'
  | 'adaptive_target'
  | 'workers_to_close'
  | 'retire_workers'
  | 'restart'
  | 'terminate';

/** The limit of one call: a signal to give it up, a time other than the client's. */
export type CallOptions = Partial<Limit>;

export interface Versions {
  readonly distributed: string;
  readonly python: string;
  /** Of the packages that must agree between client, scheduler and workers. */
  readonly packages: Readonly<Record<string, string>>;
}

export interface LogLine {
  readonly timeMs: number;
  readonly level: string;
  readonly text: string;
}

/** Something that happened on a scheduler: Dask's own dictionary, `{action: 'add-worker', …}`. */
export interface SchedulerEvent {
  readonly timeMs: number;
  readonly message: unknown;
}

/** What became of the workers that were asked to retire. */
export interface Retirement {
  readonly retired: readonly string[];
  /** They hold results that fit nowhere else, or are unknown. */
  readonly kept: readonly string[];
}

/**
 * Typed calls to a scheduler. Connects at the first call, and again by itself after a loss.
 * Every call throws UserError `unreachable`, `protocol`, `scheduler-lost`, `timeout`, `cancelled`, or
 * RemoteError (`remote`, `not-permitted`).
 */
export class SchedulerClient {
  /** As it was given, in Dask's spelling. */
  readonly address: string;
  readonly #rpc: Rpc;
  /** How its servers order their logs, once that is known. */
  #newestFirst: boolean | undefined;

  /** @throws UserError `setting` if the address can't be read or reached by this client */
  constructor(address: string, options: RpcOptions = {}) {
    const parsed = parseAddress(address);
    this.address = parsed.text;
    this.#rpc = new Rpc(parsed, options);
  }

  /** Ends all connections now. Nothing of the scheduler ends. */
  close(): void {
    this.#rpc.close();
  }

  /** The scheduler and its workers. Cheap: under 1 ms and 1 kB a worker. */
  async identity(options?: CallOptions): Promise<SchedulerIdentity> {
    const reply = await this.#call('identity', {}, options);
    const type = serverType(reply);
    if (type === undefined || type === 'Worker' || type === 'Nanny')
      throw notAScheduler(this.#rpc.address, type, asText(asRecord(reply).scheduler));
    return readIdentity(reply);
  }

  /** Versions of the scheduler's own environment. */
  async versions(options?: CallOptions): Promise<Versions> {
    const { packages } = asRecord(await this.#call('versions', {}, options));
    const known: Record<string, string> = {};
    for (const [name, version] of Object.entries(asRecord(packages))) {
      if (typeof version === 'string') known[name] = version;
    }
    return {
      distributed: known.distributed ?? '',
      python: (known.python ?? '').split('.final')[0] ?? '',
      packages: known,
    };
  }

  /** Tasks assigned to each worker, by its address. Costs as much as there are tasks. */
  async processing(options?: CallOptions): Promise<ReadonlyMap<string, readonly WorkerTask[]>> {
    const reply = asRecord(await this.#call('processing', {}, options));
    const read = (key: unknown) => {
      const run = taskRun(key);
      return { key: taskKeyText(key), prefix: taskPrefix(key), ...(run !== undefined && { run }) };
    };
    return new Map(Object.entries(reply).map(([worker, keys]) => [worker, asArray(keys).map(read)]));
  }

  /** Counts of tasks by name and state. Tasks that the scheduler still holds back (`queued`) are missing in it. */
  async taskPrefixStates(options?: CallOptions): Promise<readonly TaskPrefixInfo[]> {
    const reply = asRecord(await this.#call('get_task_prefix_states', {}, options));
    return Object.entries(reply).map(([name, value]) => {
      const counts = asRecord(value);
      return {
        name,
        waiting: asNumber(counts.waiting),
        processing: asNumber(counts.processing),
        memory: asNumber(counts.memory),
        erred: asNumber(counts.erred),
        released: asNumber(counts.released),
      };
    });
  }

  /** The Python stacks of running tasks, as text: worker → key → frames, outermost first. */
  async callStack(
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>> {
    const reply = asRecord(await this.#call('call_stack', {}, options));
    return new Map(
      Object.entries(reply).map(([worker, stacks]) => [
        worker,
        new Map(Object.entries(asRecord(stacks)).map(([key, frames]) => [key, asArray(frames).map(String)])),
      ]),
    );
  }

  /**
   * How many tasks have a thread on one worker at this moment; its metrics are up to a second old, and before 2022.11
   * leave out tasks that have left the thread pool. Asks that worker alone.
   */
  async threadsBusyOn(worker: string, options?: CallOptions): Promise<number> {
    const reply = asRecord(await this.#call('processing', { workers: [worker] }, options));
    const keys = asArray(reply[worker]);
    if (keys.length === 0) return 0;
    const stacks = asRecord(await this.#call('call_stack', { keys }, options));
    return Object.keys(asRecord(stacks[worker])).length;
  }

  /** The scheduler's kept log, oldest first; its last `count` lines, if the server can be asked for these. */
  async schedulerLogs(count?: number, options?: CallOptions): Promise<readonly LogLine[]> {
    return this.#readLog(await this.#call('get_logs', this.#logArgs(count), options));
  }

  /**
   * Kept logs of workers, or of their nannies, by worker address, oldest first. Those that can't be asked are absent.
   * @param which nannies are asked for by workers that have one
   */
  async workerLogs(
    which: {
      readonly workers?: readonly string[];
      readonly nanny?: boolean;
      readonly count?: number | undefined;
    } = {},
    options?: CallOptions,
  ): Promise<ReadonlyMap<string, readonly LogLine[]>> {
    const { count, ...whom } = which;
    const args = { msg: { op: 'get_logs', ...this.#logArgs(count) }, on_error: 'ignore', ...whom };
    const reply = asRecord(await this.#call('broadcast', args, options));
    return new Map(Object.entries(reply).map(([worker, log]) => [worker, this.#readLog(log)]));
  }

  /** Kept events of a topic: `all`, or a worker's address. */
  async events(topic: string, options?: CallOptions): Promise<readonly SchedulerEvent[]> {
    return asArray(await this.#call('events', { topic }, options)).map((event) => {
      const [time, message] = asArray(event);
      return { timeMs: asNumber(time) * 1000, message };
    });
  }

  /** How many workers the scheduler thinks its present work needs. */
  async adaptiveTarget(options?: CallOptions): Promise<number> {
    return asNumber(await this.#call('adaptive_target', {}, options));
  }

  /**
   * Addresses of workers to close with the least loss.
   * @param which `count`: so many, busy ones among them if need be. `target`: idle ones only, until so many are left.
   *   Without either, all that are idle and not needed for what they hold
   */
  async workersToClose(
    which: { readonly count?: number; readonly target?: number } = {},
    options?: CallOptions,
  ): Promise<readonly string[]> {
    const { count, target } = which;
    const args = { ...(count !== undefined && { n: count }), ...(target !== undefined && { target }) };
    const reply = asArray(await this.#call('workers_to_close', args, options));
    return reply.filter((worker) => typeof worker === 'string');
  }

  /**
   * Moves the workers' results elsewhere and, unless told not to, closes them. Their running tasks are NOT
   * waited for, but run again elsewhere: with `close: false` they finish, and nothing new comes.
   */
  async retireWorkers(
    workers: readonly string[],
    { close = true }: { readonly close?: boolean } = {},
    options?: CallOptions,
  ): Promise<Retirement> {
    const args = { workers, close_workers: close, remove: close };
    const reply = asRecord(await this.#call('retire_workers', args, options));
    return {
      retired: workers.filter((worker) => worker in reply),
      kept: workers.filter((worker) => !(worker in reply)),
    };
  }

  /**
   * Forgets all tasks and restarts all workers; those without a nanny just end.
   * @param waitMs how long the scheduler waits for them to come back
   * @throws UserError `not-permitted` if the scheduler is older than 2022.7
   */
  async restart(waitMs = 30_000, options?: CallOptions): Promise<void> {
    const { distributed } = await this.versions(options);
    if (isOlder(distributed, 2022, 7)) {
      throw new UserError('not-permitted', `Dask ${distributed} can be restarted by a Python client only.`, {
        hint: 'Call Client.restart() in Python, or update distributed on the cluster.',
      });
    }
    // Required since 2024.3, refused before.
    const stimulus = isOlder(distributed, 2024, 3)
      ? {}
      : { stimulus_id: `flow-clusters-restart-${Date.now()}` };
    const limit = { timeoutMs: waitMs + 5000, ...options };
    await this.#call('restart', { timeout: waitMs / 1000, wait_for_workers: true, ...stimulus }, limit);
  }

  /** Ends the scheduler with all its workers and nannies. It closes the connection in place of an answer. */
  async terminate(options?: CallOptions): Promise<void> {
    try {
      await this.#call('terminate', {}, options);
    } catch (error) {
      if (error instanceof UserError && error.reason === 'scheduler-lost') return;
      throw error;
    }
  }

  /** Servers before 2023.2 take a count from the old end: they are asked for all, as are those not heard yet. */
  #logArgs(count: number | undefined): Readonly<Record<string, unknown>> {
    return { timestamps: true, ...(this.#newestFirst && { n: count }) };
  }

  /** Each line is a triple of seconds, level and text. */
  #readLog(reply: unknown): LogLine[] {
    const lines = asArray(reply).map((line) => {
      const [time, level, text] = asArray(line);
      return { timeMs: asNumber(time) * 1000, level: asText(level) ?? '', text: asText(text) ?? '' };
    });
    const spanMs = (lines.at(-1)?.timeMs ?? 0) - (lines[0]?.timeMs ?? 0);
    // A cluster of mixed versions counts as an old one.
    if (spanMs > 0) this.#newestFirst = false;
    else if (spanMs < 0) this.#newestFirst ??= true;
    return spanMs < 0 ? lines.reverse() : lines;
  }

  #call(op: SchedulerOp, args: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<unknown> {
    return this.#rpc.call(op, args, options);
  }
}

/** Dask's versions are `2024.8.2`: year, month, counter. */
function isOlder(version: string, year: number, month: number): boolean {
  const [ownYear = 0, ownMonth = 0] = version.split('.').map(Number);
  return ownYear < year || (ownYear === year && ownMonth < month);
}
