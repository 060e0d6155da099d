import { type Cluster, incidentText, isLive } from './cluster.ts';
import { adviseCluster, type ClusterAdvice, staticClustersOf } from './clusterAdvice.ts';
import { describeExecutor, plural } from './executor.ts';
import { formatBytes, formatClock, formatDuration, formatSpan } from './format.ts';
import {
  absentMembers,
  type ClusterMember,
  memberLabel,
  memberLines,
  memberText,
  memberTrouble,
} from './members.ts';
import { podText } from './podScheduler.ts';
import { isOver, type Run, runDurationMs } from './run.ts';
import { type Advice, type Drain, limitsText, scaleEventText } from './scaling.ts';
import type { WorkerInfo } from './schedulerInfo.ts';
import { type ClusterShare, shareOf } from './share.ts';
import { companyText, othersNodes, runShareText, runShareTooltip } from './shareRows.ts';
import { clusterOf, type Snapshot } from './store.ts';
import { doneCount, type TaskGroup } from './tasks.ts';
import { workerRows } from './workerPages.ts';

/** A row of the explorer as plain data; `ui/` turns it into a `TreeItem`. */
export interface TreeNode {
  /** Stable over refreshes, so that rows stay expanded and selected. */
  readonly id: string;
  readonly label: string;
  readonly description?: string;
  readonly tooltip?: string;
  /** Codicon name. */
  readonly icon: string;
  /** Theme colour of the icon. */
  readonly color?: string;
  /** What the row's actions go by, and the `when` clauses of the menus: `cluster.owned.static.running`. */
  readonly context: string;
  /** What the row stands for: a cluster's or a run's id, an executor's name. */
  readonly key: string;
  /** The address of a worker, of whose cluster `key` is the id. */
  readonly worker?: string;
  /** Name of the container or pod that the row stands for; of whose cluster `key` is the id. */
  readonly member?: string;
  /** What Enter or a click on the row shows, besides what its menu offers. */
  readonly opens?: 'run' | 'executors' | 'clusterAdvice';
  /** May be made only when it is read: the rows of what is closed need not be there. */
  readonly children?: readonly TreeNode[];
  readonly expanded?: boolean;
}

const colors = {
  good: 'testing.iconPassed',
  bad: 'testing.iconFailed',
  busy: 'charts.blue',
  grey: 'disabledForeground',
  warn: 'charts.yellow',
} as const;

/** The rows of the view "Clusters": those that nobody has asked for come last. */
export function clusterNodes(snapshot: Snapshot, nowMs: number): TreeNode[] {
  const found = (cluster: Cluster) => (cluster.ownership === 'discovered' ? 1 : 0);
  return [...snapshot.clusters.values()]
    .sort((a, b) => found(a) - found(b))
    .map((cluster) => clusterNode(cluster, snapshot, nowMs));
}

