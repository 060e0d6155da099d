import type { Cluster } from './cluster.ts';
import { isOver, type Run } from './run.ts';
import type { HeldTasks, SchedulerInfo, WorkerInfo } from './schedulerInfo.ts';
import { doneCount, type TaskGroup } from './tasks.ts';

/** Who has how much of a cluster's threads. All figures together are never more than there is. */
export interface ClusterShare {
  /** Threads that work, or could. */
  readonly threads: number;
  readonly busy: number;
  /** Threads of each live run of this window, by its id. */
  readonly runs: ReadonlyMap<string, number>;
  readonly others: OthersShare;
  /** Whether there is anyone but one run. */
  readonly shared: boolean;
}

/** All that is not of a live run of this window. */
export interface OthersShare {
  readonly threads: number;
  /** Whether the threads are an estimate. */
  readonly about: boolean;
  /** Their tasks that workers hold, by name, most first. */
  readonly tasks: readonly { readonly name: string; readonly count: number }[];
  /** Connected clients, undefined if the scheduler does not tell. */
  readonly clients: number | undefined;
  /** Whether there may be more clients than that. */
  readonly atLeast: boolean;
}

const nobody: OthersShare = { threads: 0, about: false, tasks: [], clients: 0, atLeast: false };

/** The scheduler's list of tasks is up to a second old: a run that has just ended may still be in it. */
const afterglowMs = 5000;

/**
 * Who uses a cluster, from its scheduler's last look and the events of our own runs. The scheduler knows which task is
 * on which worker; whose it is stands in the keys of Prefect's tasks from here, while those of a plain script are known
 * by their names. Which of a worker's tasks are in its threads, it does not tell: our own runs tell of theirs, and
 * others can have no more than is left.
 * @param runs all of this window, ended ones included
 */
export function shareOf(cluster: Cluster, runs: Iterable<Run>, nowMs: number): ClusterShare | undefined {
  const { info } = cluster;
  if (!info) return undefined;
  const all = [...runs];
  const here = all.filter(({ clusterId }) => clusterId === cluster.id);
  const live = here.filter((run) => !isOver(run));
  const threads = sum(info.workers, usableThreads);
  const own = divide(live, threads);
  const ownThreads = sum([...own.values()], (n) => n);
  const known = here.filter((run) => !isOver(run) || isFresh(run, nowMs));
  const others =
    cluster.lifetime === 'temporary' ? nobody : othersOf(info, known, { ours: ownThreads, threads }, all);
  return {
    threads,
    busy: ownThreads + others.threads,
    runs: own,
    others,
    shared: live.length > 1 || others.threads > 0 || others.tasks.length > 0 || (others.clients ?? 0) > 0,
  };
}

/** A worker that takes no tasks any more still has the threads that its last ones are in. */
function usableThreads(worker: WorkerInfo): number {
  return takesTasks(worker) ? worker.threads : Math.min(worker.threads, worker.processing);
}

/** Whether it starts tasks. Schedulers before 2022.8 do not tell. */
export function takesTasks({ status }: WorkerInfo): boolean {
  return status === 'running' || status === 'unknown';
}

/**
 * What each run's own events say, as long as there are threads for it. Of a plain script they may say more than is
 * true, as its tasks that are with a worker are in a thread or wait there for one: so it gets what is left.
 */
function divide(live: readonly Run[], threads: number): Map<string, number> {
  let left = threads;
  const surestFirst = live.toSorted((a, b) => Number(isScript(a)) - Number(isScript(b)));
  return new Map(
    surestFirst.map((run) => {
      const used = Math.min(left, threadsOf(run));
      left -= used;
      return [run.id, used];
    }),
  );
}

const isScript = ({ flow }: Run): boolean => flow.api === 'dask';

function threadsOf({ tasks, flow }: Run): number {
  // Prefect 2 and 3 wait for the next try inside of the task, in its thread.
  const waits = (group: TaskGroup) => (flow.api === 'prefect' ? (group.counts.retrying ?? 0) : 0);
  return sum(tasks, (group) => (group.counts.running ?? 0) + waits(group));
}

