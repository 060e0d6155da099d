import type { V1Job } from '@kubernetes/client-node';
import { isWindowAlive } from '../../host/windowLife.ts';
import { codeOf, type KubernetesApi } from './kubernetesApi.ts';
import { annotation, label, labelValue, managedBy } from './manifests.ts';
import type { Way } from './objects.ts';

/** A cluster that Kubernetes still has something of, and no window. */
export interface PodLeftover {
  readonly cluster: string;
  readonly namespace: string;
  /** Name of the executor that it was made from. */
  readonly name: string;
  readonly lifetime: string;
  /** Milliseconds since the epoch; undefined if the server does not tell. */
  readonly createdMs: number | undefined;
  /** Its scheduler runs. */
  readonly running: boolean;
  readonly way: Way;
}

/**
 * What windows of this machine and user have left that are gone now: in all namespaces that one may read, else in that of
 * the context.
 */
export async function findLeftovers(
  api: KubernetesApi,
  machine: string,
  signal: AbortSignal,
): Promise<PodLeftover[]> {
  const labelSelector = `${label.managedBy}=${managedBy},${label.owner}=${labelValue(machine)}`;
  const { items } = await api.batch
    .listJobForAllNamespaces({ labelSelector }, api.until(signal))
    .catch((error: unknown) => {
      if (codeOf(error) !== 403) throw error;
      return api.batch.listNamespacedJob({ namespace: api.namespace, labelSelector }, api.until(signal));
    });
  const left = await Promise.all(items.map(async (job) => ((await isLeft(job)) ? [describe(job)] : [])));
  return left.flat();
}

async function isLeft({ metadata }: V1Job): Promise<boolean> {
  const { [annotation.window]: pid, [annotation.windowStarted]: started } = metadata?.annotations ?? {};
  if (metadata?.deletionTimestamp !== undefined) return false;
  return !(await isWindowAlive({ pid: Number(pid), started: started || undefined }));
}

function describe({ metadata, status }: V1Job): PodLeftover {
  const { name = '', namespace = '', annotations = {}, labels = {}, creationTimestamp } = metadata ?? {};
  return {
    ...{ cluster: name, namespace, name: annotations[annotation.name] ?? name },
    lifetime: annotations[annotation.lifetime] ?? 'temporary',
    createdMs: creationTimestamp && new Date(creationTimestamp).getTime(),
    running: (status?.active ?? 0) > 0,
    way: labels[label.role] === 'keeper' ? 'operator' : 'plain',
  };
}
