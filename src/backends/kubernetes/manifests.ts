import type {
  V1Container,
  V1EnvVar,
  V1Job,
  V1ObjectMeta,
  V1OwnerReference,
  V1Pod,
  V1PodSpec,
  V1ResourceRequirements,
  V1Secret,
  V1Service,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node';
import { memoryOf } from '../../core/executor.ts';
import { idleSeconds } from '../../core/imageExecutor.ts';
import {
  type KubernetesExecutor,
  type Manifest,
  type Quantities,
  startTimeoutMs,
} from '../../core/kubernetesExecutor.ts';
import { memberFolder, relayPort, schedulerPort, workerOptions } from '../memberProtocol.ts';
import { type Way, wayOf } from './objects.ts';
import { mergeManifest } from './podTemplate.ts';
import { amountOf } from './quantity.ts';
import { templateOf } from './template.ts';

/** Labels on all that is made for a cluster; those that selectors use come first. */
export const label = {
  cluster: 'flow-clusters/cluster',
  role: 'flow-clusters/role',
  worker: 'flow-clusters/worker',
  owner: 'flow-clusters/owner',
  managedBy: 'app.kubernetes.io/managed-by',
} as const;
export const managedBy = 'flow-clusters';
/** What does not fit into a label. */
export const annotation = {
  name: 'flow-clusters/name',
  window: 'flow-clusters/window',
  windowStarted: 'flow-clusters/window-started',
  lifetime: 'flow-clusters/lifetime',
} as const;

/** What a label may hold. */
export const labelValue = (text: string): string =>
  text
    .replace(/[^A-Za-z0-9_.-]+/g, '_')
    .slice(0, 63)
    .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');

/** One cluster's fixed facts. */
export interface ClusterShape {
  /** Name of its Job and its Secret, and prefix of those of all the rest. */
  readonly id: string;
  readonly way: Way;
  readonly executor: KubernetesExecutor;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Names of variables of the run, beside the executor's own. Their values are in the Secret only. */
  readonly env: readonly string[];
  /** Bytes of a worker; undefined: no limit. */
  readonly memoryBytes: number | undefined;
  readonly threads: number | undefined;
  /** Of the files of a member, in {@link memberFolder}. */
  readonly paths: readonly string[];
  /** It ends when nobody has held it for that many seconds; undefined: nobody has to. */
  readonly holdSeconds: number | undefined;
  /** Merged over the pods. */
  readonly templates: { readonly scheduler?: Manifest | undefined; readonly worker?: Manifest | undefined };
}

/**
 * What of a shape the executor alone says.
 * @param parse reads YAML
 * @throws UserError `setting` if a template is none
 */
export function executorShape(
  executor: KubernetesExecutor,
  parse: (text: string) => unknown,
): Pick<ClusterShape, 'way' | 'memoryBytes' | 'threads' | 'templates'> {
  const { limits, memory_limit, threads_per_worker, scheduler, pod_template } = executor;
  const cores = amountOf(limits?.cpu);
  const read = (template: KubernetesExecutor['pod_template'], key: string) =>
    template === undefined ? undefined : templateOf(template, key, parse);
  return {
    way: wayOf(executor),
    memoryBytes: memory_limit === undefined ? amountOf(limits?.memory) : memoryOf(memory_limit),
    threads: threads_per_worker ?? (cores === undefined ? undefined : Math.max(1, Math.floor(cores))),
    templates: {
      scheduler: read(scheduler?.pod_template, 'scheduler.pod_template'),
      worker: read(pod_template, 'pod_template'),
    },
  };
}

/** After its end, until all of it is gone; its last lines can be read until then. */
const goneAfterSeconds = 20;
/**
 * Beside the time limit of its start, after which Kubernetes ends a cluster that nobody has to hold: whoever started it has
 * been killed, and its scheduler, which sees to that later, may never run.
 */
const marginSeconds = 120;
/** For a worker to hand on what it has, and to say goodbye. */
const graceSeconds = 10;
/**
 * For a node that does not answer to come back. By then Dask has given up its workers, so they are only missing: Kubernetes'
 * own five minutes are for what keeps its state.
 */
const nodeAwaySeconds = 30;
const nodeTroubles = ['node.kubernetes.io/unreachable', 'node.kubernetes.io/not-ready'] as const;
/** Images run as root where nobody says who; Kubernetes' level `restricted` does not allow that. */
const user = 1000;

/**
 * The scheduler, and the owner of all the rest: Kubernetes deletes what it owns with it, and itself when its scheduler has
 * ended, so that nothing stays of a cluster that everybody has forgotten.
 */
export function schedulerJob(shape: ClusterShape): V1Job {
  // Another scheduler would know nothing of the work of this one.
  return ownerJob(shape, 'scheduler', schedulerPod(shape), 0);
}

/**
 * The Job that owns a cluster, and ends with the cluster's scheduler; or by itself, unless {@link establishJob} says in time
 * that it has started.
 * @param role of its pod
 * @param retries of a pod that fails
 */
export function ownerJob(shape: ClusterShape, role: Role, pod: V1Pod, retries: number): V1Job {
  const { restartPolicy: _other, ...spec } = pod.spec as NonNullable<V1Pod['spec']>;
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: metaOf(shape, shape.id, { role }),
    spec: {
      backoffLimit: retries,
      activeDeadlineSeconds:
        Math.ceil(startTimeoutMs(shape.executor) / 1000) + (shape.holdSeconds ?? marginSeconds),
      ttlSecondsAfterFinished: goneAfterSeconds,
      template: { metadata: pod.metadata ?? {}, spec: { ...spec, restartPolicy: 'Never' } },
    },
  };
}

