import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

import type { WorkerNews } from '../../core/backend.ts';
import {
  type ClusterMember,
  type MemberState,
  memberLabel,
  membersInOrder,
  outOfMemoryText,
} from '../../core/members.ts';
import { LineReader } from '../../host/lines.ts';
import { label } from './members.ts';

export interface MemberWatchOptions {
  readonly engine: Docker;
  /** As its label has it. */
  readonly cluster: string;
  /** Of each worker; undefined: no limit. */
  readonly memoryBytes: number | undefined;
  readonly signal: AbortSignal;
  readonly onMembers: (members: readonly ClusterMember[]) => void;
  readonly onNews: (news: WorkerNews) => void;
}

/** What engines tell of a container; its labels are among the attributes. */
interface EngineEvent {
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> };
  readonly time?: number;
  readonly timeNano?: number;
}

const watched = ['create', 'start', 'die', 'oom', 'pause', 'unpause'];
const longestEvent = 1024 * 1024;
const againMs = 1000;
/** The kernel may kill several processes of a container for one want of memory. */
const sameWantMs = 3000;
/** A kill for want of memory is told apart from the end of its container, and may come after it. */
const lateMs = 500;

/**
 * What becomes of the containers of one cluster, by what the engine tells. They are removed when they end, so that
 * nobody could be asked of them then.
 */
export class MemberWatch {
  readonly #options: MemberWatchOptions;
  /** By name, as a new container takes the name of the one before. */
  readonly #members = new Map<string, ClusterMember>();
  /** By name of the container. */
  readonly #wants = new Map<string, number>();

  constructor(options: MemberWatchOptions) {
    this.#options = options;
  }

