import type { WorkerInfo } from '../core/schedulerInfo.ts';
import { asNumber, asRecord, asText } from './fields.ts';

/** A worker as `identity` tells of it: all but its tasks. */
export type WorkerIdentity = Omit<WorkerInfo, 'processing' | 'tasks'>;

/** What a scheduler says of itself. */
export interface SchedulerIdentity {
  readonly id: string;
  /** Where it listens as it knows itself, which may differ from the address that reaches it. */
  readonly ownAddress: string;
  readonly dashboardPort: number | undefined;
  readonly startedAtMs: number;
  readonly workers: readonly WorkerIdentity[];
}

/** What a server says it is: `Scheduler`, `Worker`, `Nanny`, or undefined for something else. */
export function serverType(reply: unknown): string | undefined {
  return asText(asRecord(reply).type);
}

/** Reads the answer of the scheduler's `identity` (distributed/scheduler.py, 2022.5 to 2026.8). */
export function readIdentity(reply: unknown): SchedulerIdentity {
  const identity = asRecord(reply);
  const services = asRecord(identity.services);
  return {
    id: asText(identity.id) ?? '',
    ownAddress: asText(identity.address) ?? '',
    dashboardPort: asNumber(services.dashboard) || undefined,
    startedAtMs: asNumber(identity.started) * 1000,
    workers: Object.entries(asRecord(identity.workers)).map(([address, worker]) =>
      readWorker(address, worker),
    ),
  };
}

function readWorker(address: string, reply: unknown): WorkerIdentity {
  const worker = asRecord(reply);
  const metrics = asRecord(worker.metrics);
  return {
    address,
    name: asText(worker.name) ?? address,
    host: asText(worker.host) ?? '',
    status: asText(worker.status) ?? 'unknown',
    threads: asNumber(worker.nthreads),
    cpuPercent: asNumber(metrics.cpu),
    memoryBytes: asNumber(metrics.memory),
    memoryLimitBytes: asNumber(worker.memory_limit),
    ...readTaskCounts(metrics),
    nanny: asText(worker.nanny),
    lastSeenMs: asNumber(worker.last_seen) * 1000,
  };
}

/** Since 2022.11 in `task_counts`, where states without tasks are absent; before that beside the others. */
function readTaskCounts(metrics: Readonly<Record<string, unknown>>) {
  const counts = asRecord(metrics.task_counts);
  return {
    executing: asNumber(counts.executing ?? metrics.executing) + asNumber(counts['long-running']),
    ready: asNumber(counts.ready ?? metrics.ready) + asNumber(counts.constrained),
    inMemory: asNumber(counts.memory ?? metrics.in_memory),
  };
}
