import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { KubernetesObject, V1Deployment, V1Pod, V1Secret, V1Service } from '@kubernetes/client-node';
import { UserError } from '../../../core/errors.ts';
import { plural } from '../../../core/executor.ts';
import type { KubernetesApi } from '../kubernetesApi.ts';
import {
  type DeploymentObject,
  type DeploymentSecrets,
  deployerAnnotation,
  deploymentObjects,
  deploymentSecrets,
  revisionAnnotation,
  withRevisions,
} from './objects.ts';
import { type DeploymentOptions, type DeploymentShape, namesOf } from './shape.ts';
import { certificatesIn, DeploymentStore, isOf, keyOf, nameOf, type ObjectName, plain } from './store.ts';

const dayMs = 24 * 3600 * 1000;
const lifeDays = 2 * 365;
/** New ones are made when a cluster is deployed again in the last days of the old. */
const renewMs = 60 * dayMs;

/** What happens to one object. */
export interface Change {
  readonly what: 'create' | 'update' | 'delete';
  readonly object: ObjectName;
  /** As it is now. */
  readonly before: KubernetesObject | undefined;
  /** As it is applied. */
  readonly apply: KubernetesObject | undefined;
  /** As the API server says that it would be then. */
  readonly after: KubernetesObject | undefined;
}

/** What is to be done for a static cluster to be as it shall be; nothing has been done yet. */
export interface Plan {
  readonly shape: DeploymentShape;
  /** It is not there yet. */
  readonly isNew: boolean;
  /** In the order in which they are to be made. Empty: it is so already. */
  readonly changes: readonly Change[];
  /** Of the pods that come of it, by role. */
  readonly revisions: { readonly scheduler: string; readonly worker: string };
  /** Its scheduler starts again, and forgets all work. */
  readonly restarts: boolean;
  /** For which options of the executor. */
  readonly restartsFor: readonly string[];
  readonly renewsCertificates: boolean;
  /** What its workers do not outlive, if they are to be replaced: options of the executor. */
  readonly replacesWorkers: readonly string[];
  /** By how many workers there are to be less. */
  readonly endsWorkers: number;
  /** Who has deployed it, as `machine/user`, where that is known. */
  readonly deployer: string | undefined;
  /** Its scheduler set the number of its workers. */
  readonly wasAdaptive: boolean;
}

/** What of a cluster that is there its executor does not tell. Undefined: it is not there. */
export async function deployedOptions(
  api: KubernetesApi,
  name: string,
  signal: AbortSignal,
): Promise<DeploymentOptions | undefined> {
  const live = await new DeploymentStore(api, signal).read(name);
  const names = namesOf(name);
  const own = (key: string) => {
    const object = live.get(key);
    return object && isOf(object, name) ? object : undefined;
  };
  if (!own(`Deployment/${names.scheduler}`)) return undefined;
  const service = own(`Service/${names.scheduler}`) as V1Service | undefined;
  return {
    networkPolicy: own(`NetworkPolicy/${name}`) !== undefined,
    dashboard: service?.spec?.ports?.some((port) => port.name === 'http-dashboard') === true,
  };
}

/**
 * Has the API server say what would come of a shape, pods included: what it would refuse is known before anything is done.
 * @param preload text of `adaptive_preload.py`
 * @param me who deploys, as `machine/user`
 * @throws UserError `setting` if something of others has a name that it takes; what the API server answers
 */
