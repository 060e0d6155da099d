import { setTimeout as sleep } from 'node:timers/promises';
import { toFailure } from '../../core/failure.ts';
import type { Logger } from '../../core/log.ts';
import { podKey } from '../../core/podScheduler.ts';
import { type FoundPod, foundPod, schedulerSelectors } from './foundPods.ts';
import { type ApiChoice, type KubernetesApi, openKubernetes, reasonOf } from './kubernetesApi.ts';
import { podNamespaces } from './podNamespaces.ts';
import { PodWatch } from './podWatch.ts';

export interface PodDiscoveryOptions {
  readonly log: Logger;
  /** All that there are now, whenever another is found, or one changes or has gone. */
  onChange(found: readonly FoundPod[]): void;
  /** For an API server to answer; tests have less patience. */
  readonly listTimeoutMs?: number;
  /** Until it is asked again which namespaces may be read. */
  readonly searchAgainMs?: number;
}

/** A login that fails may open a browser each time: it is not tried often. */
const longestPauseMs = 5 * 60_000;
const firstLoginPauseMs = 60_000;
const firstSearchPauseMs = 500;
/** For the server to answer where it may be looked into, hundreds of questions at the most. */
const searchTimeoutMs = 30_000;
/** Namespaces are made and rights are given while one looks. */
const searchAgainMs = 5 * 60_000;

/** One API server, as one configuration has it. */
interface Server {
  readonly context: string | undefined;
  readonly kubeconfig: string | undefined;
  /** To be looked into in any case; undefined is that of the context. */
  readonly namespaces: readonly (string | undefined)[];
}

/** What is known of a server. */
interface Place {
  readonly stop: AbortController;
  /** By the watch that has found them. */
  readonly found: Map<string, readonly FoundPod[]>;
  /** By the watch: the server does not answer. */
  readonly silent: Set<string>;
}

interface OneNamespace {
  readonly api: KubernetesApi;
  /** Null: all that there are. */
  readonly namespace: string | null;
  readonly kubeconfig: string | undefined;
  readonly place: Place;
  readonly stop: AbortController;
  /** What has been told of this server since it last answered. */
  readonly told: Set<string>;
  trouble(reason: string): void;
}

/**
 * Looks for Dask's schedulers on Kubernetes by watches of their pods: in all namespaces at once, else in those that may be
 * read and those that are named. Nothing is connected to, and nobody waits for a server that does not answer.
 */
export class PodDiscovery {
  readonly #options: PodDiscoveryOptions;
  readonly #places = new Map<string, Place>();
  /** What was found where nobody looks now. */
  readonly #before = new Map<string, Place['found']>();

  constructor(options: PodDiscoveryOptions) {
    this.#options = options;
  }