function isFresh({ state }: Run, nowMs: number): boolean {
  return 'endedMs' in state && nowMs - state.endedMs < afterglowMs;
}

function ownTasks(runs: readonly Run[]): (tasks: HeldTasks) => boolean {
  const ids = new Set(runs.map(({ id }) => id));
  const names = new Set(runs.filter(isScript).flatMap(({ tasks }) => tasks.map(({ name }) => name)));
  return ({ run, prefix }) => (run === undefined ? names.has(prefix) : ids.has(run));
}

/**
 * @param own live runs, and those that ended just now
 * @param use threads that there are, and those that our own runs say they use
 */
function othersOf(info: SchedulerInfo, own: readonly Run[], use: Use, runs: readonly Run[]): OthersShare {
  const asked = info.workers.every(({ held }) => held !== undefined);
  const { threads, about, counts } = (asked ? countByTask : countByName)(info, own, use.ours);
  // Tasks can start tasks through a client of their worker's; for whom, nobody tells.
  const nested = info.clients?.ids.some(isWorkerClient) ?? false;
  return {
    threads: Math.min(threads, use.threads - use.ours),
    about: about || nested,
    tasks: [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count),
    clients: otherClients(info, runs)?.length,
    atLeast: info.clients?.partial ?? false,
  };
}

interface Use {
  readonly threads: number;
  readonly ours: number;
}

interface Count {
  readonly threads: number;
  readonly about: boolean;
  readonly counts: ReadonlyMap<string, number>;
}

/** What the look leaves open, whose turn it is on a worker with more tasks than threads, our own runs tell. */
function countByTask(info: SchedulerInfo, own: readonly Run[], ours: number): Count {
  const isOwn = ownTasks(own);
  const counts = new Map<string, number>();
  let [busy, least, most] = [0, 0, 0];
  for (const { held = [], threads } of info.workers) {
    const others = held.filter((tasks) => !isOwn(tasks));
    for (const { prefix, count } of others) counts.set(prefix, (counts.get(prefix) ?? 0) + count);
    const [theirs, all] = [sum(others, countOf), sum(held, countOf)];
    busy += Math.min(threads, all);
    least += Math.max(0, Math.min(threads, all) - (all - theirs));
    most += Math.min(threads, theirs);
  }
  const threads = Math.min(most, Math.max(least, busy - ours));
  return { threads, about: least < most && own.some(isScript), counts };
}

const countOf = ({ count }: HeldTasks): number => count;

/** With too many tasks to ask for: the workers' own count of what they do, which is older, less ours. */
function countByName({ workers, prefixes }: SchedulerInfo, own: readonly Run[], ours: number): Count {
  const names = own.flatMap(({ tasks }) => tasks.map(({ name }) => name));
  // Dask cuts a name before its first number.
  const isOwn = (prefix: string) => names.some((name) => name === prefix || name.startsWith(`${prefix}-`));
  const others = prefixes.filter(({ name, processing }) => processing > 0 && !isOwn(name));
  const executing = sum(workers, (worker) => Math.min(worker.threads, worker.executing));
  return {
    threads: others.length > 0 ? Math.max(0, executing - ours) : 0,
    about: true,
    counts: new Map(others.map(({ name, processing }) => [name, processing])),
  };
}

/** Of `get_client()` within a task (distributed/worker.py). */
const isWorkerClient = (id: string): boolean => id.startsWith('Client-worker-');

/** Neither of a run of this window, nor of a task, nor of one who only looks or stops. */
function otherClients({ clients }: SchedulerInfo, runs: readonly Run[]): readonly string[] | undefined {
  const ids = new Set(runs.map(({ id }) => id));
  return clients?.ids.filter((client) => {
    const run = /-fc(?:run|flow)-(\w+?)-/.exec(client)?.[1];
    if (run !== undefined) return !ids.has(run);
    return !isWorkerClient(client) && !client.includes('-flow-clusters-');
  });
}

/** How many of the run's tasks are still to be done. */
export function tasksLeft({ tasks }: Run): number {
  return sum(tasks, (group) => group.total - doneCount(group));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
