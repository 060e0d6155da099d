import type { V1Pod } from '@kubernetes/client-node';
import type { WorkerNews } from '../../core/backend.ts';
import { withLastLine } from '../memberOutput.ts';
import type { WorkerPool } from '../poolScaling.ts';
import { reasonOf } from './kubernetesApi.ts';
import { label } from './manifests.ts';
import type { ClusterObjects } from './objects.ts';
import { containerOf, disruptionOf, endOf, type PodEnd } from './podState.ts';

export interface WorkersOptions {
  readonly objects: Pick<ClusterObjects, 'createWorker' | 'deleteWorker'>;
  readonly signal: AbortSignal;
  readonly onNews: (news: WorkerNews) => void;
  /** One has ended in order that was not asked to from here; how many there were before. */
  readonly onRetired: (name: string, from: number) => void;
  readonly onChange: () => void;
  /** Others may see to them too: those that they start are taken up, and one of all replaces what is lost. */
  readonly shared: boolean;
  /** Whether this window is that one. */
  leads(): Promise<boolean>;
}

/** A worker that ends so soon so often has a reason that a further start does not mend. */
const mostRestarts = 3;
const calmMs = 60_000;

interface Known {
  /** How often its container had been started again when that was last told. */
  restarts: number;
  readonly deathsMs: number[];
}

/**
 * The workers of one cluster, a pod each. Kubernetes starts the container of one again where it fails; where it takes the
 * whole pod away, a worker of a new name takes its place.
 */
export class PodWorkers implements WorkerPool {
  readonly #options: WorkersOptions;
  /** By Dask's name: those that shall run. */
  readonly #wanted = new Map<string, Known>();
  readonly retiring = new Set<string>();
  /** Those that have ended; news of them may be late. */
  readonly #removed = new Set<string>();
  /** When pods were taken away, lately. */
  #lossesMs: number[] = [];
  #next = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  get plan(): ReadonlySet<string> {
    return new Set(this.#wanted.keys());
  }

