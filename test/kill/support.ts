import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import type { FlowDef } from '../../src/core/flow.ts';
import { LineReader } from '../../src/host/lines.ts';
import { patienceMs } from '../support/host.ts';
import { removeFolder } from '../support/hostLive.ts';
import { Family, type ProcessInfo } from '../support/processes.ts';

/** What the driver starts. */
export interface DriverOptions {
  readonly python: string;
  readonly workspace: string;
  readonly file: string;
  readonly flow: FlowDef;
  readonly env: Readonly<Record<string, string>>;
  /** `class`: on a temporary cluster of `clusterClass`. */
  readonly what: 'host' | 'temporary' | 'static' | 'written' | 'class';
  readonly clusterClass?: ClusterClassExecutor;
}

// biome-ignore lint/suspicious/noExplicitAny: events of the host and of the store, looked into by the tests.
export type Told = any;

/** A driver process and all that comes from it, in a folder for temporary files of its own. */
export class Scene {
  readonly family = new Family();
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #told: Told[] = [];
  #wake: () => void = () => undefined;

  private constructor(folder: string, options: DriverOptions) {
    this.#folder = folder;
    this.#child = spawn(
      process.execPath,
      ['--import', 'tsx', fileURLToPath(new URL('driver.ts', import.meta.url)), JSON.stringify(options)],
      {
        env: { ...process.env, ...this.family.env, ...options.env, TMPDIR: folder },
        stdio: ['pipe', 'pipe', 'inherit'],
        detached: true,
      },
    );
    if (this.#child.stdout) {
      // A line that a kill has cut short tells nothing.
      const lines = new LineReader((line) => {
        this.#told.push(JSON.parse(line));
        this.#wake();
      });
      this.#child.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    }
  }

  static async start(options: DriverOptions): Promise<Scene> {
    return new Scene(await mkdtemp(join(tmpdir(), 'kill-')), options);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The first thing told that fits, now or later. */
  async hears(fits: (told: Told) => boolean, timeoutMs = patienceMs): Promise<Told> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.#told.find(fits);
      if (found) return found;
      if (performance.now() > deadline) {
        throw new Error(`not heard: ${fits}\n${this.#told.map((told) => JSON.stringify(told)).join('\n')}`);
      }
      await Promise.race([
        sleep(200),
        new Promise<void>((resolve) => {
          this.#wake = resolve;
        }),
      ]);
    }
  }

  /** The run's end state. */
  async runEnd(timeoutMs?: number): Promise<Told> {
    return (await this.hears(({ type, state }) => type === 'run.state' && 'endedMs' in state, timeoutMs))
      .state;
  }

  say(command: 'cancel' | 'close'): void {
    this.#child.stdin?.write(`${command}\n`);
  }

  /** SIGKILL to one process, the driver if none is named. The family is counted first, so that none can hide. */
  kill(pid = this.pid): void {
    this.family.members();
    process.kill(pid, 'SIGKILL');
  }

  /** A process of the family by its place in it. */
  member(fits: (one: ProcessInfo, all: readonly ProcessInfo[]) => boolean): ProcessInfo {
    const all = this.family.members();
    const found = all.find((one) => fits(one, all));
    if (!found) throw new Error(`no such process:\n${all.map((one) => JSON.stringify(one)).join('\n')}`);
    return found;
  }

  /** Nothing of it may be left: no process, no file. */
  async nothingLeft(): Promise<void> {
    await this.family.gone();
    for (const began = performance.now(); ; await sleep(20)) {
      // Dask's own folder, of clusters that choose one themselves, stays behind empty.
      const others = /^tsx-|^dask-scratch-space$/;
      const left = (await readdir(this.#folder)).filter((name) => !others.test(name));
      if (left.length === 0) return;
      if (performance.now() - began > patienceMs) throw new Error(`files are left: ${left.join(', ')}`);
    }
  }

  async dispose(): Promise<void> {
    this.family.kill();
    await removeFolder(this.#folder);
  }
}