export async function planDeployment(
  api: KubernetesApi,
  shape: DeploymentShape,
  preload: string,
  me: string,
  signal: AbortSignal,
): Promise<Plan> {
  const { name } = shape;
  const names = namesOf(name);
  const store = new DeploymentStore(api, signal);
  const live = await store.read(name);
  const isNew = !live.has(keyOf({ kind: 'Deployment', name: names.scheduler }));
  const wanted = deploymentObjects(shape, preload);
  const kept = keptSecrets(live, shape);
  const made = kept ?? (await newSecrets(name));
  const secrets = deploymentSecrets(shape, made);
  const deployer = deployerOf([...live.values()], name);
  const all = withRevisions([...secrets, ...wanted], secrets).map((object) =>
    deployedBy(object, deployer ?? me),
  );
  refuseForeign(live, all, shape);
  const applied = await Promise.all(all.map((object) => change(store, object, live)));
  const needless = [...live.values()].filter(
    (object) => isOf(object, name) && !all.some((one) => keyOf(nameOf(one)) === keyOf(nameOf(object))),
  );
  await tryPods(api, all, signal);
  const changes = [
    ...applied.flatMap((one) => one ?? []),
    ...needless.map(
      (before): Change => ({
        ...{ what: 'delete', object: nameOf(before), before, apply: undefined, after: undefined },
      }),
    ),
  ];
  const revision = (of: string) =>
    revisionOf(all.find((one) => one.metadata?.name === of && one.kind === 'Deployment'));
  const scheduler = live.get(keyOf({ kind: 'Deployment', name: names.scheduler }));
  const revisions = { scheduler: revision(names.scheduler), worker: revision(names.worker) };
  const changeOf = (name: string) =>
    changes.find(({ object }) => object.kind === 'Deployment' && object.name === name);
  return {
    ...{ shape, isNew, changes, revisions },
    restarts: !isNew && revisionOf(scheduler) !== revisions.scheduler,
    renewsCertificates: !isNew && !kept,
    restartsFor: replacements(
      changeOf(names.scheduler),
      'certificates, or the program that sets the number of workers',
    ),
    replacesWorkers: replacements(changeOf(names.worker), 'values of variables or certificates'),
    endsWorkers: fewer(changeOf(names.worker)),
    deployer,
    wasAdaptive: live.has(keyOf({ kind: 'ConfigMap', name: names.adaptive })),
  };
}

/** Who has deployed a cluster, as its objects have it. */
export const deployerOf = (live: readonly KubernetesObject[], cluster: string): string | undefined =>
  live
    .filter((object) => isOf(object, cluster))
    .flatMap(({ metadata }) => metadata?.annotations?.[deployerAnnotation] ?? [])[0];

const deployedBy = (object: DeploymentObject, who: string): DeploymentObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    annotations: { ...object.metadata?.annotations, [deployerAnnotation]: who },
  },
});

/**
 * For which options of the executor a change of their Deployment replaces pods that are there.
 * @param read what it is else: what such pods read
 */
function replacements(change: Change | undefined, read: string): string[] {
  const { before, after } = change ?? {};
  if (!before || !after || revisionOf(before) === revisionOf(after)) return [];
  const words = podChanges(before, after);
  return words.length > 0 ? words : [read];
}

/** By how many pods it has less of them. */
function fewer({ before, after }: Partial<Change> = {}): number {
  const pods = (deployment: V1Deployment) => deployment.spec?.replicas ?? 1;
  return before && after ? Math.max(0, pods(before) - pods(after)) : 0;
}

const wordOf: Readonly<Record<string, string>> = {
  ...{ image: 'image', resources: 'requests and limits', command: 'options of Dask', env: 'variables' },
  ...{ envFrom: 'variables', volumeMounts: 'volumes', volumes: 'volumes', nodeSelector: 'node_selector' },
  ...{ tolerations: 'tolerations', serviceAccountName: 'service_account', labels: 'labels' },
};

/** In the words of executors. */
function podChanges(before: V1Deployment, after: V1Deployment): string[] {
  const parts = ({ spec }: V1Deployment): Record<string, unknown> => {
    const { metadata, spec: pod } = spec?.template ?? {};
    const [container] = pod?.containers ?? [];
    const { containers: _one, serviceAccount: _same, ...rest } = pod ?? { containers: [] };
    const { [revisionAnnotation]: _revision, ...annotations } = metadata?.annotations ?? {};
    return { ...rest, ...container, labels: metadata?.labels, annotations };
  };
  const [was, is] = [parts(before), parts(after)];
  const changed = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter(
    (key) => !isDeepStrictEqual(was[key], is[key]),
  );
  return [...new Set(changed.map((key) => wordOf[key] ?? key))];
}

