import { connect as connectPlain } from 'node:net';
import { connect as connectSecurely, type TLSSocket } from 'node:tls';
import type { Security } from '../core/security.ts';

/** Where the hub of a cluster's relay is reached from here (`flow_clusters/relay.py`). */
export interface RelayPlace {
  readonly host: string;
  readonly port: number;
  readonly security: Security;
}

/** Connections that wait for a worker; each that is taken is replaced. */
const waitingConnections = 4;
const retryMs = 500;
const longestLine = 10;

/**
 * Lets the workers of a cluster reach ports of this machine's loopback, those that were allowed and no others, through
 * connections that go from here to the cluster: nothing listens here.
 */
export class Relay {
  readonly #place: RelayPlace;
  readonly #ports = new Set<number>();
  readonly #sockets = new Set<TLSSocket>();
  #closed = false;
  #open = false;

  constructor(place: RelayPlace) {
    this.#place = place;
  }

  allow(port: number): void {
    this.#ports.add(port);
    if (this.#open) return;
    this.#open = true;
    for (let n = 0; n < waitingConnections; n += 1) this.#wait();
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #wait(): void {
    if (this.#closed) return;
    const { host, port, security } = this.#place;
    const { ca, cert, key } = security;
    const socket = connectSecurely({ host, port, ca, cert, key, checkServerIdentity: () => undefined });
    this.#sockets.add(socket);
    let taken = false;
    socket.setNoDelay(true);
    // The hub has gone, or starts again: `close` follows.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (!taken) setTimeout(() => this.#wait(), retryMs).unref();
    });
    socket.write('provider\n');
    this.#onRequest(socket, (wanted, first) => {
      taken = true;
      this.#wait();
      this.#passOn(socket, wanted, first);
    });
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
