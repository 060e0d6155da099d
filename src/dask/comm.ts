import type { Address } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { Security } from '../core/security.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { explainFailure, explainSilence, notAScheduler, type Stage } from './failures.ts';
import { asRecord } from './fields.ts';
import { FrameError } from './frames.ts';
import { type Limit, within } from './limit.ts';
import { openTransport, type Transport } from './transport.ts';

/** Compression is off if either side says null; pickles are never read, so that any protocol of theirs does. */
const greeting = { compression: null, python: [3, 11, 0], 'pickle-protocol': 4 };

/** How long `close` may take to send what is written. */
const flushMs = 1000;
/** A peer that lets more than that lie does not read: all that we ever have to say is far less. */
const maxUnsentBytes = 1024 * 1024;

/**
 * A channel of messages to a Dask server, after the handshake. Holds at most what one piece from the
 * network brought: a peer that sends more has to wait until it is read.
 */
export class Comm {
  readonly address: Address;
  readonly #transport: Transport;
  readonly #opened = Promise.withResolvers<void>();
  #stage: Stage = 'connect';
  #failure: UserError | undefined;
  #reader: PromiseWithResolvers<Uint8Array[]> | undefined;
  #next: Uint8Array[] | undefined;

  private constructor(address: Address, security: Security | undefined) {
    this.address = address;
    this.#opened.promise.catch(() => undefined);
    this.#transport = openTransport(address, security, {
      onStage: (stage) => {
        this.#stage = stage;
        if (stage === 'handshake') this.#opened.resolve();
      },
      onBytes: (bytes) => this.#receive(bytes),
      onClosed: (error) => this.#fail(error),
    });
  }

  /**
   * Connects and shakes hands.
   * @param options `listenFirst`: nothing is sent to a peer that has not greeted as Dask
   * @throws UserError `unreachable`, `protocol`, `timeout` or `cancelled`
   */
  static async connect(
    address: Address,
    security: Security | undefined,
    limit: Limit,
    { listenFirst = false }: { readonly listenFirst?: boolean } = {},
  ): Promise<Comm> {
    const comm = new Comm(address, security);
    try {
      await within(comm.#shakeHands(listenFirst), limit, `connecting to ${address.text}`, () => comm.abort());
    } catch (error) {
      const stage = comm.#stage;
      const late = error instanceof UserError && error.reason === 'timeout' && stage !== 'open';
      throw late ? explainSilence(address, stage, limit.timeoutMs) : error;
    }
    return comm;
  }

  /** True once nothing can be written any more. */
  get closed(): boolean {
    return this.#failure !== undefined;
  }

  /** True if the peer has sent something that nobody has read, be it in part. */
  get hasUnread(): boolean {
    return this.#next !== undefined || this.#transport.framing.heldBytes > 0;
  }

  /** @throws UserError if the comm is closed */
  write(message: unknown): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#transport.send(encodeMessage(message));
    if (this.#transport.unsentBytes > maxUnsentBytes) this.#break(new Error('the peer does not read'));
  }

  /**
   * The next message. One reader at a time.
   * @throws UserError `scheduler-lost` or `protocol` if the comm ends before
   */
  async read(): Promise<unknown> {
    if (this.#reader !== undefined) throw new Error('a comm has one reader at a time');
    const reader = Promise.withResolvers<Uint8Array[]>();
    this.#reader = reader;
    this.#pump();
    const frames = await reader.promise;
    try {
      return decodeMessage(frames);
    } catch (error) {
      this.#break(new FrameError('garbage', (error as Error).message));
      throw this.#failure;
    }
  }

  /** Sends what is written, then closes. */
  close(): void {
    this.#fail(undefined);
    this.#transport.close();
    setTimeout(() => this.#transport.abort(), flushMs).unref();
  }

  /** Closes now. */
  abort(): void {
    this.#fail(undefined);
    this.#transport.abort();
  }

  async #shakeHands(listenFirst: boolean): Promise<void> {
    await this.#opened.promise;
    if (!listenFirst) this.write(greeting);
    const answer = asRecord(await this.read());
    if (!('pickle-protocol' in answer)) {
      this.abort();
      throw notAScheduler(this.address);
    }
    if (listenFirst) this.write(greeting);
    this.#stage = 'open';
  }

  #receive(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      this.#transport.framing.append(bytes);
    } catch (error) {
      this.#break(error as Error);
      return;
    }
    this.#pump();
  }

  /** Hands a message to the reader; lets the network wait while there is none. */
  #pump(): void {
    const { framing } = this.#transport;
    this.#next ??= framing.read();
    if (this.#next === undefined) {
      if (this.#failure === undefined) this.#transport.resume();
      else this.#reader?.reject(this.#failure);
      if (this.#failure !== undefined) this.#reader = undefined;
      return;
    }
    if (this.#reader === undefined) {
      this.#transport.pause();
      return;
    }
    this.#reader.resolve(this.#next);
    this.#reader = undefined;
    this.#next = framing.read();
  }

  #break(error: Error): void {
    this.#fail(error);
    this.#transport.abort();
  }

  #fail(error: Error | undefined): void {
    if (this.#failure !== undefined) return;
    this.#failure = explainFailure(error, this.address, this.#stage);
    this.#opened.reject(this.#failure);
    this.#pump();
  }
}
