import { readFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { Security } from '../../core/security.ts';
import { SchedulerClient } from '../../dask/scheduler.ts';
import type { KubernetesApi } from './kubernetesApi.ts';

/** Of the pod, where it has an account. */
const namespaceFile = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';
/** A Service is known to its node soon after its pod runs. What a network policy forbids mostly gets no answer at all. */
const reachMs = 4_000;
/** A connection that a node has swallowed gets no answer later either. */
const tryMs = 1_000;
const againMs = 100;

/** The pod that this runs in, where it is one of that API server, in the namespace of its account or of the API. */
export async function ownPod(api: KubernetesApi, signal: AbortSignal): Promise<V1Pod | undefined> {
  if (!process.env.KUBERNETES_SERVICE_HOST) return undefined;
  const namespace = await readFile(namespaceFile, 'utf8').catch(() => api.namespace);
  const pod = await api.core
    .readNamespacedPod({ name: hostname(), namespace }, api.until(signal))
    .catch(() => undefined); // there is none, or it may not be read
  const ips = new Set(
    Object.values(networkInterfaces()).flatMap((some = []) => some.map(({ address }) => address)),
  );
  // A pod of another cluster may have the same name.
  return pod?.status?.podIPs?.some(({ ip }) => ips.has(ip)) ? pod : undefined;
}

/** Whether this runs in a pod of that cluster, so that there may be a way to others that does not lead through the API server. */
export async function isBeside(api: KubernetesApi, signal: AbortSignal): Promise<boolean> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  if (!host || !port) return false;
  // As pods are told to reach their own.
  const server = new URL(api.place.server);
  if (server.hostname.replace(/^\[|\]$/g, '') === host && (server.port || '443') === port) return true;
  const soon = AbortSignal.any([signal, AbortSignal.timeout(reachMs)]);
  return (await ownPod(api, soon)) !== undefined;
}

/**
 * Asks a scheduler of ours until it answers.
 * @returns undefined, or why it has not in time: its name is not known here, a network policy is in the way
 */
export async function whyNotReached(
  address: string,
  security: Security,
  life: AbortSignal,
  limitMs = reachMs,
): Promise<string | undefined> {
  const signal = AbortSignal.any([life, AbortSignal.timeout(limitMs)]);
  let why = 'no answer';
  while (!signal.aborted) {
    const client = new SchedulerClient(address, { security, timeoutMs: tryMs });
    try {
      await client.versions({ signal });
      return undefined;
    } catch (error) {
      if (!signal.aborted) why = (error as Error).message;
    } finally {
      client.close();
    }
    await sleep(againMs, undefined, { signal }).catch(() => undefined);
  }
  life.throwIfAborted();
  return why;
}