  /** All that there are, and those that have ended and shall be again; the scheduler first. */
  get members(): readonly ClusterMember[] {
    return membersInOrder(this.#members.values());
  }

  /** Watches till the cluster's end; a connection to the engine that breaks is made again. */
  async run(): Promise<void> {
    const { signal } = this.#options;
    let sinceSeconds = Math.floor(Date.now() / 1000) - 5;
    while (!signal.aborted) {
      try {
        await this.#look();
        await this.#listen(sinceSeconds);
      } catch {
        // The engine does not answer: whoever starts or uses containers says so. Here it is asked again.
      }
      sinceSeconds = Math.floor(Date.now() / 1000);
      await sleep(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * Forgets containers that end by intent: their workers are not wanted any more.
   * @param options with `ended`, only those that have ended already
   */
  forget(workers: Iterable<string>, { ended = false } = {}): void {
    const gone = new Set(workers);
    for (const [name, member] of this.#members) {
      if (ended && member.state !== 'exited') continue;
      if (member.workers.length > 0 && member.workers.every((worker) => gone.has(worker)))
        this.#members.delete(name);
    }
    this.#tell();
  }

  /** Whether a container has just run out of memory; waits a moment, as that may be told after its end. */
  async ranOutOfMemory(name: string): Promise<boolean> {
    const hasWanted = () => (this.#wants.get(name) ?? 0) > Date.now() - sameWantMs;
    for (let waited = 0; !hasWanted() && waited < lateMs; waited += 50) await sleep(50);
    return hasWanted();
  }

  /** A worker has been started again in its container. */
  processRestarted(name: string): void {
    const member = this.#members.get(name);
    if (member?.outOfMemoryMs === undefined) return;
    for (const worker of member.workers)
      this.#options.onNews({
        what: 'restarted',
        name: worker,
        message: `worker ${worker} was started again in its container`,
      });
  }

  /** Those that are there before anybody listens, as of a cluster that is taken up again. */
  async #look(): Promise<void> {
    const { engine, cluster } = this.#options;
    const filters = { label: [`${label.cluster}=${cluster}`] };
    const there = await engine.listContainers({ all: true, filters });
    const ids = new Set(there.map(({ Id }) => shortId(Id)));
    for (const member of this.members) {
      // It ended while nobody listened.
      if (!ids.has(member.id) && member.state !== 'exited')
        this.#put({ ...member, state: 'exited', sinceMs: Date.now() });
    }
    for (const { Id, Names, Image, Labels, State, Created } of there) {
      const name = Names[0]?.replace(/^\//, '') ?? Id;
      const state = stateOf(State);
      const before = this.#members.get(name);
      if (!state || before?.id === shortId(Id)) continue;
      const facts = { name, id: shortId(Id), image: Image, state, ...roleOf(Labels) };
      this.#put({ ...facts, restarts: before ? before.restarts + 1 : 0, sinceMs: Created * 1000 });
    }
  }

  async #listen(since: number): Promise<void> {
    const { engine, cluster, signal } = this.#options;
    const filters = {
      type: ['container' as const],
      event: [...watched],
      label: [`${label.cluster}=${cluster}`],
    };
    const stream = (await engine.getEvents({ filters, since })) as Readable;
    const stop = () => stream.destroy();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const reader = new LineReader((line) => this.#hear(line), longestEvent);
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => reader.push(chunk));
    try {
      await new Promise<void>((resolve) => {
        for (const end of ['end', 'close', 'error']) stream.once(end, () => resolve());
      });
    } finally {
      stream.on('error', () => undefined); // one that is destroyed may still say that it broke
      signal.removeEventListener('abort', stop);
    }
  }

  #hear(line: string): void {
    let event: EngineEvent;
    try {
      event = JSON.parse(line) as EngineEvent;
    } catch {
      return; // not an event: some engines send empty lines to keep the connection alive
    }
    const { ID = '', Attributes = {} } = event.Actor ?? {};
    const { name, image = '' } = Attributes;
    if (!name) return;
    const atMs = event.timeNano ? Math.floor(event.timeNano / 1e6) : (event.time ?? 0) * 1000;
    const before = this.#members.get(name);
    const same = before?.id === shortId(ID);
    if (event.Action === 'create') {
      // Told again after a broken connection, or late of one that `#look` has seen.
      if (same || (before && before.sinceMs > atMs)) return;
      const facts = { name, id: shortId(ID), image, ...roleOf(Attributes) };
      this.#put({ ...facts, state: 'created', restarts: before ? before.restarts + 1 : 0, sinceMs: atMs });
      return;
    }
    if (!before || !same) return;
    if (event.Action === 'oom') {
      this.#outOfMemory(before, atMs);
      return;
    }
    const state = stateAfter(event.Action);
    if (!state || before.sinceMs > atMs || before.state === 'exited') return;
    const exitCode = Number(Attributes.exitCode);
    this.#put({
      ...before,
      state,
      sinceMs: atMs,
      ...(state === 'exited' && Number.isInteger(exitCode) && { exitCode }),
    });
  }

  #outOfMemory(member: ClusterMember, atMs: number): void {
    const before = member.outOfMemoryMs;
    this.#put({ ...member, outOfMemoryMs: atMs });
    this.#wants.set(member.name, Date.now());
    if (before !== undefined && atMs - before < sameWantMs) return;
    const { memoryBytes, onNews } = this.#options;
    const limit = memoryBytes && memoryBytes * Math.max(1, member.workers.length);
    const [name = memberLabel(member)] = member.workers;
    onNews({ what: 'died', name, message: outOfMemoryText(member, limit) });
  }

  #put(member: ClusterMember): void {
    this.#members.set(member.name, member);
    this.#tell();
  }

  #tell(): void {
    if (!this.#options.signal.aborted) this.#options.onMembers(this.members);
  }
}

const shortId = (id: string) => id.slice(0, 12);

function roleOf(labels: Readonly<Record<string, string>>): Pick<ClusterMember, 'role' | 'workers'> {
  const workers = (labels[label.workers] ?? '').split(' ').filter(Boolean);
  return { role: labels[label.role] === 'scheduler' ? 'scheduler' : 'worker', workers };
}

function stateOf(state: string): MemberState | undefined {
  if (state === 'created' || state === 'running' || state === 'paused') return state;
  return state === 'exited' || state === 'dead' ? 'exited' : undefined;
}

function stateAfter(action: string | undefined): MemberState | undefined {
  if (action === 'start' || action === 'unpause') return 'running';
  if (action === 'pause') return 'paused';
  return action === 'die' ? 'exited' : undefined;
}
