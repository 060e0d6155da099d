import { createHash } from 'node:crypto';
import type {
  V1ConfigMap,
  V1Container,
  V1Deployment,
  V1EnvVar,
  V1NetworkPolicy,
  V1ObjectMeta,
  V1PodTemplateSpec,
  V1Role,
  V1RoleBinding,
  V1Secret,
  V1Service,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import type { NodeCertificates } from '../../certificateMaker.ts';
import { dashboardPort, schedulerPort } from '../../memberProtocol.ts';
import { containerResources, executorPod, label } from '../manifests.ts';
import { referencesOf } from '../references.ts';
import {
  type DeploymentNames,
  type DeploymentShape,
  leastWorkers,
  namesOf,
  resourceFlags,
  workerFlags,
} from './shape.ts';

/** Labels of all that belongs to a static cluster. */
export const deploymentLabel = 'flow-clusters/deployment';
const application = 'app.kubernetes.io/name';
/** By which schedulers of static clusters are found; {@link deploymentLabel} names the cluster. */
export const deploymentSelector = `${application}=dask,${label.role}=scheduler`;
/** Of pods: what they were made from beside their manifest. */
export const revisionAnnotation = 'flow-clusters/revision';
/** Who has deployed it, as `machine/user`. */
export const deployerAnnotation = 'flow-clusters/deployed-by';

const tlsFolder = '/etc/dask-tls';
const preloadFolder = '/etc/dask-adaptive';
const preloadFile = 'adaptive_preload.py';
/** Of a worker's pages, on its loopback. */
const workerPort = 8790;
/** Dask's own, of a worker that has no scheduler: its pod then starts it again. */
const deathTimeoutSeconds = 60;

export type DeploymentObject =
  | V1ConfigMap
  | V1Deployment
  | V1NetworkPolicy
  | V1Role
  | V1RoleBinding
  | V1Secret
  | V1Service
  | V1ServiceAccount;

/** What of a cluster is secret. */
export interface DeploymentSecrets {
  readonly members: NodeCertificates;
  readonly client: NodeCertificates;
}

/**
 * All objects of a static cluster but its secrets, in the order in which they are to be made: stock Dask, which needs
 * neither this extension nor a window to live. None names its namespace.
 * @param preload text of `adaptive_preload.py`
 */
export function deploymentObjects(shape: DeploymentShape, preload: string): DeploymentObject[] {
  return [
    ...(shape.executor.adapt_kwargs ? adaptiveObjects(shape, preload) : []),
    ...(shape.options.networkPolicy ? networkPolicies(shape) : []),
    schedulerService(shape),
    schedulerDeployment(shape),
    workerDeployment(shape),
  ];
}

/** The certificates of members and clients, each as cert-manager would keep them, and the values of variables. */
export function deploymentSecrets(
  shape: DeploymentShape,
  { members, client }: DeploymentSecrets,
): V1Secret[] {
  const names = namesOf(shape.name);
  const { env } = shape.executor;
  const tls = (name: string, { ca, cert, key }: NodeCertificates): V1Secret => ({
    ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls' },
    metadata: metaOf(shape, name),
    data: { 'ca.crt': base64(ca), 'tls.crt': base64(cert), 'tls.key': base64(key) },
  });
  return [
    tls(names.tls, members),
    tls(names.clientTls, client),
    ...(hasEnv(shape)
      ? [
          {
            ...{ apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: metaOf(shape, names.env) },
            data: Object.fromEntries(
              Object.entries(env ?? {}).map(([name, value]) => [name, base64(value)] as const),
            ),
          },
        ]
      : []),
  ];
}

/**
 * Says in the pods of Deployments what they are made from, and what of the cluster's own they read: where only that changes,
 * Kubernetes would not replace them. What they do not read leaves them alone.
 */
export function withRevisions(
  objects: readonly DeploymentObject[],
  secrets: readonly V1Secret[],
): DeploymentObject[] {
  const readable: readonly (V1ConfigMap | V1Secret)[] = [
    ...objects.filter(({ kind }) => kind === 'ConfigMap'),
    ...secrets,
  ];
  return objects.map((object) => {
    if (object.kind !== 'Deployment') return object;
    const { spec } = object as V1Deployment;
    const { metadata, spec: pod } = spec?.template ?? {};
    const names = referencesOf(pod ? [pod] : []).map(({ kind, name }) => `${kind}/${name}`);
    const read = readable
      .filter(({ kind, metadata: own }) =>
        names.includes(`${kind === 'Secret' ? 'secret' : 'config map'}/${own?.name}`),
      )
      .map(({ data }) => data);
    const text = JSON.stringify([metadata, pod, read]);
    const annotations = {
      ...metadata?.annotations,
      [revisionAnnotation]: createHash('sha256').update(text).digest('hex').slice(0, 16),
    };
    return {
      ...object,
      spec: { ...spec, template: { ...spec?.template, metadata: { ...metadata, annotations } } },
    } as V1Deployment;
  });
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
const hasEnv = ({ executor }: DeploymentShape) => Object.keys(executor.env ?? {}).length > 0;

type Role = 'scheduler' | 'worker';

/** What selects its pods: it never changes. */
const selectorOf = ({ name }: DeploymentShape, role?: Role): Record<string, string> => ({
  [deploymentLabel]: name,
  ...(role && { [label.role]: role }),
});

function metaOf(shape: DeploymentShape, name: string | undefined, role?: Role): V1ObjectMeta {
  const { labels, annotations } = shape.executor;
  return {
    ...(name !== undefined && { name }),
    labels: {
      ...labels,
      [application]: 'dask',
      'app.kubernetes.io/instance': shape.name,
      ...(role && { 'app.kubernetes.io/component': role }),
      ...selectorOf(shape, role),
    },
    ...(annotations && { annotations }),
  };
}

function schedulerDeployment(shape: DeploymentShape): V1Deployment {
  const { executor, options } = shape;
  const names = namesOf(shape.name);
  const limits = executor.adapt_kwargs;
  const dashboard = `${options.dashboard ? '' : '127.0.0.1'}:${dashboardPort}`;
  const { metadata, spec } = executorPod(executor, {
    ...{ role: 'scheduler', metadata: metaOf(shape, undefined, 'scheduler') },
    container: {
      command: [
        ...['python3', '-m', 'distributed.cli.dask_scheduler', '--protocol', 'tls'],
        ...['--port', String(schedulerPort), '--dashboard-address', dashboard],
        ...(limits ? ['--preload', `${preloadFolder}/${preloadFile}`] : []),
      ],
      env: [...tlsVariables(), ...(limits ? adaptiveVariables(names, limits) : [])],
      ports: [
        { name: 'tcp-comm', containerPort: schedulerPort },
        ...(options.dashboard ? [{ name: 'http-dashboard', containerPort: dashboardPort }] : []),
      ],
      resources: containerResources(executor, 'scheduler', undefined),
      startupProbe: startupProbe(dashboardPort, 1),
    },
    ...tlsVolume(names),
    ...(limits && {
      mounts: [...tlsVolume(names).mounts, { name: 'adaptive', mountPath: preloadFolder, readOnly: true }],
      volumes: [...tlsVolume(names).volumes, { name: 'adaptive', configMap: { name: names.adaptive } }],
      spec: { serviceAccountName: names.adaptive, automountServiceAccountToken: true },
    }),
    template: shape.templates.scheduler,
  });
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment' },
    metadata: metaOf(shape, names.scheduler, 'scheduler'),
    spec: {
      replicas: 1,
      // Two schedulers at a time would share the workers among them.
      strategy: { type: 'Recreate' },
      selector: { matchLabels: selectorOf(shape, 'scheduler') },
      template: { metadata, spec } as V1PodTemplateSpec,
    },
  };
}

function workerDeployment(shape: DeploymentShape): V1Deployment {
  const { executor } = shape;
  const names = namesOf(shape.name);
  const { metadata, spec } = executorPod(executor, {
    ...{ role: 'worker', metadata: metaOf(shape, undefined, 'worker') },
    container: {
      command: workerCommand(shape, `tls://${names.scheduler}:${schedulerPort}`),
      env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }, ...tlsVariables()],
      ...envFrom(shape),
      resources: containerResources(executor, 'worker', shape.memoryBytes),
      // One whose image or options are no good ends before that.
      startupProbe: startupProbe(workerPort, 2),
    },
    ...tlsVolume(names),
    template: shape.templates.worker,
  });
  return {
    ...{ apiVersion: 'apps/v1', kind: 'Deployment' },
    metadata: metaOf(shape, names.worker, 'worker'),
    spec: {
      // Where the scheduler sets their number, it is not ours to say.
      ...(!executor.adapt_kwargs && { replicas: leastWorkers(shape) }),
      // No more pods than there are to be: there may be no room, or no quota, for others.
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: '50%' } },
      selector: { matchLabels: selectorOf(shape, 'worker') },
      template: { metadata, spec } as V1PodTemplateSpec,
    },
  };
}

