import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod, V1PodList } from '@kubernetes/client-node';
import { stoppedAfter } from '../../core/limit.ts';
import { codeOf, type KubernetesApi } from './kubernetesApi.ts';

const firstPauseMs = 500;
const longestPauseMs = 30_000;
const shortestWatchMs = 1_000;
/** A server that has not sent a list by then is not there. */
const listTimeoutMs = 15_000;
/** The server's answer where a version of a list is too old to go on from. */
const gone = 410;
const forbidden = 403;

export interface PodWatchOptions {
  readonly api: KubernetesApi;
  readonly selector: string;
  /** Null: all that there are. Absent: that of the API. */
  readonly namespace?: string | null;
  readonly signal: AbortSignal;
  /** One has come or changed. */
  readonly onPod: (pod: V1Pod) => void;
  /** One is not there any more; as it was last seen. */
  readonly onGone: (pod: V1Pod) => void;
  /** The server does not answer; it is asked again. */
  readonly onTrouble: (error: unknown) => void;
  /** All that there are now have been told: at first, and each time that the server answers again after a trouble. */
  readonly onListed?: () => void;
  /** The most that it rests after a failure. */
  readonly longestPauseMs?: number;
  readonly listTimeoutMs?: number;
}

/** Pods that a selector means, by what the API server tells: a list, and then its changes. */
export class PodWatch {
  readonly #options: PodWatchOptions;
  readonly #pods = new Map<string, V1Pod>();
  /** Null: all. */
  readonly #namespace: string | null;

  constructor(options: PodWatchOptions) {
    this.#options = options;
    this.#namespace = options.namespace === undefined ? options.api.namespace : options.namespace;
  }

  /** Those that there are, by name; by namespace and name where it looks into all. */
  get pods(): ReadonlyMap<string, V1Pod> {
    return this.#pods;
  }

  /** Watches till the signal; goes on from where it was after a broken connection. */
  async run(): Promise<void> {
    const { signal, onTrouble } = this.#options;
    let version: string | undefined;
    let pauseMs = firstPauseMs;
    /** The list is made anew at once, unless it is too old already. */
    let wasGone = false;
    const rest = async () => {
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(2 * pauseMs, this.#options.longestPauseMs ?? longestPauseMs);
    };
    while (!signal.aborted) {
      try {
        version ??= await this.#list();
        const began = performance.now();
        const before = version;
        version = await this.#listen(version);
        // Some servers and proxies that are about to go end each watch at once.
        if (version === before && performance.now() - began < shortestWatchMs) await rest();
        else {
          pauseMs = firstPauseMs;
          wasGone = false;
        }
      } catch (error) {
        if (signal.aborted) return;
        // A watch that is refused has no words for it: the list that follows has.
        const isMute = codeOf(error) === forbidden && version !== undefined;
        version = undefined;
        if ((codeOf(error) === gone || isMute) && !wasGone) {
          wasGone = true;
          continue;
        }
        wasGone = false;
        onTrouble(error);
        await rest();
      }
    }
  }

  async #list(): Promise<string> {
    const { api, signal, onListed } = this.#options;
    // It may wait for the user, and has a limit of its own.
    await api.login();
    signal.throwIfAborted();
    const limitMs = this.#options.listTimeoutMs ?? listTimeoutMs;
    const late = () => new Error(`no answer within ${limitMs / 1000} s`);
    const { items, metadata } = await stoppedAfter(limitMs, late, (stop) =>
      this.#ask(AbortSignal.any([signal, stop])),
    );
    signal.throwIfAborted();
    const there = new Set(items.map((pod) => this.#key(pod)));
    for (const [key, pod] of this.#pods) if (!there.has(key)) this.#forget(pod);
    for (const pod of items) this.#put(pod);
    onListed?.();
    return metadata?.resourceVersion ?? '';
  }

  async #ask(signal: AbortSignal): Promise<V1PodList> {
    const { api, selector: labelSelector } = this.#options;
    const namespace = this.#namespace;
    if (namespace === null)
      return await api.core.listPodForAllNamespaces({ labelSelector }, api.until(signal));
    return await api.core.listNamespacedPod({ namespace, labelSelector }, api.until(signal));
  }

  /** @returns the version to go on from */
  async #listen(version: string): Promise<string> {
    const { api, selector, signal } = this.#options;
    let last = version;
    let refused: unknown;
    const namespace = this.#namespace;
    const path = namespace === null ? '/api/v1/pods' : `/api/v1/namespaces/${namespace}/pods`;
    await api.watch(path, { labelSelector: selector, resourceVersion: version }, signal, (type, object) => {
      if (type === 'ERROR') {
        refused = object;
        return;
      }
      const pod = object as V1Pod;
      last = pod.metadata?.resourceVersion ?? last;
      if (type === 'DELETED') this.#forget(pod);
      else if (type !== 'BOOKMARK') this.#put(pod);
    });
    if (refused) throw refused;
    return last;
  }

  #put(pod: V1Pod): void {
    const known = this.#pods.get(this.#key(pod));
    if (known && known.metadata?.resourceVersion === pod.metadata?.resourceVersion) return;
    this.#pods.set(this.#key(pod), pod);
    this.#options.onPod(pod);
  }

  #forget(pod: V1Pod): void {
    this.#pods.delete(this.#key(pod));
    this.#options.onGone(pod);
  }

  #key({ metadata: { name = '', namespace = '' } = {} }: V1Pod): string {
    return this.#namespace === null ? `${namespace}/${name}` : name;
  }
}
