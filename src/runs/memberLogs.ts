import type { Disposable } from '../core/emitter.ts';
import { type ClusterMember, type MemberAccess, type MemberLogLine, memberLabel } from '../core/members.ts';

export interface MemberLogsListener {
  onLine(member: ClusterMember, line: MemberLogLine): void;
  /** The log of a container can't be read, and why. */
  onTrouble(member: ClusterMember, reason: string): void;
}

const pastLines = 1000;
/** Lines that were told already, so as not to tell them again. */
const keptLines = 20_000;

/**
 * The engine's logs of a cluster's containers, followed while it is switched on: as long as Dask does not answer for
 * itself. What Dask or it has told before is not told again.
 */
export class MemberLogs implements Disposable {
  readonly #listener: MemberLogsListener;
  /** By id of the container. */
  readonly #following = new Map<string, AbortController>();
  /** Lines that the engine's log has told, by their text, which has their time in it; and what Dask has told. */
  readonly #byEngine = new Set<string>();
  readonly #byDask = new Set<string>();
  /** By id of the container: when its last line was printed that has been told. */
  readonly #lastMs = new Map<string, number>();
  #on = false;
  #members: readonly ClusterMember[] = [];
  #access: MemberAccess | undefined;

  constructor(listener: MemberLogsListener) {
    this.#listener = listener;
  }

  /** The containers that there are now. */
  update(members: readonly ClusterMember[], access: MemberAccess | undefined): void {
    this.#members = members;
    this.#access = access;
    this.#follow();
  }

  /** Whether Dask's own logs can't be had. */
  set on(on: boolean) {
    if (this.#on === on) return;
    this.#on = on;
    if (on) this.#follow();
    else this.#stop();
  }

  /**
   * Dask has told a line, maybe one of several rows. False if the engine's log has told it already; what Dask itself
   * tells again was said again.
   */
  logged(text: string): boolean {
    const rows = text.split('\n');
    for (const row of rows) remember(this.#byDask, row);
    return !rows.every((row) => this.#byEngine.has(row));
  }

  dispose(): void {
    this.#stop();
  }

  #follow(): void {
    const access = this.#access;
    if (!this.#on || !access) return;
    for (const member of this.#members) {
      // One that has ended is being removed: nobody has its log any more.
      const hasLog = member.state === 'running' || member.state === 'paused';
      if (!hasLog || this.#following.has(member.id)) continue;
      const stop = new AbortController();
      this.#following.set(member.id, stop);
      access
        .follow(member.name, { tail: pastLines, signal: stop.signal }, (line) => this.#take(member, line))
        .catch((error: unknown) => {
          const reason = error instanceof Error ? error.message : String(error);
          if (!stop.signal.aborted)
            this.#listener.onTrouble(member, `the log of ${memberLabel(member)}: ${reason}`);
        });
    }
  }

  #take(member: ClusterMember, line: MemberLogLine): void {
    const { timeMs, text } = line;
    const lastMs = this.#lastMs.get(member.id);
    // Followed again, it begins with what it has told before.
    const isPast = timeMs !== undefined && lastMs !== undefined && timeMs < lastMs;
    if (timeMs !== undefined) this.#lastMs.set(member.id, Math.max(timeMs, lastMs ?? 0));
    if (isPast || this.#byDask.has(text) || this.#byEngine.has(text)) return;
    if (isLogged.test(text)) remember(this.#byEngine, text);
    this.#listener.onLine(member, line);
  }

  #stop(): void {
    for (const stop of this.#following.values()) stop.abort();
    this.#following.clear();
  }
}

function remember(rows: Set<string>, row: string): void {
  rows.add(row);
  if (rows.size <= keptLines) return;
  for (const oldest of rows) {
    rows.delete(oldest);
    return;
  }
}

/** Only those have their time in them, so that no other is the same. */
const isLogged = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - /;