function clusterNode(cluster: Cluster, snapshot: Snapshot, nowMs: number): TreeNode {
  const runs = [...snapshot.runs.values()].filter((run) => run.clusterId === cluster.id && !isOver(run));
  const { state } = cluster;
  const inUse = snapshot.targetClusterId === cluster.id;
  const active = snapshot.activeClusterId === cluster.id;
  const share = shareNow(cluster, snapshot, nowMs);
  const children =
    state.kind === 'running' || state.kind === 'lost'
      ? [
          schedulerNode(cluster, state.address, state.dashboard),
          workersNode(cluster, nowMs),
          ...newsNodes(cluster),
          ...runs.map((run) => runNode(run, cluster, nowMs, `${cluster.id}/`, share)),
          ...(share ? othersNodes(cluster, share) : []),
        ]
      : [
          ...(state.kind === 'starting' ? startingNodes(cluster) : []),
          ...newsNodes(cluster),
          ...runs.map((run) => runNode(run, cluster, nowMs, `${cluster.id}/`, share)),
        ];
  return {
    id: cluster.id,
    key: cluster.id,
    label: cluster.name,
    description: [
      clusterState(cluster, nowMs),
      isLive(cluster) && cluster.scaling?.adaptive ? `adaptive ${limitsText(cluster.scaling.adaptive)}` : '',
      ownershipText(cluster),
      share ? companyText(share) : '',
      inUse ? 'used for runs' : '',
      active ? 'active' : '',
    ]
      .filter(Boolean)
      .join(' · '),
    tooltip: [clusterTooltip(cluster), recordText(cluster, snapshot, nowMs)].filter(Boolean).join('\n'),
    ...clusterIcon(cluster, inUse),
    context: [
      'cluster',
      cluster.ownership,
      cluster.lifetime,
      state.kind,
      ...(inUse ? ['target'] : []),
      ...(active ? ['active'] : []),
      ...(cluster.pods?.maker === 'deployment' ? ['deployed'] : []),
    ].join('.'),
    // One that starts gets children soon; one that failed, or that nobody looks at, gets none.
    ...((children.length > 0 || (isLive(cluster) && state.kind !== 'seen')) && {
      children,
      expanded: cluster.ownership !== 'discovered',
    }),
  };
}

function ownershipText({ ownership, lifetime, origin, idleSeconds, pods }: Cluster): string {
  if (ownership === 'owned') {
    if (lifetime !== 'static') return '';
    return idleSeconds === undefined ? 'static' : `static · idles out after ${formatSpan(idleSeconds)}`;
  }
  if (pods) return `${ownership} · ${podText(pods)}`;
  if (!origin) return ownership;
  return `${ownership} (pid ${origin.pid}, since ${formatClock(origin.sinceMs)})`;
}

/** Undefined while its scheduler does not answer: what it said last holds no more. */
function shareNow(cluster: Cluster, { runs }: Snapshot, nowMs: number): ClusterShare | undefined {
  return cluster.state.kind === 'running' ? shareOf(cluster, runs.values(), nowMs) : undefined;
}

function clusterState(cluster: Cluster, nowMs: number): string {
  const { state, info } = cluster;
  switch (state.kind) {
    case 'seen':
      return state.text;
    case 'starting':
      return ['starting', inWords(state.stage), formatDuration(nowMs - state.sinceMs)]
        .filter(Boolean)
        .join(' · ');
    case 'running':
      return info
        ? `running · ${plural(info.workers.length, 'worker')} · ${plural(info.totals.threads, 'thread')}`
        : 'running';
    case 'lost':
      return `lost since ${formatClock(state.sinceMs)} (${state.reason})`;
    case 'failed':
      return `failed · ${firstLine(state.failure.message)}`;
    case 'stopping':
    case 'stopped':
      return state.kind;
    default:
      return state satisfies never;
  }
}

/** The stages that host and runner name by a key; others come as text. */
const stageWords: Readonly<Record<string, string>> = {
  python: 'warming Python up',
  scheduler: 'launching scheduler and workers',
  running: 'waiting for the workers',
  draining: 'active tasks finish',
};

/** Empty for the stage that says no more than the state does. */
function inWords(stage: string): string {
  return stage === 'starting' ? '' : (stageWords[stage] ?? stage);
}

function clusterTooltip(cluster: Cluster): string {
  const { state, info } = cluster;
  const lines = [cluster.name, kindText(cluster)];
  if ('address' in state) lines.push(`Scheduler: ${state.address}`);
  if (info?.version) lines.push(`Dask Distributed ${info.version}`);
  if (info) {
    const { memoryBytes, memoryLimitBytes } = info.totals;
    lines.push(`Memory: ${memory(memoryBytes, memoryLimitBytes)}`);
  }
  if (state.kind === 'failed')
    lines.push(state.failure.message, state.failure.hint ?? '', state.failure.detail ?? '');
  lines.push(heldText(cluster));
  lines.push(...(cluster.incidents ?? []).map((incident) => incidentText(incident)));
  lines.push(...(cluster.scaleEvents ?? []).map((event) => scaleEventText(event)));
  if (cluster.checked) lines.push(...checkedLines(cluster.checked));
  return lines.filter(Boolean).join('\n');
}

