import { randomUUID } from 'node:crypto';
import { parseAddress } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { Security } from '../core/security.ts';
import { Comm } from './comm.ts';
import { asArray, asNumber, asRecord, asText } from './fields.ts';
import { type Limit, within } from './limit.ts';
import type { SchedulerEvent } from './scheduler.ts';

export interface StreamListener {
  onEvent(topic: string, event: SchedulerEvent): void;
  /** Once, when the stream ends other than by `close`. */
  onLost(error: UserError): void;
}

const heartbeatMs = 5000;
const defaultTimeoutMs = 10_000;

/**
 * A registered client, as the scheduler calls it: gets the events of topics pushed. Topics are `all` (workers
 * and clients that come and go), a worker's address, or whatever `log_event` is called with.
 * The scheduler counts it among its clients: open one only for as long as events are wanted.
 */
export class ClientStream {
  readonly #comm: Comm;
  readonly #id: string;
  readonly #heartbeat: NodeJS.Timeout;
  #closed = false;

  private constructor(comm: Comm, id: string) {
    this.#comm = comm;
    this.#id = id;
    this.#heartbeat = setInterval(() => this.#send({ op: 'heartbeat-client' }), heartbeatMs);
  }

  /** @throws UserError as {@link Comm.connect} */
  static async open(
    address: string,
    listener: StreamListener,
    options: { readonly security?: Security | undefined } & Partial<Limit> = {},
  ): Promise<ClientStream> {
    const limit = { timeoutMs: defaultTimeoutMs, ...options };
    const comm = await Comm.connect(parseAddress(address), options.security, limit);
    const id = `Client-flow-clusters-${randomUUID()}`;
    await within(register(comm, id), limit, `registering at ${address}`, () => comm.abort());
    const stream = new ClientStream(comm, id);
    void stream.#listen(listener);
    return stream;
  }

  subscribe(topic: string): void {
    this.#send({ op: 'subscribe-topic', topic, client: this.#id });
  }

  unsubscribe(topic: string): void {
    this.#send({ op: 'unsubscribe-topic', topic, client: this.#id });
  }

  /** Takes leave of the scheduler. Harmless when repeated. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#send({ op: 'close-client' });
    this.#send({ op: 'close-stream' });
    this.#comm.close();
  }

  /** Messages of a stream are lists. A lost stream is told of by its reader, so not here. */
  #send(message: Readonly<Record<string, unknown>>): void {
    if (!this.#comm.closed) this.#comm.write([message]);
  }

  async #listen(listener: StreamListener): Promise<void> {
    try {
      for (;;) {
        for (const message of asArray(await this.#comm.read())) this.#dispatch(asRecord(message), listener);
      }
    } catch (error) {
      clearInterval(this.#heartbeat);
      if (this.#closed) return;
      this.#closed = true;
      this.#comm.abort();
      if (!(error instanceof UserError)) throw error;
      listener.onLost(error);
    }
  }

  #dispatch(message: Readonly<Record<string, unknown>>, listener: StreamListener): void {
    const topic = asText(message.topic);
    if (this.#closed || message.op !== 'event' || topic === undefined) return;
    const [time, event] = asArray(message.event);
    listener.onEvent(topic, { timeMs: asNumber(time) * 1000, message: event });
  }
}

async function register(comm: Comm, id: string): Promise<void> {
  comm.write({ op: 'register-client', client: id, reply: false, versions: { packages: {} } });
  const [first] = asArray(await comm.read());
  if (asRecord(first).op === 'stream-start') return;
  throw new UserError('protocol', `${comm.address.text} did not accept us as a client.`, {
    hint: 'Check that the address is a Dask scheduler’s.',
  });
}
