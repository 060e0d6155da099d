import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { CoreV1Api, CustomObjectsApi } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { operatorPython, withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import { ClusterClassBackend } from '../../src/backends/clusterClass.ts';
import { daskClusters } from '../../src/backends/kubernetes/operatorManifests.ts';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { sample } from '../support/classBench.ts';
import type { Bench } from '../support/host.ts';
import { liveBench } from '../support/hostLive.ts';
import { testCluster, testKubernetes, testNamespace, until } from '../support/kubernetes.ts';

describe('a KubeCluster by its class', function () {
  this.timeout(300_000);
  const core = testCluster().makeApiClient(CoreV1Api);
  const resources = testCluster().makeApiClient(CustomObjectsApi);
  let namespace: string;
  let remove: () => Promise<void>;
  let bench: Bench;

  before(async function () {
    this.timeout(600_000);
    // As in the documentation of the operator, its pods say nothing of their rights.
    ({ namespace, remove } = await testNamespace('kube-class', {}));
    const python = await operatorPython();
    bench = await liveBench({ python, workspace: fileURLToPath(new URL('../support', import.meta.url)) });
    await bench.host.whenReady();
  });

  after(async () => {
    await bench?.dispose();
    await remove?.();
  });

  async function executor(name: string): Promise<ClusterClassExecutor> {
    const cluster_kwargs = { namespace, name, image: await imageOf('dask-latest') };
    return { name, kind: 'clusterClass', cluster_class: 'kube_cluster.made', cluster_kwargs };
  }

  async function begin(name: string, file: string): Promise<string> {
    const backend = new ClusterClassBackend(bench.host);
    const target = { kind: 'executor', executor: await executor(name), backend } as const;
    return bench.start({ ...sample('dask', file), target });
  }

  /** Of the operator's clusters, and of their pods, none that is not on its way out. */
  async function nothingIsThere(): Promise<void> {
    await until(async () => {
      const { items } = await core.listNamespacedPod({ namespace });
      const there = (await resources.listNamespacedCustomObject({ ...daskClusters, namespace })) as {
        items: unknown[];
      };
      return there.items.length === 0 && items.length === 0;
    }, 90_000);
  }

  it('runs a script, and is deleted', async () => {
    await withOperator(testKubernetes(), namespace, async () => {
      const id = await begin(`run-${process.pid}`, 'plain.py');
      const run = await bench.over(id, 150_000);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.match(await bench.printed(id), /total 10/);
      await bench.until(() => bench.store.snapshot.clusters.size === 0, 60_000);
      await nothingIsThere();
    });
  });

  it('is deleted when its start is cancelled', async () => {
    await withOperator(testKubernetes(), namespace, async () => {
      const id = await begin(`cancel-${process.pid}`, 'plain.py');
      await until(async () => (await core.listNamespacedPod({ namespace })).items.length > 0);
      await bench.runs.cancel(id);
      assert.equal(bench.run(id).state.kind, 'cancelled');
      await nothingIsThere();
    });
  });
});
