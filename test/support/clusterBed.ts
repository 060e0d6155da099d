import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Security } from '../../src/core/security.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { makeCertificates } from './certificates.ts';

/** One process of a cluster: which interpreter, with what in its environment. */
export interface Part {
  readonly python: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface WorkerPart extends Part {
  readonly name: string;
  readonly threads?: number;
  /** As the command line has it: `GPU=1`. */
  readonly resources?: string;
}

/** A scheduler and workers as somebody else would start them: a process each, apart from ours. */
export interface ClusterBed {
  readonly address: string;
  readonly security: Security | undefined;
  /** Of a worker, or of the scheduler (`scheduler`). */
  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void;
  stop(): Promise<void>;
}

const startMs = 120_000;

export async function startClusterBed(options: {
  readonly scheduler: Part;
  readonly workers: readonly WorkerPart[];
  readonly tls?: boolean;
}): Promise<ClusterBed> {
  const folder = await mkdtemp(join(tmpdir(), 'cluster-bed-'));
  const tls = options.tls ? await makeCertificates() : undefined;
  const processes = new Map<string, ChildProcess>();
  const certificates = tls
    ? ['--tls-ca-file', tls.files.ca, '--tls-cert', tls.files.cert, '--tls-key', tls.files.key]
    : [];
  let log = '';
  const start = (name: string, { python, env }: Part, module: string, ...args: string[]) => {
    const child = spawn(python, ['-m', module, '--dashboard-address', ':0', ...certificates, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: folder,
      env: { ...process.env, ...env },
      detached: true,
    });
    processes.set(name, child);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-8_000);
    });
    return child;
  };
  const stop = async () => {
    for (const child of processes.values()) child.kill('SIGKILL');
    await Promise.all([...processes.values()].map(gone));
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    if (tls) await rm(tls.directory, { recursive: true, force: true });
  };
  try {
    const protocol = options.tls ? 'tls' : 'tcp';
    const listen = ['--protocol', protocol, '--host', '127.0.0.1', '--port', '0'];
    const scheduler = start('scheduler', options.scheduler, 'distributed.cli.dask_scheduler', ...listen);
    const address = await addressOf(scheduler, () => log);
    scheduler.stderr?.resume(); // whoever reads lines pauses it at the end, and a full pipe would block the scheduler
    for (const worker of options.workers) {
      const more = worker.resources ? ['--resources', worker.resources] : [];
      const threads = String(worker.threads ?? 1);
      const place = ['--local-directory', join(folder, worker.name), '--name', worker.name];
      const args = [address, '--no-nanny', '--nthreads', threads, ...place, ...more];
      start(worker.name, worker, 'distributed.cli.dask_worker', ...args);
    }
    await joined(address, tls?.security, options.workers.length, () => log);
    return {
      address,
      security: tls?.security,
      signal: (name, signal) => void processes.get(name)?.kill(signal),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const gone = (child: ChildProcess) =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise<void>((resolve) => void child.once('exit', () => resolve()));

/** Dask logs where it listens. */
async function addressOf(scheduler: ChildProcess, log: () => string): Promise<string> {
  const { stderr } = scheduler;
  if (!stderr) throw new Error('the scheduler has no log');
  for await (const line of createInterface(stderr)) {
    const address = /Scheduler at:\s*(\S+)/.exec(line)?.[1];
    if (address) return address;
  }
  throw new Error(`the scheduler ended:\n${log()}`);
}

async function joined(
  address: string,
  security: Security | undefined,
  wanted: number,
  log: () => string,
): Promise<void> {
  const client = new SchedulerClient(address, { security });
  try {
    for (const began = performance.now(); performance.now() - began < startMs; await sleep(50)) {
      if ((await client.identity()).workers.length === wanted) return;
    }
    throw new Error(`not all workers have come:\n${log()}`);
  } finally {
    client.close();
  }
}