/** Why one that adapts keeps workers although nothing is to do: Dask lets none go whose results have no other place. */
function heldText({ scaling, info }: Cluster): string {
  if (!scaling?.adaptive || !info) return '';
  const { processing, waiting, memory: held } = info.totals.tasks;
  const idle = info.workers.length > (scaling.adaptive.minimum ?? 0) && processing + waiting === 0;
  return idle && held > 0 ? `Workers may stay above the minimum while results are held (${held}).` : '';
}

/** Why temporary clusters would serve the runs of this static one better. */
function recordText(cluster: Cluster, snapshot: Snapshot, nowMs: number): string {
  // Once it has ended, the advice may be another.
  const now = staticClustersOf(cluster.executor, [cluster]).length > 0;
  return (now && adviseCluster(cluster.executor, snapshot, nowMs)?.message) || '';
}

/** What the last preflight found. */
function checkedLines({ atMs, messages }: NonNullable<Cluster['checked']>): string[] {
  if (messages.length === 0) return [`Checked at ${formatClock(atMs)}: all is well`];
  return [`Checked at ${formatClock(atMs)}:`, ...messages.map((message) => `• ${message}`)];
}

function kindText({ ownership, lifetime, origin, pods, state }: Cluster): string {
  const place = pods && `${podText(pods)}, by the context ${pods.context}`;
  if (place && ownership === 'attached')
    return [
      `Attached through the API server: ${place}. Not started from here, so never stopped or changed unasked.`,
      'Where that way breaks, a run on it fails: its scheduler drops the work of whoever is gone.',
    ].join('\n');
  if (place) {
    return [
      `Found on Kubernetes: ${place}, since ${formatClock(state.sinceMs)}.`,
      'Not started from here, and nothing is done to it, nor is it connected to before it is attached.',
    ].join('\n');
  }
  if (ownership === 'attached')
    return 'Attached: not started from here, so never stopped or changed unasked.';
  if (origin) {
    const { what, pid, user, folder, sinceMs } = origin;
    const where = folder === undefined ? '' : ` in ${folder}`;
    return [
      `Found on this machine: ${what}, process ${pid} of ${user}${where}, since ${formatClock(sinceMs)}.`,
      'Not started from here, and nothing is done to it.',
    ].join('\n');
  }
  if (ownership === 'discovered')
    return 'Found on this machine: not started from here, and nothing is done to it.';
  return lifetime === 'temporary'
    ? 'Temporary: made for one run, gone after it. Cancelling the run ends it at once.'
    : 'Static: stays until it is stopped or this window closes.';
}

function clusterIcon(cluster: Cluster, inUse: boolean): Pick<TreeNode, 'icon' | 'color'> {
  switch (cluster.state.kind) {
    case 'seen':
      return { icon: 'plug', color: colors.grey };
    case 'starting':
    case 'stopping':
      return { icon: 'loading~spin' };
    case 'running':
      if (inUse) return { icon: 'star-full', color: colors.good };
      if (cluster.ownership === 'discovered') return { icon: 'plug', color: colors.grey };
      if (cluster.ownership !== 'owned') return { icon: 'plug', color: colors.good };
      return { icon: cluster.lifetime === 'static' ? 'server' : 'server-process', color: colors.good };
    case 'lost':
      return { icon: 'debug-disconnect', color: colors.grey };
    case 'failed':
      return { icon: 'error', color: colors.bad };
    case 'stopped':
      return { icon: 'circle-slash', color: colors.grey };
    default:
      return cluster.state satisfies never;
  }
}

