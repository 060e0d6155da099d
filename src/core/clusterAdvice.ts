import { type Cluster, isLive, type Lifetime } from './cluster.ts';
import { makesClusters, type OwnExecutor } from './executor.ts';
import { formatSpan } from './format.ts';
import { listed } from './preflight/finding.ts';
import type { ClusterUse, Run } from './run.ts';
import type { Snapshot } from './store.ts';
import { isLocalCluster } from './written.ts';

/** That the other kind of cluster would serve the runs of an executor better. */
export interface ClusterAdvice {
  readonly to: Lifetime;
  /** One sentence with the figures of the user's own runs, without a full stop. */
  readonly message: string;
}

const hourMs = 3_600_000;
/** What was long ago was another flow on another machine. */
const recordMs = 30 * 24 * hourMs;
/** Fewer runs than this are no habit. */
const fewestRuns = 5;
/** Shorter waits are not worth a cluster that somebody has to stop. */
const shortestWaitMs = 5_000;
/** Less than this, of all runs together, nobody would miss. */
const leastSavedMs = 120_000;
/** A static cluster spares a run its wait only if it is still there: who comes back later has stopped it. */
const longestPauseMs = hourMs / 2;
/** A cluster that has been up for less has not been left idle yet. */
const leastUpMs = 2 * hourMs;
/** Used more than this, a static cluster is no waste. */
const mostIdleUse = 0.1;
/** Of its last runs so many are looked at for modules that workers lacked, and so many of them are no accident. */
const mostMissing = 10;
const fewestMissing = 3;
/** A start this short is not noticed. */
const quickStartMs = 3_000;

/**
 * Whether temporary or static clusters suit an executor, by the runs of the last 30 days. While a static cluster of it
 * is there, the question is whether it pays; else, whether one would. So there is never advice both ways, and as a
 * start counts as too long from one median run on, and as short enough up to half a one, none that takes the last back.
 * @returns undefined where the figures say nothing, or are too few
 */
export function adviseCluster(
  name: string,
  { runs, clusters, executors }: Pick<Snapshot, 'runs' | 'clusters' | 'executors'>,
  nowMs: number,
): ClusterAdvice | undefined {
  const executor = executors.executors.find((one) => one.name === name);
  if (executor?.kind === 'existing') return adviseMissing(name, runs.values(), nowMs);
  if (!executor || !makesClusters(executor)) return undefined;
  const spans = [...runs.values()].flatMap((run) => spanOf(run, name, nowMs));
  const ofIt = staticClustersOf(name, clusters.values());
  if (ofIt.length === 0) return adviseStatic(spans);
  const upNow = ofIt.flatMap(({ id, state }) => (state.kind === 'running' ? [keyOf(id, state.sinceMs)] : []));
  // What an hour on this machine costs, it costs idle or not.
  const price = worksHere(executor, ofIt) ? undefined : executors.workerHourPrice;
  return adviseContended(spans) ?? adviseIdle(spans, { upNow, nowMs, ...(price !== undefined && { price }) });
}

/** The static clusters made from an executor that are there. */
export function staticClustersOf(executor: string, clusters: Iterable<Cluster>): Cluster[] {
  return [...clusters].filter(
    (one) =>
      one.executor === executor && one.ownership === 'owned' && one.lifetime === 'static' && isLive(one),
  );
}

const atLoopback = /^\w+:\/\/(127\.|localhost:|\[::1\])/;

/**
 * Whether workers of these clusters are on this machine. Of a class that is so by its name, or where scheduler and workers
 * are all at the loopback, as those that a function makes: a way to a scheduler elsewhere may end there, workers do not. The
 * loopback of containers and pods is another.
 */
function worksHere(executor: OwnExecutor, clusters: readonly Cluster[]): boolean {
  if (executor.kind !== 'clusterClass') return executor.kind === 'local';
  if (isLocalCluster({ path: executor.cluster_class.replace(':', '.') })) return true;
  const running = clusters.flatMap(({ state, info }) =>
    state.kind === 'running' ? [state.address, ...(info?.workers ?? []).map(({ address }) => address)] : [],
  );
  return running.every((address) => atLoopback.test(address));
}

