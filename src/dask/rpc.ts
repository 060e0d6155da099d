import type { Address } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { Security } from '../core/security.ts';
import { Comm } from './comm.ts';
import { asRecord, asText } from './fields.ts';
import { type Limit, within } from './limit.ts';

/** The scheduler ran the call, and it raised an exception there. */
export class RemoteError extends UserError {
  /** Python's traceback, if it came as text. */
  readonly traceback: string | undefined;

  constructor(op: string, reply: Readonly<Record<string, unknown>>) {
    const text = asText(reply.exception_text) ?? asText(reply.text) ?? 'an exception without text';
    // The text of `blocked-handlers` (distributed/core.py).
    const refused = text.includes('explicitly disallowed');
    super(
      refused ? 'not-permitted' : 'remote',
      refused ? `The scheduler’s settings forbid “${op}”.` : `The scheduler failed at “${op}”: ${text}`,
    );
    this.name = 'RemoteError';
    this.traceback = asText(reply.traceback_text);
  }
}

export interface RpcOptions {
  readonly security?: Security | undefined;
  /** Limit of a call that names none of its own: queueing, connecting and the answer together. */
  readonly timeoutMs?: number;
  readonly maxConnections?: number;
}

const defaultTimeoutMs = 10_000;
const defaultConnections = 4;
const connectShare = 0.8;
/** Beyond this many waiting calls something is wrong; better to say so than to pile them up. */
const maxWaiting = 64;

/** A call under way. What gives it up depends on how far it has come. (An AbortController costs 0.05 ms.) */
interface Call {
  readonly message: unknown;
  readonly timeoutMs: number;
  abandoned: boolean;
  giveUp: () => void;
}

/**
 * Calls to a Dask server. The protocol has no request ids: a connection carries one call at a time, so that
 * there is a small pool of them, and calls beyond wait their turn. A call that is given up takes its
 * connection with it, as its late answer would be taken for the next one's.
 */
export class Rpc {
  readonly address: Address;
  readonly #security: Security | undefined;
  readonly #timeoutMs: number;
  #free: number;
  #idle: Comm[] = [];
  #waiting: (() => void)[] = [];
  readonly #running = new Set<Call>();
  #closed = false;

  constructor(address: Address, options: RpcOptions = {}) {
    this.address = address;
    this.#security = options.security;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.#free = options.maxConnections ?? defaultConnections;
  }

  /**
   * Calls `op` and gives its decoded answer.
   * @throws RemoteError if the call failed there
   * @throws UserError `unreachable`, `protocol`, `scheduler-lost`, `timeout` or `cancelled`
   */
  async call(
    op: string,
    args: Readonly<Record<string, unknown>> = {},
    limit: Partial<Limit> = {},
  ): Promise<unknown> {
    const timeoutMs = limit.timeoutMs ?? this.#timeoutMs;
    const message = { op, reply: true, ...args };
    const call: Call = { message, timeoutMs, abandoned: false, giveUp: () => undefined };
    this.#running.add(call);
    try {
      const what = `“${op}” of ${this.address.text}`;
      const limits = { timeoutMs, signal: limit.signal };
      const reply = await within(this.#run(call), limits, what, () => abandon(call));
      const record = asRecord(reply);
      if (record.status === 'uncaught-error') throw new RemoteError(op, record);
      return reply;
    } finally {
      this.#running.delete(call);
    }
  }

  /** Ends all connections now; calls under way fail with `cancelled`. */
  close(): void {
    this.#closed = true;
    for (const call of this.#running) abandon(call);
    for (const comm of this.#idle) comm.abort();
    this.#idle = [];
  }

  async #run(call: Call): Promise<unknown> {
    await this.#turn(call);
    try {
      const comm = this.#takeIdle() ?? (await this.#connect(call));
      return await this.#exchange(comm, call);
    } catch (error) {
      this.#checkOpen();
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  async #exchange(comm: Comm, call: Call): Promise<unknown> {
    call.giveUp = () => comm.abort();
    if (call.abandoned) comm.abort();
    comm.write(call.message);
    const reply = await comm.read();
    if (this.#closed || call.abandoned) comm.abort();
    else if (!comm.closed) this.#idle.push(comm);
    return reply;
  }

  /** Within less time than the whole call, so that the user hears what is wrong with the connection. */
  #connect(call: Call): Promise<Comm> {
    const stop = new AbortController();
    call.giveUp = () => stop.abort();
    if (call.abandoned) stop.abort();
    const timeoutMs = Math.ceil(call.timeoutMs * connectShare);
    return Comm.connect(this.address, this.#security, { timeoutMs, signal: stop.signal });
  }

  /** A connection at rest. One with words that nobody asked for would answer the wrong question. */
  #takeIdle(): Comm | undefined {
    for (let comm = this.#idle.pop(); comm !== undefined; comm = this.#idle.pop()) {
      if (!comm.closed && !comm.hasUnread) return comm;
      comm.abort();
    }
    return undefined;
  }

  async #turn(call: Call): Promise<void> {
    this.#checkOpen();
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    if (this.#waiting.length >= maxWaiting) {
      throw new UserError(
        'timeout',
        `${this.address.text} does not answer: ${maxWaiting} calls wait for it already.`,
      );
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push(resolve);
      call.giveUp = () => {
        this.#waiting = this.#waiting.filter((waiting) => waiting !== resolve);
        reject(this.#closedError());
      };
    });
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): UserError {
    return new UserError('cancelled', `The connection to ${this.address.text} was closed by us.`);
  }
}

function abandon(call: Call): void {
  call.abandoned = true;
  call.giveUp();
}
