import { connect as connectPlain } from 'node:net';
import { connect as connectSecurely, type TLSSocket } from 'node:tls';
import type { Security } from '../core/security.ts';

/** Where the hub of a cluster's relay is reached from here (`flow_clusters/relay.py`). */
export interface RelayPlace {
  readonly host: string;
  readonly port: number;
  readonly security: Security;
}

/** For the hub to take an offer. */
const offerTimeoutMs = 10_000;
/** Connections that wait for a worker; each that is taken is replaced. */
const waitingConnections = 4;
const retryMs = 500;
const usualSilenceMs = 10_000;
const longestLine = 10;

/**
 * Lets the workers of a cluster reach ports of this machine's loopback, those that were allowed and no others, through
 * connections that go from here to the cluster: nothing listens here.
 */
export class Relay {
  readonly #place: RelayPlace;
  readonly #silenceMs: number;
  readonly #ports = new Set<number>();
  readonly #sockets = new Set<TLSSocket>();
  #closed = false;
  #open = false;

  /** @param silenceMs of a hub that has gone without a word */
  constructor(place: RelayPlace, silenceMs = usualSilenceMs) {
    this.#place = place;
    this.#silenceMs = silenceMs;
  }

  allow(port: number): void {
    this.#ports.add(port);
    if (this.#open) return;
    this.#open = true;
    for (let n = 0; n < waitingConnections; n += 1) this.#wait();
  }

  /** Has the workers find that port of this machine's loopback on theirs. Rejects if their cluster is not reached. */
  async offer(port: number): Promise<void> {
    this.allow(port);
    await new Promise<void>((resolve, reject) => {
      const socket = this.#connect(`offer ${port}`);
      socket.setTimeout(offerTimeoutMs, () => socket.destroy(new Error('the cluster does not answer')));
      // The hub ends the connection when it has done so.
      socket.resume().once('error', reject).once('close', resolve);
    });
  }

  /** Keeps a cluster that ends where nobody holds it, until this is closed. */
  hold(): void {
    if (this.#closed) return;
    const socket = this.#connect('hold');
    socket.resume();
    // The hub says something every few seconds. A network that goes, as when a computer sleeps, tells nobody.
    socket.setTimeout(this.#silenceMs, () => socket.destroy());
    socket.once('close', () => setTimeout(() => this.hold(), retryMs).unref());
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #wait(): void {
    if (this.#closed) return;
    const socket = this.#connect('provider');
    let taken = false;
    socket.once('close', () => {
      if (!taken) setTimeout(() => this.#wait(), retryMs).unref();
    });
    this.#onRequest(socket, (wanted, first) => {
      taken = true;
      this.#wait();
      this.#passOn(socket, wanted, first);
    });
  }

  /** @param purpose as `flow_clusters/relay.py` knows it */
  #connect(purpose: string): TLSSocket {
    const { host, port, security } = this.#place;
    const { ca, cert, key } = security;
    const socket = connectSecurely({ host, port, ca, cert, key, checkServerIdentity: () => undefined });
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    // The hub has gone, or starts again: `close` follows.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.write(`${purpose}\n`);
    return socket;
  }

  /** Its first line is the port that a worker wants. */
  #onRequest(socket: TLSSocket, then: (port: number, first: Buffer) => void): void {
    let text = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      text = Buffer.concat([text, chunk]);
      const end = text.indexOf(10);
      if (end < 0 && text.length < longestLine) return;
      socket.off('data', onData);
      socket.pause();
      then(Number(text.subarray(0, Math.max(end, 0)).toString()), text.subarray(end + 1));
    };
    socket.on('data', onData);
  }

  #passOn(socket: TLSSocket, port: number, first: Buffer): void {
    if (!this.#ports.has(port)) {
      socket.destroy();
      return;
    }
    const server = connectPlain(port, '127.0.0.1');
    server.setNoDelay(true);
    server.on('error', () => socket.destroy());
    server.once('close', () => socket.destroy());
    socket.once('close', () => server.destroy());
    server.write(first);
    socket.pipe(server).pipe(socket);
  }
}
