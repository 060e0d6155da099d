import { UserError } from '../core/errors.ts';
import type { SchedulerInfo, WorkerInfo } from '../core/schedulerInfo.ts';
import { explainLeave, type Leave, unexplainedLeave, workerText } from './leave.ts';
import type { TailLine } from './logTail.ts';
import type { SchedulerClient, SchedulerEvent } from './scheduler.ts';

/** A nanny is out of reach until its next worker has started, which may mean to import much. */
const patienceMs = { withNanny: 15_000, without: 2_000 } as const;
/** The logs have been looked at so often since then, if they can be read at all. */
const patienceLooks = 2;
const longestMs = 60_000;
/** Lines may come before the worker is missed: a nanny waits long for one that it is told to restart. */
const evidenceMs = 60_000;
const rememberedLines = 500;
/** When more leave at once, what became of each is nobody's question. */
const explainedAtOnce = 20;

interface Missed {
  readonly worker: WorkerInfo;
  readonly missedMs: number;
  /** How many looks at the logs there were before. */
  readonly look: number;
}

/**
 * Says why workers leave a cluster that is not ours, as far as its scheduler and nannies tell. It asks nothing until
 * one leaves, then for what is noted of that one.
 */
export class Departures {
  readonly #client: SchedulerClient;
  readonly #say: (leave: Leave, worker?: WorkerInfo) => void;
  #schedulerId: string | undefined;
  #present: ReadonlyMap<string, WorkerInfo> = new Map();
  #lines: { readonly line: TailLine; readonly arrivedMs: number }[] = [];
  #missed: Missed[] = [];
  /** Names of workers that died, by their nannies. */
  readonly #awaited = new Map<string, string>();
  #looks = 0;
  #asking = false;
  #disposed = false;

  constructor(client: SchedulerClient, say: (leave: Leave, worker?: WorkerInfo) => void) {
    this.#client = client;
    this.#say = say;
  }

  dispose(): void {
    this.#disposed = true;
  }

  /** Takes a new look at the scheduler in. */
  onInfo({ id, workers }: SchedulerInfo): void {
    const present = new Map(workers.map((worker) => [worker.address, worker]));
    // Another scheduler on the same address never had these workers.
    const gone =
      id === this.#schedulerId ? [...this.#present.values()].filter((one) => !present.has(one.address)) : [];
    this.#schedulerId = id;
    this.#present = present;
    const missedMs = Date.now();
    this.#missed.push(
      ...gone.slice(0, explainedAtOnce).map((worker) => ({ worker, missedMs, look: this.#looks })),
    );
    if (gone.length > explainedAtOnce) {
      const message = `${gone.length - explainedAtOnce} more workers left at the same time`;
      this.#say({ atMs: missedMs, message, asked: false });
    }
    this.#explain();
    this.#welcome();
  }

  /** Takes lines in; those of before anybody looked are no evidence. */
  onLines(lines: readonly TailLine[]): void {
    const arrivedMs = Date.now();
    const fit = lines
      .filter(({ kind, past }) => kind !== 'worker' && !past)
      .map((line) => ({ line, arrivedMs }));
    this.#lines = [...this.#lines, ...fit].slice(-rememberedLines);
  }

  /** All logs have been read that can be. */
  onLook(): void {
    this.#looks += 1;
    this.#explain();
  }

  /** One question at a time. */
  #explain(): void {
    if (this.#asking || this.#missed.length === 0) return;
    this.#asking = true;
    void this.#explainAll().finally(() => {
      this.#asking = false;
    });
  }

  async #explainAll(): Promise<void> {
    for (const missed of [...this.#missed]) {
      const events = await this.#events(missed.worker.address);
      if (this.#disposed) return;
      const lines = this.#lines
        .filter(({ arrivedMs }) => arrivedMs > missed.missedMs - evidenceMs)
        .map(({ line }) => line);
      const evidence = { ...missed, events, lines };
      const leave = explainLeave(evidence) ?? (this.#isLate(missed) ? unexplainedLeave(evidence) : undefined);
      if (!leave) continue;
      this.#missed = this.#missed.filter((one) => one !== missed);
      this.#lines = this.#lines.filter(({ line }) => line !== leave.told);
      this.#say(leave, missed.worker);
      const { nanny, name } = missed.worker;
      if (nanny !== undefined && !leave.asked) this.#awaited.set(nanny, name);
      this.#welcome();
    }
  }

  #isLate({ missedMs, look, worker }: Missed): boolean {
    const waitedMs = Date.now() - missedMs;
    const looked = this.#looks - look >= patienceLooks || waitedMs > longestMs;
    return looked && waitedMs > patienceMs[worker.nanny ? 'withNanny' : 'without'];
  }

  /** Says of workers that died that their nanny has started them again. */
  #welcome(): void {
    if (this.#awaited.size === 0) return;
    for (const worker of this.#present.values()) {
      const name = worker.nanny && this.#awaited.get(worker.nanny);
      if (!worker.nanny || name === undefined) continue;
      this.#awaited.delete(worker.nanny);
      const message = `${workerText(name)} was restarted by its nanny`;
      this.#say({ atMs: Date.now(), message, asked: true }, worker);
    }
  }

  /** What is noted under an address; nothing if that can't be asked for, as then other evidence must do. */
  async #events(topic: string): Promise<readonly SchedulerEvent[]> {
    try {
      return await this.#client.events(topic);
    } catch (error) {
      if (error instanceof UserError) return [];
      throw error;
    }
  }
}
