import { type CodeApi, taskRunner } from '../../../../core/executorCode.ts';
import { PythonCall, type PythonValue, pythonSource } from '../../../../core/pythonSource.ts';
import type { DeploymentShape } from '../shape.ts';
import { daskClusterObjects, envNote, mostWorkers } from './daskCluster.ts';
import { commented, leftOut } from './notes.ts';

/** The cluster as a script: `KubeCluster` of `dask_kubernetes.operator`, which makes it by Dask's operator. */
export function kubeClusterPython(shape: DeploymentShape): string {
  const limits = adaptLimits(shape);
  const made = new PythonCall('KubeCluster', { ...clusterArguments(shape), shutdown_on_close: false });
  return [
    `${commented(notesOf(shape))}from dask_kubernetes.operator import KubeCluster`,
    '',
    '# It goes on when this script has ended; with shutdown_on_close=True it ends then.',
    `cluster = ${pythonSource(made, 'cluster = ')}`,
    ...(limits ? [pythonSource(new PythonCall('cluster.adapt', limits))] : []),
    'client = cluster.get_client()',
    '',
  ].join('\n');
}

/** The same for flows of Prefect, which make the cluster for each run. */
export function kubeClusterRunner(shape: DeploymentShape, api: Exclude<CodeApi, 'dask'>): string {
  const notes = [
    ...notesOf(shape),
    '',
    'A run has the cluster of that name for itself: two at a time need two names.',
  ];
  const keywords = {
    cluster_class: 'dask_kubernetes.operator.KubeCluster',
    cluster_kwargs: clusterArguments(shape),
    adapt_kwargs: adaptLimits(shape),
  };
  return `${commented(notes)}${taskRunner(api, keywords)}\n`;
}

const notesOf = (shape: DeploymentShape): string[] => {
  const note = envNote(shape);
  return [
    `The Dask cluster “${shape.name}”, as the executor “${shape.executor.name}” has it: pip install dask-kubernetes.`,
    'It takes Dask’s operator on the cluster, and a kubeconfig as kubectl finds it.',
    ...(note.length > 0 ? ['Before it runs:', '', ...note] : []),
    ...leftOut(shape, 'operator'),
  ];
};

function clusterArguments(shape: DeploymentShape) {
  const [cluster] = daskClusterObjects(shape);
  return {
    // What is a manifest is what JSON can hold.
    custom_cluster_spec: JSON.parse(JSON.stringify(cluster)) as PythonValue,
    namespace: shape.executor.namespace,
  };
}

/** It wants numbers, as the operator does. */
function adaptLimits({ executor: { adapt_kwargs } }: DeploymentShape) {
  const { minimum, maximum } = adapt_kwargs ?? {};
  return adapt_kwargs && { minimum: minimum ?? 0, maximum: maximum ?? mostWorkers };
}