/** A run of an executor, from its click to its end or to now. */
interface Span {
  readonly run: Run;
  readonly use: ClusterUse;
  /** Of its cluster: one in all windows. */
  readonly cluster: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const keyOf = (clusterId: string, upSinceMs: number) => `${clusterId}@${upSinceMs}`;

function spanOf(run: Run, executor: string, nowMs: number): Span[] {
  const { clusterUse: use, clusterId, createdMs: fromMs, state } = run;
  if (use?.executor !== executor || clusterId === undefined || fromMs < nowMs - recordMs) return [];
  const toMs = Math.max(fromMs, 'endedMs' in state ? state.endedMs : nowMs);
  return [{ run, use, cluster: keyOf(clusterId, use.upSinceMs), fromMs, toMs }];
}

/** Those that came to an end of their own: others tell nothing of how long the flow takes. */
function whole(spans: readonly Span[], lifetime: Lifetime): Span[] {
  return spans.filter(
    ({ run: { state }, use }) =>
      use.lifetime === lifetime && (state.kind === 'completed' || state.kind === 'failed'),
  );
}

function adviseStatic(all: readonly Span[]): ClusterAdvice | undefined {
  const spans = whole(all, 'temporary');
  const waitMs = median(spans.flatMap(({ use }) => use.startupMs ?? []));
  const workMs = median(spans.map(workOf));
  if (spans.length < fewestRuns || waitMs === undefined || workMs === undefined) return undefined;
  if (waitMs < shortestWaitMs || waitMs < workMs) return undefined;
  const savedMs = sum(spans.filter((span) => followsSoon(span, spans)).map(({ use }) => use.startupMs ?? 0));
  if (savedMs < leastSavedMs) return undefined;
  const times = `typically waited ${span(waitMs)} for a cluster and worked ${span(workMs)}`;
  return {
    to: 'static',
    message: `Its last ${spans.length} runs ${times}: a static cluster would have saved about ${span(savedMs)}`,
  };
}

/**
 * Workers at an address have what their owner has installed. Those of an image have the same either way, and those of
 * this machine the user's own: there is no such advice for them.
 */
function adviseMissing(name: string, runs: Iterable<Run>, nowMs: number): ClusterAdvice | undefined {
  const of = [...runs].filter((run) => run.executor === name && run.createdMs >= nowMs - recordMs);
  const last = of.toSorted((a, b) => a.createdMs - b.createdMs).slice(-mostMissing);
  const short = last.filter(({ missing = [] }) => missing.length > 0);
  // What is there by now is no trouble any more.
  const now = last.at(-1)?.missing ?? [];
  if (now.length === 0 || short.length < fewestMissing) return undefined;
  const begin = `${short.length} of its last ${last.length} runs lacked modules on the workers`;
  const modules = listed([...new Set(short.flatMap(({ missing = [] }) => missing))].toSorted());
  return {
    to: 'temporary',
    message: `${begin} (${modules}): a temporary cluster on this machine has what your own Python has`,
  };
}

const workOf = ({ fromMs, toMs, use }: Span) => Math.max(0, toMs - fromMs - (use.startupMs ?? 0));

/** Whether it began soon after others had ended, and not beside one: then it would have shared the workers with that. */
function followsSoon(of: Span, spans: readonly Span[]): boolean {
  const earlier = spans.filter((one) => one !== of && one.fromMs <= of.fromMs).map(({ toMs }) => toMs);
  const pauseMs = of.fromMs - Math.max(...earlier);
  return pauseMs >= 0 && pauseMs <= longestPauseMs;
}

interface IdleQuestion {
  /** Keys of the static clusters that are there. */
  readonly upNow: readonly string[];
  readonly nowMs: number;
  /** Of a worker-hour. */
  readonly price?: number;
}

/**
 * Time counts from the first run that is known, and of clusters that have gone up to their last: that is certain. Those
 * that adapt are left out: they let idle workers go.
 */
function adviseIdle(all: readonly Span[], { upNow, nowMs, price }: IdleQuestion): ClusterAdvice | undefined {
  const spans = all.filter(({ use }) => use.lifetime === 'static' && use.workers !== undefined);
  const startMs = quickStart(all, spans);
  if (spans.length < fewestRuns || startMs === undefined) return undefined;
  const groups = [...Map.groupBy(spans, ({ cluster }) => cluster)].map(([cluster, on]) => {
    const untilMs = upNow.includes(cluster) ? nowMs : Math.max(...on.map(({ toMs }) => toMs));
    const upMs = untilMs - Math.min(...on.map(({ fromMs }) => fromMs));
    return { upMs, usedMs: coveredMs(on), workers: on.at(-1)?.use.workers };
  });
  const upMs = sum(groups.map((group) => group.upMs));
  const used = sum(groups.map((group) => group.usedMs)) / upMs;
  if (upMs < leastUpMs || used > mostIdleUse) return undefined;
  const workerHours = sum(groups.map((g) => ((g.upMs - g.usedMs) / hourMs) * (g.workers ?? 0)));
  const cost = price !== undefined && workerHours * price >= 0.01 ? money(workerHours * price) : undefined;
  const percent = used < 0.01 ? 'less than 1%' : `${Math.round(used * 100)}%`;
  const begin = `Its static clusters were used ${percent} of the ${span(upMs)} that they were up`;
  const idle = cost === undefined ? '' : `, which is about ${cost} for idle workers`;
  return { to: 'temporary', message: `${begin}${idle}: a temporary one starts in ${span(startMs)}` };
}

/** Runs of the same flow with the same parameters, alone on a static cluster and beside others. */
function adviseContended(all: readonly Span[]): ClusterAdvice | undefined {
  // A run that failed early was not quick.
  const spans = whole(all, 'static').filter(({ run }) => run.state.kind === 'completed');
  if (spans.length < fewestRuns) return undefined;
  const same = ({ run }: Span) => JSON.stringify([run.uri, run.flow.name, run.parameters]);
  const slowed = [...Map.groupBy(spans, same).values()].flatMap((of) => {
    const alone = of.filter((one) => besideMs(one, all) === 0);
    const aloneMs = median(alone.map(lengthOf));
    if (aloneMs === undefined || alone.length < 2) return [];
    const shared = of.filter((one) => besideMs(one, all) >= lengthOf(one) / 2);
    return shared.filter((one) => lengthOf(one) >= 2 * aloneMs).map((one) => ({ one, aloneMs }));
  });
  const slowMs = median(slowed.map(({ one }) => lengthOf(one)));
  const aloneMs = median(slowed.map((of) => of.aloneMs));
  // Every third run: less may be chance.
  if (slowMs === undefined || aloneMs === undefined || slowed.length < Math.max(2, spans.length / 3))
    return undefined;
  const startMs = quickStart(
    all,
    slowed.map(({ one }) => one),
    aloneMs,
  );
  if (startMs === undefined) return undefined;
  const begin = `${slowed.length} of its last ${spans.length} runs shared their workers with other runs`;
  const end = `a temporary cluster of their own starts in ${span(startMs)}`;
  return {
    to: 'temporary',
    message: `${begin} and took ${span(slowMs)} instead of ${span(aloneMs)}: ${end}`,
  };
}

const lengthOf = ({ fromMs, toMs }: Span) => toMs - fromMs;

/** How long other runs were on the same cluster during one. */
function besideMs(of: Span, spans: readonly Span[]): number {
  const others = spans.filter((one) => one !== of && one.cluster === of.cluster);
  return coveredMs(
    others.map(({ fromMs, toMs }) => ({
      fromMs: Math.max(fromMs, of.fromMs),
      toMs: Math.min(toMs, of.toMs),
    })),
  );
}

/**
 * How long starts take here, if that is little beside the work of these runs; undefined if it is not, or not known.
 * @param workMs what a run of them takes, if that is not how long they took
 */
function quickStart(all: readonly Span[], spans: readonly Span[], workMs = median(spans.map(lengthOf))) {
  const startups = new Map(all.map(({ cluster, use }) => [cluster, use.startupMs]));
  const startMs = median([...startups.values()].filter((ms) => ms !== undefined));
  if (startMs === undefined || workMs === undefined) return undefined;
  return startMs <= Math.max(quickStartMs, workMs / 2) ? startMs : undefined;
}

/** How much time at least one of them covers. */
function coveredMs(spans: readonly Pick<Span, 'fromMs' | 'toMs'>[]): number {
  let covered = 0;
  let endMs = Number.NEGATIVE_INFINITY;
  for (const { fromMs, toMs } of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    covered += Math.max(0, toMs - Math.max(fromMs, endMs));
    endMs = Math.max(endMs, toMs);
  }
  return covered;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const span = (ms: number) => formatSpan(ms / 1000);
const money = (amount: number) =>
  amount.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** The lower one of the two in the middle; undefined if there are none. */
function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
}
