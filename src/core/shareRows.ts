import type { Cluster } from './cluster.ts';
import { plural } from './executor.ts';
import type { Run } from './run.ts';
import type { WorkerInfo } from './schedulerInfo.ts';
import { type ClusterShare, type OthersShare, takesTasks, tasksLeft } from './share.ts';
import type { TreeNode } from './tree.ts';

/** Who is on a cluster that several use: `2 runs, 3 others`. Empty when nobody shares it. */
export function companyText({ shared, runs, others }: ClusterShare): string {
  if (!shared) return '';
  return [runs.size > 0 ? plural(runs.size, 'run') : '', othersText(others)].filter(Boolean).join(', ');
}

function othersText({ clients, atLeast, threads }: OthersShare): string {
  if (clients) return `${atLeast ? 'at least ' : ''}${plural(clients, 'other')}`;
  return threads > 0 ? 'others' : '';
}

/** What a run has of its cluster, or what it waits for: `3 of 8 threads`. Empty when there is nothing to say. */
export function runShareText(run: Run, { info }: Cluster, share: ClusterShare): string {
  const used = share.runs.get(run.id);
  if (used === undefined || run.state.kind !== 'running' || !info) return '';
  if (used === 0 && tasksLeft(run) > 0 && !run.tasks.some(({ counts }) => counts.running)) {
    const waits = waitText(run, info.workers, share);
    if (waits) return waits;
  }
  return share.shared ? ofThreads(used, share) : '';
}

/** `3 of 8 threads`. */
function ofThreads(used: number, { threads }: ClusterShare): string {
  return `${used.toLocaleString('en')} of ${plural(threads, 'thread')}`;
}

/** `Shares prod with 1 other run, 3 others: has 3 of 8 threads for 17 tasks to be done, others have 5.` */
export function runShareTooltip(run: Run, { name }: Cluster, share: ClusterShare): string {
  const used = share.runs.get(run.id);
  if (used === undefined || !share.shared) return '';
  const { others } = share;
  const company = [share.runs.size > 1 ? plural(share.runs.size - 1, 'other run') : '', othersText(others)];
  const theirs = others.threads > 0 ? `, others have ${others.about ? 'about ' : ''}${others.threads}` : '';
  const left = plural(tasksLeft(run), 'task');
  return `Shares ${name} with ${company.filter(Boolean).join(', ') || 'others'}: has ${ofThreads(used, share)} for ${left} to be done${theirs}.`;
}

function waitText(run: Run, workers: readonly WorkerInfo[], { threads, busy, others }: ClusterShare): string {
  if (workers.length === 0) return 'waits for a worker: there is none';
  if (!workers.some(takesTasks)) return `waits for a worker: ${statusText(workers)}`;
  if (busy < threads) return waitsAt(run, workers);
  const whose = others.threads > 0 ? ` (${others.about ? 'about ' : ''}${others.threads} by others)` : '';
  return `waits for a thread: ${busy} of ${threads} busy${whose}`;
}

/** Dask gives a task to a worker before that has a thread for it, and seldom takes it back. */
function waitsAt(run: Run, workers: readonly WorkerInfo[]): string {
  const theirs = workers.filter(({ held = [] }) => held.some((tasks) => tasks.run === run.id));
  const [one] = theirs;
  if (!one || theirs.some(({ processing, threads }) => processing <= threads)) return '';
  return `waits for a thread of ${theirs.length === 1 ? `worker ${one.name}` : 'workers that are busy'}`;
}

/** `2 paused`, `1 closing_gracefully, 1 paused`. */
function statusText(workers: readonly WorkerInfo[]): string {
  const statuses = [...new Set(workers.map(({ status }) => status))].sort();
  return statuses.map((one) => `${workers.filter(({ status }) => status === one).length} ${one}`).join(', ');
}

/** The row of those who are not ours, under a cluster that they use. */
export function othersNodes(cluster: Cluster, share: ClusterShare): TreeNode[] {
  const { threads, about, tasks, clients } = share.others;
  if (threads === 0 && tasks.length === 0 && !clients) return [];
  const use = `${about ? 'about ' : ''}${ofThreads(threads, share)}`;
  const state = threads > 0 ? use : tasks.length > 0 ? 'waiting' : 'idle';
  const names = tasks.slice(0, 3).map(({ name }) => name);
  return [
    {
      id: `${cluster.id}/others`,
      key: cluster.id,
      label: 'others',
      description: [state, names.join(', '), clients ? clientsText(share.others) : '']
        .filter(Boolean)
        .join(' · '),
      tooltip: othersTooltip(share.others),
      icon: 'organization',
      context: 'others',
    },
  ];
}

function clientsText({ clients, atLeast }: OthersShare): string {
  return `${atLeast ? 'at least ' : ''}${plural(clients ?? 0, 'client')}`;
}

const listedTasks = 20;

function othersTooltip({ tasks, clients, atLeast, about }: OthersShare): string {
  const more = tasks.length - listedTasks;
  return [
    'Everything on this cluster that is not of a run of this window.',
    ...tasks.slice(0, listedTasks).map(({ name, count }) => `${name}: ${plural(count, 'task')} with workers`),
    more > 0 ? `and ${plural(more, 'more name')}` : '',
    clients === undefined ? 'The scheduler does not tell who is connected.' : '',
    atLeast ? 'The scheduler remembers recent clients only: there may be more.' : '',
    about ? 'Whose task is in which thread is not known exactly: the number is an estimate.' : '',
  ]
    .filter(Boolean)
    .join('\n');
}