/** The containers of a cluster that is not there yet. */
function startingNodes(cluster: Cluster): TreeNode[] {
  const { members = [] } = cluster;
  const scheduler = members.find(({ role }) => role === 'scheduler');
  const workers = members.filter(({ role }) => role === 'worker');
  return [
    ...(scheduler ? [memberNode(cluster, scheduler)] : []),
    ...workers.slice(0, mostAbsent).map((member) => memberNode(cluster, member)),
  ];
}

const mostAbsent = 100;

/** A container whose server Dask says nothing of. */
function memberNode(cluster: Cluster, member: ClusterMember): TreeNode {
  const bad = member.state === 'exited' || member.outOfMemoryMs !== undefined;
  const busy = member.state === 'created' || (member.state === 'running' && !bad);
  return {
    id: `${cluster.id}/members/${member.name}`,
    key: cluster.id,
    member: member.name,
    label: memberLabel(member),
    description: memberText(member),
    tooltip: [
      ...memberLines(member),
      ...(busy && member.role === 'worker' ? ['Not connected to the scheduler'] : []),
    ].join('\n'),
    icon: busy ? 'loading~spin' : 'vm',
    ...(!busy && { color: colors.warn }),
    context: `container.${member.role}.${cluster.ownership}.${member.state}${podMark(member)}`,
  };
}

/** What menus know a container by that a shell can be opened in, and a pod, which can be described. */
const containerMark = (member: ClusterMember | undefined) =>
  `${member?.state === 'running' ? '.container' : ''}${podMark(member)}`;

const podMark = (member: ClusterMember | undefined) => (member?.kind === 'pod' ? '.pod' : '');

function schedulerNode(cluster: Cluster, address: string, dashboard: string | null): TreeNode {
  const member = cluster.members?.find(({ role }) => role === 'scheduler');
  return {
    id: `${cluster.id}/scheduler`,
    key: cluster.id,
    label: 'scheduler',
    ...(member && { member: member.name }),
    description: [address, member && memberTrouble(member)].filter(Boolean).join(' · '),
    tooltip: [
      address,
      dashboard ? `Dashboard: ${dashboard}` : 'No dashboard (bokeh is not installed)',
      ...(member ? memberLines(member) : []),
    ].join('\n'),
    icon: 'type-hierarchy',
    context: `scheduler${dashboard ? '.dashboard' : ''}${containerMark(member)}`,
  };
}

function workersNode(cluster: Cluster, nowMs: number): TreeNode {
  const workers = cluster.info?.workers ?? [];
  const absent = absentMembers(cluster.members ?? [], workers);
  const asLastSeen = cluster.state.kind === 'lost' && workers.length > 0;
  const description = [
    asLastSeen ? 'as last seen' : '',
    absent.length > 0 ? `${absent.length} not connected` : '',
  ]
    .filter(Boolean)
    .join(' · ');
  return {
    id: `${cluster.id}/workers`,
    key: cluster.id,
    label: `workers (${workers.length})`,
    ...(description && { description }),
    icon: 'server-environment',
    context: 'workers',
    get children() {
      return [
        ...workerRows(cluster, (worker) => workerNode(cluster, worker, nowMs)),
        ...absent.slice(0, mostAbsent).map((member) => memberNode(cluster, member)),
      ];
    },
    expanded: workers.length <= 8,
  };
}

