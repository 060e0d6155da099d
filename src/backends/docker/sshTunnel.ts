import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../core/errors.ts';
import { within } from '../../core/limit.ts';
import { type Forward, isTaken, noSsh, type SshTarget, sshArgs, sshProblem } from './ssh.ts';

/** From the start of `ssh`, for jump hosts and all. */
const openTimeoutMs = 25_000;
/** For a tunnel that was there to come back. */
const returnTimeoutMs = 300_000;
const firstRetryMs = 1_000;
const longestRetryMs = 30_000;
/** After a refusal: to try more often looks like an attack, and some hosts shut out who does. */
const refusedRetryMs = 300_000;
const keptText = 10_000;
const readyMark = 'flow-clusters-ready';
/**
 * Sends back what it reads, which tells that all stands, till we have gone. `ssh` would then wait for forwarded
 * connections, and engines keep those of what a container prints: so the login itself is ended, over there.
 */
const holding = "exec sh -c 'cat; kill $PPID'";
const lastWordsMs = 500;
/** SIGTERM is enough; this is for one that is stuck. */
const killAfterMs = 2_000;

/** One run of `ssh`. */
interface Session {
  readonly child: ChildProcess;
  /** Resolves with what it said when it has ended; never rejects. */
  readonly ended: Promise<{
    readonly said: string;
    readonly code: number | undefined;
    readonly failure?: Error;
  }>;
  said(): string;
}

/** In English, as it is read. */
const startSsh = (args: readonly string[]): Session => {
  const child = spawn('ssh', args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
    windowsHide: true,
  });
  let said = '';
  child.stdin.on('error', () => undefined); // it has ended, which is told
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptText);
  });
  const ended = new Promise<Awaited<Session['ended']>>((resolve) => {
    child.once('error', (failure) => resolve({ said, code: undefined, failure }));
    child.once('exit', (code) => {
      const tell = () => resolve({ said, code: code ?? undefined });
      child.once('close', tell);
      // A helper of a jump may live on and hold its stderr.
      setTimeout(tell, lastWordsMs).unref();
    });
  });
  return { child, ended, said: () => said };
};

/**
 * Forwards to another machine by the user's `ssh`. One that breaks is made again, on the same ports, till it is closed.
 * However this process ends, so does `ssh`.
 */
export class SshTunnel {
  readonly #target: SshTarget;
  readonly #forwards: readonly Forward[];
  readonly #life = new AbortController();
  #session: Session | undefined;
  /** Settles when it stands, or can't. */
  #up = Promise.withResolvers<void>();
  #problem: UserError | undefined;

  private constructor(target: SshTarget, forwards: readonly Forward[]) {
    this.#target = target;
    this.#forwards = forwards;
  }

  /** @throws UserError with why it can't be, and what to do; the signal's reason, if that ends it before */
  static async open(
    target: SshTarget,
    forwards: readonly Forward[],
    signal: AbortSignal,
  ): Promise<SshTunnel> {
    const tunnel = new SshTunnel(target, forwards);
    const stop = () => tunnel.#life.abort(signal.reason);
    signal.throwIfAborted();
    signal.addEventListener('abort', stop, { once: true });
    try {
      const session = await tunnel.#connect();
      tunnel.#up.resolve();
      void tunnel.#keep(session);
      return tunnel;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Why it does not stand now. */
  get problem(): UserError | undefined {
    return this.#problem;
  }

  /** Resolves when it stands. @throws UserError if it was broken for too long, or is closed */
  ready(): Promise<void> {
    return within(this.#up.promise, returnTimeoutMs, () => this.#problem ?? sshProblem(this.#target, ''));
  }

  async close(): Promise<void> {
    this.#life.abort();
    const session = this.#session;
    if (session) await end(session);
  }

  async #keep(first: Session): Promise<void> {
    for (let session = first; ; ) {
      await session.ended;
      if (this.#life.signal.aborted) return;
      this.#up = Promise.withResolvers();
      this.#up.promise.catch(() => undefined); // whoever asks hears of it
      const again = await this.#connectAgain();
      if (!again) return;
      session = again;
      this.#problem = undefined;
      this.#up.resolve();
    }
  }

  /** Undefined if it is closed meanwhile. */
  async #connectAgain(): Promise<Session | undefined> {
    const { signal } = this.#life;
    for (let waitMs = firstRetryMs; ; ) {
      try {
        await sleep(waitMs, undefined, { signal });
        return await this.#connect();
      } catch (error) {
        if (signal.aborted || !(error instanceof UserError)) {
          this.#up.reject(this.#problem ?? error);
          return undefined;
        }
        this.#problem = error;
        waitMs = error.reason === 'unreachable' ? Math.min(2 * waitMs, longestRetryMs) : refusedRetryMs;
      }
    }
  }

  async #connect(): Promise<Session> {
    const { signal } = this.#life;
    const session = startSsh(sshArgs(this.#target, this.#forwards, holding));
    this.#session = session;
    const { child, ended } = session;
    try {
      const stands = new Promise<void>((resolve) => {
        let heard = '';
        child.stdout?.setEncoding('utf8').on('data', (text: string) => {
          // A shell over there may greet before it.
          heard = (heard + text).slice(-keptText);
          if (heard.includes(readyMark)) resolve();
        });
        child.stdin?.write(`${readyMark}\n`);
      });
      const fails = ended.then(({ said, failure }) => {
        throw failure ? noSsh(failure) : sshProblem(this.#target, said);
      });
      const late = () => sshProblem(this.#target, `${session.said()}\nConnection timed out`);
      await within(Promise.race([stands, fails, aborted(signal)]), openTimeoutMs, late);
      return session;
    } catch (error) {
      await end(session);
      throw error;
    }
  }
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    const stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });

async function end({ child, ended }: Session): Promise<void> {
  child.kill();
  const kill = setTimeout(() => child.kill('SIGKILL'), killAfterMs);
  await ended;
  clearTimeout(kill);
}

/** Ends without a code where `ssh` could not run it in time. */
export async function runOverSsh(target: SshTarget, command: string): Promise<number | undefined> {
  const session = startSsh(sshArgs(target, [], command));
  session.child.stdin?.end();
  const late = setTimeout(() => session.child.kill('SIGKILL'), openTimeoutMs);
  const { code } = await session.ended;
  clearTimeout(late);
  return code;
}

const mostAttempts = 3;

/**
 * Forwards ports of the other machine's loopback.
 * @returns the tunnel, and the ports of this machine's loopback in their order, which stay while it lives
 */
export async function openPorts(
  target: SshTarget,
  ports: readonly number[],
  signal: AbortSignal,
): Promise<{ readonly tunnel: SshTunnel; readonly ports: readonly number[] }> {
  for (let attempt = 1; ; attempt += 1) {
    const here = await freePorts(ports.length);
    const forwards = ports.map((port, n) => ({ from: `127.0.0.1:${here[n]}`, to: `127.0.0.1:${port}` }));
    try {
      return { tunnel: await SshTunnel.open(target, forwards, signal), ports: here };
    } catch (error) {
      // Somebody has taken one between our look and its use.
      const said = error instanceof UserError && error.cause instanceof Error ? error.cause.message : '';
      if (attempt === mostAttempts || !isTaken(said)) throw error;
    }
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  return Promise.all(
    servers.map((server) => {
      const address = server.address();
      const port = typeof address === 'object' && address ? address.port : 0;
      return new Promise<number>((resolve) => server.close(() => resolve(port)));
    }),
  );
}