/**
 * What a nanny does before it registers: it tries to connect until that succeeds. A node that hears of a service loses
 * connections for a moment, and Dask gives its second try all of its half a minute, then ends. A shorter timeout in Dask's
 * configuration would have nannies end that wait for their scheduler, and would hold among workers.
 */
const untilAnswered = `from distributed.comm import connect
from distributed.utils_comm import retry
async def dask_setup(nanny):
    answer = lambda: connect(nanny.scheduler_addr, timeout=3, **nanny.connection_args)
    await (await retry(answer, ${deathTimeoutSeconds}, 0.1, 0.5, operation="connecting to the scheduler")).close()
`;

/** @param scheduler its address; a variable may stand in it */
export function workerCommand(shape: DeploymentShape, scheduler: string, name = '$(POD_NAME)'): string[] {
  const { executor, threads, memoryBytes } = shape;
  return [
    ...['python3', '-m', 'distributed.cli.dask_worker', scheduler, '--name', name],
    ...['--preload-nanny', untilAnswered],
    // Its pages are for this pod alone: they have no TLS.
    ...['--dashboard-address', `127.0.0.1:${workerPort}`, '--local-directory', '/tmp/dask'],
    ...['--death-timeout', String(deathTimeoutSeconds)],
    ...(threads === undefined ? [] : ['--nthreads', String(threads)]),
    ...(memoryBytes === undefined ? [] : ['--memory-limit', String(memoryBytes)]),
    ...resourceFlags(executor),
    ...workerFlags(executor),
  ];
}

