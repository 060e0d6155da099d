import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Security } from '../../src/core/security.ts';
import { makeCertificates, type TestCertificates } from './certificates.ts';
import { type DaskVersion, daskEnv } from './daskEnvs.ts';

export interface BedOptions {
  readonly version: DaskVersion;
  /** An interpreter in place of that version's own. */
  readonly python?: string;
  readonly protocol?: 'tcp' | 'tls' | 'ws' | 'wss';
  readonly workers?: number;
  readonly nanny?: boolean;
  readonly host?: string;
  /** A free one by default. */
  readonly port?: number;
  /** With TLS; made for it by default. */
  readonly certificates?: TestCertificates;
  /** Calls that the scheduler's settings forbid. */
  readonly blocked?: readonly string[];
  /** Of each worker, as Dask reads it. */
  readonly memoryLimit?: string;
  /** Beside this process's own, such as Dask's configuration. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A real scheduler with workers, in a process group of its own that ends with `stop` or with this process. */
export interface Bed {
  readonly address: string;
  /** Of the scheduler's process. */
  readonly pid: number;
  readonly python: string;
  readonly security: Security | undefined;
  readonly certificates: TestCertificates | undefined;
  /** Calls something in the scheduler's process; see scheduler_bed.py. */
  call(...args: readonly unknown[]): Promise<unknown>;
  /** Stops scheduling it for a while, as a Python that holds the interpreter lock does. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void;
  readonly ended: Promise<unknown>;
  /** Kills the group, and makes sure that nothing is left of it. */
  stop(): Promise<void>;
}

const script = fileURLToPath(new URL('scheduler_bed.py', import.meta.url));
const endLimitMs = 30_000;

export async function startBed({
  version,
  python: given,
  protocol = 'tcp',
  workers = 2,
  nanny = false,
  host = '127.0.0.1',
  port = 0,
  certificates,
  blocked = [],
  memoryLimit,
  env,
}: BedOptions): Promise<Bed> {
  const python = given ?? (await daskEnv(version)).python;
  const secure = protocol === 'tls' || protocol === 'wss';
  const tls = secure ? (certificates ?? (await makeCertificates())) : undefined;
  // Workers of older versions make their folders where they are started.
  const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-bed-'));
  const args = ['--protocol', protocol, '--workers', String(workers), ...(nanny ? ['--nanny'] : [])];
  args.push('--host', host, '--port', String(port));
  if (blocked.length > 0) args.push('--blocked', ...blocked);
  if (memoryLimit) args.push('--memory-limit', memoryLimit);
  if (tls) args.push('--tls', '--ca', tls.files.ca, '--cert', tls.files.cert, '--key', tls.files.key);
  const child = spawn(python, [script, ...args], {
    stdio: 'pipe',
    detached: true,
    cwd: directory,
    env: { ...process.env, ...env },
  });
  let log = '';
  child.stderr.on('data', (text) => {
    log = `${log}${text}`.slice(-8000);
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const line = await lines.next();
    if (line.done) throw new Error(`the scheduler's process ended:\n${log}`);
    return JSON.parse(line.value);
  };
  const { address } = await next();
  return {
    address,
    pid: child.pid as number,
    python,
    security: tls?.security,
    certificates: tls,
    call: async (...call) => {
      child.stdin.write(`${JSON.stringify(call)}\n`);
      return await next();
    },
    signal: (signal) => void process.kill(child.pid as number, signal),
    ended: once(child, 'exit'),
    stop: async () => {
      await stopGroup(child);
      for (const made of [directory, certificates ? undefined : tls?.directory])
        if (made) await rm(made, { recursive: true, force: true });
    },
  };
}

/** True if a process of the group lives; what has ended but is not waited for does not count. */
export function groupLives(group: number): boolean {
  return execFileSync('ps', ['-A', '-o', 'pgid=,stat='], { encoding: 'utf8' })
    .split('\n')
    .some((line) => {
      const [id, state] = line.trim().split(/\s+/);
      return Number(id) === group && !state?.startsWith('Z');
    });
}

async function stopGroup(child: ChildProcess): Promise<void> {
  const group = child.pid as number;
  try {
    process.kill(-group, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  for (const began = performance.now(); groupLives(group); await sleep(20)) {
    if (performance.now() - began > endLimitMs) throw new Error(`process group ${group} did not end`);
  }
}
