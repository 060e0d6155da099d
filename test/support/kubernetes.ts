import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { fileURLToPath } from 'node:url';
import { AppsV1Api, BatchV1Api, CoreV1Api, CustomObjectsApi, KubeConfig } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import type { Kubernetes } from '../../scripts/lib/kubernetes.mjs';
import { withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import type { BackendOptions } from '../../src/backends/clusterOptions.ts';
import { KubernetesBackend } from '../../src/backends/kubernetes/kubernetesBackend.ts';
import type { Way } from '../../src/backends/kubernetes/objects.ts';
import { daskClusters, daskWorkerGroups } from '../../src/backends/kubernetes/operatorManifests.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { MemoryLog } from './host.ts';
import type { OwnerOptions } from './kubernetesOwner.ts';

/** The tests' own cluster: started by the stage `kubernetes` or by `scripts/kubernetes-bed.mjs`. */
export function testKubernetes(): Kubernetes {
  const { KUBECONFIG: kubeconfig, FLOW_CLUSTERS_TEST_KUBERNETES: programs } = process.env;
  if (!programs || !kubeconfig) {
    throw new Error('run it by: npm test -- kubernetes, or node scripts/kubernetes-bed.mjs npx mocha …');
  }
  return { kubeconfig, programs };
}

/** It, with all rights. */
export function testCluster(): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(testKubernetes().kubeconfig);
  return config;
}

/** A namespace for the tests of one file, of the level `restricted`; `remove` deletes it with all that is in it. */
export async function testNamespace(
  name: string,
  labels: Readonly<Record<string, string>> = { 'pod-security.kubernetes.io/enforce': 'restricted' },
): Promise<{ readonly namespace: string; remove(): Promise<void> }> {
  const core = testCluster().makeApiClient(CoreV1Api);
  const namespace = `test-${name}-${process.pid}`;
  await core.createNamespace({ body: { metadata: { name: namespace, labels: { ...labels } } } });
  // Pods are refused until a namespace has its account.
  await until(async () => (await core.listNamespacedServiceAccount({ namespace })).items.length > 0);
  return { namespace, remove: async () => void (await core.deleteNamespace({ name: namespace })) };
}

/**
 * Describes something twice: with clusters that we make, and with those that Dask's operator makes, which runs beside it
 * then.
 * @param short of the names of its namespaces
 * @param describeOne gets what tells the namespace, once the tests run
 */
export function describeWays(
  name: string,
  short: string,
  describeOne: (way: Way, namespaceOf: () => string) => void,
): void {
  for (const way of ['plain', 'operator'] as const) {
    describe(way === 'plain' ? name : `${name}, by the operator`, function () {
      this.timeout(180_000);
      const ready = Promise.withResolvers<void>();
      const done = Promise.withResolvers<void>();
      let place: Awaited<ReturnType<typeof testNamespace>>;
      let running: Promise<void> | undefined;
      before(async function () {
        this.timeout(300_000);
        // The operator does not always see at once those that are made later.
        place = await testNamespace(way === 'plain' ? short : `${short}-operator`);
        if (way === 'plain') return;
        running = withOperator(testKubernetes(), place.namespace, async () => {
          ready.resolve();
          await done.promise;
        });
        await Promise.race([ready.promise, running]);
      });
      after(async () => {
        done.resolve();
        await running;
        await place.remove();
      });
      describeOne(way, () => place.namespace);
    });
  }
}

/** What an executor has of a way. */
export const optionsOf = (way: Way): Pick<KubernetesExecutor, 'operator'> =>
  way === 'operator' ? { operator: true } : {};

/** Waits until something is so; fails if it takes too long. */
export async function until(condition: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  for (const began = performance.now(); !(await condition()); await sleep(50)) {
    assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
  }
}

/**
 * Rejects with what is left of clusters in a namespace, and how long it has been so, if it does not go.
 * @param of a cluster; absent: of all
 */
export async function untilNothingIsLeft(namespace: string, limitMs = 60_000, of = ''): Promise<void> {
  const look = async () => (await leftovers(namespace)).filter((one) => one.includes(of));
  const began = performance.now();
  let left = await look();
  let since = began;
  while (left.length > 0) {
    const now = performance.now();
    assert.ok(now - began < limitMs, `left for ${Math.round((now - since) / 1000)} s: ${left.join(', ')}`);
    await sleep(50);
    const next = await look();
    if (next.join() !== left.join()) since = now;
    left = next;
  }
}

export function kubernetesBackend(options: Partial<BackendOptions> = {}): KubernetesBackend {
  return new KubernetesBackend({
    log: new MemoryLog(),
    pythonFolder: fileURLToPath(new URL('../../src/python', import.meta.url)),
    owner: { machine: `test-${process.pid}`, pid: process.pid },
    ...options,
  });
}

/** How long a cluster of {@link startOwner} lasts without it. A busy machine may take seconds for a word of that. */
export const ownerHoldSeconds = 15;

/** A process that stands for a window which has a cluster. */
export const startOwner = (options: OwnerOptions): ChildProcessByStdio<Writable, Readable, null> =>
  spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      fileURLToPath(new URL('kubernetesOwner.ts', import.meta.url)),
      JSON.stringify(options),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );

/** Two workers of one thread. */
export async function kubernetesExecutor(
  image: Parameters<typeof imageOf>[0],
  namespace: string,
  options: Partial<KubernetesExecutor> = {},
): Promise<KubernetesExecutor> {
  return {
    ...{ name: 'pods', kind: 'kubernetes', image: await imageOf(image), image_pull_policy: 'IfNotPresent' },
    ...{ namespace, n_workers: 2, threads_per_worker: 1 },
    ...options,
  };
}

/** What there is of clusters in a namespace: kinds and names. */
export async function leftovers(namespace: string): Promise<string[]> {
  const config = testCluster();
  const core = config.makeApiClient(CoreV1Api);
  const apps = config.makeApiClient(AppsV1Api);
  const query = { namespace, labelSelector: 'app.kubernetes.io/managed-by=flow-clusters' };
  const custom = config.makeApiClient(CustomObjectsApi);
  const operated = (resource: object): Promise<Listed> =>
    custom
      .listNamespacedCustomObject({ ...(resource as typeof daskClusters), ...query })
      .catch(() => ({ items: [] }));
  const all: Readonly<Record<string, Promise<Listed>>> = {
    job: config.makeApiClient(BatchV1Api).listNamespacedJob(query),
    pod: core.listNamespacedPod(query),
    service: core.listNamespacedService(query),
    secret: core.listNamespacedSecret(query),
    deployment: apps.listNamespacedDeployment(query),
    replicaset: apps.listNamespacedReplicaSet(query),
    daskcluster: operated(daskClusters),
    daskworkergroup: operated(daskWorkerGroups),
  };
  const found = Object.entries(all).map(async ([kind, listing]) =>
    (await listing).items.map(({ metadata }) => `${kind} ${metadata?.name}`),
  );
  return (await Promise.all(found)).flat();
}

interface Listed {
  readonly items: readonly { readonly metadata?: { readonly name?: string } }[];
}
