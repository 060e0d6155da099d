import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { KubernetesObject, KubernetesObjectApi, V1Deployment, V1Secret } from '@kubernetes/client-node';
import { UserError } from '../../../core/errors.ts';
import { stoppedAfter } from '../../../core/limit.ts';
import type { NodeCertificates } from '../../certificateMaker.ts';
import { codeOf, type KubernetesApi, unlessGone } from '../kubernetesApi.ts';
import { deploymentLabel } from './objects.ts';
import { namesOf } from './shape.ts';

/** By which the API server knows what of an object is ours. */
const fieldManager = 'flow-clusters';
/** Who says how many workers there are from when this is no longer ours to say until their scheduler says it. */
const numberManager = 'flow-clusters-workers';
const removeTimeoutMs = 90_000;
const lookMs = 200;
/** Of a change that another one comes before. */
const mostTries = 5;

/** Kinds that each cluster has. */
const ofAll = new Set(['Deployment', 'Secret', 'Service']);

/** An object by what names it. */
export interface ObjectName {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Tells it from another one of that name. Absent: whichever has it. */
  readonly uid?: string | undefined;
}

/** All that a cluster of that name may be made of; what is not there now may have been before. */
export function objectNames(name: string): ObjectName[] {
  const names = namesOf(name);
  const rbac = 'rbac.authorization.k8s.io/v1';
  const rest: readonly (readonly [string, string, string])[] = [
    ['apps/v1', 'Deployment', names.scheduler],
    ['apps/v1', 'Deployment', names.worker],
    ['v1', 'Service', names.scheduler],
    ['networking.k8s.io/v1', 'NetworkPolicy', name],
    ['networking.k8s.io/v1', 'NetworkPolicy', names.scheduler],
    [rbac, 'RoleBinding', names.adaptive],
    [rbac, 'Role', names.adaptive],
    ['v1', 'ServiceAccount', names.adaptive],
    ['v1', 'ConfigMap', names.adaptive],
    ['v1', 'Secret', names.env],
    ['v1', 'Secret', names.clientTls],
    ['v1', 'Secret', names.tls],
  ];
  return rest.map(([apiVersion, kind, own]) => ({ apiVersion, kind, name: own }));
}

export const keyOf = ({ kind, name }: Pick<ObjectName, 'kind' | 'name'>): string => `${kind}/${name}`;

export const nameOf = ({ apiVersion = '', kind = '', metadata }: KubernetesObject): ObjectName => ({
  ...{ apiVersion, kind, name: metadata?.name ?? '' },
  ...(metadata?.uid !== undefined && { uid: metadata.uid }),
});

/** Whether it belongs to the cluster of that name. */
export const isOf = ({ metadata }: KubernetesObject, cluster: string): boolean =>
  metadata?.labels?.[deploymentLabel] === cluster;

/** Objects of static clusters at an API server. */
export class DeploymentStore {
  readonly #api: KubernetesApi;
  readonly #objects: KubernetesObjectApi;

  constructor(api: KubernetesApi, signal: AbortSignal) {
    this.#api = api;
    this.#objects = api.objects(signal);
  }

