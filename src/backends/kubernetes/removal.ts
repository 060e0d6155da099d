import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { UserError } from '../../core/errors.ts';
import { stoppedAfter } from '../../core/limit.ts';
import { codeOf, type KubernetesApi, unlessGone } from './kubernetesApi.ts';
import { label } from './manifests.ts';
import type { Way } from './objects.ts';
import { type DaskResource, daskClusters, daskWorkerGroups, workerGroupName } from './operatorManifests.ts';

/** For Kubernetes to remove all of a cluster; pods take a second or two. */
const removeTimeoutMs = 60_000;
const lookMs = 100;
/** Pods that are still there by then have a node that does not answer, and nobody who says that they have ended. */
const forceMs = 15_000;
/** For the operator to let go of what it has looked after; it takes less than a second. */
const operatorMs = 15_000;
/** The operator's, of the framework that it is made with: it keeps what is deleted until it has seen that. */
const operatorFinalizer = 'kopf.zalando.org/KopfFinalizerMarker';

/** A cluster by name. */
export interface Removable {
  readonly id: string;
  readonly way: Way;
  readonly namespace: string;
}

/**
 * Deletes all of a cluster; resolves when no pod of it is left. Harmless where it is gone already.
 * @throws UserError `timeout` if that takes too long
 */
export function removeCluster(api: KubernetesApi, cluster: Removable): Promise<void> {
  const { id, way } = cluster;
  const late = () =>
    new UserError('timeout', `Kubernetes has not removed all of ${id} within ${removeTimeoutMs / 1000} s`, {
      hint: 'It goes on with that by itself; “kubectl get pods” tells what is left.',
    });
  const remove = way === 'operator' ? removeOperated : removePlain;
  return stoppedAfter(removeTimeoutMs, late, async (signal) => {
    await remove(api, cluster, signal);
    // Kubernetes waits for the end of each, and for nodes that are lost for ever. Their workers end without their scheduler.
    const began = performance.now();
    const list = () => podsOf(api, cluster, signal);
    for (let left = await list(); left.length > 0; left = await list()) {
      if (performance.now() - began > forceMs)
        await Promise.all(left.map((pod) => deletePod(api, pod, signal, 0).catch(unlessForbidden)));
      await sleep(lookMs, undefined, { signal });
    }
  });
}

async function removePlain(api: KubernetesApi, cluster: Removable, signal: AbortSignal): Promise<void> {
  const pods = await podsOf(api, cluster, signal);
  await Promise.all([
    // What it owns goes with it.
    deleteJob(api, cluster, signal),
    ...pods.map((pod) => deletePod(api, pod, signal)),
  ]);
}

/** The API server has the DaskCluster until all is gone that the operator has made for it. */
async function removeOperated(api: KubernetesApi, cluster: Removable, signal: AbortSignal): Promise<void> {
  const { custom } = api;
  const until = api.until(signal);
  const which = { namespace: cluster.namespace, name: cluster.id };
  const how = { propagationPolicy: 'Foreground' };
  await Promise.all([
    unlessGone(custom.deleteNamespacedCustomObject({ ...daskClusters, ...which, ...how }, until)),
    deleteJob(api, cluster, signal),
  ]);
  const began = performance.now();
  const hurried = new Map<string | undefined, number>();
  for (;;) {
    const left = await unlessGone<DaskResource>(
      custom.getNamespacedCustomObject({ ...daskClusters, ...which }, until),
    );
    if (!left) break;
    const grace = performance.now() - began > forceMs ? 0 : 1;
    await hurry(api, await podsOf(api, cluster, signal), hurried, grace, signal);
    const finalizers = left.metadata.finalizers ?? [];
    if (performance.now() - began > operatorMs && finalizers.includes(operatorFinalizer)) {
      // It does not run, and nobody else would ever.
      const path = '/metadata/finalizers';
      const value = finalizers.filter((one) => one !== operatorFinalizer);
      const body = [
        { op: 'test', path, value: finalizers },
        { op: 'replace', path, value },
      ];
      await unlessGone(custom.patchNamespacedCustomObject({ ...daskClusters, ...which, body }, until));
    }
    await sleep(lookMs, undefined, { signal });
  }
  // The operator makes this group without an owner, and gives it one later, which fails where the cluster has gone by then.
  const group = { namespace: cluster.namespace, name: workerGroupName(cluster.id, 'default') };
  await unlessGone(custom.deleteNamespacedCustomObject({ ...daskWorkerGroups, ...group }, until));
}

/**
 * Ends pods that are going, with so many seconds of grace: workers that are asked to end would look for a scheduler that has
 * ended already. Before Kubernetes itself deletes a pod its Deployment would have another in its place.
 */
async function hurry(
  api: KubernetesApi,
  pods: readonly V1Pod[],
  hurried: Map<string | undefined, number>,
  grace: number,
  signal: AbortSignal,
): Promise<void> {
  const going = pods.filter(
    ({ metadata }) => metadata?.deletionTimestamp !== undefined && hurried.get(metadata.uid) !== grace,
  );
  for (const { metadata } of going) hurried.set(metadata?.uid, grace);
  // Who may not do that waits longer.
  await Promise.all(going.map((pod) => deletePod(api, pod, signal, grace).catch(unlessForbidden)));
}

function unlessForbidden(error: unknown): void {
  if (codeOf(error) !== 403) throw error;
}

function deletePod(
  api: KubernetesApi,
  { metadata }: V1Pod,
  signal: AbortSignal,
  gracePeriodSeconds = 1,
): Promise<unknown> {
  const { name = '', namespace = '' } = metadata ?? {};
  const pod = { name, namespace, gracePeriodSeconds };
  return unlessGone(api.core.deleteNamespacedPod(pod, api.until(signal)));
}

const deleteJob = (api: KubernetesApi, { id: name, namespace }: Removable, signal: AbortSignal) =>
  unlessGone(
    api.batch.deleteNamespacedJob({ name, namespace, propagationPolicy: 'Background' }, api.until(signal)),
  );

async function podsOf(
  api: KubernetesApi,
  { id, namespace }: Removable,
  signal: AbortSignal,
): Promise<readonly V1Pod[]> {
  const query = { namespace, labelSelector: `${label.cluster}=${id}` };
  return (await api.core.listNamespacedPod(query, api.until(signal))).items;
}