/** The scheduler, without a name. */
export function schedulerPod(shape: ClusterShape): V1Pod {
  const { executor, holdSeconds } = shape;
  const options = { idle_timeout: idleSeconds(executor) };
  const order = {
    ...{ role: 'scheduler', options, dashboard_host: '127.0.0.1', sessions: true },
    ...(holdSeconds !== undefined && { hold_seconds: holdSeconds }),
  };
  return podOf(shape, 'scheduler', {
    order,
    container: {
      ports: [schedulerPort, relayPort].map((containerPort) => ({ containerPort })),
      resources: containerResources(executor, 'scheduler', undefined),
    },
    template: shape.templates.scheduler,
  });
}

export function service(shape: ClusterShape, owner: V1OwnerReference): V1Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metaOf(shape, shape.id), ownerReferences: [owner] },
    spec: serviceSpec(shape),
  };
}

export const serviceSpec = ({ id }: ClusterShape): NonNullable<V1Service['spec']> => ({
  selector: { [label.cluster]: id, [label.role]: 'scheduler' },
  ports: [
    { name: 'tcp-comm', port: schedulerPort },
    { name: 'tcp-relay', port: relayPort },
  ],
  // Workers that start with their scheduler can connect as soon as it listens.
  publishNotReadyAddresses: true,
});

/**
 * Our helpers, the cluster's certificates, and the values of all variables: they may be logins, and who may look at pods
 * may not read secrets.
 * @param files by path in {@link memberFolder}
 * @param env of the run
 */
export function secret(
  shape: ClusterShape,
  owner: V1OwnerReference,
  files: readonly (readonly [string, string | Buffer])[],
  env: Readonly<Record<string, string>>,
): V1Secret {
  const content: (readonly [string, string | Buffer])[] = [
    ...files.map(([path, text]) => [keyOf(path), text] as const),
    ...Object.entries(env).map(([name, value]) => [envKey.run(name), value] as const),
    ...Object.entries(shape.executor.env ?? {}).map(([name, value]) => [envKey.worker(name), value] as const),
  ];
  const data = content.map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    immutable: true,
    metadata: { ...metaOf(shape, shape.id), ownerReferences: [owner] },
    data: Object.fromEntries(data) as Record<string, string>,
  };
}

