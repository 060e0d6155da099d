import type { Cluster } from '../../../src/core/cluster.ts';
import type { ClusterMember } from '../../../src/core/members.ts';
import type { Run } from '../../../src/core/run.ts';
import type { SchedulerInfo, WorkerInfo } from '../../../src/core/schedulerInfo.ts';

export const aCluster: Cluster = {
  id: 'c1',
  name: 'laptop',
  executor: 'laptop',
  lifetime: 'static',
  ownership: 'owned',
  state: { kind: 'starting', sinceMs: 0, stage: 'scheduler' },
};

export const aRun: Run = {
  id: 'r1',
  uri: 'file:///flow.py',
  flow: { api: 'prefect', name: 'etl', entry: { how: 'import', path: 'etl' }, line: 3, parameters: [] },
  executor: 'laptop',
  clusterId: 'c1',
  parameters: {},
  createdMs: 0,
  state: { kind: 'queued', stage: 'starting' },
  tasks: [],
  notes: [],
};

/** The container of the scheduler, or of the worker with this name. */
export function aMember(who: string, other: Partial<ClusterMember> = {}): ClusterMember {
  return {
    name: `flow-clusters-1-${who}`,
    id: '4f1c2ab01234',
    role: who === 'scheduler' ? 'scheduler' : 'worker',
    workers: who === 'scheduler' ? [] : [who],
    image: 'my-image:1',
    state: 'running',
    restarts: 0,
    sinceMs: 0,
    ...other,
  };
}

const MiB = 1024 * 1024;

/** A worker named by its number, half busy. */
export function aWorker(n: number, other: Partial<WorkerInfo> = {}): WorkerInfo {
  return {
    address: `tcp://127.0.0.1:4000${n}`,
    name: String(n),
    host: '127.0.0.1',
    status: 'running',
    threads: 2,
    cpuPercent: 73.4,
    memoryBytes: 412 * MiB,
    memoryLimitBytes: 4096 * MiB,
    executing: 1,
    ready: 0,
    inMemory: 3,
    processing: 1,
    tasks: [{ key: 'transform-1', prefix: 'transform' }],
    nanny: undefined,
    lastSeenMs: 0,
    ...other,
  };
}

export function infoOf(...workers: WorkerInfo[]): SchedulerInfo {
  const none = { waiting: 0, processing: 0, memory: 0, erred: 0, released: 0 };
  const sum = (of: (worker: WorkerInfo) => number) =>
    workers.reduce((total, worker) => total + of(worker), 0);
  return {
    address: 'tcp://127.0.0.1:41873',
    id: 'Scheduler-1',
    dashboardPort: 8787,
    startedAtMs: 0,
    version: '2026.8.0',
    workers,
    prefixes: [],
    totals: {
      threads: sum((worker) => worker.threads),
      memoryBytes: sum((worker) => worker.memoryBytes),
      memoryLimitBytes: sum((worker) => worker.memoryLimitBytes),
      tasks: none,
    },
  };
}