  /** Looks there, and nowhere else, until told otherwise. What was found elsewhere is forgotten. */
  look(choices: readonly ApiChoice[]): void {
    const wanted = serversOf(choices);
    for (const key of [...this.#places.keys()]) if (!wanted.has(key)) this.#end(key);
    for (const key of [...this.#before.keys()]) if (!wanted.has(key)) this.#before.delete(key);
    for (const [key, server] of wanted) {
      if (this.#places.has(key)) continue;
      const found = this.#before.get(key) ?? new Map<string, readonly FoundPod[]>();
      const place: Place = { stop: new AbortController(), found, silent: new Set() };
      this.#before.delete(key);
      this.#places.set(key, place);
      void this.#watch(server, place);
    }
    this.#tell();
  }

  /** Looks nowhere; what was found stays known, and shown. */
  rest(): void {
    for (const [key, { found }] of [...this.#places]) {
      this.#end(key);
      this.#before.set(key, found);
    }
  }

  #end(key: string): void {
    this.#places.get(key)?.stop.abort();
    this.#places.delete(key);
  }

  async #watch(server: Server, place: Place): Promise<void> {
    const { signal } = place.stop;
    const told = new Set<string>();
    const name = server.context ?? 'the current context';
    const tell = (what: string) => {
      if (!signal.aborted && !told.has(what))
        this.#options.log.warn(`clusters on Kubernetes (${name}) ${what}`);
      told.add(what);
    };
    const trouble = (reason: string) => tell(`can't be looked for: ${reason}`);
    try {
      const { context, kubeconfig } = server;
      const api = await openKubernetes({ context, kubeconfig });
      // Once for all watches, which would ask the user each.
      await insist(() => api.login(), {
        ...{ signal, firstPauseMs: firstLoginPauseMs },
        onTrouble: (error) => trouble(toFailure(error).message),
      });
      const named = [...new Set(server.namespaces.map((one) => one ?? api.namespace))];
      const watched = new Map<string | null, AbortController>();
      let toldLeftOut = 0;
      const search = () => {
        const timeoutMs = this.#options.listTimeoutMs ?? searchTimeoutMs;
        return podNamespaces({ api, named, known: new Set(watched.keys()), signal, timeoutMs });
      };
      const onTrouble = (error: unknown) => {
        trouble(reasonOf(error));
        // Those that are watched say so themselves.
        if (watched.size === 0) for (const key of place.found.keys()) place.silent.add(key);
        this.#tell();
      };
      while (!signal.aborted) {
        const readable = await insist(search, { signal, firstPauseMs: firstSearchPauseMs, onTrouble });
        if (!readable) return;
        const { namespaces, leftOut } = readable;
        if (leftOut > 0 && leftOut !== toldLeftOut) tell(leftOutText(namespaces.length, leftOut));
        toldLeftOut = leftOut;
        for (const [namespace, stop] of watched) {
          if (namespaces.includes(namespace)) continue;
          stop.abort();
          watched.delete(namespace);
        }
        this.#forget(place, namespaces);
        for (const namespace of namespaces) {
          if (watched.has(namespace)) continue;
          const stop = new AbortController();
          watched.set(namespace, stop);
          this.#watchOne({ api, namespace, kubeconfig, place, stop, told, trouble });
        }
        if (namespaces.includes(null)) return;
        await sleep(this.#options.searchAgainMs ?? searchAgainMs, undefined, { signal }).catch(
          () => undefined,
        );
      }
    } catch (error) {
      trouble(toFailure(error).message);
    }
  }

  /** What was found where nobody looks any more. */
  #forget({ found, silent }: Place, namespaces: readonly (string | null)[]): void {
    const keys = new Set(namespaces.flatMap((one) => schedulerSelectors.map((by) => watchKey(one, by))));
    for (const key of found.keys()) {
      if (keys.has(key)) continue;
      found.delete(key);
      silent.delete(key);
    }
    this.#tell();
  }

  /** Watches one namespace, or all there are, for each kind of scheduler. */
  #watchOne({ api, namespace, kubeconfig, place, stop, told, trouble }: OneNamespace): void {
    const signal = AbortSignal.any([place.stop.signal, stop.signal]);
    for (const selector of schedulerSelectors) {
      const key = watchKey(namespace, selector);
      let isKnown = false;
      const draw = () => {
        if (!isKnown || signal.aborted) return;
        const pods = [...watch.pods.values()];
        place.found.set(
          key,
          pods.flatMap((pod) => foundPod(pod, api.place, kubeconfig) ?? []),
        );
        this.#tell();
      };
      const watch = new PodWatch({
        ...{ api, selector, namespace, signal, longestPauseMs },
        ...{ onPod: draw, onGone: draw },
        onTrouble: (error) => {
          trouble(reasonOf(error));
          place.silent.add(key);
          this.#tell();
        },
        onListed: () => {
          isKnown = true;
          place.silent.delete(key);
          told.clear();
          draw();
        },
        ...(this.#options.listTimeoutMs && { listTimeoutMs: this.#options.listTimeoutMs }),
      });
      void watch.run();
    }
  }

  #tell(): void {
    const now = [...this.#places.values()].flatMap(({ found, silent }) =>
      [...found].flatMap(([key, pods]) =>
        silent.has(key) ? pods.map((one) => ({ ...one, text: 'as last seen' })) : pods,
      ),
    );
    const all = [...now, ...[...this.#before.values()].flatMap((found) => [...found.values()].flat())];
    // Of one that is being replaced the newer pod counts, and of two contexts of one server the first.
    const found = new Map<string, FoundPod>();
    for (const one of all) {
      const key = podKey(one.scheduler);
      const known = found.get(key);
      if (!known || (one.text === 'running' && known.text !== 'running')) found.set(key, one);
    }
    this.#options.onChange([...found.values()]);
  }
}

interface Insistence {
  readonly signal: AbortSignal;
  /** How long it rests after the first failure; longer after each. */
  readonly firstPauseMs: number;
  onTrouble(error: unknown): void;
}

/** Does something until it succeeds. @returns undefined when the signal aborts */
async function insist<T>(
  work: () => Promise<T>,
  { signal, firstPauseMs, onTrouble }: Insistence,
): Promise<T | undefined> {
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      onTrouble(error);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

/** Choices by their API server, as one configuration has it. */
function serversOf(choices: readonly ApiChoice[]): Map<string, Server> {
  const servers = Map.groupBy(choices, ({ context, kubeconfig }) => JSON.stringify([context, kubeconfig]));
  return new Map(
    [...servers.values()].map(([first, ...more]) => {
      const namespaces = [...new Set([first, ...more].map((one) => one?.namespace))].toSorted();
      const { context, kubeconfig } = first ?? {};
      return [JSON.stringify([context, kubeconfig, namespaces]), { context, kubeconfig, namespaces }];
    }),
  );
}

const watchKey = (namespace: string | null, selector: string): string =>
  JSON.stringify([namespace, selector]);

const leftOutText = (count: number, leftOut: number): string =>
  `are looked for in ${count} namespaces, and not in ${leftOut} more that there are: to look into one of those, name it in an executor`;