/** @param name of the worker, as Dask knows it */
export function workerPod(shape: ClusterShape, name: string, owner: V1OwnerReference): V1Pod {
  const { executor, id, memoryBytes, templates } = shape;
  const host = serviceHost(shape);
  const scheduler = `tls://${host}:${schedulerPort}`;
  const ownEnv = Object.keys(executor.env ?? {});
  // The operator would say what it takes for these itself.
  const told = Object.entries({ DASK_WORKER_NAME: name, DASK_SCHEDULER_ADDRESS: scheduler })
    .filter(([key]) => shape.way === 'operator' && !ownEnv.includes(key))
    .map(([key, value]) => ({ name: key, value }));
  // Its pages are for this pod alone: they have no TLS.
  const options = workerOptions(executor, shape, { dashboard_address: '127.0.0.1:0' });
  const order = {
    role: 'worker',
    scheduler,
    hub: `${host}:${relayPort}`,
    names: [name],
    directory: '/tmp/flow-clusters',
    options,
  };
  const pod = podOf(shape, 'worker', {
    order,
    container: {
      env: [...told, ...ownEnv.map((key) => variable(id, key, envKey.worker(key)))],
      resources: containerResources(executor, 'worker', memoryBytes),
    },
    template: templates.worker,
  });
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      name: workerPodName(id, name),
      labels: { ...pod.metadata?.labels, [label.worker]: name },
      ownerReferences: [owner],
    },
  };
}

/** By which pods of all namespaces reach the scheduler. The operator names services so. */
export const serviceHost = ({ id, namespace, way }: Pick<ClusterShape, 'id' | 'namespace' | 'way'>): string =>
  `${id}${way === 'operator' ? '-scheduler' : ''}.${namespace}.svc`;

export const workerPodName = (id: string, name: string): string => `${id}-worker-${name}`;

/** What makes something a part of what `made` is. */
export const ownerOf = (
  { metadata }: Pick<V1Job, 'metadata'>,
  { apiVersion, kind }: Pick<V1OwnerReference, 'apiVersion' | 'kind'> = {
    apiVersion: 'batch/v1',
    kind: 'Job',
  },
): V1OwnerReference => ({
  ...{ apiVersion, kind, name: metadata?.name ?? '', uid: metadata?.uid ?? '' },
  ...{ controller: false, blockOwnerDeletion: false },
});

/** Keys of a secret have no slashes. */
const keyOf = (path: string) => path.replaceAll('/', '.');

/** Of variables in the Secret: the executor may have another value for one of the run. */
const envKey = {
  run: (name: string) => `env.${name}`,
  worker: (name: string) => `worker-env.${name}`,
};

const variable = (secretName: string, name: string, key: string): V1EnvVar => ({
  name,
  valueFrom: { secretKeyRef: { name: secretName, key } },
});

type Role = 'scheduler' | 'worker' | 'keeper';

export function podOf(
  shape: ClusterShape,
  role: Role,
  own: {
    readonly order: object;
    readonly container: Partial<V1Container>;
    readonly template: Manifest | undefined;
  },
): V1Pod {
  const { executor, env } = shape;
  const isOperators = shape.way === 'operator' && role !== 'keeper';
  // Its Deployments know no other policy: members see themselves that what has ended stays so.
  const restartPolicy = isOperators ? 'Always' : role === 'scheduler' ? 'Never' : 'OnFailure';
  const order = { ...own.order, ...(isOperators && { once: true }) };
  const ofRun = role === 'keeper' ? [] : env.map((name) => variable(shape.id, name, envKey.run(name)));
  return executorPod(executor, {
    ...{ role, metadata: metaOf(shape, undefined, { role }), template: own.template },
    container: {
      command: ['python3', `${memberFolder}/cluster_member.py`, JSON.stringify(order)],
      ...own.container,
      env: [...ofRun, ...(own.container.env ?? [])],
    },
    mounts: [{ name: 'flow-clusters', mountPath: memberFolder, readOnly: true }],
    volumes: [
      {
        name: 'flow-clusters',
        secret: { secretName: shape.id, items: shape.paths.map((path) => ({ key: keyOf(path), path })) },
      },
    ],
    spec: { restartPolicy },
  });
}

/** What tells a pod of a cluster from others that its executor means. */
export interface PodParts {
  readonly role: Role;
  readonly metadata: V1ObjectMeta;
  readonly container: Partial<V1Container>;
  /** Beside those of the executor, and before them. */
  readonly mounts: readonly V1VolumeMount[];
  readonly volumes: readonly V1Volume[];
  readonly spec?: Partial<V1PodSpec>;
  /** Merged over all of it. */
  readonly template: Manifest | undefined;
}

