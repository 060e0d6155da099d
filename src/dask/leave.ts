import { formatBytes } from '../core/format.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';
import { asRecord, asText } from './fields.ts';
import type { TailLine } from './logTail.ts';
import type { SchedulerEvent } from './scheduler.ts';
import { taskPrefix } from './taskKey.ts';

/** What there is to know of a worker that has left a cluster of others. */
export interface Evidence {
  /** As its scheduler last told of it. */
  readonly worker: WorkerInfo;
  /** When it was missed, milliseconds since the epoch. */
  readonly missedMs: number;
  /** Of the topic that is its address. */
  readonly events: readonly SchedulerEvent[];
  /** Lines of the logs of the scheduler and of nannies that came about that time, but those that told of others. */
  readonly lines: readonly TailLine[];
}

/** Why a worker has left, in plain words, and who says so. */
export interface Leave {
  readonly atMs: number;
  /** `worker 1 was killed (signal 9) while working on load, says its nanny`. */
  readonly message: string;
  /** Somebody wanted it to go: no death. */
  readonly asked: boolean;
  /** The nanny's line that told of its end, which is not another worker's too. */
  readonly told?: TailLine;
}

const shownTasks = 3;
/** So long a nanny may wait for a busy worker to close. */
const restartMs = 60_000;

/** Why a worker has left; undefined as long as nothing tells. */
export function explainLeave(evidence: Evidence): Leave | undefined {
  const removal = removalOf(evidence);
  const { missedMs } = evidence;
  const atMs = removal?.timeMs ?? missedMs;
  const leave = byScheduler(evidence) ?? byEvents(evidence) ?? byRestart(evidence, removal, atMs);
  if (leave) return { atMs, ...leave, message: `${workerText(evidence.worker.name)} ${leave.message}` };
  const death = byNanny(evidence, atMs);
  if (!death) return undefined;
  const message = `${workerText(evidence.worker.name)} ${death.how}${whileWorking(removal)}, says its nanny`;
  return { atMs, message, asked: false, told: death.line };
}

/** What is said when nothing tells why. */
export function unexplainedLeave(evidence: Evidence): Leave {
  const removal = removalOf(evidence);
  const message = `lost its connection to the scheduler${whileWorking(removal)}; nothing tells why`;
  return {
    atMs: removal?.timeMs ?? evidence.missedMs,
    asked: false,
    message: `${workerText(evidence.worker.name)} ${message}`,
  };
}

function removalOf({ events }: Evidence): SchedulerEvent | undefined {
  return events.findLast(({ message }) => asRecord(message).action === 'remove-worker');
}

/** `worker 0`; one without a name of its own is named by its address. */
export const workerText = (name: string): string => `worker ${name}`;

type Verdict = Pick<Leave, 'message' | 'asked'>;

/** The scheduler gives up on workers that send no heartbeat (`distributed.scheduler.worker-ttl`). */
function byScheduler(evidence: Evidence): Verdict | undefined {
  const { worker, lines } = evidence;
  const line = lines.findLast(
    ({ kind, text }) =>
      kind === 'scheduler' && text.includes('failed to heartbeat') && names(text, worker.address),
  );
  if (!line) return undefined;
  const seconds = /heartbeat (?:within|for) ([\d.]+) ?s/.exec(line.text)?.[1];
  const waited = seconds === undefined ? 'for too long' : `for ${seconds} s`;
  const message = `was not heard of ${waited} and was removed${whileWorking(removalOf(evidence))}, says the scheduler`;
  return { asked: false, message };
}

/** What scheduler and worker have noted under the worker's address. */
function byEvents({ events }: Evidence): Verdict | undefined {
  const all = events.map(({ message }) => asRecord(message));
  // An address may have been another worker's before.
  const notes = all.slice(all.findLastIndex(({ action }) => action === 'add-worker') + 1);
  const end = notes.findLastIndex(({ action }) => action === 'remove-worker');
  const removal = notes[end];
  if (removal?.expected === true || notes.some(({ action }) => action === 'retired')) {
    return { asked: true, message: 'was retired' };
  }
  const before = end < 0 ? notes : notes.slice(0, end);
  const closing = before.findLast(({ action }) => action === 'closing-worker');
  const status = before.findLast(({ action }) => action === 'worker-status-change')?.status;
  if (!closing && !/^clos/.test(asText(status) ?? '')) return undefined;
  const reason = asText(closing?.reason) ?? '';
  if (/restart/.test(reason)) return { asked: true, message: 'was restarted by a client' };
  return { asked: true, message: `closed in order${reason && ` (${reason})`}` };
}

