import type { HostEvent } from '../protocol/host.ts';

/** Process groups of the clusters and runs of a host, from the request for each to its end. */
export class ProcessGroups {
  /** By the id of the cluster or run; null until known, and where there are no groups. */
  readonly #groups = new Map<string, number | null>();
  readonly #patient = new Set<string>();

  get size(): number {
    return this.#groups.size;
  }

  /** Whether one of them has to be given time to end by itself. */
  get patient(): boolean {
    return this.#patient.size > 0;
  }

  /**
   * It has been asked for: from now on the host is needed.
   * @param options `patient`: it ends by itself when the host does, and is never killed here
   */
  expect(id: string, { patient = false } = {}): void {
    this.#groups.set(id, null);
    if (patient) this.#patient.add(id);
  }

  hear(event: HostEvent): void {
    if (event.event === 'cluster.started') this.#know(event.cluster, event.pgid);
    else if (event.event === 'run.started') this.#groups.set(event.run, event.pgid);
    else if (event.event === 'cluster.ended') this.#forget(event.cluster);
    else if (event.event === 'run.exited') this.#groups.delete(event.run);
    else if (event.event === 'error') this.#refused(event.op, event.cluster ?? event.run);
  }

  /** Kills what is left, and forgets it. */
  kill(): void {
    for (const group of this.#groups.values()) if (group !== null) killGroup(group);
    this.#groups.clear();
    this.#patient.clear();
  }

  #know(id: string, group: number | null): void {
    if (!this.#patient.has(id)) this.#groups.set(id, group);
  }

  #forget(id: string): void {
    this.#groups.delete(id);
    this.#patient.delete(id);
  }

  #refused(op: string, id: string | undefined): void {
    if (id !== undefined && (op === 'cluster.start' || op === 'run.start')) this.#forget(id);
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
