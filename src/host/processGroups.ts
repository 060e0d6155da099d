import type { HostEvent } from '../protocol/host.ts';

/** Process groups of the clusters and runs of a host, from the request for each to its end. */
export class ProcessGroups {
  /** By the id of the cluster or run; null until known, and where there are no groups. */
  readonly #groups = new Map<string, number | null>();

  get size(): number {
    return this.#groups.size;
  }

  /** It has been asked for: from now on the host is needed. */
  expect(id: string): void {
    this.#groups.set(id, null);
  }

  hear(event: HostEvent): void {
    if (event.event === 'cluster.started') this.#groups.set(event.cluster, event.pgid);
    else if (event.event === 'run.started') this.#groups.set(event.run, event.pgid);
    else if (event.event === 'cluster.ended') this.#groups.delete(event.cluster);
    else if (event.event === 'run.exited') this.#groups.delete(event.run);
    else if (event.event === 'error') this.#refused(event.op, event.cluster ?? event.run);
  }

  /** Kills what is left, and forgets it. */
  kill(): void {
    for (const group of this.#groups.values()) if (group !== null) killGroup(group);
    this.#groups.clear();
  }

  #refused(op: string, id: string | undefined): void {
    if (id !== undefined && (op === 'cluster.start' || op === 'run.start')) this.#groups.delete(id);
  }
}

/** Kills a process group of ours; harmless when it has gone, and on Windows, which has none. */
export function killGroup(pgid: number): void {
  // 0 and 1 would be our own group and everything: never, whatever the host says.
  if (process.platform === 'win32' || pgid <= 1) return;
  try {
    process.kill(-pgid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it is gone already, which is what was wanted. EPERM: only its zombies are left (macOS), or it is not ours.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