/** What an update does to what runs on the cluster, in sentences. */
export function warningsOf(plan: Plan): string[] {
  const { restarts, restartsFor, renewsCertificates, replacesWorkers, endsWorkers } = plan;
  const why = (options: readonly string[]) => (options.length > 0 ? ` (${options.join(', ')})` : '');
  const isReplaced = replacesWorkers.length > 0;
  const lost = 'What runs there, and results that are held only there, are lost.';
  return [
    ...(restarts ? [`Its scheduler starts again${why(restartsFor)}: what runs there is lost.`] : []),
    ...(isReplaced
      ? [`All of its workers are replaced, half of them at a time${why(replacesWorkers)}.`]
      : []),
    ...(endsWorkers > 0
      ? [`${plural(endsWorkers, 'worker')} ${endsWorkers === 1 ? 'ends' : 'end'} at once.`]
      : []),
    ...(!restarts && (isReplaced || endsWorkers > 0) ? [lost] : []),
    ...(renewsCertificates ? ['It gets new certificates: who is attached has to attach again.'] : []),
  ];
}

/** As pods of a Deployment have it. */
export const revisionOf = (deployment: KubernetesObject | undefined): string =>
  (deployment as V1Deployment | undefined)?.spec?.template.metadata?.annotations?.[revisionAnnotation] ?? '';

/** Certificates are made once, and outlive updates. */
function keptSecrets(
  live: ReadonlyMap<string, KubernetesObject>,
  { name }: DeploymentShape,
): DeploymentSecrets | undefined {
  const { tls, clientTls } = namesOf(name);
  const read = (of: string) => {
    const secret = live.get(keyOf({ kind: 'Secret', name: of }));
    return certificatesIn(secret as V1Secret | undefined);
  };
  const [members, client] = [read(tls), read(clientTls)];
  if (!members || !client) return undefined;
  const ends = [members, client].map(({ cert }) => new X509Certificate(cert).validToDate.getTime());
  return Math.min(...ends) - Date.now() > renewMs ? { members, client } : undefined;
}

async function newSecrets(name: string): Promise<DeploymentSecrets> {
  const { makeCertificates } = await import('../../certificateMaker.ts');
  return makeCertificates(name, lifeDays);
}

/** Nothing is taken over that was not made for this cluster. */
function refuseForeign(
  live: ReadonlyMap<string, KubernetesObject>,
  wanted: readonly KubernetesObject[],
  { name }: DeploymentShape,
): void {
  for (const object of wanted) {
    const key = keyOf(nameOf(object));
    const there = live.get(key);
    if (!there || isOf(there, name)) continue;
    throw new UserError(
      'setting',
      `There is a ${key.replace('/', ' ')} already, which does not belong to ${name}`,
      {
        hint: 'Choose another name for the cluster.',
      },
    );
  }
}

async function change(
  store: DeploymentStore,
  apply: KubernetesObject,
  live: ReadonlyMap<string, KubernetesObject>,
): Promise<Change | undefined> {
  const object = nameOf(apply);
  const before = live.get(keyOf(object));
  // One that refers to a Role which is not there yet is refused; that of the Role tells whether it may be given.
  const isEarly = apply.kind === 'RoleBinding' && !before;
  if (!before) {
    const after = isEarly ? apply : await store.apply(apply, true);
    return { what: 'create', object, before, apply, after };
  }
  const after = await store.tryUpdate(before, apply);
  if (isDeepStrictEqual(plain(before), plain(after))) return undefined;
  return { what: 'update', object, before, apply, after };
}

/** Admission speaks of pods only where pods are created. */
async function tryPods(
  api: KubernetesApi,
  objects: readonly KubernetesObject[],
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = api;
  for (const object of objects.filter(({ kind }) => kind === 'Deployment')) {
    const { metadata, spec } = (object as V1Deployment).spec?.template ?? {};
    // Its account is made with it.
    const {
      serviceAccountName: _account,
      automountServiceAccountToken: _token,
      ...rest
    } = spec ?? {
      containers: [],
    };
    const body: V1Pod = {
      ...{ apiVersion: 'v1', kind: 'Pod', spec: rest },
      metadata: { ...metadata, generateName: `${object.metadata?.name}-` },
    };
    await api.core.createNamespacedPod({ namespace, body, dryRun: 'All' }, api.until(signal));
  }
}
