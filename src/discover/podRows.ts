import { type Cluster, freeName } from '../core/cluster.ts';
import type { Disposable } from '../core/emitter.ts';
import { type PodScheduler, podKey } from '../core/podScheduler.ts';
import type { Store } from '../core/store.ts';

/** A scheduler on Kubernetes, as its row shows it. */
export interface SeenPod {
  readonly scheduler: PodScheduler;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly sinceMs: number;
}

const idPrefix = 'pods-';

/** Gives schedulers that were found on Kubernetes their rows, but for those that are attached. */
export class PodRows {
  readonly #store: Store;
  readonly #listening: Disposable;
  #found: readonly SeenPod[] = [];

  constructor(store: Store) {
    this.#store = store;
    this.#listening = store.onDidChange((event) => {
      if (this.#found.length === 0) return;
      if (event.type === 'cluster.added' && isAttached(event.cluster)) this.#draw();
      if (event.type === 'cluster.removed' && !event.id.startsWith(idPrefix)) this.#draw();
    });
  }

  dispose(): void {
    this.#listening.dispose();
    this.show([]);
  }

  /** Whether there are any. */
  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Makes the rows be those of these schedulers. */
  show(found: readonly SeenPod[]): void {
    this.#found = found;
    this.#draw();
  }

  #draw(): void {
    const store = this.#store;
    const clusters = () => [...store.snapshot.clusters.values()];
    const attached = new Set(
      clusters().flatMap((one) => (isAttached(one) && one.pods ? [podKey(one.pods)] : [])),
    );
    const free = this.#found.filter(({ scheduler }) => !attached.has(podKey(scheduler)));
    const wanted = new Map(free.map((one) => [`${idPrefix}${podKey(one.scheduler)}`, one]));
    for (const { id } of clusters()) {
      if (id.startsWith(idPrefix) && !wanted.has(id)) store.dispatch({ type: 'cluster.removed', id });
    }
    for (const [id, { scheduler, text, sinceMs }] of wanted) {
      const state = { kind: 'seen', sinceMs, text } as const;
      const known = store.snapshot.clusters.get(id);
      if (!known) {
        const name = freeName(scheduler.name, clusters());
        const facts = { id, name, executor: name, lifetime: 'static', ownership: 'discovered' } as const;
        store.dispatch({ type: 'cluster.added', cluster: { ...facts, state, pods: scheduler } });
      } else if (
        known.state.kind === 'seen' &&
        (known.state.text !== text || known.state.sinceMs !== sinceMs)
      ) {
        store.dispatch({ type: 'cluster.state', id, state });
      }
    }
  }
}

const isAttached = ({ ownership, pods }: Cluster): boolean => ownership === 'attached' && pods !== undefined;