/** A pod as an executor says, of the level `restricted`. Its container is called as its role. */
export function executorPod(executor: KubernetesExecutor, parts: PodParts): V1Pod {
  const { role, container, template } = parts;
  const { service_account } = executor;
  const ofWorkers = role === 'worker' ? executor : undefined;
  const pod: V1Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: parts.metadata,
    spec: {
      terminationGracePeriodSeconds: graceSeconds,
      automountServiceAccountToken: service_account !== undefined,
      enableServiceLinks: false,
      ...(service_account !== undefined && { serviceAccountName: service_account }),
      ...(executor.image_pull_secrets && {
        imagePullSecrets: executor.image_pull_secrets.map((name) => ({ name })),
      }),
      ...(executor.node_selector && { nodeSelector: { ...executor.node_selector } }),
      tolerations: tolerationsOf(executor, role),
      ...parts.spec,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: role,
          image: executor.image,
          ...(executor.image_pull_policy && { imagePullPolicy: executor.image_pull_policy }),
          workingDir: '/tmp',
          // Its state then says why it failed, with no log to be asked for.
          terminationMessagePolicy: 'FallbackToLogsOnError',
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          ...container,
          env: [
            { name: 'PYTHONUNBUFFERED', value: '1' },
            // There is no such user in most images: what asks for a home gets one that it can write to.
            { name: 'HOME', value: '/tmp' },
            ...(container.env ?? []),
          ],
          volumeMounts: [
            ...parts.mounts,
            { name: 'scratch', mountPath: '/tmp' },
            ...(ofWorkers?.volume_mounts ?? []),
          ],
        },
      ],
      volumes: [...parts.volumes, { name: 'scratch', emptyDir: {} }, ...(ofWorkers?.volumes ?? [])],
    } as unknown as V1PodSpec,
  };
  return template ? mergeManifest(pod, asPod(template)) : pod;
}

/** What its container asks for and gets at most, as the executor says. @param memoryBytes of a worker */
export function containerResources(
  executor: KubernetesExecutor,
  role: PodParts['role'],
  memoryBytes: number | undefined,
): V1ResourceRequirements {
  if (role === 'scheduler') return resourcesOf(executor.scheduler?.requests, executor.scheduler?.limits);
  const memory = executor.memory_limit === undefined ? undefined : String(memoryBytes);
  return resourcesOf(
    { ...(memory !== undefined && { memory }), ...executor.requests },
    { ...(memory !== undefined && { memory }), ...executor.limits },
  );
}

/** Those of the executor, and of workers ours where it says nothing of lost nodes. */
function tolerationsOf({ tolerations = [] }: KubernetesExecutor, role: Role): readonly Manifest[] {
  if (role === 'scheduler') return tolerations;
  const isSaid = (trouble: string) =>
    tolerations.some(({ key, effect }) => (!key || key === trouble) && (!effect || effect === 'NoExecute'));
  const ours = nodeTroubles
    .filter((trouble) => !isSaid(trouble))
    .map((key) => ({
      ...{ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: nodeAwaySeconds },
    }));
  return [...tolerations, ...ours];
}

/** A template may be a whole pod, or only its spec's content under `spec`. */
const asPod = (template: Manifest): Manifest => {
  const { apiVersion: _version, kind: _kind, ...rest } = template;
  return rest;
};

export function metaOf(shape: ClusterShape, name: string | undefined, more: { readonly role?: Role } = {}) {
  const { executor } = shape;
  return {
    ...(name !== undefined && { name }),
    labels: { ...executor.labels, ...shape.labels, ...(more.role && { [label.role]: more.role }) },
    annotations: { ...executor.annotations, ...shape.annotations },
  };
}

function resourcesOf(requests: Quantities | undefined, limits: Quantities | undefined) {
  const asText = (some: Quantities | undefined) =>
    some && Object.fromEntries(Object.entries(some).map(([name, amount]) => [name, String(amount)]));
  const [asked, most] = [asText(requests), asText(limits)];
  return {
    ...(asked && Object.keys(asked).length > 0 && { requests: asked }),
    ...(most && Object.keys(most).length > 0 && { limits: most }),
  };
}
