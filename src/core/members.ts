import { plural } from './executor.ts';
import { formatBytes, formatClock } from './format.ts';

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
  readonly image: string;
  readonly state: MemberState;
  /** Of one that has exited; 137 is SIGKILL. */
  readonly exitCode?: number;
  /** When the kernel last killed one of its processes for want of memory. */
  readonly outOfMemoryMs?: number;
  /** Where its pod is. */
  readonly node?: string;
  /** Why it does not run yet, or not any more. */
  readonly waiting?: string;
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

/** What can be done to containers of a cluster without Dask, each by its name. */
export interface MemberAccess {
  /** Tells the last `tail` lines and then what comes, till the container ends or `signal` aborts. */
  follow(
    name: string,
    options: { readonly tail: number; readonly signal: AbortSignal },
    onLine: (line: MemberLogLine) => void,
  ): Promise<void>;
  /** Rejects with a UserError if the container does not run, or has no shell. */
  shell(name: string, size: TerminalSize): Promise<MemberShell>;
  /** All that Kubernetes knows of a pod, and what happened to it, as text. Absent: nobody can tell. */
  describe?(name: string): Promise<string>;
}

/** The scheduler first, then workers by number. */
export function membersInOrder(members: Iterable<ClusterMember>): ClusterMember[] {
  const place = ({ role, workers }: ClusterMember) => (role === 'scheduler' ? -1 : Number(workers[0]));
  return [...members].sort((a, b) => place(a) - place(b));
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
  return [isUsual(member) ? '' : stateText(member), restartsText(member)].filter(Boolean).join(' · ');
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

const restartsText = ({ restarts }: ClusterMember) => (restarts > 0 ? plural(restarts, 'restart') : '');
