import type { V1OwnerReference } from '@kubernetes/client-node';
import { type KubernetesApi, unlessGone } from './kubernetesApi.ts';
import {
  type ClusterShape,
  ownerOf,
  schedulerJob,
  secret,
  service,
  workerPod,
  workerPodName,
} from './manifests.ts';
import type { ClusterObjects, MemberFiles } from './objects.ts';

/** For a worker to end that has handed on what it had. */
const graceSeconds = 2;

/** A Job that is the scheduler and owns all the rest: a Service, a Secret, and a bare pod for each worker. */
export class PlainObjects implements ClusterObjects {
  readonly #api: KubernetesApi;
  readonly #shape: ClusterShape;
  #owner: V1OwnerReference | undefined;

  constructor(api: KubernetesApi, shape: ClusterShape) {
    this.#api = api;
    this.#shape = shape;
  }

  async createOwner(signal: AbortSignal): Promise<void> {
    const api = this.#api;
    const body = schedulerJob(this.#shape);
    this.#owner = ownerOf(
      await api.batch.createNamespacedJob({ namespace: api.namespace, body }, api.until(signal)),
    );
  }

  async createShared(
    files: MemberFiles,
    env: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { core, namespace } = this.#api;
    const until = this.#api.until(signal);
    const [shape, owner] = [this.#shape, this.#known];
    await Promise.all([
      core.createNamespacedSecret({ namespace, body: secret(shape, owner, files, env) }, until),
      core.createNamespacedService({ namespace, body: service(shape, owner) }, until),
    ]);
  }

  async find(signal: AbortSignal): Promise<boolean> {
    const { batch, namespace } = this.#api;
    const job = await unlessGone(
      batch.readNamespacedJob({ name: this.#shape.id, namespace }, this.#api.until(signal)),
    );
    this.#owner = job && ownerOf(job);
    return (job?.status?.active ?? 0) > 0;
  }

  async silence(): Promise<undefined> {
    // A Job's controller makes its pod, or says why not.
    return undefined;
  }

  async createWorker(name: string, signal: AbortSignal): Promise<void> {
    const api = this.#api;
    const body = workerPod(this.#shape, name, this.#known);
    await api.core.createNamespacedPod({ namespace: api.namespace, body }, api.until(signal));
  }

  async deleteWorker(name: string): Promise<void> {
    const { core, namespace } = this.#api;
    const pod = { name: workerPodName(this.#shape.id, name), namespace };
    await unlessGone(core.deleteNamespacedPod({ ...pod, gracePeriodSeconds: graceSeconds }));
  }

  get #known(): V1OwnerReference {
    if (!this.#owner) throw new Error(`${this.#shape.id} has no owner yet`);
    return this.#owner;
  }
}
