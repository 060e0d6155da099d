import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  AppsV1Api,
  CoreV1Api,
  NetworkingV1Api,
  RbacAuthorizationV1Api,
  type V1Pod,
} from '@kubernetes/client-node';
import { clientCertificates, deployedScheduler } from '../../src/backends/kubernetes/deployment/clients.ts';
import { Deployments } from '../../src/backends/kubernetes/deployment/deployments.ts';
import { openKubernetes } from '../../src/backends/kubernetes/kubernetesApi.ts';
import { linkScheduler } from '../../src/backends/kubernetes/schedulerLink.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import type { AttachOptions } from '../../src/core/manager.ts';
import type { PodScheduler } from '../../src/core/podScheduler.ts';
import type { Security } from '../../src/core/security.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { MemoryLog } from './host.ts';
import { testCluster } from './kubernetes.ts';

export const pythonFolder = fileURLToPath(new URL('../../src/python', import.meta.url));
export const noOptions = { networkPolicy: false, dashboard: false };

/** @param me who deploys */
export const deployments = (me = 'bed/tester'): Deployments =>
  new Deployments({ pythonFolder, log: new MemoryLog(), me });

/** Deploys, or brings up to date; resolves with the stages. */
export async function deploy(
  executor: KubernetesExecutor,
  name: string,
  { options = noOptions, signal = new AbortController().signal } = {},
): Promise<string[]> {
  const stages: string[] = [];
  const planned = await deployments().plan(executor, name, options, signal);
  await planned.carryOut({
    signal,
    stage: (text) => void stages.push(text),
  });
  return stages;
}

/** A way to a scheduler in pods, as attaching has it. */
export interface Way {
  readonly address: string;
  readonly security: Security | undefined;
  readonly client: SchedulerClient;
  readonly forwarded: AttachOptions['forwarded'];
  close(): void;
}

/** By the Secret of its clients, if it was deployed. */
export async function wayTo(namespace: string, name: string, maker?: PodScheduler): Promise<Way> {
  const { place } = await openKubernetes({ namespace });
  const pods = maker ?? deployedScheduler(place, undefined, name);
  const security = maker ? undefined : await clientCertificates(pods, AbortSignal.timeout(10_000));
  const link = await linkScheduler(pods, new MemoryLog());
  try {
    await link.ready(AbortSignal.timeout(20_000));
  } catch (error) {
    link.close();
    throw error;
  }
  const address = `${security ? 'tls' : 'tcp'}://127.0.0.1:${link.port}`;
  const client = new SchedulerClient(address, { security, timeoutMs: 20_000 });
  const close = () => {
    client.close();
    link.close();
  };
  const { dashboardPort, onMembers } = link;
  return { address, security, client, forwarded: { pods, dashboardPort, onMembers }, close };
}

/** Names of its workers, when there are that many of them. Rejects if that takes too long. */
export async function workersOf({ client }: Way, count: number, limitMs = 120_000): Promise<string[]> {
  let names: string[] = [];
  for (const began = performance.now(); performance.now() - began < limitMs; await sleep(100)) {
    // It may be on its way to another pod.
    const { workers } = await client.identity().catch(() => ({ workers: [] }));
    names = workers.map(({ name }) => name).sort();
    if (names.length === count) return names;
  }
  throw new Error(`there are ${names.length} workers, not ${count}: ${names}`);
}

/** Its pods that run, by role. */
export async function podsOf(namespace: string, role: string): Promise<V1Pod[]> {
  const core = testCluster().makeApiClient(CoreV1Api);
  const query = { namespace, labelSelector: `flow-clusters/role=${role}` };
  const { items } = await core.listNamespacedPod(query);
  return items.filter(({ metadata }) => metadata?.deletionTimestamp === undefined);
}

/** All that there is of deployed clusters in a namespace. */
export async function deployedObjects(namespace: string): Promise<string[]> {
  const config = testCluster();
  const query = { namespace, labelSelector: 'flow-clusters/deployment' };
  const [core, apps, rbac, net] = [
    config.makeApiClient(CoreV1Api),
    config.makeApiClient(AppsV1Api),
    config.makeApiClient(RbacAuthorizationV1Api),
    config.makeApiClient(NetworkingV1Api),
  ];
  const lists = await Promise.all([
    apps.listNamespacedDeployment(query),
    apps.listNamespacedReplicaSet(query),
    core.listNamespacedPod(query),
    core.listNamespacedService(query),
    core.listNamespacedSecret(query),
    core.listNamespacedConfigMap(query),
    core.listNamespacedServiceAccount(query),
    rbac.listNamespacedRole(query),
    rbac.listNamespacedRoleBinding(query),
    net.listNamespacedNetworkPolicy(query),
  ]);
  return lists.flatMap(({ kind, items }) =>
    items.map(({ metadata }) => `${kind?.replace(/List$/, '')} ${metadata?.name}`),
  );
}