/** Variables of the workers: their values are in a Secret, as they may be logins. */
export const envFrom = (shape: DeploymentShape): Pick<V1Container, 'envFrom'> =>
  hasEnv(shape) ? { envFrom: [{ secretRef: { name: namesOf(shape.name).env } }] } : {};

/** Dask's own configuration of mutual TLS. Tasks that are clients themselves have the certificate of a member. */
function tlsVariables(): V1EnvVar[] {
  const prefix = 'DASK_DISTRIBUTED__COMM__';
  const roles = ['SCHEDULER', 'WORKER', 'CLIENT'];
  return [
    { name: `${prefix}REQUIRE_ENCRYPTION`, value: 'True' },
    { name: `${prefix}TLS__CA_FILE`, value: `${tlsFolder}/ca.crt` },
    ...roles.flatMap((role) => [
      { name: `${prefix}TLS__${role}__CERT`, value: `${tlsFolder}/tls.crt` },
      { name: `${prefix}TLS__${role}__KEY`, value: `${tlsFolder}/tls.key` },
    ]),
  ];
}

const tlsVolume = ({ tls }: DeploymentNames) => ({
  mounts: [{ name: 'tls', mountPath: tlsFolder, readOnly: true }],
  volumes: [{ name: 'tls', secret: { secretName: tls } }],
});