  /** What there is by the names of a cluster, whoever has made it, by {@link keyOf}. */
  async read(cluster: string): Promise<Map<string, KubernetesObject>> {
    const found = await Promise.all(objectNames(cluster).map((one) => this.#readOne(one)));
    return new Map(found.flatMap((object) => (object ? [[keyOf(nameOf(object)), object] as const] : [])));
  }

  /** Who may not see what only some clusters have makes none of these, and is told so by whoever wants to apply one. */
  async #readOne(one: ObjectName): Promise<KubernetesObject | undefined> {
    try {
      return await unlessGone(this.#objects.read(this.#header(one)));
    } catch (error) {
      if (codeOf(error) === 403 && !ofAll.has(one.kind)) return undefined;
      throw error;
    }
  }

  /**
   * Has an object be as it is told, whatever others say of the same fields. What nobody says stays.
   * @param dryRun only tells what would come of it
   */
  apply(object: KubernetesObject, dryRun = false): Promise<KubernetesObject> {
    return this.#apply(object, fieldManager, dryRun ? 'All' : undefined);
  }

  /** What would come of {@link update}. Nothing is changed. */
  tryUpdate(before: KubernetesObject, object: KubernetesObject): Promise<KubernetesObject> {
    const number = numberToHandOver(before, object);
    return this.apply(number === undefined ? object : withNumber(object, number), true);
  }

  #apply(object: KubernetesObject, manager: string, dryRun?: string): Promise<KubernetesObject> {
    const { namespace, library } = this.#api;
    const body = { ...object, metadata: { ...object.metadata, namespace } };
    const { ServerSideApply } = library.PatchStrategy;
    return this.#objects.patch(body, undefined, dryRun, manager, true, ServerSideApply);
  }

  /**
   * Makes an object that is not there. It is ours to apply only after {@link own}.
   * @throws UserError `cluster-failed` if there is one of that name by now: somebody else's
   */
  async create(object: KubernetesObject): Promise<KubernetesObject> {
    const { namespace } = this.#api;
    const body = { ...object, metadata: { ...object.metadata, namespace } };
    try {
      return await this.#objects.create(body, undefined, undefined, fieldManager);
    } catch (error) {
      if (codeOf(error) !== 409) throw error;
      const { kind, name } = nameOf(object);
      throw new UserError(
        'cluster-failed',
        `There is a ${kind} ${name} in ${namespace} by now: somebody else has made it`,
        {
          hint: 'It stays as it is. Deploy again to see what is there, or choose another name.',
          cause: error,
        },
      );
    }
  }

  /** Has an object that was created be one that is applied: what later ones do not say would stay for ever otherwise. */
  async own(made: KubernetesObject): Promise<void> {
    let live = made;
    for (let tries = 1; ; tries += 1) {
      const { name, namespace, uid, resourceVersion, managedFields } = live.metadata ?? {};
      const fields = managedFields?.map((entry) =>
        entry.manager === fieldManager && entry.operation === 'Update' && !entry.subresource
          ? { ...entry, operation: 'Apply' }
          : entry,
      );
      const { apiVersion, kind } = made;
      const body = {
        apiVersion,
        kind,
        metadata: { name, namespace, uid, resourceVersion, managedFields: fields },
      };
      const { MergePatch } = this.#api.library.PatchStrategy;
      try {
        await this.#objects.patch(
          body as KubernetesObject,
          undefined,
          undefined,
          fieldManager,
          undefined,
          MergePatch,
        );
        return;
      } catch (error) {
        // Its controller has written its state.
        if (codeOf(error) !== 409 || tries === mostTries) throw error;
        live = await this.#objects.read(this.#header(nameOf(made)));
      }
    }
  }

