import { AppsV1Api } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { testCluster } from './kubernetes.ts';

/** As the documentation of the operator has it, but for the commands: those of old are not in a Dask of today. */
export function daskCluster(name: string, image: string, workers: number): object {
  const container = { image, imagePullPolicy: 'IfNotPresent' };
  const grace = { terminationGracePeriodSeconds: 5 };
  const labels = { 'dask.org/cluster-name': name, 'dask.org/component': 'scheduler' };
  const ports = [
    { name: 'tcp-comm', containerPort: 8786, protocol: 'TCP' },
    { name: 'http-dashboard', containerPort: 8787, protocol: 'TCP' },
  ];
  const readinessProbe = { httpGet: { port: 'http-dashboard', path: '/health' }, periodSeconds: 1 };
  const scheduler = { ...container, name: 'scheduler', args: ['dask', 'scheduler'], ports, readinessProbe };
  const worker = { ...container, name: 'worker', args: ['dask', 'worker', '--name', '$(DASK_WORKER_NAME)'] };
  return {
    ...{ apiVersion: 'kubernetes.dask.org/v1', kind: 'DaskCluster', metadata: { name } },
    spec: {
      worker: { replicas: workers, spec: { ...grace, containers: [worker] } },
      scheduler: {
        spec: { ...grace, containers: [scheduler] },
        service: {
          ...{ type: 'ClusterIP', selector: labels },
          ports: ports.map((port) => ({
            name: port.name,
            ...{ port: port.containerPort, targetPort: port.name, protocol: 'TCP' },
          })),
        },
      },
    },
  };
}

/** As the Helm chart `dask/dask` makes it, but for workers and Jupyter. */
export async function helmRelease(release: string, where: string): Promise<void> {
  const labels = { app: 'dask', release, component: 'scheduler' };
  const image = await imageOf('dask-latest');
  const container = { image, imagePullPolicy: 'IfNotPresent', args: ['dask', 'scheduler'] };
  const ports = [{ containerPort: 8786 }, { containerPort: 8787 }];
  await testCluster()
    .makeApiClient(AppsV1Api)
    .createNamespacedDeployment({
      namespace: where,
      body: {
        metadata: { name: `${release}-scheduler`, labels },
        spec: {
          ...{ replicas: 1, selector: { matchLabels: labels } },
          template: {
            metadata: { labels },
            spec: {
              terminationGracePeriodSeconds: 1,
              containers: [{ ...container, ports, name: `${release}-scheduler` }],
            },
          },
        },
      },
    });
}
