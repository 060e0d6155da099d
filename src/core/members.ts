import { plural } from './executor.ts';
import { formatBytes, formatClock } from './format.ts';
import type { WorkerInfo } from './schedulerInfo.ts';

export type MemberState = 'created' | 'running' | 'paused' | 'exited';

/** A container, or a pod, that is a part of a cluster, as its engine tells of it: also where Dask does not answer. */
export interface ClusterMember {
  /** Of its container. One that takes its place has the same. */
  readonly name: string;
  /** Of its container, in the short form that engines show; of a pod, its UID. */
  readonly id: string;
  /** What it is to whoever runs it. Absent: a container. */
  readonly kind?: 'pod';
  readonly role: 'scheduler' | 'worker';
  /** Names of the workers in it, as Dask knows them; none of a scheduler. */
  readonly workers: readonly string[];
  /** Where its workers listen, and nobody else: Dask's names for them are told by it where others have started it. */
  readonly host?: string;
  readonly image: string;
  readonly state: MemberState;
  /** Of one that has exited; 137 is SIGKILL. */
  readonly exitCode?: number;
  /** Of the container before this one, which has ended. */
  readonly lastExitCode?: number;
  /** When the kernel last killed one of its processes for want of memory. */
  readonly outOfMemoryMs?: number;
  /** Where its pod is. */
  readonly node?: string;
  /** Why it does not run yet, or not any more. */
  readonly waiting?: string;
  /** Why whoever runs it takes it away unasked; only told of those that others have made. */
  readonly leaving?: string;
  /** How often a new container has taken the place of one that ended. */
  readonly restarts: number;
  /** When it came into its state, in milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** A line that a container has printed. */
export interface MemberLogLine {
  /** Milliseconds since the epoch; absent where the engine does not tell. */
  readonly timeMs?: number;
  readonly text: string;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A shell in a container, at a terminal of its own. */
export interface MemberShell {
  /** Resolves with its exit code when it has ended, undefined if nobody can tell that. */
  readonly ended: Promise<number | undefined>;
  /** @param listener hears what it prints, from its first character on */
  onData(listener: (text: string) => void): void;
  write(text: string): void;
  resize(size: TerminalSize): void;
  /** Ends it and what was started from it. */
  close(): Promise<void>;
}

export interface FollowOptions {
  /** How many lines of the time before. */
  readonly tail: number;
  readonly signal: AbortSignal;
  /** Only what the container before this one has printed, which has ended. Pods alone keep that apart. */
  readonly previous?: boolean;
}

/** What can be done to containers of a cluster without Dask, each by its name. */
export interface MemberAccess {
  /**
   * Tells the last lines, those of the container before first, and then what comes, till the container ends or the signal
   * aborts. A connection that breaks is made again.
   */
  follow(name: string, options: FollowOptions, onLine: (line: MemberLogLine) => void): Promise<void>;
  /** Rejects with a UserError if the container does not run, or has no shell. */
  shell(name: string, size: TerminalSize): Promise<MemberShell>;
  /** All that Kubernetes knows of a pod, and what happened to it, as text. Absent: nobody can tell. */
  describe?(name: string): Promise<string>;
}

/** Hears of all containers of a cluster, and how to get at them. */
export type MembersListener = (members: readonly ClusterMember[], access: MemberAccess) => void;

/** The scheduler first, then workers by number or name. Of several schedulers one that runs: others take its place, or left it. */
export function membersInOrder(members: Iterable<ClusterMember>): ClusterMember[] {
  const place = ({ role, state }: ClusterMember) => (role === 'worker' ? 2 : state === 'running' ? 0 : 1);
  const name = ({ workers, name }: ClusterMember) => workers[0] ?? name;
  const byName = new Intl.Collator('en', { numeric: true });
  return [...members].sort((a, b) => place(a) - place(b) || byName.compare(name(a), name(b)));
}

/**
 * The members with the names of their workers, as Dask tells who listens where. What Dask does not know now keeps the name that
 * it had.
 * @returns the same list if nothing changes
 */
export function withWorkerNames(
  members: readonly ClusterMember[],
  before: readonly ClusterMember[],
  workers: readonly Pick<WorkerInfo, 'name' | 'host'>[],
): readonly ClusterMember[] {
  if (members.every(({ host }) => host === undefined)) return members;
  const had = new Map(before.map((member) => [member.id, member.workers]));
  const there = Map.groupBy(workers, ({ host }) => host);
  let isChanged = false;
  const named = members.map((member) => {
    const { host, id, role } = member;
    if (host === undefined || role === 'scheduler') return member;
    const names = there.get(host)?.map(({ name }) => name) ?? had.get(id) ?? member.workers;
    if (names.join('\n') === member.workers.join('\n')) return member;
    isChanged = true;
    return { ...member, workers: names };
  });
  return isChanged ? named : members;
}

/** Containers of workers that the scheduler does not know: not yet, or not any more. */
export function absentMembers(
  members: readonly ClusterMember[],
  workers: readonly Pick<WorkerInfo, 'name'>[],
): ClusterMember[] {
  const here = new Set(workers.map(({ name }) => name));
  return members.filter(
    (member) => member.role === 'worker' && !member.workers.some((name) => here.has(name)),
  );
}

/** `scheduler`, `worker 1`, `workers 0, 1`: as rows and logs name it. */
export function memberLabel({ role, workers }: Pick<ClusterMember, 'role' | 'workers'>): string {
  if (role === 'scheduler' || workers.length === 0) return role;
  return `${workers.length > 1 ? 'workers' : 'worker'} ${workers.join(', ')}`;
}

/** What to call it, or several: pods, if all are. */
export const memberNoun = (...members: readonly ClusterMember[]): 'pod' | 'container' =>
  members.length > 0 && members.every(({ kind }) => kind === 'pod') ? 'pod' : 'container';

/** `container 4f1c… · exited 137, out of memory · 2 restarts`. */
export function memberText(member: ClusterMember): string {
  const { kind, id, node, waiting } = member;
  const what = kind === 'pod' ? (node ? `pod on ${node}` : 'pod') : `container ${id.slice(0, 4)}…`;
  return [what, waiting ?? stateText(member), restartsText(member)].filter(Boolean).join(' · ');
}

/** What is not as usual with a container; empty if nothing is. */
export function memberTrouble(member: ClusterMember): string {
  const state = member.waiting ?? (isUsual(member) ? '' : stateText(member));
  return [state, restartsText(member)].filter(Boolean).join(' · ');
}

/** All that is known of a container, a line each. */
export function memberLines(member: ClusterMember): string[] {
  const { name, id, image, sinceMs, kind, node, waiting } = member;
  return [
    kind === 'pod' ? `Pod ${name}${node ? ` on the node ${node}` : ''}` : `Container ${name} (${id})`,
    `Image: ${image}`,
    ...(waiting === undefined ? [] : [`Waits: ${waiting}`]),
    [`${stateText(member)} since ${formatClock(sinceMs)}`, restartsText(member)].filter(Boolean).join(' · '),
  ];
}

/** Says plainly that a container's memory was too little, and what helps. */
export function outOfMemoryText(
  member: Pick<ClusterMember, 'role' | 'workers'>,
  limitBytes: number | undefined,
): string {
  const who = memberLabel(member);
  if (limitBytes === undefined) return `${who} was killed: the engine's machine ran out of memory`;
  return `${who} ran out of memory (limit ${formatBytes(limitBytes)}) and was killed: raise memory_limit of the executor`;
}

const isUsual = ({ state, outOfMemoryMs }: ClusterMember) =>
  state === 'running' && outOfMemoryMs === undefined;

function stateText({ state, exitCode, outOfMemoryMs }: ClusterMember): string {
  const how = state === 'exited' && exitCode !== undefined ? `exited ${exitCode}` : state;
  if (outOfMemoryMs === undefined) return how;
  return state === 'exited'
    ? `${how}, out of memory`
    : `${how}, was out of memory at ${formatClock(outOfMemoryMs)}`;
}

function restartsText({ restarts, lastExitCode, waiting }: ClusterMember): string {
  if (restarts === 0) return '';
  // What it waits for says so as well.
  const how = lastExitCode === undefined || waiting !== undefined ? '' : ` (exit code ${lastExitCode})`;
  return `${plural(restarts, 'restart')}${how}`;
}
