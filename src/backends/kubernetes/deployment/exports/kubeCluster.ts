import { PythonCall, type PythonValue, pythonSource } from '../../../../core/pythonSource.ts';
import type { DeploymentShape } from '../shape.ts';
import { daskClusterObjects, envNote, mostWorkers } from './daskCluster.ts';
import { commented, leftOut } from './notes.ts';

/** The cluster as a script: `KubeCluster` of `dask_kubernetes.operator`, which makes it by Dask's operator. */
export function kubeClusterPython(shape: DeploymentShape): string {
  const { name, executor } = shape;
  const { adapt_kwargs, namespace } = executor;
  const [cluster] = daskClusterObjects(shape);
  const note = envNote(shape);
  const notes = [
    `The Dask cluster “${name}”, as the executor “${executor.name}” has it: pip install dask-kubernetes.`,
    'It takes Dask’s operator on the cluster, and a kubeconfig as kubectl finds it.',
    ...(note.length > 0 ? ['Before it runs:', '', ...note] : []),
    ...leftOut(shape, 'operator'),
  ];
  const made = new PythonCall('KubeCluster', {
    // What is a manifest is what JSON can hold.
    custom_cluster_spec: JSON.parse(JSON.stringify(cluster)) as PythonValue,
    namespace,
    shutdown_on_close: false,
  });
  const { minimum, maximum } = adapt_kwargs ?? {};
  // It wants numbers, as the operator does.
  const adapt = new PythonCall('cluster.adapt', { minimum: minimum ?? 0, maximum: maximum ?? mostWorkers });
  return [
    `${commented(notes)}from dask_kubernetes.operator import KubeCluster`,
    '',
    '# It goes on when this script has ended; with shutdown_on_close=True it ends then.',
    `cluster = ${pythonSource(made, 'cluster = ')}`,
    ...(adapt_kwargs ? [pythonSource(adapt)] : []),
    'client = cluster.get_client()',
    '',
  ].join('\n');
}
