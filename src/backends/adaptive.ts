import { setTimeout as sleep } from 'node:timers/promises';
import type { AdaptLimits, ScaleStep } from '../core/scaling.ts';
import type { SchedulerClient } from '../dask/scheduler.ts';

/** What adaptive scaling changes. */
export interface AdaptivePool {
  /** Names of the workers that it shall have, those that have not come yet included. */
  readonly plan: ReadonlySet<string>;
  /** Asks for that many. */
  scaleUp(workers: number): Promise<void>;
  /** Ends these, by name. */
  scaleDown(names: readonly string[]): Promise<void>;
}

export interface AdaptiveOptions {
  readonly client: Pick<
    SchedulerClient,
    'adaptiveTarget' | 'workersToClose' | 'identity' | 'taskPrefixStates'
  >;
  readonly pool: AdaptivePool;
  readonly limits: AdaptLimits;
  readonly signal: AbortSignal;
  /**
   * Whether it is this window, of several, that changes the pool. Until then nothing is done; when another has taken it
   * over, that one has decided how many there are to be.
   */
  leads(): Promise<boolean>;
  onStep(step: ScaleStep): void;
}

/** Dask's defaults, `distributed.adaptive.interval` and `wait-count`. */
const intervalMs = 1000;
const waitCount = 3;

/**
 * Has a pool as many workers as its scheduler asks for, within limits, until the signal. The rules are those of Dask's
 * `AdaptiveCore` (`distributed/deploy/adaptive_core.py`): up at once, down only after a worker was to close three times in
 * a row. How many, and which, the scheduler says itself. One that does not answer is asked again.
 */
export async function adapt(options: AdaptiveOptions): Promise<void> {
  const { signal, leads } = options;
  const closeCounts = new Map<string, number>();
  let hasLed = false;
  while (!signal.aborted) {
    if (await leads()) {
      hasLed = true;
      await look(options, closeCounts).catch(() => undefined);
    } else if (hasLed) return;
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

async function look(options: AdaptiveOptions, closeCounts: Map<string, number>): Promise<void> {
  const { client, pool, limits, signal, onStep } = options;
  const minimum = limits.minimum ?? 0;
  const maximum = limits.maximum ?? Number.POSITIVE_INFINITY;
  const wanted = await client.adaptiveTarget({ signal });
  const target = Math.max(minimum, Math.min(maximum, wanted));
  const from = pool.plan.size;
  if (target >= from) closeCounts.clear();
  if (target > from) {
    const why = wanted < target ? ({ why: 'minimum' } as const) : await demand(options, wanted);
    if (signal.aborted) return;
    onStep({ from, to: target, ...why });
    await pool.scaleUp(target);
  }
  if (target >= from) return;
  const names = await toClose(options, from - target, target);
  for (const name of [...closeCounts.keys()]) if (!names.includes(name)) closeCounts.delete(name);
  for (const name of names) closeCounts.set(name, (closeCounts.get(name) ?? 0) + 1);
  const firmly = names.filter((name) => (closeCounts.get(name) ?? 0) >= waitCount);
  if (firmly.length === 0 || signal.aborted) return;
  for (const name of firmly) closeCounts.delete(name);
  onStep({ from, to: from - firmly.length, why: wanted > maximum ? 'maximum' : 'idle' });
  await pool.scaleDown(firmly);
}

/** Those that have not come yet, then those that the scheduler names. */
async function toClose(
  { client, pool, signal }: AdaptiveOptions,
  count: number,
  target: number,
): Promise<readonly string[]> {
  const { workers } = await client.identity({ signal });
  const here = new Map(workers.map(({ address, name }) => [address, name]));
  const coming = [...pool.plan].filter((name) => ![...here.values()].includes(name)).slice(-count);
  if (coming.length >= count) return coming;
  const addresses = await client.workersToClose({ target }, { signal });
  const named = addresses.flatMap((address) => here.get(address) ?? []);
  return [...coming, ...named];
}

/** Why Dask asks for so many, as far as a scheduler tells: twice the workers it has is its answer to full memory. */
async function demand(
  { client, signal }: AdaptiveOptions,
  wanted: number,
): Promise<Pick<ScaleStep, 'why' | 'waiting'>> {
  const [{ workers }, prefixes] = await Promise.all([
    client.identity({ signal }),
    client.taskPrefixStates({ signal }),
  ]);
  const total = (pick: (worker: (typeof workers)[number]) => number) =>
    workers.reduce((sum, one) => sum + pick(one), 0);
  const limit = total((one) => one.memoryLimitBytes);
  if (limit > 0 && total((one) => one.memoryBytes) > 0.6 * limit && wanted === 2 * workers.length)
    return { why: 'memory' };
  const unfinished = prefixes.reduce((sum, one) => sum + one.processing + one.waiting, 0);
  return { why: 'tasks', waiting: Math.max(0, unfinished - total((one) => one.threads)) };
}