/**
 * Asks a member's pages, which may be on its loopback: the port itself wants TLS, and would log each try. With as little of
 * Python as that takes, as it is asked again and again while the member starts.
 */
function startupProbe(port: number, periodSeconds: number): V1Container['startupProbe'] {
  const ask = [
    'import socket',
    `pages = socket.create_connection(("127.0.0.1", ${port}), 4)`,
    'pages.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")',
    'assert b" 200 " in pages.recv(99)',
  ].join('; ');
  const exec = { command: ['python3', '-I', '-S', '-c', ask] };
  return { exec, periodSeconds, timeoutSeconds: 10, failureThreshold: 300 };
}

function schedulerService(shape: DeploymentShape): V1Service {
  return {
    ...{ apiVersion: 'v1', kind: 'Service' },
    metadata: metaOf(shape, namesOf(shape.name).scheduler, 'scheduler'),
    spec: {
      selector: selectorOf(shape, 'scheduler'),
      ports: [
        { name: 'tcp-comm', port: schedulerPort, targetPort: schedulerPort },
        ...(shape.options.dashboard
          ? [{ name: 'http-dashboard', port: dashboardPort, targetPort: dashboardPort }]
          : []),
      ],
      // Workers that start with their scheduler can connect as soon as it listens.
      publishNotReadyAddresses: true,
    },
  };
}

function networkPolicies(shape: DeploymentShape): V1NetworkPolicy[] {
  const policy = (name: string, pods: Record<string, string>, ingress: object): V1NetworkPolicy => ({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: metaOf(shape, name) },
    spec: { podSelector: { matchLabels: pods }, policyTypes: ['Ingress'], ingress: [ingress] },
  });
  const ports = [schedulerPort, ...(shape.options.dashboard ? [dashboardPort] : [])];
  return [
    policy(shape.name, selectorOf(shape), { from: [{ podSelector: { matchLabels: selectorOf(shape) } }] }),
    policy(namesOf(shape.name).scheduler, selectorOf(shape, 'scheduler'), {
      from: [{ podSelector: {} }],
      ports: ports.map((port) => ({ protocol: 'TCP', port })),
    }),
  ];
}

/** What the scheduler takes to set the number of its workers: rights to that, and the program. */
function adaptiveObjects(shape: DeploymentShape, preload: string): DeploymentObject[] {
  const { adaptive, worker } = namesOf(shape.name);
  const metadata = metaOf(shape, adaptive);
  const group = 'rbac.authorization.k8s.io';
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [preloadFile]: preload } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      ...{ apiVersion: `${group}/v1`, kind: 'Role', metadata },
      rules: [
        {
          ...{ apiGroups: ['apps'], resources: ['deployments/scale'], resourceNames: [worker] },
          verbs: ['get', 'patch'],
        },
        // Which of them are to go first. Kubernetes can't say here whose pods.
        { apiGroups: [''], resources: ['pods'], verbs: ['patch'] },
      ],
    },
    {
      ...{ apiVersion: `${group}/v1`, kind: 'RoleBinding', metadata },
      roleRef: { apiGroup: group, kind: 'Role', name: adaptive },
      subjects: [{ kind: 'ServiceAccount', name: adaptive }],
    },
  ];
}

function adaptiveVariables(
  { worker }: DeploymentNames,
  { minimum, maximum }: NonNullable<DeploymentShape['executor']['adapt_kwargs']>,
): V1EnvVar[] {
  const prefix = 'DASK_DISTRIBUTED__ADAPTIVE__';
  return [
    { name: 'WORKER_DEPLOYMENT', value: worker },
    { name: `${prefix}MINIMUM`, value: String(minimum ?? 0) },
    ...(typeof maximum === 'number' ? [{ name: `${prefix}MAXIMUM`, value: String(maximum) }] : []),
  ];
}
