import { plural } from '../executor.ts';
import { formatBytes } from '../format.ts';
import type { SchedulerInfo } from '../schedulerInfo.ts';
import type { Answer, NeededResources, WorkerFacts } from './facts.ts';
import { type Finding, listed, workersText } from './finding.ts';

/** What workers have left, and who else uses them. */
export interface Load {
  readonly workers: readonly Omit<WorkerFacts, keyof Answer | 'api'>[];
  /** Clients that are connected. */
  readonly clients?: number;
  /** Tasks that wait in the scheduler. */
  readonly held?: number;
}

/** Dask spills at 70 % and pauses a worker at 80 %, by default. */
const fullShare = 0.8;
const takesTasks = new Set(['running', 'unknown', 'init']);

/** Whether there are workers, with memory and free threads, for a run that starts now. */
export function judgeLoad(load: Load): Finding[] {
  const { workers } = load;
  if (workers.length === 0) {
    return [
      {
        severity: 'warning',
        message: 'There are no workers: the run waits until some come',
        hint: 'If the cluster adapts to its load, that is as it should be. Otherwise start workers.',
      },
    ];
  }
  return [...unwell(workers), threads(load)];
}

function unwell(workers: Load['workers']): Finding[] {
  const findings: Finding[] = [];
  const paused = workers.filter(({ status }) => status === 'paused');
  if (paused.length > 0) {
    findings.push({
      severity: 'warning',
      message: `Paused for want of memory: ${workersText(paused, workers)}`,
      hint: 'Dask gives them no tasks until their memory is free again. Results that somebody holds may fill it.',
    });
  }
  const leaving = workers.filter(({ status }) => !takesTasks.has(status) && status !== 'paused');
  if (leaving.length > 0) {
    findings.push({ severity: 'info', message: `On their way out: ${workersText(leaving, workers)}` });
  }
  const full = workers.filter(
    ({ status, memory, memory_limit: limit }) =>
      takesTasks.has(status) && limit > 0 && memory >= fullShare * limit,
  );
  if (full.length > 0) {
    const most = full.reduce((a, b) => (a.memory / a.memory_limit > b.memory / b.memory_limit ? a : b));
    findings.push({
      severity: 'warning',
      message: `Nearly out of memory: ${workersText(full, workers)}`,
      hint: `${most.name} uses ${formatBytes(most.memory)} of ${formatBytes(most.memory_limit)}. Dask pauses such workers, and restarts them at 95 %.`,
    });
  }
  return findings;
}

function threads({ workers, clients = 0, held = 0 }: Load): Finding {
  const able = workers.filter(({ status }) => takesTasks.has(status));
  const sum = (of: (worker: Load['workers'][number]) => number) => able.reduce((n, one) => n + of(one), 0);
  const total = sum((worker) => worker.threads);
  const free = sum((worker) => Math.max(0, worker.threads - worker.busy));
  const assigned = workers.reduce((n, { busy }) => n + busy, 0);
  const others = clients > 0 ? `${plural(clients, 'other client')} connected` : '';
  if (total > 0 && free > 0) {
    const every = { 1: 'The only thread is free', 2: 'Both threads are free' }[total];
    const text =
      free < total
        ? `${free} of ${total} threads ${free === 1 ? 'is' : 'are'} free`
        : (every ?? `All ${total} threads are free`);
    return { severity: 'good', message: [text, others].filter(Boolean).join(', ') };
  }
  const waiting = [`${plural(assigned, 'task')} assigned`, held > 0 ? `${held} waiting` : '', others];
  return {
    severity: 'warning',
    message:
      total === 0
        ? 'No worker takes tasks now: the run waits'
        : `${{ 1: 'The only thread is', 2: 'Both threads are' }[total] ?? `All ${total} threads are`} busy: the run waits for its turn (${waiting.filter(Boolean).join(', ')})`,
  };
}

/** As a look at the scheduler shows it, for clusters of which no more needs to be known. */
export function loadOf({ workers, clients }: SchedulerInfo): Load {
  return {
    ...(clients && { clients: clients.ids.length }),
    workers: workers.map(
      ({ address, name, host, status, threads, processing, memoryBytes, memoryLimitBytes }) => ({
        ...{ address, name, host, status, threads, resources: {} },
        busy: processing,
        memory: memoryBytes,
        memory_limit: memoryLimitBytes,
      }),
    ),
  };
}

/** Whether somebody offers what tasks ask for: Dask keeps a task that fits nowhere for ever. */
export function judgeResources(
  needed: readonly NeededResources[],
  workers: Load['workers'],
  address: string,
): Finding[] {
  const distinct = new Map(needed.map((one) => [JSON.stringify(Object.entries(one.amounts).sort()), one]));
  return [...distinct.values()].map(({ amounts, file, line }): Finding => {
    const text = Object.entries(amounts).map(([name, amount]) => `${name}=${amount}`);
    const able = workers.filter(({ resources }) =>
      Object.entries(amounts).every(([name, amount]) => (resources[name] ?? 0) >= amount),
    );
    if (able.length > 0)
      return { severity: 'good', message: `${listed(text)} is offered by ${workersText(able, workers)}` };
    const command = `dask worker ${address} --resources "${text.join(' ')}"`;
    return {
      severity: 'error',
      message: `No worker offers ${listed(text)}: tasks that ask for it wait for ever`,
      hint: `Start a worker that does: ${command}`,
      actions: [
        { kind: 'open-file', path: file, line },
        { kind: 'copy', label: 'Copy Command', text: command },
      ],
    };
  });
}
