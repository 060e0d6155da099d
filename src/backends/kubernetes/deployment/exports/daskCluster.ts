import type { V1Container, V1PodSpec } from '@kubernetes/client-node';
import type { Manifest } from '../../../../core/kubernetesExecutor.ts';
import { dashboardPort, schedulerPort } from '../../../memberProtocol.ts';
import { containerResources, executorPod } from '../../manifests.ts';
import { daskClusterKind } from '../../operatorManifests.ts';
import { envFrom, workerCommand } from '../objects.ts';
import { type DeploymentShape, leastWorkers, namesOf } from '../shape.ts';
import { commented, type Dump, leftOut } from './notes.ts';

const { apiVersion } = daskClusterKind;

/** The cluster as resource of Dask's operator, with that of its scaling where it adapts. */
export function daskClusterYaml(shape: DeploymentShape, dump: Dump): string {
  const { name, executor } = shape;
  const notes = [
    `The Dask cluster “${name}”, as the executor “${executor.name}” has it, for Dask's operator:`,
    '',
    ...envNote(shape),
    '  kubectl apply -f THIS-FILE',
    ...leftOut(shape, 'operator'),
  ];
  return commented(notes) + daskClusterObjects(shape).map(dump).join('---\n');
}

/** What makes the values of variables be there, where nothing of ours does: to be done before all else. */
export function envNote({ name, executor }: DeploymentShape): string[] {
  const { env, namespace } = executor;
  if (Object.keys(env ?? {}).length === 0) return [];
  const place = namespace === undefined ? '' : ` --namespace ${namespace}`;
  return [
    '  # FILE has the variables of the workers, one NAME=VALUE a line.',
    `  kubectl create secret generic ${namesOf(name).env}${place} --from-env-file FILE`,
  ];
}

/** In the order in which they are to be made. */
export function daskClusterObjects(shape: DeploymentShape): Manifest[] {
  const { name, executor } = shape;
  const { adapt_kwargs, labels, annotations, namespace, idle_timeout } = executor;
  const metadata = {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(labels && { labels }),
    ...(annotations && { annotations }),
  };
  const ports = [
    { name: 'tcp-comm', port: schedulerPort },
    { name: 'http-dashboard', port: dashboardPort },
  ];
  const cluster: Manifest = {
    ...{ apiVersion, kind: 'DaskCluster', metadata },
    spec: {
      ...(idle_timeout !== undefined && { idleTimeout: idle_timeout }),
      scheduler: {
        spec: podSpec(shape, 'scheduler', {
          command: [
            ...['python3', '-m', 'distributed.cli.dask_scheduler'],
            // The operator asks its pages.
            ...['--port', String(schedulerPort), '--dashboard-address', `:${dashboardPort}`],
          ],
          ports: ports.map(({ port, ...rest }) => ({ ...rest, containerPort: port, protocol: 'TCP' })),
          readinessProbe: { httpGet: { port: 'http-dashboard', path: '/health' }, periodSeconds: 2 },
        }),
        service: {
          type: 'ClusterIP',
          selector: { 'dask.org/cluster-name': name, 'dask.org/component': 'scheduler' },
          ports: ports.map((port) => ({ ...port, targetPort: port.name, protocol: 'TCP' })),
        },
      },
      worker: {
        replicas: leastWorkers(shape),
        spec: podSpec(shape, 'worker', {
          // The operator sets both variables.
          command: workerCommand(shape, '$(DASK_SCHEDULER_ADDRESS)', '$(DASK_WORKER_NAME)'),
          ...envFrom(shape),
        }),
      },
    },
  };
  if (!adapt_kwargs) return [cluster];
  const { minimum, maximum } = adapt_kwargs;
  const autoscaler: Manifest = {
    ...{ apiVersion, kind: 'DaskAutoscaler' },
    metadata,
    spec: { cluster: name, minimum: minimum ?? 0, maximum: maximum ?? mostWorkers },
  };
  return [cluster, autoscaler];
}

/** The operator wants a number. */
export const mostWorkers = 1000;

function podSpec(
  shape: DeploymentShape,
  role: 'scheduler' | 'worker',
  container: Partial<V1Container>,
): V1PodSpec | undefined {
  const resources = containerResources(shape.executor, role, shape.memoryBytes);
  return executorPod(shape.executor, {
    ...{ role, metadata: {}, mounts: [], volumes: [], template: shape.templates[role] },
    container: { ...container, resources },
  }).spec;
}
