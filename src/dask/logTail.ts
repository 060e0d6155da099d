import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../core/errors.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';
import { LogMerge, type MergedLine, type ServerLog } from './logMerge.ts';
import type { SchedulerClient } from './scheduler.ts';

export type ServerKind = 'scheduler' | 'worker' | 'nanny';

/** A line of the log of a scheduler, a worker or a nanny; its servers are named as the workers are. */
export interface TailLine extends MergedLine {
  readonly kind: ServerKind;
  /** It was there when its server was first asked. */
  readonly past: boolean;
}

export interface TailListener {
  /** By time, as far as the clocks of servers agree. */
  onLines(lines: readonly TailLine[]): void;
  /** All that could be asked has been asked, and what was new is told. */
  onLook(): void;
  /** Nobody answers. */
  onSilence?(): void;
  /** A part of the logs can't be read, and why; told once for each reason. Not told: that nobody answers. */
  onTrouble(reason: string): void;
}

interface Silence {
  readonly untilMs: number;
  readonly restMs: number;
}

/** A worker that can be asked. */
export type TailWorker = Pick<WorkerInfo, 'address' | 'name' | 'nanny'>;

const defaultIntervalMs = 1000;
/** A cluster that took a second to answer is left alone for five. */
const restFactor = 5;
const maxRestMs = 30_000;
const askTimeoutMs = 5000;
/** How much of the past is shown: of each server, and about how much of all together. */
const pastLines = 1000;
const pastLinesInAll = 5000;
const fewestPastLines = 50;
/** So many lines are asked for to see what is new; if all of them are, there may be more. */
const lookLines = 32;
/** The scheduler opens a connection to each worker that is asked through it. */
const askedAtOnce = 100;
/** A worker may go while it is asked, which fails the question. */
const failuresOfTrouble = 3;

/**
 * Follows the logs of a scheduler, of its workers and of their nannies until disposed of, beginning with the last
 * lines of each. One question at a time, and slow answers make it ask less. Nothing is registered at the scheduler.
 * @param workers those that there are now
 */
export function tailLogs(
  client: SchedulerClient,
  workers: () => readonly TailWorker[],
  listener: TailListener,
  { intervalMs = defaultIntervalMs }: { readonly intervalMs?: number } = {},
): { dispose(): void } {
  const tail = new Tail(client, workers, listener, intervalMs);
  void tail.run();
  return { dispose: () => tail.dispose() };
}

class Tail {
  readonly #client: SchedulerClient;
  readonly #workers: () => readonly TailWorker[];
  readonly #listener: TailListener;
  readonly #intervalMs: number;
  readonly #stop = new AbortController();
  readonly #merges = { scheduler: new LogMerge(), worker: new LogMerge(), nanny: new LogMerge() };
  /** Failures in a row. */
  readonly #failures = { scheduler: 0, worker: 0, nanny: 0 };
  readonly #troubles = new Set<string>();
  /** By workers, those that did not answer, and when to ask them again: by themselves, so that others are heard. */
  readonly #silent = { worker: new Map<string, Silence>(), nanny: new Map<string, Silence>() };
  /** Lines of this round that are not told yet. */
  #lines: TailLine[] = [];
  /** How long answers of this round took. */
  #tookMs = 0;

  constructor(
    client: SchedulerClient,
    workers: () => readonly TailWorker[],
    listener: TailListener,
    intervalMs: number,
  ) {
    this.#client = client;
    this.#workers = workers;
    this.#listener = listener;
    this.#intervalMs = intervalMs;
  }

  dispose(): void {
    this.#stop.abort();
  }

