import type { V1PodSpec, V1ResourceQuota } from '@kubernetes/client-node';
import { formatBytes } from '../../core/format.ts';
import { daskClusters, daskWorkerGroups } from './operatorManifests.ts';
import { amountOf } from './quantity.ts';

/** By the names that quotas have for them, such as `pods` or `limits.memory`: bytes, cores or pieces. */
export type Amounts = Readonly<Record<string, number>>;

/** What has a short name in quotas beside `requests.…`. */
const plain = new Set(['cpu', 'memory', 'ephemeral-storage']);

/** What a cluster is beside its pods. */
export const clusterAmounts: Amounts = {
  'count/jobs.batch': 1,
  ...{ services: 1, 'count/services': 1 },
  ...{ secrets: 1, 'count/secrets': 1 },
};

const deploymentAmounts: Amounts = { 'count/deployments.apps': 1, 'count/replicasets.apps': 1 };
/** What one is besides that the operator makes. Its group of no workers is always there. */
export const operatedAmounts: Amounts = {
  ...deploymentAmounts,
  ...{ [countOf(daskClusters)]: 1, [countOf(daskWorkerGroups)]: 1 },
};
/** What each of its workers is beside its pod. */
export const operatedWorkerAmounts: Amounts = { ...deploymentAmounts, [countOf(daskWorkerGroups)]: 1 };

function countOf({ plural, group }: { readonly plural: string; readonly group: string }): string {
  return `count/${plural}.${group}`;
}

/** What a pod counts for. */
export function podAmounts(spec: V1PodSpec): Amounts {
  const amounts: Record<string, number> = { pods: 1, 'count/pods': 1 };
  const { requests, limits } = resourcesOf(spec);
  for (const [name, amount] of requests) {
    amounts[`requests.${name}`] = amount;
    if (plain.has(name)) amounts[name] = amount;
  }
  for (const [name, amount] of limits) amounts[`limits.${name}`] = amount;
  return amounts;
}

/** Of all that runs at once; what prepares a pod runs before. A limit counts as a request where there is none. */
function resourcesOf({ containers, initContainers = [] }: V1PodSpec) {
  const isSidecar = ({ restartPolicy }: { restartPolicy?: string }) => restartPolicy === 'Always';
  const sums = { requests: new Map<string, number>(), limits: new Map<string, number>() };
  for (const kind of ['requests', 'limits'] as const) {
    const of = ({ resources }: (typeof containers)[number]) =>
      Object.entries({
        ...(kind === 'requests' && resources?.limits),
        ...resources?.[kind],
      } as Record<string, string>);
    for (const container of [...containers, ...initContainers.filter(isSidecar)]) {
      for (const [name, amount] of of(container))
        sums[kind].set(name, (sums[kind].get(name) ?? 0) + (amountOf(amount) ?? 0));
    }
    for (const container of initContainers.filter((one) => !isSidecar(one))) {
      for (const [name, amount] of of(container))
        sums[kind].set(name, Math.max(sums[kind].get(name) ?? 0, amountOf(amount) ?? 0));
    }
  }
  return sums;
}

/** What a quota has left. */
export function leftOf({ spec, status }: V1ResourceQuota): Amounts {
  const hard = status?.hard ?? spec?.hard ?? {};
  const left = Object.entries(hard).flatMap(([name, most]) => {
    const amount = amountOf(most);
    return amount === undefined ? [] : [[name, amount - (amountOf(status?.used?.[name]) ?? 0)] as const];
  });
  return Object.fromEntries(left);
}

/** Whether a quota counts such a pod; undefined if that depends on more than is known here. */
export function counts({ spec }: V1ResourceQuota, amounts: Amounts): boolean | undefined {
  const scopes = spec?.scopes ?? [];
  if (spec?.scopeSelector?.matchExpressions?.length) return undefined;
  const isModest = !['cpu', 'memory', 'limits.cpu', 'limits.memory'].some((name) => amounts[name]);
  for (const scope of scopes) {
    // Ours have no deadline.
    if (scope === 'Terminating') return false;
    if (scope === 'BestEffort' && !isModest) return false;
    if (scope === 'NotBestEffort' && isModest) return false;
    if (!['NotTerminating', 'BestEffort', 'NotBestEffort'].includes(scope)) return undefined;
  }
  return true;
}

/** What leaves so little room, and for how many workers. */
export interface Room {
  readonly workers: number;
  readonly by: string;
}

/** How many workers there is room for beside the rest of their cluster; undefined if nothing limits them. */
export function roomFor(left: Amounts, rest: readonly Amounts[], worker: Amounts): Room | undefined {
  let least: Room | undefined;
  for (const [by, amount] of Object.entries(left)) {
    const free = rest.reduce((sum, one) => sum - (one[by] ?? 0), amount);
    const need = worker[by] ?? 0;
    if (need === 0 && free >= 0) continue;
    // Tenths are not exact.
    const workers = need === 0 ? 0 : Math.max(0, Math.floor(free / need + 1e-9));
    if (!least || workers < least.workers) least = { workers, by };
  }
  return least;
}

/** `2 GiB`, `1.5`. */
export const amountText = (name: string, amount: number): string =>
  /(memory|storage)$/.test(name)
    ? formatBytes(amount)
    : String(Math.round(Math.max(0, amount) * 1000) / 1000);
