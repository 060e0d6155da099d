import assert from 'node:assert/strict';
import type { ClusterHandle, WorkerNews } from '../../src/core/backend.ts';
import { UserError } from '../../src/core/errors.ts';
import type { AdaptLimits, ScalingNews } from '../../src/core/scaling.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';

/** A cluster of a test whose workers a back end starts and ends itself. */
export interface PoolBed {
  start(options: { n_workers: number; adapt_kwargs?: AdaptLimits }): Promise<ClusterHandle>;
  /** Of the cluster that was started last. */
  client(): SchedulerClient;
  readonly news: readonly WorkerNews[];
  readonly steps: readonly ScalingNews[];
  until(condition: () => boolean | Promise<boolean>): Promise<void>;
  /** Whether there is no more than these workers take. */
  has(workers: number): Promise<boolean>;
}

/** What every such cluster does with its workers, whatever they run in. */
export function describePool({ start, client, news, steps, until, has }: PoolBed): void {
  const workers = async () => (await client().identity()).workers;

  it('scales up, and down without losing workers that were not meant', async () => {
    const one = await start({ n_workers: 1 });
    await one.scale?.(3);
    await until(async () => (await workers()).length === 3);
    await one.scale?.(2);
    await until(async () => (await workers()).length === 2);
    assert.deepEqual(
      steps.flatMap(({ step }) => step ?? []).map(({ from, to, why }) => [from, to, why]),
      [
        [1, 3, 'asked'],
        [3, 2, 'asked'],
      ],
    );
    await until(() => has(2));
    assert.deepEqual(news, []);
  });

  it('adapts to its work within limits', async () => {
    const one = await start({ n_workers: 1, adapt_kwargs: { minimum: 1, maximum: 3 } });
    assert.ok(one.adapt);
    await until(() => steps.length > 0);
    await one.adapt({ minimum: 2, maximum: 3 });
    await until(async () => (await workers()).length === 2);
    await one.adapt({ minimum: 1, maximum: 3 });
    await until(async () => (await workers()).length === 1);
    const told = steps.flatMap(({ step }) => step ?? []).map(({ why }) => why);
    assert.deepEqual(told.slice(-2), ['asked', 'idle']);
    await one.scale?.(1);
  });

  it('lets a worker go that somebody retires, and says that it was no accident', async () => {
    await start({ n_workers: 2 });
    await until(async () => (await workers()).length === 2);
    const gone = (await workers()).find(({ name }) => name === '1');
    await client().retireWorkers([gone?.address ?? '']);
    await until(() => steps.some(({ step }) => step?.why === 'retired'));
    assert.deepEqual(steps.at(-1)?.step, { from: 2, to: 1, why: 'retired', worker: '1' });
    assert.deepEqual(news, []);
    await until(() => has(1));
  });
}

/** Neither who has no certificate of its own is let in, nor who speaks without TLS. */
export async function assertLetsNobodyIn({ address, security }: ClusterHandle): Promise<void> {
  const stranger = new SchedulerClient(address, { security: { ca: security?.ca ?? '' } });
  await assert.rejects(stranger.identity({ timeoutMs: 3000 }), UserError);
  stranger.close();
  const plain = new SchedulerClient(address.replace('tls:', 'tcp:'));
  await assert.rejects(plain.identity({ timeoutMs: 3000 }), UserError);
  plain.close();
}