  async run(): Promise<void> {
    let restMs = this.#intervalMs;
    while (!this.#stop.signal.aborted) {
      this.#tookMs = 0;
      const answered = await this.#look();
      restMs = answered ? Math.max(this.#intervalMs, restFactor * this.#tookMs) : 2 * restMs;
      restMs = Math.min(restMs, maxRestMs);
      this.#tell();
      if (answered) this.#later(() => this.#listener.onLook());
      else if (!this.#stop.signal.aborted) this.#listener.onSilence?.();
      // It rejects when disposed of, which the loop sees by itself.
      await sleep(restMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** False if nobody answers. */
  async #look(): Promise<boolean> {
    const scheduler = { address: '', name: '', nanny: undefined };
    const outcome = await this.#ask('scheduler', [scheduler], pastLines);
    if (outcome === 'unreachable' || outcome === 'timeout') return false;
    await this.#lookAt('worker', this.#workers());
    await this.#lookAt(
      'nanny',
      this.#workers().filter(({ nanny }) => nanny !== undefined),
    );
    return true;
  }

  async #lookAt(kind: 'worker' | 'nanny', workers: readonly TailWorker[]): Promise<void> {
    const past = Math.max(fewestPastLines, Math.min(pastLines, Math.floor(pastLinesInAll / workers.length)));
    const isKnown = (worker: TailWorker) => this.#merges[kind].knows(serverOf(kind, worker));
    const well = workers.filter(({ address }) => !this.#silent[kind].has(address));
    const groups = [...chunks(well.filter(isKnown)), ...chunks(well.filter((worker) => !isKnown(worker)))];
    for (const group of groups) {
      if ((await this.#ask(kind, group, past)) === 'timeout') this.#rest(kind, group);
    }
    await this.#askSilent(kind, workers, past);
  }

  async #askSilent(kind: 'worker' | 'nanny', workers: readonly TailWorker[], past: number): Promise<void> {
    const silent = this.#silent[kind];
    for (const address of silent.keys()) {
      if (!workers.some((worker) => worker.address === address)) silent.delete(address);
    }
    const due = workers.filter(({ address }) => {
      return (silent.get(address)?.untilMs ?? Infinity) <= performance.now();
    });
    if (due.length > 0) this.#tell();
    for (const worker of due) {
      const outcome = await this.#ask(kind, [worker], past);
      if (outcome !== 'timeout') silent.delete(worker.address);
      else this.#rest(kind, [worker]);
      // It took its time: the others are asked in the next round.
      if (outcome === 'timeout') return;
    }
  }

  /** Leaves workers alone that did not answer. In a group it is not known who: each is asked by itself at once. */
  #rest(kind: 'worker' | 'nanny', group: readonly TailWorker[]): void {
    const silent = this.#silent[kind];
    for (const { address } of group) {
      const last = silent.get(address)?.restMs ?? 0;
      const restMs = group.length > 1 ? 0 : Math.min(Math.max(askTimeoutMs, 2 * last), maxRestMs);
      silent.set(address, { untilMs: performance.now() + restMs, restMs });
    }
  }

  /** Reads what is new of some servers, and tells it. */
  async #ask(
    kind: ServerKind,
    group: readonly TailWorker[],
    past: number,
  ): Promise<'ok' | 'timeout' | 'unreachable' | 'failed'> {
    if (this.#stop.signal.aborted) return 'unreachable';
    const merge = this.#merges[kind];
    const isNew = group.some((worker) => !merge.knows(serverOf(kind, worker)));
    try {
      const logs = await this.#read(kind, group, isNew ? past : lookLines);
      const cut = isNew ? logs.map((log) => ({ ...log, lines: log.lines.slice(-past) })) : logs;
      const { lines, gaps } = merge.add(cut, false);
      this.#found(kind, isNew, lines);
      if (gaps.length > 0) {
        const rest = group.filter((worker) => gaps.includes(serverOf(kind, worker)));
        this.#found(kind, false, merge.add(await this.#read(kind, rest), true).lines);
      }
      this.#failures[kind] = 0;
      return 'ok';
    } catch (error) {
      return this.#failed(kind, error);
    }
  }

  async #read(kind: ServerKind, group: readonly TailWorker[], count?: number): Promise<ServerLog[]> {
    const started = performance.now();
    const limit = { timeoutMs: askTimeoutMs, signal: this.#stop.signal };
    const workers = group.map(({ address }) => address);
    const logs =
      kind === 'scheduler'
        ? new Map([['', await this.#client.schedulerLogs(count, limit)]])
        : await this.#client.workerLogs({ workers, nanny: kind === 'nanny', count }, limit);
    this.#tookMs += performance.now() - started;
    return group.flatMap((worker) => {
      const lines = logs.get(worker.address);
      return lines ? [{ address: serverOf(kind, worker), name: worker.name, lines }] : [];
    });
  }

  #found(kind: ServerKind, past: boolean, lines: readonly MergedLine[]): void {
    for (const line of lines) this.#lines.push({ ...line, kind, past });
  }

  #tell(): void {
    const lines = this.#lines.sort((a, b) => a.timeMs - b.timeMs);
    this.#lines = [];
    if (lines.length > 0) this.#later(() => this.#listener.onLines(lines));
  }

  #failed(kind: ServerKind, error: unknown): 'timeout' | 'unreachable' | 'failed' {
    const reason = error instanceof UserError ? error.reason : undefined;
    if (reason === 'timeout') return 'timeout';
    // Who watches the scheduler says so.
    if (reason === 'unreachable' || reason === 'scheduler-lost' || reason === 'cancelled')
      return 'unreachable';
    this.#failures[kind] += 1;
    if (this.#failures[kind] < failuresOfTrouble && reason === 'remote') return 'failed';
    const message = error instanceof Error ? error.message : String(error);
    const trouble = `The log of ${whose[kind]} can’t be read. ${message}`;
    if (!this.#troubles.has(trouble)) this.#later(() => this.#listener.onTrouble(trouble));
    this.#troubles.add(trouble);
    return 'failed';
  }

  /** An error of the listener's must not end the tail. */
  #later(report: () => void): void {
    queueMicrotask(() => {
      if (!this.#stop.signal.aborted) report();
    });
  }
}

const whose: Readonly<Record<ServerKind, string>> = {
  scheduler: 'the scheduler',
  worker: 'workers',
  nanny: 'nannies',
};

/** What its log is known by: a nanny outlives its workers. */
function serverOf(kind: ServerKind, { address, nanny }: TailWorker): string {
  return kind === 'nanny' ? (nanny ?? address) : address;
}

function chunks<T>(items: readonly T[]): T[][] {
  const count = Math.ceil(items.length / askedAtOnce);
  return Array.from({ length: count }, (_, i) => items.slice(i * askedAtOnce, (i + 1) * askedAtOnce));
}
