import type { ClusterHandle } from '../core/backend.ts';
import { UserError } from '../core/errors.ts';
import type { AdaptLimits, ScaleStep, ScalingNews } from '../core/scaling.ts';
import type { SchedulerClient } from '../dask/scheduler.ts';
import { type AdaptivePool, adapt } from './adaptive.ts';

/** Workers that a back end starts and ends itself. */
export interface WorkerPool extends Pick<AdaptivePool, 'plan' | 'scaleUp'> {
  /** They may end in order, as they were asked to. */
  readonly retiring: Set<string>;
  /** Ends these, whatever they do. */
  remove(names: readonly string[]): Promise<void>;
}

export interface PoolScalingOptions {
  readonly client: SchedulerClient;
  readonly pool: WorkerPool;
  /** Of the cluster's life. */
  readonly signal: AbortSignal;
  /** Whether this window, of several that use the cluster, sees to its workers; asked before each look. */
  leads(): Promise<boolean>;
  onScaling(news: ScalingNews): void;
}

/** How many workers a pool shall have: a number that was asked for, or what the scheduler asks for within limits. */
export class PoolScaling {
  readonly #options: PoolScalingOptions;
  #adapting: AbortController | undefined;
  #limits: AdaptLimits | undefined;

  constructor(options: PoolScalingOptions) {
    this.#options = options;
  }

  /** Undefined while their number is fixed. */
  get limits(): AdaptLimits | undefined {
    return this.#limits;
  }

  /**
   * What the handle of its cluster has of it.
   * @param takeLead before this window changes anything: others follow
   */
  controls(takeLead: () => Promise<void>): Required<Pick<ClusterHandle, 'scale' | 'adapt' | 'drop'>> {
    const { pool } = this.#options;
    return {
      scale: async (workers) => {
        await takeLead();
        await this.#scale(workers);
      },
      adapt: async (limits) => {
        await takeLead();
        const now = pool.plan.size;
        this.adapt(limits);
        this.#tell({ from: now, to: now, why: 'asked' });
      },
      drop: async (name) => {
        await takeLead();
        if (!pool.plan.has(name)) return; // it has left by itself, and that is told
        const from = pool.plan.size;
        await pool.remove([name]);
        this.retired(name, from);
      },
    };
  }

  /** A worker is not there any more, in order. @param from how many there were before */
  retired(worker: string, from: number): void {
    this.#tell({ from, to: this.#options.pool.plan.size, why: 'retired', worker });
  }

  /** A fixed number from now on. Rejects with a UserError if one has to stay. */
  async #scale(workers: number): Promise<void> {
    const { pool } = this.#options;
    this.#adapting?.abort();
    this.#limits = undefined;
    const from = pool.plan.size;
    if (workers > from) await pool.scaleUp(workers);
    else if (workers < from) await this.#shrink(from - workers);
    this.#tell({ from, to: pool.plan.size, why: 'asked' });
  }

  /** As many as the work asks for from now on. */
  adapt(limits: AdaptLimits): void {
    const { client, pool, signal, leads } = this.#options;
    this.#adapting?.abort();
    this.#adapting = new AbortController();
    this.#limits = limits;
    void adapt({
      ...{ client, limits, leads, signal: AbortSignal.any([signal, this.#adapting.signal]) },
      pool: {
        get plan() {
          return pool.plan;
        },
        scaleUp: (count) => pool.scaleUp(count),
        scaleDown: (names) => this.#retire(names),
      },
      onStep: (step) => this.#tell(step),
    });
    this.#tell();
  }

  /** Tells how many there are to be now. */
  #tell(step?: ScaleStep): void {
    const { pool, onScaling } = this.#options;
    const workers = step?.to ?? pool.plan.size;
    onScaling({
      scaling: { workers, ...(this.#limits && { adaptive: this.#limits }) },
      ...(step && { step }),
    });
  }

  async #retire(names: readonly string[]): Promise<void> {
    const { client } = this.#options;
    const { workers: here } = await client.identity();
    const addresses = here.filter(({ name }) => names.includes(name)).map(({ address }) => address);
    await this.#end(names, async () => {
      const { kept } = await client.retireWorkers(addresses);
      const stay = here.filter(({ address }) => kept.includes(address)).map(({ name }) => name);
      return names.filter((name) => !stay.includes(name));
    });
  }

  /** Those that have not come go first; the others hand their results on before they end. */
  async #shrink(count: number): Promise<void> {
    const { client, pool } = this.#options;
    const { workers } = await client.identity();
    const here = new Map(workers.map(({ name, address }) => [address, name]));
    const known = new Set(here.values());
    const coming = [...pool.plan].filter((name) => !known.has(name)).slice(-count);
    const rest = count - coming.length;
    const addresses = rest > 0 ? await client.workersToClose({ count: rest }) : [];
    // Without any worker left there is nowhere to hand anything on to.
    const all = addresses.length >= here.size;
    const namesOf = (some: readonly string[]) => some.flatMap((address) => here.get(address) ?? []);
    let kept: readonly string[] = [];
    await this.#end(namesOf(addresses), async () => {
      const outcome = all ? { retired: addresses, kept: [] } : await client.retireWorkers(addresses);
      kept = outcome.kept;
      return [...coming, ...namesOf(outcome.retired)];
    });
    if (kept.length === 0) return;
    const names = namesOf(kept).join(', ');
    throw new UserError(
      'worker-kept',
      `Worker ${names} holds what can't be moved to another worker, and stays`,
    );
  }

  /**
   * Ends those that can be retired, after they have handed on what they hold. Others stay.
   * @param retire tells which of them have been retired, by name
   */
  async #end(names: readonly string[], retire: () => Promise<readonly string[]>): Promise<void> {
    const { pool } = this.#options;
    for (const name of names) pool.retiring.add(name);
    try {
      await pool.remove(await retire());
    } finally {
      for (const name of names) pool.retiring.delete(name);
    }
  }
}
