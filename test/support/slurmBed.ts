import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { aptInstall, which } from '../../scripts/lib/debian.mjs';
import { freePort } from './sshBed.ts';

const run = promisify(execFile);
const startLimitMs = 120_000;
const paths = ['/usr/sbin', '/usr/bin'];

/** A real Slurm of one node on this machine: its controller, its daemon, and munge, none of them the machine's own. */
export class SlurmBed {
  /** What its commands need. */
  readonly env: { readonly SLURM_CONF: string };
  readonly #folder: string;
  readonly #daemons: ChildProcess[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
    this.env = { SLURM_CONF: join(folder, 'slurm.conf') };
  }

  /** Takes root, as its daemons do. */
  static async start(): Promise<SlurmBed> {
    process.env.PATH = [process.env.PATH, ...paths].join(':'); // where Debian has daemons
    const packages = { munged: 'munge', slurmctld: 'slurmctld', slurmd: 'slurmd', sbatch: 'slurm-client' };
    const missing = [];
    for (const [program, name] of Object.entries(packages)) if (!(await which(program))) missing.push(name);
    if (missing.length > 0) await aptInstall(missing, 'SLURMCluster');
    const bed = new SlurmBed(await mkdtemp(join(tmpdir(), 'slurm-bed-')));
    try {
      await bed.#start();
      return bed;
    } catch (error) {
      await bed.dispose();
      throw error;
    }
  }

  /** A folder for what jobs write. */
  get folder(): string {
    return join(this.#folder, 'jobs');
  }

  /** States of the jobs that it has: `RUNNING`, `PENDING`. */
  async jobs(): Promise<string[]> {
    return (await this.#states()).filter((state) => state !== 'COMPLETING');
  }

  async dispose(): Promise<void> {
    await this.#endJobs().catch(() => undefined); // a bed that did not start has none
    for (const daemon of this.#daemons.reverse()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) continue;
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGKILL');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #states(): Promise<string[]> {
    const { stdout } = await run('squeue', ['-h', '-o', '%T'], { env: { ...process.env, ...this.env } });
    return stdout.split('\n').filter(Boolean);
  }

  /** Each job has a process of its own, which ends in order only while the daemons are there. */
  async #endJobs(): Promise<void> {
    await run('scancel', ['-u', 'root'], { env: { ...process.env, ...this.env } });
    for (const began = performance.now(); (await this.#states()).length > 0; await sleep(100))
      if (performance.now() - began > startLimitMs) return;
  }

  async #start(): Promise<void> {
    const at = (name: string) => join(this.#folder, name);
    for (const name of ['state', 'spool', 'jobs']) await mkdir(at(name));
    await writeFile(at('munge.key'), randomBytes(1024), { mode: 0o400 });
    await writeFile(at('slurm.conf'), await this.#configuration());
    const files = ['key-file=munge.key', 'socket=munge.sock', 'pid-file=munge.pid', 'log-file=munge.log'];
    const options = [...files, 'seed-file=munge.seed'].map(
      (one) => `--${one.replace('=', `=${this.#folder}/`)}`,
    );
    this.#daemon('munged', ['-F', '-f', ...options]);
    await this.#until(() => access(at('munge.sock')), 'munge.log');
    this.#daemon('slurmctld', ['-D', '-c']);
    this.#daemon('slurmd', ['-D', '-c']);
    await this.#until(async () => {
      const { stdout } = await run('sinfo', ['-h', '-o', '%T'], { env: { ...process.env, ...this.env } });
      assert.equal(stdout.trim(), 'idle');
    }, 'ctld.log');
  }

  /** Waits until it no longer throws. */
  async #until(look: () => Promise<unknown>, log: string): Promise<void> {
    for (const began = performance.now(); ; await sleep(100)) {
      try {
        await look();
        return;
      } catch (error) {
        if (performance.now() - began < startLimitMs) continue;
        const said = await readFile(join(this.#folder, log), 'utf8').catch(() => '');
        throw new Error(`Slurm did not start:\n${said}`, { cause: error });
      }
    }
  }

  #daemon(name: string, args: string[]): void {
    this.#daemons.push(spawn(name, args, { env: { ...process.env, ...this.env }, stdio: 'ignore' }));
  }

  async #configuration(): Promise<string> {
    const at = (name: string) => join(this.#folder, name);
    const [node] = hostname().split('.');
    const lines = {
      ...{ ClusterName: 'bed', SlurmctldHost: `${node}(127.0.0.1)` },
      ...{ SlurmctldPort: await freePort(), SlurmdPort: await freePort() },
      ...{ SlurmUser: 'root', SlurmdUser: 'root', AuthType: 'auth/munge', CredType: 'cred/munge' },
      ...{ AuthInfo: `socket=${at('munge.sock')}`, StateSaveLocation: at('state') },
      ...{ SlurmdSpoolDir: at('spool'), SlurmctldPidFile: at('ctld.pid'), SlurmdPidFile: at('d.pid') },
      ...{ SlurmctldLogFile: at('ctld.log'), SlurmdLogFile: at('d.log') },
      ...{ ProctrackType: 'proctrack/pgid', TaskPlugin: 'task/none', MpiDefault: 'none' },
      ...{ SwitchType: 'switch/none', JobAcctGatherType: 'jobacct_gather/none', ReturnToService: 2 },
      ...{ SelectType: 'select/cons_tres', SelectTypeParameters: 'CR_CPU', KillWait: 2, MinJobAge: 2 },
      // More cores than the machine may have: nothing of it is reserved.
      ...{ SlurmdParameters: 'config_overrides', SchedulerParameters: 'batch_sched_delay=0' },
      NodeName: `${node} NodeAddr=127.0.0.1 CPUs=16 RealMemory=1024`,
      PartitionName: `debug Nodes=${node} Default=YES MaxTime=INFINITE State=UP`,
    };
    return Object.entries(lines)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('');
  }
}
