import { setTimeout as sleep } from 'node:timers/promises';
import { toFailure } from '../../core/failure.ts';
import type { Logger } from '../../core/log.ts';
import { podKey } from '../../core/podScheduler.ts';
import { type FoundPod, foundPod, schedulerSelectors } from './foundPods.ts';
import { type ApiChoice, type KubernetesApi, openKubernetes, reasonOf } from './kubernetesApi.ts';
import { PodWatch } from './podWatch.ts';

export interface PodDiscoveryOptions {
  readonly log: Logger;
  /** All that there are now, whenever another is found, or one changes or has gone. */
  onChange(found: readonly FoundPod[]): void;
  /** For an API server to answer; tests have less patience. */
  readonly listTimeoutMs?: number;
}

/** A login that fails may open a browser each time: it is not tried often. */
const longestPauseMs = 5 * 60_000;
const firstLoginPauseMs = 60_000;

/** One API server, as one configuration has it. */
interface Place {
  readonly stop: AbortController;
  /** By the selector that has found them. */
  readonly found: Map<string, readonly FoundPod[]>;
  /** By the selector: the server does not answer. */
  readonly silent: Set<string>;
}

/**
 * Looks for Dask's schedulers on Kubernetes by watches of their pods: in all namespaces that may be read, else in that of
 * the configuration. Nothing is connected to, and nobody waits for a server that does not answer.
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
    const wanted = new Map(choices.map((choice) => [keyOf(choice), choice]));
    for (const key of [...this.#places.keys()]) if (!wanted.has(key)) this.#end(key);
    for (const key of [...this.#before.keys()]) if (!wanted.has(key)) this.#before.delete(key);
    for (const [key, choice] of wanted) {
      if (this.#places.has(key)) continue;
      const found = this.#before.get(key) ?? new Map<string, readonly FoundPod[]>();
      const place: Place = { stop: new AbortController(), found, silent: new Set() };
      this.#before.delete(key);
      this.#places.set(key, place);
      void this.#watch(choice, place);
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

  async #watch(choice: ApiChoice, place: Place): Promise<void> {
    const { log } = this.#options;
    const { signal } = place.stop;
    const told = new Set<string>();
    const name = choice.context ?? 'the current context';
    const tell = (reason: string) => {
      if (!signal.aborted && !told.has(reason))
        log.warn(`clusters on Kubernetes (${name}) can't be looked for: ${reason}`);
      told.add(reason);
    };
    try {
      const api = await openKubernetes(choice);
      await loggedIn(api, signal, tell);
      if (signal.aborted) return;
      for (const selector of schedulerSelectors) {
        let isKnown = false;
        const draw = () => {
          if (!isKnown || signal.aborted) return;
          const pods = [...watch.pods.values()];
          place.found.set(
            selector,
            pods.flatMap((pod) => foundPod(pod, api.place, choice.kubeconfig) ?? []),
          );
          this.#tell();
        };
        const watch = new PodWatch({
          ...{ api, selector, signal, longestPauseMs, everywhere: true },
          ...{ onPod: draw, onGone: draw },
          onTrouble: (error) => {
            tell(reasonOf(error));
            place.silent.add(selector);
            this.#tell();
          },
          onListed: () => {
            isKnown = true;
            place.silent.delete(selector);
            told.clear();
            draw();
          },
          ...(this.#options.listTimeoutMs && { listTimeoutMs: this.#options.listTimeoutMs }),
        });
        void watch.run();
      }
    } catch (error) {
      tell(toFailure(error).message);
    }
  }

  #tell(): void {
    const now = [...this.#places.values()].flatMap(({ found, silent }) =>
      [...found].flatMap(([selector, pods]) =>
        silent.has(selector) ? pods.map((one) => ({ ...one, text: 'as last seen' })) : pods,
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

/** Once for all watches, which would ask the user each. Resolves too when the signal aborts. */
async function loggedIn(
  api: KubernetesApi,
  signal: AbortSignal,
  onTrouble: (reason: string) => void,
): Promise<void> {
  for (let pauseMs = firstLoginPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      await api.login();
      return;
    } catch (error) {
      onTrouble(toFailure(error).message);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

const keyOf = ({ context, kubeconfig, namespace }: ApiChoice): string =>
  JSON.stringify([context, kubeconfig, namespace]);
