import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { LineReader, parseLine } from '../host/lines.ts';
import type { RunControl, RunEvent } from '../protocol/host.ts';

/** What one run says, and what can be said to it. */
export interface RunChannel {
  readonly port: number;
  readonly token: string;
  /** What the run and the workers of its own cluster print. */
  onOutput: (text: string) => void;
  onEvent: (event: RunEvent) => void;
  /** Sent now, or as soon as the run has connected. */
  control(message: RunControl): void;
  /** Typed by the user into the run's stdin; kept until the run has connected. */
  input(text: string): void;
  /** The run's stdin is at its end; what it prints still comes. */
  endInput(): void;
  dispose(): void;
}

const greetingTimeoutMs = 5_000;
const maxGreetingLength = 200;

/**
 * Where runs report: one loopback port for the window, opened with the first run. A connection has to name a run's
 * secret in its first line, so other users of the machine get nothing.
 */
export class RunChannels {
  readonly #runs = new Map<string, Connection>();
  readonly #sockets = new Set<Socket>();
  #listening: Promise<Server> | undefined;

  /** Makes a channel with a new secret. Rejects if no loopback port can be had. */
  async open(): Promise<RunChannel> {
    this.#listening ??= this.#listen();
    const server = await this.#listening;
    const token = randomBytes(24).toString('hex');
    const connection = new Connection((server.address() as AddressInfo).port, token, () =>
      this.#runs.delete(token),
    );
    this.#runs.set(token, connection);
    return connection;
  }

  dispose(): void {
    for (const run of [...this.#runs.values()]) run.dispose();
    for (const socket of this.#sockets) socket.destroy();
    this.#listening?.then(
      (server) => server.close(),
      () => undefined, // Whoever opened a channel was told.
    );
  }

  #listen(): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => this.#greet(socket));
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
  }

  #greet(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // A run that is killed resets its sockets: its end is reported by `close`, here is nothing to add.
    socket.on('error', () => socket.destroy());
    const timer = setTimeout(() => socket.destroy(), greetingTimeoutMs);
    let greeting = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      greeting = Buffer.concat([greeting, chunk]);
      const end = greeting.indexOf(10);
      if (end < 0 && greeting.length <= maxGreetingLength) return;
      clearTimeout(timer);
      socket.off('data', onData);
      const [token = '', role] = greeting.subarray(0, Math.max(end, 0)).toString().split(' ');
      const run = this.#runs.get(token);
      if (!run || !isRole(role)) {
        socket.destroy();
        return;
      }
      socket.pause();
      run.attach(role, socket, greeting.subarray(end + 1));
      socket.resume();
    };
    socket.on('data', onData);
  }
}

/** The user's code shares the process: a line that is not ours must not take the run's other lines down. */
function parse(line: string): RunEvent {
  const text = `the run wrote something that is not of its protocol: ${line.slice(0, 200)}`;
  return parseLine<RunEvent>(line) ?? { event: 'note', text };
}

const roles = ['io', 'events', 'output'] as const;
type Role = (typeof roles)[number];

function isRole(text: string | undefined): text is Role {
  return roles.some((role) => role === text);
}

class Connection implements RunChannel {
  readonly port: number;
  readonly token: string;
  readonly #forget: () => void;
  readonly #sockets: Socket[] = [];
  #io: Socket | undefined;
  #events: Socket | undefined;
  #waiting: RunControl[] = [];
  #typed = '';
  #inputEnded = false;
  onOutput: (text: string) => void = () => undefined;
  onEvent: (event: RunEvent) => void = () => undefined;

  constructor(port: number, token: string, forget: () => void) {
    this.port = port;
    this.token = token;
    this.#forget = forget;
  }

  attach(role: Role, socket: Socket, rest: Buffer): void {
    this.#sockets.push(socket);
    socket.setNoDelay(true);
    const lines = new LineReader((line) => this.onEvent(parse(line)));
    const take =
      role === 'events' ? (text: string) => lines.push(text) : (text: string) => this.onOutput(text);
    // Decoded as a stream, each on its own: a character may be cut in two between chunks.
    const decoder = new TextDecoder();
    const push = (chunk: Uint8Array) => take(decoder.decode(chunk, { stream: true }));
    push(rest);
    socket.on('data', push);
    if (role === 'io') this.#openInput(socket);
    if (role !== 'events') return;
    this.#events = socket;
    for (const message of this.#waiting.splice(0)) this.control(message);
  }

  control(message: RunControl): void {
    if (this.#events) this.#events.write(`${JSON.stringify(message)}\n`);
    else this.#waiting.push(message);
  }

  input(text: string): void {
    if (this.#inputEnded) return;
    if (this.#io) this.#io.write(text);
    else this.#typed += text;
  }

  endInput(): void {
    this.#inputEnded = true;
    this.#io?.end();
  }

  #openInput(socket: Socket): void {
    this.#io = socket;
    if (this.#typed !== '') socket.write(this.#typed);
    this.#typed = '';
    if (this.#inputEnded) socket.end();
  }

  dispose(): void {
    this.#forget();
    for (const socket of this.#sockets) socket.destroy();
  }
}
