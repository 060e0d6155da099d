import { setTimeout as sleep } from 'node:timers/promises';
import { addressOf } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { greet } from '../dask/greet.ts';
import type { SchedulerIdentity } from '../dask/identity.ts';
import type { ListeningSocket, Machine, PythonProcess } from './machine.ts';
import { windowOf } from './windowHost.ts';

/** A scheduler of this user on this machine that this window has not started. */
export interface Discovered {
  readonly address: string;
  readonly identity: SchedulerIdentity;
  readonly process: PythonProcess;
  readonly otherWindow: boolean;
}

export interface DiscoveryOptions {
  readonly machine: Machine;
  /** Of this window's extension host. */
  readonly ownPid: number;
  readonly log: Logger;
  /** All that there are now, whenever another is found or one has gone. */
  onChange(found: readonly Discovered[]): void;
  readonly intervalMs?: number;
}

const defaultIntervalMs = 3000;
/** What says nothing is a dashboard, most likely; a scheduler greets within milliseconds, unless it is very busy. */
const greetMs = 2000;
const greetedAtOnce = 8;
/** A process that listens on more than that is no scheduler's, but that of many servers. */
const askedOfProcess = 50;
/** After a look that failed, such as for want of a tool. */
const failedIntervalMs = 60_000;

/** A socket that is to be asked. */
interface Candidate {
  readonly socket: ListeningSocket;
  readonly process: PythonProcess;
  readonly otherWindow: boolean;
  /** The lower, the likelier it is a scheduler's. */
  readonly rank: number;
}

/**
 * Looks for Dask schedulers among what this user's Python processes listen on. A socket is connected to once in its
 * life at most, only where its process has loaded what Dask needs, and nothing is sent to a peer that does not greet as
 * Dask. What a scheduler says to belong to it is not asked. Schedulers with TLS greet nobody first: they can't be found
 * so.
 */
export class Discovery {
  readonly #options: DiscoveryOptions;
  /** What is known of sockets that listen, by key. */
  readonly #known = new Map<string, Discovered | 'none' | 'waiting'>();
  #waiting: Candidate[] = [];
  #asking = 0;
  #running: AbortController | undefined;
  #failed = '';

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Looks until stopped. What is known stays known, so that no socket is asked twice. */
  start(): void {
    if (this.#running) return;
    const running = new AbortController();
    this.#running = running;
    void this.#run(running.signal);
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    for (const [key, known] of this.#known) if (known === 'waiting') this.#known.delete(key);
    this.#waiting = [];
  }

  async #run(signal: AbortSignal): Promise<void> {
    // Whoever listens may have forgotten while nobody looked.
    this.#tell();
    while (!signal.aborted) {
      let restMs = this.#options.intervalMs ?? defaultIntervalMs;
      try {
        await this.#look(signal);
        this.#failed = '';
      } catch (error) {
        this.#fail(error);
        restMs = failedIntervalMs;
      }
      // It rejects when stopped, which the loop sees by itself.
      await sleep(restMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Forgets what has gone, and has what is new asked beside. */
  async #look(signal: AbortSignal): Promise<void> {
    const { machine } = this.#options;
    const sockets = await machine.sockets();
    if (signal.aborted) return;
    this.#forget(new Set(sockets.map(({ key }) => key)));
    const fresh = sockets.filter(({ key }) => !this.#known.has(key));
    if (fresh.length === 0) return;
    const candidates = await this.#candidates(fresh);
    if (signal.aborted) return;
    for (const { key } of fresh) this.#known.set(key, 'none');
    for (const { socket } of candidates) this.#known.set(socket.key, 'waiting');
    this.#waiting = [...this.#waiting, ...candidates].sort((a, b) => a.rank - b.rank);
    for (let i = this.#asking; i < Math.min(greetedAtOnce, this.#waiting.length); i += 1) {
      void this.#askAll(signal);
    }
  }

  #forget(listening: ReadonlySet<string>): void {
    const gone = [...this.#known].filter(([key]) => !listening.has(key));
    for (const [key] of gone) this.#known.delete(key);
    this.#waiting = this.#waiting.filter(({ socket }) => listening.has(socket.key));
    if (gone.some(([, known]) => typeof known === 'object')) this.#tell();
  }

  /** Of each process the oldest socket first, as a scheduler listens before those that it serves. */
  async #candidates(sockets: readonly ListeningSocket[]): Promise<Candidate[]> {
    const owners = await this.#options.machine.owners(sockets);
    const counts = new Map<number, number>();
    const candidates: Candidate[] = [];
    for (const socket of sockets) {
      const process = owners.get(socket.key);
      if (!process?.hasDask) continue;
      const count = counts.get(process.pid) ?? 0;
      counts.set(process.pid, count + 1);
      const window = await windowOf(process.argv, this.#options.ownPid);
      if (window === 'this' || count >= askedOfProcess) continue;
      const rank = count + (isWorker(process) ? askedOfProcess : 0);
      candidates.push({ socket, process, otherWindow: window === 'other', rank });
    }
    return candidates;
  }

  async #askAll(signal: AbortSignal): Promise<void> {
    this.#asking += 1;
    try {
      for (let next = this.#waiting.shift(); next && !signal.aborted; next = this.#waiting.shift()) {
        const found = await this.#ask(next, signal);
        if (signal.aborted) return;
        // It may have gone in the meantime.
        if (this.#known.has(next.socket.key)) this.#known.set(next.socket.key, found ?? 'none');
        if (found) this.#tell();
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#asking -= 1;
    }
  }

  async #ask(candidate: Candidate, signal: AbortSignal): Promise<Discovered | undefined> {
    const { socket, process, otherWindow } = candidate;
    const address = addressOf('tcp', socket.host, socket.port);
    try {
      const greeted = await greet(address, { timeoutMs: greetMs, signal });
      if (!greeted) return undefined;
      const { identity, ports } = greeted;
      for (const { socket: own } of this.#waiting.filter((one) => ports.has(one.socket.port))) {
        this.#known.set(own.key, 'none');
      }
      this.#waiting = this.#waiting.filter((one) => !ports.has(one.socket.port));
      return { address: address.text, identity, process, otherWindow };
    } catch (error) {
      // A dashboard, say: most sockets are no scheduler's.
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  #tell(): void {
    this.#options.onChange(this.#schedulers());
  }

  /** Each once, though it may listen at several addresses. */
  #schedulers(): Discovered[] {
    const found = [...this.#known.values()].filter((one) => typeof one === 'object');
    return [...new Map(found.reverse().map((one) => [one.identity.id, one])).values()].reverse();
  }

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (message !== this.#failed)
      this.#options.log.warn(`clusters of others can't be looked for: ${message}`);
    this.#failed = message;
  }
}

/** What Python's own `multiprocessing` has started serves another process: it is asked last. */
const isWorker = ({ argv }: PythonProcess): boolean =>
  argv.some((argument) => argument.includes('multiprocessing'));