/** What happened to workers and to their number, newest first: it stays readable when they are back. */
function newsNodes(cluster: Cluster): TreeNode[] {
  const incidents = (cluster.incidents ?? []).map((incident) => {
    const { message, restarted, atMs } = incident;
    const row: TreeNode = {
      id: `${cluster.id}/incident/${atMs}/${message}`,
      key: cluster.id,
      label: message,
      description: [restarted ? 'restarted' : '', formatClock(atMs)].filter(Boolean).join(' · '),
      tooltip: incidentText(incident),
      icon: 'warning',
      color: colors.warn,
      context: 'incident',
    };
    return { row, atMs };
  });
  const steps = (cluster.scaleEvents ?? []).map((event) => {
    const { message, atMs } = event;
    const row: TreeNode = {
      id: `${cluster.id}/scaled/${atMs}/${message}`,
      key: cluster.id,
      label: message,
      description: formatClock(atMs),
      tooltip: scaleEventText(event),
      icon: 'arrow-both',
      context: 'scaled',
    };
    return { row, atMs };
  });
  return [...steps, ...incidents]
    .sort((a, b) => a.atMs - b.atMs)
    .map(({ row }) => row)
    .reverse();
}

/** `draining · 1 task executing · 00:12 of 10:00`. */
function drainText({ phase, executing, sinceMs, limitMs }: Drain, nowMs: number): string {
  const doing = {
    moving: 'its results move',
    finishing: executing > 0 ? `${plural(executing, 'task')} executing` : 'nothing executing',
    closing: 'it closes',
  }[phase];
  const time = `${formatDuration(nowMs - sinceMs)} of ${formatDuration(limitMs)}`;
  return ['draining', doing, phase === 'closing' ? '' : time].filter(Boolean).join(' · ');
}

function workerNode(cluster: Cluster, worker: WorkerInfo, nowMs: number): TreeNode {
  const drain = cluster.drains?.find((one) => one.worker === worker.address);
  // Schedulers before 2022.8 do not tell a worker's status.
  const well = !drain && (worker.status === 'running' || worker.status === 'unknown');
  const member = cluster.members?.find(({ workers }) => workers.includes(worker.name));
  const doing = [...new Set(worker.tasks.map((task) => task.prefix))].slice(0, 3).join(', ');
  const parts = [
    drain ? drainText(drain, nowMs) : well ? '' : worker.status,
    plural(worker.threads, 'thread'),
    `${Math.round(worker.cpuPercent)} %`,
    memory(worker.memoryBytes, worker.memoryLimitBytes),
    doing,
    member && memberTrouble(member),
  ];
  return {
    id: `${cluster.id}/workers/${worker.address}`,
    key: cluster.id,
    worker: worker.address,
    ...(member && { member: member.name }),
    label: worker.name === worker.address ? worker.address : `worker ${worker.name}`,
    description: parts.filter(Boolean).join(' · '),
    tooltip: [
      worker.address,
      `${worker.status}, ${worker.executing} executing, ${worker.ready} ready, ${worker.inMemory} results held`,
      ...(member ? memberLines(member) : []),
    ].join('\n'),
    icon: well ? 'vm-running' : 'vm',
    ...(!well && { color: colors.warn }),
    ...(cluster.state.kind === 'lost' && { color: colors.grey }),
    context: `worker.${cluster.ownership}.${drain ? 'draining' : worker.status}${containerMark(member)}`,
  };
}

function memory(bytes: number, limitBytes: number): string {
  return limitBytes > 0 ? `${formatBytes(bytes)} of ${formatBytes(limitBytes)}` : formatBytes(bytes);
}

/** The rows of the view "Runs": newest first. */
export function runNodes(snapshot: Snapshot, nowMs: number): TreeNode[] {
  const shares = new Map(
    [...snapshot.clusters.values()].map((cluster) => [cluster.id, shareNow(cluster, snapshot, nowMs)]),
  );
  return [...snapshot.runs.values()].reverse().map((run) => {
    const cluster = clusterOf(snapshot, run);
    return runNode(run, cluster, nowMs, 'runs/', cluster && shares.get(cluster.id));
  });
}

