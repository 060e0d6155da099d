import type { Backend, ClusterHandle, Keepsake } from '../core/backend.ts';
import { freeName } from '../core/cluster.ts';
import type { Disposable } from '../core/emitter.ts';
import { toFailure } from '../core/failure.ts';
import type { Logger } from '../core/log.ts';
import type { AdoptOptions, ClusterManager } from '../core/manager.ts';
import type { Store } from '../core/store.ts';
import type { Memory, Secrets } from './attachments.ts';

export interface KeptClustersOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  /** Of this installation, not of a workspace. */
  readonly memory: Memory;
  readonly secrets: Secrets;
  readonly log: Logger;
  backendOf(kind: Keepsake['kind']): Backend;
  /** As {@link ClusterManager.adopt}, with a place to print to. */
  adopt(options: AdoptOptions): Promise<{ id: string; found: Promise<ClusterHandle | undefined> }>;
}

/** What is remembered of a cluster beside its secret. */
interface Known {
  /** Of its keepsake. */
  readonly id: string;
  /** Absent: from before there was another than Docker. */
  readonly kind?: Keepsake['kind'];
  readonly name: string;
  readonly executor: string;
  readonly idleSeconds?: number | undefined;
}

/** Key in the installation's memory. */
export const keptKey = 'keptClusters';
const secretKey = (id: string): string => `kept/${id}`;

/**
 * Static clusters that outlive their window: remembered from their start to their end, and offered again by each window
 * that opens or is gone to. Their keys are kept as secrets.
 */
export class KeptClusters {
  readonly #options: KeptClustersOptions;
  readonly #listening: Disposable;
  /** The keepsake's id by the id of the row. */
  readonly #rows = new Map<string, string>();
  /** One after the other: the memory is one list. */
  #writes: Promise<void> = Promise.resolve();
  /** One after the other: what the first finds has its row before the next looks. */
  #restoring: Promise<void> = Promise.resolve();

  constructor(options: KeptClustersOptions) {
    this.#options = options;
    this.#listening = options.store.onDidChange((event) => {
      if (event.type === 'cluster.state' && event.state.kind === 'running') this.#keep(event.id);
      if (event.type === 'cluster.scaling') this.#keep(event.id);
      if (event.type === 'cluster.removed') this.#forget(event.id);
    });
  }

  /** From now on nothing is remembered or forgotten, as the rows go with their window. Resolves when all is written. */
  dispose(): Promise<void> {
    this.#listening.dispose();
    return this.#writes;
  }

  /**
   * Looks for those that earlier windows and others have started; each that is there gets its row, once however often
   * it is looked for. Never rejects.
   */
  restore(): Promise<void> {
    this.#restoring = this.#restoring.then(() => this.#restoreNew());
    return this.#restoring;
  }

  async #restoreNew(): Promise<void> {
    await this.#writes; // one that has just ended here is still remembered before
    const here = new Set(this.#rows.values());
    const fresh = this.#known().filter(({ id }) => !here.has(id));
    await Promise.all(fresh.map((known) => this.#restore(known)));
  }

  /** Whether a cluster that others may have started can be taken up here, or has been. */
  isKept(id: string): boolean {
    return this.isHere(id) || this.#known().some((known) => known.id === id);
  }

  /** Whether it has a row in this window. */
  isHere(id: string): boolean {
    return [...this.#rows.values()].includes(id);
  }

  /** Takes up one that another window has started since. False if nothing is known of it. Never rejects. */
  async takeUp(id: string): Promise<boolean> {
    const known = this.#known().find((one) => one.id === id);
    // After what is being restored: it may be among that.
    this.#restoring = this.#restoring.then(async () => {
      if (known && !this.isHere(id)) await this.#restore(known);
    });
    await this.#restoring;
    return known !== undefined || this.isHere(id);
  }

  async #restore(known: Known): Promise<void> {
    const { store, secrets, log, backendOf, adopt } = this.#options;
    try {
      const secret = await secrets.get(secretKey(known.id));
      if (secret === undefined) {
        this.#write((all) => all.filter(({ id }) => id !== known.id));
        return;
      }
      const { executor, idleSeconds, kind = 'docker' } = known;
      const { id, found } = await adopt({
        ...{ executor, backend: backendOf(kind), keepsake: { kind, id: known.id, secret } },
        name: freeName(known.name, store.snapshot.clusters.values()),
        ...(idleSeconds !== undefined && { idleSeconds }),
      });
      this.#rows.set(id, known.id);
      if (await found) return;
      log.info(`cluster ${known.name} has ended since it was last seen`);
      this.#forget(id); // its row may have gone before it was known here
    } catch (error) {
      // Its row says so, and the next window tries again.
      log.warn(`cluster ${known.name}: ${toFailure(error).message}`);
    }
  }

  #keep(row: string): void {
    const { store, manager, secrets } = this.#options;
    const cluster = store.snapshot.clusters.get(row);
    if (cluster?.state.kind !== 'running' || cluster.ownership !== 'owned') return;
    const keepsake = manager.handle(row).keepsake?.();
    if (!keepsake) return;
    const { kind, id, secret } = keepsake;
    this.#rows.set(row, id);
    const { name, executor, idleSeconds } = cluster;
    this.#queue(async () => {
      if (this.#rows.get(row) === id) await secrets.store(secretKey(id), secret);
    });
    this.#write((all) => {
      if (this.#rows.get(row) !== id) return all;
      // The name that it was given first: another window may have to tell it from others.
      if (all.some((one) => one.id === id)) return all;
      return [...all, { id, kind, name, executor, idleSeconds }];
    });
  }

  #forget(row: string): void {
    const id = this.#rows.get(row);
    if (id === undefined) return;
    this.#rows.delete(row);
    this.#queue(async () => this.#options.secrets.delete(secretKey(id)));
    this.#write((all) => all.filter((one) => one.id !== id));
  }

  #known(): readonly Known[] {
    const stored = this.#options.memory.get(keptKey);
    return Array.isArray(stored) ? stored.filter(isKnown) : [];
  }

  #write(change: (all: readonly Known[]) => readonly Known[]): void {
    this.#queue(async () => {
      const before = this.#known();
      const after = change(before);
      if (after !== before) await this.#options.memory.update(keptKey, after);
    });
  }

  #queue(work: () => Promise<void>): void {
    this.#writes = this.#writes.then(work).catch((error: unknown) => {
      this.#options.log.error(`static clusters can't be remembered: ${toFailure(error).message}`);
    });
  }
}

function isKnown(value: unknown): value is Known {
  const { id, name, executor } = (value ?? {}) as Record<string, unknown>;
  return [id, name, executor].every((text) => typeof text === 'string');
}
