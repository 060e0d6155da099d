import { rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { UserError } from '../../core/errors.ts';
import { makeHostDirectory } from '../../host/directories.ts';
import { parseSshUrl, type SshTarget, socketProblem, socketQuestion } from './ssh.ts';
import { runOverSsh, SshTunnel } from './sshTunnel.ts';

/** After the last connection to an engine has ended. */
const idleMs = 60_000;

/** A tunnel that stands, and the folder of its socket here. */
interface Way {
  readonly tunnel: SshTunnel;
  readonly folder: string;
}

/**
 * Connections to an engine on another machine, as Node's HTTP makes them: through one tunnel to its socket, which is there
 * from the first of them to a minute after the last.
 */
export class SshEngine extends Agent {
  readonly #target: SshTarget;
  #way: Promise<Way> | undefined;
  #opening = new AbortController();
  #connections = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(target: SshTarget) {
    super({ keepAlive: false });
    this.#target = target;
  }

  override createConnection(
    _options: unknown,
    done?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    this.#connections += 1;
    clearTimeout(this.#idle);
    this.#connect().then(
      (socket) => {
        socket.once('close', () => this.#left());
        done?.(null, socket);
      },
      (error: Error) => {
        this.#left();
        (done as ((error: Error) => void) | undefined)?.(error);
      },
    );
    return undefined;
  }

  /** Why it does not answer, if that can be told from its machine. */
  async problem(): Promise<UserError> {
    const way = await this.#way?.catch(() => undefined);
    if (way?.tunnel.problem) return way.tunnel.problem;
    return socketProblem(this.#target, await runOverSsh(this.#target, socketQuestion(this.#target)));
  }

  async close(): Promise<void> {
    clearTimeout(this.#idle);
    const way = this.#way;
    this.#way = undefined;
    this.#opening.abort();
    await way?.then(dismantle, () => undefined); // one that failed has left nothing
  }

  async #connect(): Promise<Duplex> {
    const { tunnel, folder } = await (this.#way ?? this.#open());
    await tunnel.ready();
    return connect(socketIn(folder));
  }

  #open(): Promise<Way> {
    this.#opening = new AbortController();
    const way = build(this.#target, this.#opening.signal);
    this.#way = way;
    way.catch(() => {
      // The next connection tries anew.
      if (this.#way === way) this.#way = undefined;
    });
    return way;
  }

  #left(): void {
    this.#connections -= 1;
    if (this.#connections > 0) return;
    this.#idle = setTimeout(() => void this.close(), idleMs);
    this.#idle.unref();
  }
}

const socketIn = (folder: string) => join(folder, 'docker.sock');

async function build(target: SshTarget, signal: AbortSignal): Promise<Way> {
  if (process.platform === 'win32') {
    // Its ssh forwards no sockets of this side, and a port would give the engine to everybody on this machine.
    throw new UserError('setting', 'Engines on other machines are not reached over ssh from Windows', {
      hint: 'Open the folder in WSL, or on the engine’s machine by Remote - SSH.',
    });
  }
  const folder = await makeHostDirectory();
  try {
    const forward = { from: socketIn(folder), to: target.socket };
    return { tunnel: await SshTunnel.open(target, [forward], signal), folder };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function dismantle({ tunnel, folder }: Way): Promise<void> {
  await tunnel.close();
  await rm(folder, { recursive: true, force: true });
}

const engines = new Map<string, SshEngine>();

/** The one for an address in this process. @throws UserError `setting` if it is none over ssh */
export function sshEngine(url: string, by: string): SshEngine {
  const engine = engines.get(url) ?? new SshEngine(parseSshUrl(url, by));
  engines.set(url, engine);
  return engine;
}

/** Ends all tunnels to engines; those that are used break. */
export async function closeSshEngines(): Promise<void> {
  const all = [...engines.values()];
  engines.clear();
  await Promise.all(all.map((engine) => engine.close()));
}