function runNode(
  run: Run,
  cluster: Cluster | undefined,
  nowMs: number,
  idPrefix: string,
  share: ClusterShare | undefined,
): TreeNode {
  const { state } = run;
  const groups = run.tasks.map((group) => groupNode(run, group, idPrefix));
  const over = isOver(run);
  return {
    id: `${idPrefix}${run.id}`,
    key: run.id,
    label: run.flow.name,
    description: runDescription(run, nowMs, cluster, share),
    tooltip: [runTooltip(run), cluster && share ? runShareTooltip(run, cluster, share) : '']
      .filter(Boolean)
      .join('\n'),
    ...runIcon(run),
    context: `run.${over ? 'over' : 'live'}.${state.kind}`,
    opens: 'run',
    // A row that VS Code has once seen without children stays closed when they come.
    ...((groups.length > 0 || !over) && { children: groups, expanded: !over }),
  };
}

/**
 * `running 14/20 · 00:12`, `completed · 20 tasks · 00:31 · laptop · 10:41`.
 * @param cluster what a queued run waits for, if it is known
 * @param share who else uses the cluster, for a run that is to say what it has of it
 */
export function runDescription(run: Run, nowMs: number, cluster?: Cluster, share?: ClusterShare): string {
  const { state, tasks } = run;
  const total = tasks.reduce((sum, group) => sum + group.total, 0);
  const done = tasks.reduce((sum, group) => sum + doneCount(group), 0);
  const durationMs = runDurationMs(run, nowMs);
  const time = durationMs === undefined ? '' : formatDuration(durationMs);
  const progress = total > 0 ? ` ${done}/${total}` : '';
  const ended = 'endedMs' in state ? formatClock(state.endedMs) : '';
  const reason = 'failure' in state ? firstLine(state.failure.message) : '';
  const parts = {
    queued: ['queued', queuedStage(run, cluster), formatDuration(nowMs - run.createdMs)],
    running: [
      `running${progress}`,
      state.kind === 'running' ? inWords(state.stage ?? '') : '',
      cluster && share ? runShareText(run, cluster, share) : '',
      time,
    ],
    cancelling: [`cancelling${progress}`, gentleWay(run), time],
    completed: ['completed', total > 0 ? plural(total, 'task') : '', time, run.executor, ended],
    failed: ['failed', reason, time, run.executor, ended],
    crashed: ['crashed', reason, time, run.executor, ended],
    cancelled: [`cancelled${progress}`, time, run.executor, ended],
  }[state.kind];
  if (state.kind === 'cancelling' && state.forced) parts[1] = '';
  return parts.filter(Boolean).join(' · ');
}

/** What a cancel waits for that is not by force. */
function gentleWay({ clusterId }: Run): string {
  // Without a cluster that we know of, a run is as written.
  return clusterId === undefined ? 'it closes what it has made' : 'active tasks finish';
}

/** A run that has no stage of its own yet waits for its cluster. */
function queuedStage({ state }: Run, cluster: Cluster | undefined): string {
  const own = state.kind === 'queued' ? inWords(state.stage) : '';
  return own || (cluster?.state.kind === 'starting' ? inWords(cluster.state.stage) : '');
}

