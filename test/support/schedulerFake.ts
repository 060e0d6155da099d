import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { decodeMessage, encodeMessage } from '../../src/dask/codec.ts';
import { encodeStream, StreamFraming } from '../../src/dask/frames.ts';

/** The fake's end of a connection. */
export interface Peer {
  /** How many connections there were before. */
  readonly index: number;
  readonly socket: Socket;
  send(message: unknown): void;
  /** Bytes as they are. */
  sendRaw(bytes: Uint8Array | string): void;
}

/** Messages that arrive on a connection, after the greeting. */
export type Behave = (peer: Peer, message: Record<string, unknown>) => void;

export interface Fake {
  readonly address: string;
  /** Ops in the order of their arrival. */
  readonly ops: string[];
  /** Open connections. */
  readonly open: Set<Socket>;
  stop(): Promise<void>;
}

export const greeting = { compression: 'zlib', python: [3, 11, 7], 'pickle-protocol': 5 };

/**
 * A server that speaks Dask's protocol as badly as a test wants.
 * @param greet what it does when a client connects; by default it greets
 */
export async function startFake(
  behave: Behave,
  greet: (peer: Peer) => void = (peer) => peer.send(greeting),
): Promise<Fake> {
  const ops: string[] = [];
  const open = new Set<Socket>();
  let count = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    const sendRaw = (bytes: Uint8Array | string) => void socket.write(bytes);
    const send = (message: unknown) => sendRaw(encodeStream(encodeMessage(message)));
    const peer: Peer = { index: count, socket, send, sendRaw };
    count += 1;
    greet(peer);
    const framing = new StreamFraming();
    let greeted = false;
    socket.on('data', (bytes) => {
      try {
        framing.append(bytes);
      } catch {
        socket.destroy();
        return;
      }
      for (let frames = framing.read(); frames !== undefined; frames = framing.read()) {
        const message = decodeMessage(frames) as Record<string, unknown>;
        if (greeted) {
          ops.push(String(message.op));
          behave(peer, message);
        }
        greeted = true;
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ops,
    open,
    stop: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