  /** As many as `workers`; new ones are started, none is ended. Rejects if the API server does not take one. */
  async scaleUp(workers: number): Promise<void> {
    const names = [];
    while (this.#wanted.size < workers) {
      const name = String(this.#next);
      this.#want(name);
      names.push(name);
    }
    const made = await Promise.allSettled(names.map((name) => this.#create(name)));
    const failed = made.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** Ends these, whatever they do. */
  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      this.#wanted.delete(name);
      this.#removed.add(name);
    }
    this.#options.onChange();
    await Promise.all(names.map((name) => this.#options.objects.deleteWorker(name)));
  }

  /** What the API server tells of a worker's pod. */
  onPod(pod: V1Pod): void {
    const name = pod.metadata?.labels?.[label.worker];
    if (name === undefined) return;
    const known = this.#wanted.get(name) ?? this.#takeUp(name, pod);
    if (!known) return;
    const end = endOf(pod);
    if (pod.metadata?.deletionTimestamp !== undefined) this.onGone(pod);
    else if (end) this.#ended(name, end);
    else this.#restarted(name, known, pod);
  }

  /** Its pod is being taken away, or has been: not by us, as it is still wanted. */
  onGone(pod: V1Pod): void {
    const name = pod.metadata?.labels?.[label.worker];
    if (name === undefined || !this.#wanted.has(name)) return;
    const why = disruptionOf(pod) ?? 'somebody deleted it';
    this.#ended(name, { exitCode: undefined, outOfMemory: false, why });
  }

  /** One that runs and was started by another window. */
  #takeUp(name: string, pod: V1Pod): Known | undefined {
    const isLeaving = pod.metadata?.deletionTimestamp !== undefined || endOf(pod) !== undefined;
    if (!this.#options.shared || isLeaving || this.#removed.has(name)) return undefined;
    const known = this.#want(name);
    known.restarts = containerOf(pod)?.restartCount ?? 0;
    return known;
  }

  #want(name: string): Known {
    const number = Number(name);
    if (Number.isInteger(number)) this.#next = Math.max(this.#next, number + 1);
    const known = { restarts: 0, deathsMs: [] };
    this.#wanted.set(name, known);
    return known;
  }

  async #create(name: string): Promise<void> {
    const { objects, signal } = this.#options;
    try {
      await objects.createWorker(name, signal);
    } catch (error) {
      this.#wanted.delete(name);
      throw error;
    }
    // Nobody wanted it any more while it was made.
    if (!this.#wanted.has(name)) await objects.deleteWorker(name);
  }

  #ended(name: string, end: PodEnd): void {
    const { onRetired, onChange, signal } = this.#options;
    if (signal.aborted) return;
    const from = this.#wanted.size;
    this.#wanted.delete(name);
    // The operator's Deployment has another pod for it until it is gone as well.
    this.#removed.add(name);
    onChange();
    // In order: it was retired, by us or by whoever uses the cluster.
    if (end.exitCode === 0 && end.why === undefined) {
      void this.#tidy(name);
      if (!this.retiring.has(name)) onRetired(name, from);
      return;
    }
    if (this.retiring.has(name)) return;
    void this.#lost(name, end);
  }

  async #lost(name: string, end: PodEnd): Promise<void> {
    const { onNews, leads, signal } = this.#options;
    // Whoever leads has ended it, or replaces it.
    if (!(await leads()) || signal.aborted) return;
    onNews({
      what: 'died',
      name,
      message: `the pod of worker ${name} has gone: ${end.why ?? `exit code ${end.exitCode ?? 'unknown'}`}`,
    });
    void this.#tidy(name);
    void this.#replace(name);
  }

  /** A pod that has ended is still there. */
  async #tidy(name: string): Promise<void> {
    // If it can't be deleted now it goes with its cluster.
    await this.#options.objects.deleteWorker(name).catch(() => undefined);
  }

  async #replace(name: string): Promise<void> {
    const { onNews, signal, onChange } = this.#options;
    this.#lossesMs = [...this.#lossesMs, Date.now()].filter((ms) => ms > Date.now() - calmMs);
    if (this.#lossesMs.length > mostRestarts * Math.max(1, this.#wanted.size + 1)) {
      onNews({
        what: 'gave-up',
        name,
        message: `no worker takes the place of ${name}: ${this.#lossesMs.length} pods were taken away within a minute`,
      });
      return;
    }
    const other = String(this.#next);
    this.#want(other);
    try {
      await this.#create(other);
      onChange();
      onNews({ what: 'restarted', name, message: `worker ${other} takes the place of worker ${name}` });
    } catch (error) {
      if (signal.aborted) return;
      onNews({
        what: 'gave-up',
        name,
        message: `no worker can take the place of ${name}: ${reasonOf(error)}`,
      });
    }
  }

  /** Its container has been started again in the same pod, or waits for that. */
  #restarted(name: string, known: Known, pod: V1Pod): void {
    const { onNews, signal } = this.#options;
    const container = containerOf(pod);
    const restarts = container?.restartCount ?? 0;
    const ended = container?.state?.terminated ?? container?.lastState?.terminated;
    const deaths = restarts + (container?.state?.terminated ? 1 : 0);
    if (deaths <= known.restarts || signal.aborted) return;
    known.restarts = deaths;
    // In order: its pod is about to end as well.
    if (ended?.exitCode === 0) return;
    known.deathsMs.push(Date.now());
    const how =
      ended?.reason === 'OOMKilled'
        ? 'it ran out of memory and was killed: raise memory_limit of the executor'
        : withLastLine(`exit code ${ended?.exitCode ?? 'unknown'}`, ended?.message?.split('\n') ?? []);
    onNews({ what: 'died', name, message: `the container of worker ${name} ended: ${how}` });
    if (known.deathsMs.filter((ms) => ms > Date.now() - calmMs).length > mostRestarts) {
      const message = `worker ${name} is not started again: it ended ${deaths} times`;
      onNews({ what: 'gave-up', name, message });
      this.remove([name]).catch(() => undefined); // it goes with its cluster
      return;
    }
    onNews({ what: 'restarted', name, message: `worker ${name} is started again in its pod` });
  }
}
