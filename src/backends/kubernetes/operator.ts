import type { V1OwnerReference } from '@kubernetes/client-node';
import { executorSettings, UserError } from '../../core/errors.ts';
import { codeOf, type KubernetesApi, unlessGone } from './kubernetesApi.ts';
import { type ClusterShape, ownerOf, secret } from './manifests.ts';
import type { ClusterObjects, MemberFiles } from './objects.ts';
import {
  type DaskResource,
  daskCluster,
  daskClusterKind,
  daskClusters,
  daskWorkerGroup,
  daskWorkerGroups,
  keeperJob,
  operatorGroup,
  workerGroupName,
} from './operatorManifests.ts';

/** An operator that runs begins within a second. */
const silentMs = 15_000;

/** A `DaskCluster` and, for each worker, a `DaskWorkerGroup` of one, which the operator makes pods of. A Job owns both. */
export class OperatorObjects implements ClusterObjects {
  readonly #api: KubernetesApi;
  readonly #shape: ClusterShape;
  #job: V1OwnerReference | undefined;
  #cluster: V1OwnerReference | undefined;

  constructor(api: KubernetesApi, shape: ClusterShape) {
    this.#api = api;
    this.#shape = shape;
  }

  async createOwner(signal: AbortSignal): Promise<void> {
    const { batch, custom, namespace } = this.#api;
    const until = this.#api.until(signal);
    await checkOperator(this.#api, signal);
    this.#job = ownerOf(await batch.createNamespacedJob({ namespace, body: keeperJob(this.#shape) }, until));
    const body = daskCluster(this.#shape, this.#job);
    // What its definition does not know would be left out without a word.
    const strict = { fieldValidation: 'Strict' };
    const made: DaskResource = await custom.createNamespacedCustomObject(
      { ...daskClusters, namespace, body, ...strict },
      until,
    );
    this.#cluster = ownerOf(made, daskClusterKind);
  }

  async createShared(
    files: MemberFiles,
    env: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const { core, namespace } = this.#api;
    const body = secret(this.#shape, known(this.#job), files, env);
    await core.createNamespacedSecret({ namespace, body }, this.#api.until(signal));
  }

  async find(signal: AbortSignal): Promise<boolean> {
    const { batch, custom, namespace } = this.#api;
    const until = this.#api.until(signal);
    const { id: name } = this.#shape;
    const [job, cluster] = await Promise.all([
      unlessGone(batch.readNamespacedJob({ name, namespace }, until)),
      unlessGone<DaskResource>(custom.getNamespacedCustomObject({ ...daskClusters, namespace, name }, until)),
    ]);
    this.#cluster = cluster && ownerOf(cluster, daskClusterKind);
    return (job?.status?.active ?? 0) > 0 && cluster?.metadata.deletionTimestamp === undefined;
  }

  async silence(waitedMs: number, signal: AbortSignal): Promise<UserError | undefined> {
    const { custom, namespace, place } = this.#api;
    if (waitedMs < silentMs) return undefined;
    const which = { namespace, name: this.#shape.id };
    const cluster: DaskResource = await custom.getNamespacedCustomObject(
      { ...daskClusters, ...which },
      this.#api.until(signal),
    );
    // Of its phases only that it has none says something: nobody has looked at it.
    if (cluster.status?.phase !== undefined) return undefined;
    return new UserError(
      'cluster-failed',
      `The Dask operator of ${place.context} does nothing: nobody has looked at the DaskCluster for ${silentMs / 1000} s`,
      {
        hint: `Maybe it does not run, or not for the namespace ${namespace}. ${withoutOperator}`,
        action: executorSettings,
      },
    );
  }

  async createWorker(name: string, signal: AbortSignal): Promise<void> {
    const { custom, namespace } = this.#api;
    const body = daskWorkerGroup(this.#shape, name, known(this.#cluster));
    await custom.createNamespacedCustomObject(
      { ...daskWorkerGroups, namespace, body },
      this.#api.until(signal),
    );
  }

  async deleteWorker(name: string): Promise<void> {
    const { custom, namespace } = this.#api;
    const group = { namespace, name: workerGroupName(this.#shape.id, name) };
    await unlessGone(custom.deleteNamespacedCustomObject({ ...daskWorkerGroups, ...group }));
  }
}

function known(owner: V1OwnerReference | undefined): V1OwnerReference {
  if (!owner) throw new Error('the cluster has no owner yet');
  return owner;
}

/**
 * Whether the API server knows the operator's resources. Who may not ask gets to know when they are made.
 * @throws UserError if not
 */
export async function checkOperator(api: KubernetesApi, signal: AbortSignal): Promise<void> {
  if ((await knowsOperator(api, signal)) === false) throw noOperator(api.place.context);
}

/** Undefined if that may not be asked. */
export async function knowsOperator(api: KubernetesApi, signal: AbortSignal): Promise<boolean | undefined> {
  try {
    const { groups } = await api.groups.getAPIVersions({}, api.until(signal));
    return groups.some(
      ({ name, versions }) =>
        name === operatorGroup && versions.some(({ version }) => version === daskClusters.version),
    );
  } catch (error) {
    if (codeOf(error) === 403) return undefined;
    throw error;
  }
}

export const withoutOperator =
  'Leave "operator" out of the executor: its clusters then need none. Or ask whoever looks after the cluster to install the Dask operator.';

export const noOperator = (context: string): UserError =>
  new UserError(
    'cluster-failed',
    `There is no Dask operator in ${context}: the API server does not know ${daskClusterKind.kind} (${daskClusterKind.apiVersion})`,
    { hint: withoutOperator, action: executorSettings },
  );
