import { createServer, type Server, type Socket } from 'node:net';
import { within } from '../../core/limit.ts';
import type { KubernetesApi, PodSocket } from './kubernetesApi.ts';
import { SpdyForward } from './spdy.ts';

/** What may wait to be sent before whoever sends is asked to wait. */
const mostBufferedBytes = 1024 * 1024;
const dataStream = 0;
/** Each stream of a forward begins with the number of its port. */
const portBytes = 2;
const normalClosure = 1000;
/** For a node to connect to a port. */
const openMs = 20_000;
/** For a node to pass on the last of what was sent. */
const lingerMs = 5_000;

/** A connection to a port of a pod. */
export interface PodPort {
  /** What waits to be sent. */
  readonly bufferedAmount: number;
  /** Sends these in order. */
  send(parts: readonly Buffer[], onSent?: () => void): void;
  pause(): void;
  resume(): void;
  /** Ends it, when what was sent is on its way. */
  close(): void;
  /** Ends it at once. */
  destroy(): void;
}

export interface PodPortEvents {
  onData(data: Buffer): void;
  /** It has ended, by whom or what ever; told once, and not where it could not be opened. */
  onEnd(): void;
}

/**
 * Connects to a port of a pod as `kubectl port-forward` does: by a WebSocket, through the API server. Servers from 1.31 on have
 * a tunnel in it to the node, whose SPDY costs a third there of what a WebSocket does; others pass on the WebSocket itself.
 */
export async function openPodPort(
  api: KubernetesApi,
  pod: string,
  port: number,
  { onData, onEnd }: PodPortEvents,
): Promise<PodPort> {
  const begun = [false, false];
  let socket: PodSocket | undefined;
  const onFrame = (stream: number, data: Buffer) => {
    const content = begun[stream] ? data : data.subarray(portBytes);
    begun[stream] = true;
    if (content.length === 0) return;
    // The other stream tells that nothing listens there, or that it went away.
    if (stream === dataStream) onData(content);
    else socket?.terminate();
  };
  const ready = Promise.withResolvers<void>();
  // An API server notes each that ends otherwise.
  const onLast = () => socket?.close(normalClosure);
  const spdy = new SpdyForward({ onReady: ready.resolve, onData, onEnd: onLast });
  let isTunnel = false;
  const opened = await api.connect(pod, `portforward?ports=${port}`, onFrame, {
    protocol: 'SPDY/3.1+portforward.k8s.io',
    onOpen: () => {
      isTunnel = true;
    },
    onData: (data) => spdy.take(data),
  });
  socket = opened;
  opened.on('error', () => opened.terminate()); // `close` follows
  const frame = isTunnel ? (parts: readonly Buffer[]) => spdy.frame(parts) : framed;
  if (isTunnel) {
    opened.send(spdy.opening(port));
    await opening(opened, ready.promise);
  }
  opened.on('close', onEnd);
  let lingering: NodeJS.Timeout | undefined;
  return {
    get bufferedAmount() {
      return opened.bufferedAmount;
    },
    send: (parts, onSent) => opened.send(frame(parts), onSent),
    pause: () => opened.pause(),
    resume: () => opened.resume(),
    close: () => {
      if (!isTunnel) opened.close();
      if (!isTunnel || lingering) return;
      // What the node has of it would be lost with the connection; it answers with its own end.
      opened.send(spdy.frame([]));
      opened.resume();
      lingering = setTimeout(() => opened.terminate(), lingerMs).unref();
      opened.on('close', () => clearTimeout(lingering));
    },
    destroy: () => opened.terminate(),
  };
}

/** Waits for a port to take data. */
async function opening(opened: PodSocket, ready: Promise<void>): Promise<void> {
  const closed = Promise.withResolvers<never>();
  opened.on('close', () => closed.reject(new Error('the connection ended before the port was there')));
  const late = () => new Error(`the port was not there within ${openMs / 1000} s`);
  try {
    await within(Promise.race([ready, closed.promise]), openMs, late);
  } catch (error) {
    opened.terminate();
    throw error;
  }
}

/** Behind the number of their stream, in one frame: of frames that go on in others servers make several streams' data. */
function framed(parts: readonly Buffer[]): Buffer {
  const frame = Buffer.allocUnsafe(parts.reduce((sum, { length }) => sum + length, 1));
  frame[0] = dataStream;
  let at = 1;
  for (const part of parts) at += part.copy(frame, at);
  return frame;
}

/** A port of this machine's loopback; what becomes of its connections others say. */
export class LocalPort {
  readonly #onSocket: (socket: Socket) => void;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** @param onSocket gets each connection, paused */
  constructor(onSocket: (socket: Socket) => void) {
    this.#onSocket = onSocket;
  }

  /** Resolves with the port. */
  async listen(): Promise<number> {
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // Whoever connected sees the connection end, and connects again.
      socket.on('error', () => socket.destroy());
      this.#onSocket(socket);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/**
 * A port of this machine's loopback that leads to one of a pod, a WebSocket for each connection. Connections that break end
 * at both sides; the next one finds the pod that is then there.
 */
export class PortForward {
  readonly #api: KubernetesApi;
  readonly #pod: () => string | undefined;
  readonly #target: number;
  readonly #local = new LocalPort((socket) => {
    this.#join(socket).catch(() => socket.destroy());
  });

  /** @param pod whose port it is, at the time of a connection; undefined if there is none now */
  constructor(api: KubernetesApi, pod: () => string | undefined, target: number) {
    this.#api = api;
    this.#pod = pod;
    this.#target = target;
  }

  /** Resolves with the port here. */
  listen(): Promise<number> {
    return this.#local.listen();
  }

  close(): void {
    this.#local.close();
  }

  async #join(socket: Socket): Promise<void> {
    const pod = this.#pod();
    if (pod === undefined) {
      socket.destroy();
      return;
    }
    let remote: PodPort | undefined;
    const to = await openPodPort(this.#api, pod, this.#target, {
      onData: (data) => {
        if (!socket.writable) return;
        // What comes at once is often in pieces.
        if (socket.writableCorked === 0) {
          socket.cork();
          process.nextTick(() => socket.uncork());
        }
        if (socket.write(data) || !remote) return;
        remote.pause();
        socket.once('drain', () => remote?.resume());
      },
      onEnd: () => socket.destroySoon(),
    });
    remote = to;
    socket.once('close', () => to.close());
    if (socket.destroyed) {
      to.close();
      return;
    }
    socket.on('data', (chunk: Buffer) => {
      to.send([chunk], () => {
        if (socket.isPaused() && to.bufferedAmount < mostBufferedBytes / 2) socket.resume();
      });
      if (to.bufferedAmount > mostBufferedBytes) socket.pause();
    });
    socket.once('end', () => to.close());
    socket.resume();
  }
}
