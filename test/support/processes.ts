import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { patienceMs } from './host.ts';

/** A live process, as `/proc` shows it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly ppid: number;
  /** Process group. */
  readonly pgid: number;
  /** Session. */
  readonly sid: number;
  readonly command: string;
}

function readProcess(pid: number): (ProcessInfo & { environment: string }) | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything.
    const [state, ppid, pgid, sid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === 'Z' || state === 'X') return undefined;
    const text = (name: string) =>
      readFileSync(`/proc/${pid}/${name}`, 'latin1').replaceAll('\0', ' ').trim();
    return {
      ...{ pid, ppid: Number(ppid), pgid: Number(pgid), sid: Number(sid) },
      command: text('cmdline'),
      environment: text('environ'),
    };
  } catch {
    return undefined; // It ended while it was looked at, or it is somebody else's.
  }
}

/**
 * Finds all processes that come from one start: those with its mark in their environment, and those in a process
 * group or session in which such a one has been seen. Linux only.
 */
export class Family {
  readonly mark = `FLOW_CLUSTERS_TEST=${Math.random().toString(36).slice(2)}`;
  readonly #groups = new Set<number>();

  /** To be added to the environment of the start. */
  get env(): Record<string, string> {
    const [name = '', value = ''] = this.mark.split('=');
    return { [name]: value };
  }

  /** Those who are alive now. */
  members(): ProcessInfo[] {
    const all = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => readProcess(Number(name)) ?? []);
    for (const { pgid, sid, environment } of all) {
      if (environment.includes(this.mark)) this.#groups.add(pgid).add(sid);
    }
    return all
      .filter(({ pgid, sid, environment }) => environment.includes(this.mark) || this.#has(pgid, sid))
      .map(({ environment: _, ...info }) => info);
  }

  #has(pgid: number, sid: number): boolean {
    return this.#groups.has(pgid) || this.#groups.has(sid);
  }

  /**
   * Waits until none is left but those of some process groups. Rejects with who is still there.
   * @param exceptGroups their numbers
   */
  async gone(exceptGroups: readonly number[] = [], withinMs = patienceMs): Promise<void> {
    const began = performance.now();
    for (;;) {
      const left = this.members().filter(({ pgid }) => !exceptGroups.includes(pgid));
      const tookMs = performance.now() - began;
      if (left.length === 0) return;
      if (tookMs > withinMs) {
        throw new Error(
          `still there after ${withinMs} ms:\n${left.map((one) => JSON.stringify(one)).join('\n')}`,
        );
      }
      await sleep(10);
    }
  }

  /** Ends whoever is left, after a test that failed. */
  kill(): void {
    for (const { pid } of this.members()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  }
}
