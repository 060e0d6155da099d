import { createHash } from 'node:crypto';
import type { Manifest } from '../../core/kubernetesExecutor.ts';
import type { KubernetesApi } from './kubernetesApi.ts';
import type { Way } from './objects.ts';
import { daskClusters, daskWorkerGroups, operatorGroup } from './operatorManifests.ts';

/** What may be done to a kind of thing in a namespace. */
export interface Right {
  /** Of the API; empty is the core's. */
  readonly group:
    | ''
    | 'apps'
    | 'batch'
    | 'networking.k8s.io'
    | 'rbac.authorization.k8s.io'
    | typeof operatorGroup;
  /** `pods`, or a part of one: `pods/log`. */
  readonly resource: string;
  readonly verb: string;
  /** Only clusters that are made so take it. */
  readonly way?: Way;
  /** What there is not without it. Absent: no cluster starts. */
  readonly without?: string;
  /** The minor version of Kubernetes 1 from which on no cluster starts without it. */
  readonly neededFrom?: number;
}

const onEach = (right: Omit<Right, 'verb'>, ...verbs: readonly string[]): Right[] =>
  verbs.map((verb) => ({ ...right, verb }));

const operators = (resource: string): Omit<Right, 'verb'> => ({
  ...{ group: operatorGroup, resource, way: 'operator' },
});

/**
 * All that clusters in pods take, and nothing else: what the check asks for, and what its manifest grants. What a Job owns
 * Kubernetes deletes itself, which needs no right of the user's.
 */
export const rights: readonly Right[] = [
  ...onEach({ group: 'batch', resource: 'jobs' }, 'create', 'patch', 'delete'),
  ...onEach({ group: '', resource: 'pods', way: 'plain' }, 'create', 'delete'),
  ...onEach({ group: '', resource: 'pods' }, 'list', 'watch'),
  ...onEach({ group: '', resource: 'pods/log' }, 'get'),
  ...onEach({ group: '', resource: 'secrets' }, 'create'),
  ...onEach({ group: '', resource: 'services', way: 'plain' }, 'create'),
  ...onEach(operators(daskClusters.plural), 'create', 'delete', 'get'),
  ...onEach({ ...operators(daskClusters.plural), without: 'no removal while the operator is away' }, 'patch'),
  ...onEach(operators(daskWorkerGroups.plural), 'create', 'delete'),
  // A WebSocket begins as a GET, and that is what the API server asks a right for. From 1.35 on it asks for "create" as
  // well, which the older way by POST has always taken (AuthorizePodWebsocketUpgradeCreatePermission).
  ...onEach({ group: '', resource: 'pods/portforward' }, 'get'),
  ...onEach(
    {
      ...{ group: '', resource: 'pods/portforward', neededFrom: 35 },
      without: 'no way to clusters from Kubernetes 1.35 on',
    },
    'create',
  ),
  ...onEach({ group: '', resource: 'pods/exec', without: 'no shells in pods' }, 'get', 'create'),
  ...onEach({ group: '', resource: 'pods', without: 'no descriptions of pods' }, 'get'),
  ...onEach(
    { group: 'batch', resource: 'jobs', without: 'no static clusters that the next window takes up' },
    'get',
  ),
  ...onEach({ group: 'batch', resource: 'jobs', without: 'no leftovers of killed windows' }, 'list'),
  ...onEach({ group: '', resource: 'pods', way: 'operator', without: 'slower ends of clusters' }, 'delete'),
  ...onEach({ group: '', resource: 'events', without: 'no reasons where pods do not come' }, 'list'),
];

const verbs = ['get', 'create', 'patch', 'delete'];

/**
 * What static clusters take beside that which are deployed. Who gives rights needs to have them: that is why those by which
 * a scheduler sets the number of its workers are among them.
 */
export const deploymentRights: readonly Right[] = [
  ...onEach({ group: 'apps', resource: 'deployments' }, ...verbs, 'list'),
  ...onEach({ group: '', resource: 'services' }, ...verbs),
  ...onEach({ group: '', resource: 'secrets' }, ...verbs),
  ...onEach({ group: 'networking.k8s.io', resource: 'networkpolicies' }, ...verbs),
  ...onEach({ group: '', resource: 'configmaps' }, ...verbs),
  ...onEach({ group: '', resource: 'serviceaccounts' }, ...verbs),
  ...onEach({ group: 'rbac.authorization.k8s.io', resource: 'roles' }, ...verbs),
  ...onEach({ group: 'rbac.authorization.k8s.io', resource: 'rolebindings' }, ...verbs),
  ...onEach({ group: 'apps', resource: 'deployments/scale' }, 'get', 'patch'),
  ...onEach({ group: '', resource: 'pods' }, 'create', 'patch'),
];

/** Whether the user has a right in a namespace, by the API server's own word. */
export async function isAllowed(
  api: KubernetesApi,
  { group, resource, verb }: Pick<Right, 'group' | 'resource' | 'verb'>,
  namespace: string,
  signal: AbortSignal,
): Promise<boolean> {
  const [name, subresource] = resource.split('/');
  const resourceAttributes = {
    ...{ namespace, group, verb },
    ...(name !== undefined && { resource: name }),
    ...(subresource !== undefined && { subresource }),
  };
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  };
  const { status } = await api.authorization.createSelfSubjectAccessReview({ body }, api.until(signal));
  return status?.allowed === true;
}

/** Those that clusters take that are made so. */
export const rightsOf = (way: Way): readonly Right[] =>
  rights.filter((right) => right.way === undefined || right.way === way);

/** Whether a cluster starts only with it, on a server of that minor version; undefined: nobody knows it. */
export function isNeeded({ without, neededFrom }: Right, minor: number | undefined): boolean {
  if (neededFrom !== undefined) return minor === undefined || minor >= neededFrom;
  return without === undefined;
}

/** `create secrets`, `get and create pods/exec`. */
export function rightsText(some: readonly Right[]): string[] {
  return grouped(some).map(({ resource, verbs }) => `${verbs.join(' and ')} ${resource}`);
}

/** Who rights are for, by the name that the API server knows a user by. */
const subjectOf = (user: string): Manifest => {
  const [, namespace, name] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user) ?? [];
  return name
    ? { kind: 'ServiceAccount', name, namespace }
    : { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user };
};

/**
 * A Role and a RoleBinding of exactly these rights. Their name comes from what they say: applied, they take nothing away
 * that others of ours have given.
 */
export function rightsManifest(some: readonly Right[], namespace: string, user: string): Manifest[] {
  const rules = grouped(some).map(({ group, resource, verbs }) => ({
    apiGroups: [group],
    resources: [resource],
    verbs,
  }));
  const subjects = [subjectOf(user)];
  const hash = createHash('sha256')
    .update(JSON.stringify([rules, subjects]))
    .digest('hex')
    .slice(0, 8);
  const metadata = { name: `flow-clusters-${hash}`, namespace };
  const apiVersion = 'rbac.authorization.k8s.io/v1';
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name };
  return [
    { apiVersion, kind: 'Role', metadata, rules },
    { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects },
  ];
}

/** By what they are about. */
function grouped(some: readonly Right[]) {
  const groups = new Map<string, { group: string; resource: string; verbs: string[] }>();
  for (const { group, resource, verb } of some) {
    const key = `${group}/${resource}`;
    const known = groups.get(key) ?? { group, resource, verbs: [] };
    known.verbs.push(verb);
    groups.set(key, known);
  }
  return [...groups.values()];
}