/** In a restart, a worker that was busy is killed without a word, its tasks forgotten before. */
function byRestart(
  { worker, lines }: Evidence,
  removal: SchedulerEvent | undefined,
  atMs: number,
): Verdict | undefined {
  const all = (text: string) => /Restarting all workers|Send lost future signal/.test(text);
  const some = (text: string) => /Restarting \d+ workers/.test(text) && names(text, worker.address);
  const restarted = lines.some(
    ({ kind, text, timeMs }) =>
      kind === 'scheduler' && (all(text) || some(text)) && timeMs < atMs && atMs - timeMs < restartMs,
  );
  if (!restarted || whileWorking(removal) !== '') return undefined;
  return { asked: true, message: 'was restarted by a client' };
}

/** Its nanny saw its process end, and why: by the nanny itself, over the memory limit, or else by signal or code. */
function byNanny(
  { worker, lines, events }: Evidence,
  atMs: number,
): { how: string; line: TailLine } | undefined {
  const said = lines.filter(
    ({ kind, servers }) => kind === 'nanny' && servers.some(({ address }) => address === worker.nanny),
  );
  const memory = said.findLast(({ text }) => text.includes('memory budget') && names(text, worker.address));
  const pid = memory && /\(pid=(\d+)\)/.exec(memory.text)?.[1];
  const ends = said.flatMap((line) => {
    const match = /Worker process (\d+) (was killed by .*|exited with status -?\d+)/.exec(line.text);
    return match ? [{ line, pid: match[1], end: match[2] ?? '' }] : [];
  });
  if (memory) {
    const percent = /exceeded (\d+)% memory/.exec(memory.text)?.[1] ?? '95';
    const limit = worker.memoryLimitBytes > 0 ? ` (${formatBytes(worker.memoryLimitBytes)})` : '';
    const line = ends.find((one) => one.pid === pid)?.line ?? memory;
    return { line, how: `exceeded ${percent} % of its memory limit${limit} and was ended` };
  }
  const near = ({ line }: { line: TailLine }) => Math.abs(line.timeMs - atMs);
  const [nearest] = ends.sort((a, b) => near(a) - near(b));
  if (!nearest) return undefined;
  return { line: nearest.line, how: `${endText(nearest.end)}${pausedText(nearest.end, events)}` };
}

/** In the words of worker_deaths.py, which tells of clusters of ours. */
function endText(end: string): string {
  const status = /status (-?\d+)/.exec(end)?.[1];
  if (status !== undefined) return `ended by itself (exit code ${status})`;
  const signal = Number(/signal (\d+)/.exec(end)?.[1]);
  if (!signal) return 'was ended by an unknown signal';
  if (signal === 9) return 'was killed (signal 9)';
  const crash = {
    4: 'illegal instruction',
    6: 'aborted',
    7: 'bus error',
    8: 'arithmetic error',
    11: 'segmentation fault',
  }[signal];
  if (crash) return `crashed (signal ${signal}, ${crash})`;
  return `was ended (signal ${signal}${signal === 15 ? ', terminated' : ''})`;
}

/** Before 2022.12 a nanny ends a worker over its memory limit without a word in its log. */
function pausedText(end: string, events: readonly SchedulerEvent[]): string {
  const status = events.findLast(({ message }) => asRecord(message).action === 'worker-status-change');
  if (!end.includes('signal 15') || asRecord(status?.message).status !== 'paused') return '';
  return ' while paused for its memory, so most likely over its limit';
}

function whileWorking(removal: SchedulerEvent | undefined): string {
  const tasks = asRecord(removal?.message)['processing-tasks'];
  // A map by key before 2024.3, then a set. A tuple as a map's key has become JSON.
  const keys = Array.isArray(tasks)
    ? tasks
    : Object.keys(asRecord(tasks)).map((key) => /^\["([^"]+)"/.exec(key)?.[1] ?? key);
  const prefixes = [...new Set(keys.map((key) => taskPrefix(key)))].sort();
  if (prefixes.length === 0) return '';
  const more = prefixes.length > shownTasks ? ', …' : '';
  return ` while working on ${prefixes.slice(0, shownTasks).join(', ')}${more}`;
}

/** Whether a text names an address as a whole, and not as the start of a longer one. */
function names(text: string, address: string): boolean {
  const at = text.indexOf(address);
  return at >= 0 && !/\d/.test(text[at + address.length] ?? '');
}