  /**
   * Applies to an object that is still as it was seen.
   * @throws UserError `cluster-failed` if it is not
   */
  async update(before: KubernetesObject, object: KubernetesObject): Promise<void> {
    const seen = ours(before, object);
    for (let tries = 1; ; tries += 1) {
      const live = await unlessGone(this.#objects.read(this.#header(nameOf(object))));
      const isSame =
        live?.metadata?.uid === before.metadata?.uid && isDeepStrictEqual(live && ours(live, object), seen);
      if (!live || !isSame) throw changedError(object, this.#api.namespace);
      try {
        await this.apply(seenAs(await this.#handOver(live, object), object));
        return;
      } catch (error) {
        if (codeOf(error) !== 409) throw error;
        if (tries === mostTries) throw changedError(object, this.#api.namespace);
      }
    }
  }

  /**
   * Has somebody else say how many workers there are, where we did and are to do so no longer: what nobody says becomes one.
   * @returns how it is now
   */
  async #handOver(live: KubernetesObject, object: KubernetesObject): Promise<KubernetesObject> {
    const number = numberToHandOver(live, object);
    if (number === undefined) return live;
    const { apiVersion, kind, name } = nameOf(object);
    const only = { apiVersion, kind, metadata: { name } } as KubernetesObject;
    return this.#apply(seenAs(live, withNumber(only, number)), numberManager);
  }

  /** Harmless where it is gone already, or another has its name. */
  async delete(name: ObjectName): Promise<void> {
    const { uid } = name;
    const body = { propagationPolicy: 'Background', ...(uid !== undefined && { preconditions: { uid } }) };
    const none = undefined;
    try {
      await unlessGone(this.#objects.delete(this.#header(name), none, none, none, none, none, body));
    } catch (error) {
      if (uid === undefined || codeOf(error) !== 409) throw error;
    }
  }

  /** Those of some objects that are there, by their uid where they have one. */
  async remaining(names: readonly ObjectName[]): Promise<KubernetesObject[]> {
    const found = await Promise.all(names.map((one) => unlessGone(this.#objects.read(this.#header(one)))));
    return found.filter(
      (one, index): one is KubernetesObject =>
        one !== undefined && (names[index]?.uid ?? one.metadata?.uid) === one.metadata?.uid,
    );
  }

  #header({ apiVersion, kind, name }: ObjectName) {
    return { apiVersion, kind, metadata: { name, namespace: this.#api.namespace } };
  }
}

/** What deleting a cluster takes away: nothing that only has the same name. */
export async function ownObjects(
  api: KubernetesApi,
  cluster: string,
  signal: AbortSignal,
): Promise<readonly KubernetesObject[]> {
  const found = await new DeploymentStore(api, signal).read(cluster);
  return [...found.values()].filter((object) => isOf(object, cluster));
}

/**
 * Deletes objects of a cluster; resolves when they are gone, and all pods of it.
 * @param stop ends the waiting
 * @throws UserError `timeout` if that takes too long
 */
export function removeObjects(
  api: KubernetesApi,
  cluster: string,
  names: readonly ObjectName[],
  stop?: AbortSignal,
): Promise<void> {
  const late = () =>
    new UserError(
      'timeout',
      `Kubernetes has not removed all of ${cluster} within ${removeTimeoutMs / 1000} s`,
      {
        hint: 'It goes on with that by itself; “kubectl get pods” tells what is left.',
      },
    );
  return stoppedAfter(removeTimeoutMs, late, async (signal) => {
    const store = new DeploymentStore(api, signal);
    const told = await Promise.allSettled(names.map((one) => store.delete(one)));
    for (const one of told) if (one.status === 'rejected') throw one.reason;
    const { namespace } = api;
    const query = { namespace, labelSelector: `${deploymentLabel}=${cluster}` };
    if (!names.some(({ kind }) => kind === 'Deployment')) return;
    const either = stop ? AbortSignal.any([signal, stop]) : signal;
    while ((await api.core.listNamespacedPod(query, api.until(either))).items.length > 0) {
      await sleep(lookMs, undefined, { signal: either });
    }
  });
}

/** Certificates from a Secret as `kubernetes.io/tls` has them; undefined if there are none in it. */
export function certificatesIn(secret: V1Secret | undefined): NodeCertificates | undefined {
  const text = (key: string) => {
    const value = secret?.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString();
  };
  const [ca, cert, key] = [text('ca.crt'), text('tls.crt'), text('tls.key')];
  return ca && cert && key ? { ca, cert, key } : undefined;
}

function changedError(object: KubernetesObject, namespace: string): UserError {
  const { kind, name } = nameOf(object);
  return new UserError('cluster-failed', `The ${kind} ${name} in ${namespace} is no longer as you saw it`, {
    hint: 'Somebody else has changed it. Deploy again to see what changes now.',
  });
}

/** What of an object may not have changed when another one is applied to it: not the number of workers that adapt. */
function ours(live: KubernetesObject, applied: KubernetesObject): unknown {
  const { spec } = applied as V1Deployment;
  return spec && spec.replicas === undefined ? unscaled(plain(live)) : plain(live);
}

/** Refused where it is another one, or another version, than that which was seen. */
function seenAs({ metadata }: KubernetesObject, object: KubernetesObject): KubernetesObject {
  const { uid, resourceVersion } = metadata ?? {};
  return { ...object, metadata: { ...object.metadata, uid, resourceVersion } } as KubernetesObject;
}

/** How many pods there are, of one whose number we have said and that is now applied without any; else undefined. */
function numberToHandOver(live: KubernetesObject, applied: KubernetesObject): number | undefined {
  const { spec } = applied as V1Deployment;
  if (applied.kind !== 'Deployment' || spec?.replicas !== undefined) return undefined;
  const isOurs = live.metadata?.managedFields?.some(({ manager, operation, fieldsV1 }) => {
    const fields = fieldsV1 as { 'f:spec'?: { 'f:replicas'?: object } } | undefined;
    return (
      manager === fieldManager && operation === 'Apply' && fields?.['f:spec']?.['f:replicas'] !== undefined
    );
  });
  return isOurs ? (live as V1Deployment).spec?.replicas : undefined;
}

const withNumber = (object: KubernetesObject, replicas: number): KubernetesObject =>
  ({ ...object, spec: { ...(object as V1Deployment).spec, replicas } }) as KubernetesObject;

/** Without what says how many pods there are. */
export function unscaled(object: KubernetesObject): KubernetesObject {
  const { replicas: _number, ...spec } = (object as V1Deployment).spec ?? {};
  return { ...object, spec } as KubernetesObject;
}

/** What users write of an object, and what they may see of it: secrets by a mark that tells whether they change. */
export function plain(object: KubernetesObject): KubernetesObject {
  const { status: _status, ...rest } = object as KubernetesObject & { status?: unknown };
  const {
    managedFields: _fields,
    resourceVersion: _version,
    uid: _uid,
    generation: _generation,
    creationTimestamp: _created,
    annotations,
    ...metadata
  } = object.metadata ?? {};
  const { 'deployment.kubernetes.io/revision': _revision, ...own } = annotations ?? {};
  const { data } = object as V1Secret;
  const marked =
    object.kind === 'Secret' && data
      ? { data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, markOf(value)])) }
      : {};
  return { ...rest, metadata: { ...metadata, ...(annotations && { annotations: own }) }, ...marked };
}

const markOf = (value: string) => `(secret ${createHash('sha256').update(value).digest('hex').slice(0, 8)})`;
