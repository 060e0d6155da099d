import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend, ClusterHandle, WorkerNews } from '../src/core/backend.ts';
import type { Executor } from '../src/core/executor.ts';
import type { Security } from '../src/core/security.ts';
import { SchedulerClient } from '../src/dask/scheduler.ts';

/** Resolves when a scheduler has so many workers, also if it does not listen yet. */
export async function allConnected(workers: number, address: string, security?: Security): Promise<void> {
  const client = new SchedulerClient(address, { security });
  const count = () =>
    client.identity({ timeoutMs: 2_000 }).then(
      (identity) => identity.workers.length,
      () => 0,
    );
  while ((await count()) < workers) await sleep(10);
  client.close();
}

/** Starts a temporary cluster, and hears of nothing but its workers' deaths. */
export function startQuietly<E extends Executor>(
  backend: Backend<E>,
  executor: E,
  worker: (news: WorkerNews) => void = () => undefined,
): Promise<ClusterHandle> {
  const nothing = () => undefined;
  return backend.start(executor, {
    ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
    ...{ stage: nothing, worker, scaling: nothing },
  });
}

/** Median, least and most, to hundredths. */
export function summary(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Number((sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(2));
  return { median: at(0.5), min: at(0), max: at(1), n: sorted.length };
}
