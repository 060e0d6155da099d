import { parseAddress } from '../core/address.ts';
import { freeName, type Origin } from '../core/cluster.ts';
import type { Disposable } from '../core/emitter.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { Store, StoreEvent } from '../core/store.ts';
import { describeProcess } from './describe.ts';
import type { Discovered } from './discovery.ts';

export interface DiscoveredRowsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  /** Name of the user whose machine is looked at. */
  readonly user: string;
}

const idPrefix = 'found-';
const isFound = (id: string): boolean => id.startsWith(idPrefix);

/** Gives schedulers that were found their rows, but for those that have one already, as ours or attached. */
export class DiscoveredRows {
  readonly #options: DiscoveredRowsOptions;
  readonly #listening: Disposable;
  #found: readonly Discovered[] = [];

  constructor(options: DiscoveredRowsOptions) {
    this.#options = options;
    this.#listening = options.store.onDidChange((event) => {
      if (this.#found.length > 0 && this.#concerns(event)) this.#draw();
    });
  }

  dispose(): void {
    this.#listening.dispose();
    this.show([]);
  }

  /** Makes the rows be those of these schedulers. */
  show(found: readonly Discovered[]): void {
    this.#found = found;
    this.#draw();
  }

  /** Whether another cluster has come or gone, or turns out to be one that was found. */
  #concerns(event: StoreEvent): boolean {
    switch (event.type) {
      case 'cluster.added':
        return !isFound(event.cluster.id);
      case 'cluster.removed':
        return !isFound(event.id);
      case 'cluster.info':
        return !isFound(event.id) && this.#options.store.snapshot.clusters.has(idPrefix + event.info.id);
      default:
        return false;
    }
  }

  #draw(): void {
    const { store, manager } = this.#options;
    const taken = this.#taken();
    const free = this.#found.filter(
      ({ address, identity }) => !taken.has(identity.id) && !taken.has(place(address)),
    );
    const wanted = new Map(free.map((one) => [`${idPrefix}${one.identity.id}`, one]));
    for (const id of [...store.snapshot.clusters.keys()]) {
      if (isFound(id) && !wanted.has(id)) manager.detach(id);
    }
    for (const [id, one] of wanted) {
      if (store.snapshot.clusters.has(id)) continue;
      const origin = this.#origin(one);
      manager.attach({ name: this.#name(origin.what), address: one.address, found: { id, origin } });
    }
  }

  /** Ids and addresses of schedulers that have a row of another kind. */
  #taken(): ReadonlySet<string> {
    const { store, manager } = this.#options;
    const others = [...store.snapshot.clusters.values()].filter(({ id }) => !isFound(id));
    return new Set(
      others.flatMap(({ id, info }) => {
        const address = manager.access(id)?.address;
        return [...(info ? [info.id] : []), ...(address === undefined ? [] : [place(address)])];
      }),
    );
  }

  #origin({ process, identity, otherWindow }: Discovered): Origin {
    const { pid, argv, folder } = process;
    return {
      ...{ pid, folder, otherWindow, user: this.#options.user },
      what: otherWindow ? 'another window' : describeProcess(argv),
      sinceMs: identity.startedAtMs,
    };
  }

  #name(what: string): string {
    return freeName(what, this.#options.store.snapshot.clusters.values());
  }
}

/** The same for the spellings of this machine's own addresses. */
function place(address: string): string {
  // One that is reached otherwise, but not now.
  if (address.startsWith('kubernetes:')) return address;
  const { host, port } = parseAddress(address);
  return `${/^(localhost|127\..*|::1|0\.0\.0\.0)$/.test(host) ? 'here' : host}:${port}`;
}