/** A row has one line; its tooltip has them all. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

function runTooltip(run: Run): string {
  const { state } = run;
  const lines = [`${run.flow.name} on ${run.executor}`];
  if ('failure' in state)
    lines.push(state.failure.message, state.failure.hint ?? '', state.failure.detail ?? '');
  if (state.kind === 'completed' && state.result) lines.push(`Result: ${state.result}`);
  lines.push(...run.notes);
  return lines.filter(Boolean).join('\n');
}

function runIcon(run: Run): Pick<TreeNode, 'icon' | 'color'> {
  switch (run.state.kind) {
    case 'queued':
    case 'running':
    case 'cancelling':
      return { icon: 'loading~spin', color: colors.busy };
    case 'completed':
      return { icon: 'pass', color: colors.good };
    case 'failed':
      return { icon: 'error', color: colors.bad };
    case 'crashed':
      return { icon: 'flame', color: colors.bad };
    case 'cancelled':
      return { icon: 'circle-slash', color: colors.grey };
    default:
      return run.state satisfies never;
  }
}

const shownStates = ['running', 'retrying', 'failed', 'crashed', 'cancelled', 'cached', 'skipped'] as const;

function groupNode(run: Run, group: TaskGroup, idPrefix: string): TreeNode {
  const done = doneCount(group);
  const bad = (group.counts.failed ?? 0) + (group.counts.crashed ?? 0);
  const special = shownStates.flatMap((state) => {
    const n = group.counts[state] ?? 0;
    return n > 0 ? [`${n} ${state}`] : [];
  });
  const waiting = done === 0 && special.length === 0;
  return {
    id: `${idPrefix}${run.id}/${group.name}`,
    key: run.id,
    label: group.name,
    description: [`${done}/${group.total}`, ...(waiting ? ['waiting'] : special)].join(' · '),
    ...(group.message && { tooltip: `${group.name}\n${group.message}` }),
    ...groupIcon(group, bad, done),
    ...(bad > 0 && { opens: 'run' as const }),
    context: 'taskGroup',
  };
}

function groupIcon(group: TaskGroup, bad: number, done: number): Pick<TreeNode, 'icon' | 'color'> {
  if (bad > 0) return { icon: 'error', color: colors.bad };
  if (done === group.total) return { icon: 'pass', color: colors.good };
  if ((group.counts.running ?? 0) > 0) return { icon: 'play-circle', color: colors.busy };
  return { icon: 'circle-outline', color: colors.grey };
}

/** The rows of the view "Executors". */
export function executorNodes(snapshot: Snapshot, nowMs: number): TreeNode[] {
  const { executors, defaultName, problems, advice = {} } = snapshot.executors;
  const isDefault = (name: string) => snapshot.targetClusterId === undefined && name === defaultName;
  const rows = executors.map((executor): TreeNode => {
    const { name, kind } = executor;
    const ofRecord = adviseCluster(name, snapshot, nowMs);
    const description = [
      isDefault(name) ? 'default' : '',
      describeExecutor(executor),
      ofRecord ? `${ofRecord.to} may suit it better` : '',
    ]
      .filter(Boolean)
      .join(' · ');
    return {
      id: `executor/${name}`,
      key: name,
      label: name,
      description,
      ...(ofRecord && { tooltip: `${name} · ${description}\n${ofRecord.message}` }),
      icon: isDefault(name) ? 'star-full' : 'gear',
      context: `executor${kind === 'local' ? '' : `.${kind}`}${isDefault(name) ? '.default' : ''}`,
      ...adviceNodes(name, advice[name] ?? [], ofRecord),
    };
  });
  const bad = problems.map(
    ({ where, message }, i): TreeNode => ({
      id: `executor-problem/${i}/${where}`,
      key: where,
      label: where,
      description: message,
      tooltip: `${where}: ${message}`,
      icon: 'warning',
      color: colors.warn,
      opens: 'executors',
      context: 'executorProblem',
    }),
  );
  return [...rows, ...bad];
}

/** What is to be known of an executor before it is started, and what its own record says, under its row. */
function adviceNodes(
  name: string,
  advice: readonly Advice[],
  ofRecord: ClusterAdvice | undefined,
): Pick<TreeNode, 'children' | 'expanded'> {
  const children = advice.map(
    ({ severity, message }, i): TreeNode => ({
      id: `executor/${name}/advice/${i}`,
      key: name,
      label: message,
      icon: severity === 'info' ? 'info' : 'warning',
      ...(severity !== 'info' && { color: colors.warn }),
      opens: 'executors',
      context: 'executorAdvice',
    }),
  );
  if (ofRecord) {
    children.push({
      id: `executor/${name}/clusterAdvice`,
      key: name,
      label: ofRecord.message,
      icon: 'lightbulb',
      opens: 'clusterAdvice',
      context: 'executorAdvice',
    });
  }
  return children.length === 0 ? {} : { children, expanded: true };
}
