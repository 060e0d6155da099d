import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTo, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** A piece of network between us and a server, that a test can cut. */
export class TcpProxy {
  readonly #to: { readonly host: string; readonly port: number };
  readonly #host: string;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #server: Server | undefined;
  #frozen = false;
  #port: number;
  /** The most connections that were open at once, and how many there were in all. */
  most = 0;
  count = 0;

  private constructor(to: { host: string; port: number }, host: string, port: number) {
    this.#to = to;
    this.#host = host;
    this.#port = port;
  }

  /** Listens on another loopback address if told, so that the same port can be had. */
  static async start(to: { host: string; port: number }, host = '127.0.0.1', port = 0): Promise<TcpProxy> {
    const proxy = new TcpProxy(to, host, port);
    await proxy.restore();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** Nothing goes through any more, but nobody is told: as when a cable is pulled. New connections are taken. */
  freeze(): void {
    this.#frozen = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Whoever knocks is refused; what is open is reset. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    if (!server) return;
    server.close();
    await once(server, 'close');
  }

  /** All goes through again, what was held back too. */
  async restore(): Promise<void> {
    this.#frozen = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
    if (this.#server) return;
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#take(socket));
    this.#server.listen(this.#port, this.#host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #take(near: Socket): void {
    const far = connectTo(this.#to);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    this.count += 1;
    this.most = Math.max(this.most, this.#pairs.size);
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('error', () => undefined);
      from.on('data', (bytes) => void to.write(bytes));
      from.once('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#frozen) from.pause();
      else from.resume();
    }
  }
}

const script = `
import socket, sys
listening = socket.create_server(("127.0.0.1", 0), backlog=0)
port = listening.getsockname()[1]
waiting = [socket.socket() for _ in range(4)]
for one in waiting:
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
print(port, flush=True)
sys.stdin.read()
`;

/** A port that does not answer to a connection's first packet, as behind a firewall that drops: its queue is full. */
export async function startUnanswering(python: string): Promise<{ port: number; stop(): Promise<void> }> {
  const child = spawn(python, ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  const ended = once(child, 'exit');
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  return { port: Number(line), stop };
}
