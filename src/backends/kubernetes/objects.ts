import type { UserError } from '../../core/errors.ts';
import type { KubernetesExecutor } from '../../core/kubernetesExecutor.ts';
import type { KubernetesApi } from './kubernetesApi.ts';

/**
 * Who makes what a cluster consists of: `plain` is this extension, object by object; `operator` is Dask's, from its own
 * resources (`kubernetes.dask.org/v1`), which the extension makes.
 */
export type Way = 'plain' | 'operator';

export const wayOf = ({ operator }: Pick<KubernetesExecutor, 'operator'>): Way =>
  operator === true ? 'operator' : 'plain';

/** By path in `memberFolder`. */
export type MemberFiles = readonly (readonly [string, string | Buffer])[];

/** What an API server has of one cluster. Whatever it is, a Job owns it, and Kubernetes removes all of it with that. */
export interface ClusterObjects {
  /** Makes the Job, and what the others belong to. Workers can be made from then on. */
  createOwner(signal: AbortSignal): Promise<void>;
  /** Makes what members share. @param env of the run */
  createShared(files: MemberFiles, env: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
  /** Takes up what was made before; false if it does not run any more. */
  find(signal: AbortSignal): Promise<boolean>;
  /** Why there is no pod of the scheduler for so long, where the API server does not tell; undefined if it may still come. */
  silence(waitedMs: number, signal: AbortSignal): Promise<UserError | undefined>;
  /** @param name as Dask knows it */
  createWorker(name: string, signal: AbortSignal): Promise<void>;
  /** Ends it, whatever it does; resolves when that is under way. Harmless where it is gone already. */
  deleteWorker(name: string): Promise<void>;
}

/** Has a cluster go on however long it takes from here: until then its Job ends by itself, with all of it. */
export async function establishJob(api: KubernetesApi, name: string, signal: AbortSignal): Promise<void> {
  const body = [{ op: 'remove', path: '/spec/activeDeadlineSeconds' }];
  await api.batch.patchNamespacedJob({ name, namespace: api.namespace, body }, api.until(signal));
}
