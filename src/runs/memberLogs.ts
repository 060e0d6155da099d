import type { Disposable } from '../core/emitter.ts';
import {
  absentMembers,
  type ClusterMember,
  type FollowOptions,
  type MemberAccess,
  type MemberLogLine,
  memberLabel,
} from '../core/members.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';

export interface MemberLogsListener {
  onLine(member: ClusterMember, line: MemberLogLine): void;
  /** Logs of containers can't be read, and why. */
  onTrouble(reason: string): void;
}

const pastLines = 1000;
/** For a log that ends. */
const readMs = 30_000;
/** Each takes a connection. */
const mostFollowed = 100;
/** Lines that were told already, so as not to tell them again. */
const keptLines = 20_000;

interface Following {
  readonly stop: AbortController;
  /** Of its container, then. */
  readonly restarts: number;
}

/**
 * The engine's logs of a cluster's containers, followed while it is switched on: as long as Dask does not answer for
 * itself. Where it is told which workers Dask knows, also those of the others, and what pods printed before they were started
 * again. What Dask or it has told before is not told again.
 */
export class MemberLogs implements Disposable {
  readonly #listener: MemberLogsListener;
  /** By id of the container. */
  readonly #following = new Map<string, Following>();
  /** By id of the container: how often it had been started again when the log before that was read. */
  readonly #before = new Map<string, number>();
  /** Why logs can't be read, as it was told. */
  readonly #troubles = new Set<string>();
  /** Lines that the engine's log has told, by their text, which has their time in it; and what Dask has told. */
  readonly #byEngine = new Set<string>();
  readonly #byDask = new Set<string>();
  /** By id of the container: when its last line was printed that has been told. */
  readonly #lastMs = new Map<string, number>();
  #on = false;
  #members: readonly ClusterMember[] = [];
  #access: MemberAccess | undefined;
  #known: readonly WorkerInfo[] | undefined;

  constructor(listener: MemberLogsListener) {
    this.#listener = listener;
  }

  /**
   * The containers that there are now.
   * @param known workers that Dask answers for; absent: what the others print is told elsewhere
   */
  update(
    members: readonly ClusterMember[],
    access: MemberAccess | undefined,
    known?: readonly WorkerInfo[],
  ): void {
    this.#members = members;
    this.#access = access;
    this.#known = known;
    this.#follow();
  }

  /** Whether Dask's own logs can't be had. */
  set on(on: boolean) {
    if (this.#on === on) return;
    this.#on = on;
    this.#troubles.clear();
    if (!on) this.#stop();
    this.#follow();
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
    this.#access = undefined;
  }

  #stop(): void {
    for (const { stop } of this.#following.values()) stop.abort();
    this.#following.clear();
  }

  #follow(): void {
    const access = this.#access;
    if (!access) return;
    const alone = this.#alone();
    const ids = new Set(alone.map(({ id }) => id));
    // Of one that ends, or is gone, the last lines are on their way.
    for (const { id } of this.#members) if (!ids.has(id)) this.#end(id);
    for (const member of this.#readable(alone)) {
      const { id, restarts } = member;
      const known = this.#following.get(id);
      if (known?.restarts === restarts) continue;
      // Of a pod it is another one now: the log goes on with that.
      this.#end(id);
      const stop = new AbortController();
      this.#following.set(id, { stop, restarts });
      this.#before.set(id, restarts);
      this.#read(member, access, { tail: pastLines, signal: stop.signal });
    }
    if (!this.#known) return;
    for (const member of this.#members) {
      const { id, kind, restarts } = member;
      if (kind !== 'pod' || restarts === (this.#before.get(id) ?? 0)) continue;
      this.#before.set(id, restarts);
      const signal = AbortSignal.timeout(readMs);
      this.#read(member, access, { tail: pastLines, signal, previous: true });
    }
  }

  /** Those that nobody else answers for. */
  #alone(): readonly ClusterMember[] {
    if (this.#on) return this.#members;
    return this.#known ? absentMembers(this.#members, this.#known) : [];
  }

  #readable(members: readonly ClusterMember[]): readonly ClusterMember[] {
    const all = members.filter(({ state, kind, restarts }) => {
      if (state === 'running' || state === 'paused') return true;
      // A container that has ended is being removed: nobody has its log any more. A pod has it as long as it is there.
      return kind === 'pod' && (state === 'exited' || restarts > 0);
    });
    const rest = all.length - mostFollowed;
    if (rest > 0)
      this.#trouble('too many', `the logs of ${rest} more are not followed: that takes too many connections`);
    return all.slice(0, mostFollowed);
  }

  #end(id: string): void {
    this.#following.get(id)?.stop.abort();
    this.#following.delete(id);
  }

  #read(member: ClusterMember, access: MemberAccess, options: FollowOptions): void {
    const { id, name } = member;
    // Followed again, it begins with what it has told before.
    const toldMs = this.#lastMs.get(id) ?? Number.NEGATIVE_INFINITY;
    access
      .follow(name, options, (line) => {
        if (line.timeMs === undefined || line.timeMs > toldMs) this.#take(member, line);
      })
      .catch((error: unknown) => {
        if (options.signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        this.#trouble(reason, `the log of ${memberLabel(member)}: ${reason}`);
      });
  }

  /** Once, of however many containers. */
  #trouble(reason: string, text: string): void {
    if (this.#troubles.has(reason)) return;
    this.#troubles.add(reason);
    this.#listener.onTrouble(text);
  }

  #take(member: ClusterMember, line: MemberLogLine): void {
    const { timeMs, text } = line;
    const lastMs = this.#lastMs.get(member.id) ?? 0;
    if (timeMs !== undefined) this.#lastMs.set(member.id, Math.max(timeMs, lastMs));
    if (this.#byDask.has(text) || this.#byEngine.has(text)) return;
    if (isLogged.test(text)) remember(this.#byEngine, text);
    this.#listener.onLine(member, line);
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
