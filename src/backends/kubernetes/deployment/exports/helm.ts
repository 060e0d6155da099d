import type { V1EnvVar } from '@kubernetes/client-node';
import type { KubernetesExecutor } from '../../../../core/kubernetesExecutor.ts';
import { containerResources, executorPod } from '../../manifests.ts';
import { type DeploymentShape, fixedWorkers, namesOf, resourceFlags, workerFlags } from '../shape.ts';
import { envNote } from './daskCluster.ts';
import { commented, type Dump, leftOut } from './notes.ts';

/** Values for the chart `dask` of https://helm.dask.org, by the keys of its `values.yaml`. */
export function helmValuesYaml(shape: DeploymentShape, dump: Dump): string {
  const { name, executor } = shape;
  const { namespace } = executor;
  const notes = [
    `The Dask cluster “${name}”, as the executor “${executor.name}” has it, for the Helm chart of Dask:`,
    '',
    ...envNote(shape),
    `  helm upgrade --install ${name} dask --repo https://helm.dask.org${namespace === undefined ? '' : ` --namespace ${namespace}`} --values THIS-FILE`,
    '',
    'The chart starts “dask-scheduler” and “dask-worker”, so the image needs these commands. Dask has “dask scheduler” and',
    '“dask worker” in their place since 2026; the exports for kustomize and for the operator do with either.',
    ...leftOut(shape, 'helm'),
  ];
  return commented(notes) + dump(helmValues(shape));
}

function helmValues(shape: DeploymentShape): object {
  const { executor } = shape;
  const { volumes, volume_mounts, annotations } = executor;
  return {
    // Else the chart puts its own name in between, which is too long for some names.
    fullnameOverride: shape.name,
    scheduler: {
      ...commonValues(executor),
      ...resourcesOf(shape, 'scheduler'),
      env: variables(shape, 'scheduler'),
    },
    worker: {
      ...commonValues(executor),
      replicas: fixedWorkers(shape),
      ...resourcesOf(shape, 'worker'),
      env: variables(shape, 'worker'),
      ...workerArguments(shape),
      ...((volumes ?? volume_mounts) && {
        mounts: { ...(volumes && { volumes }), ...(volume_mounts && { volumeMounts: volume_mounts }) },
      }),
      ...(annotations && { annotations }),
    },
    // It would come with it.
    jupyter: { enabled: false, rbac: false },
  };
}

function commonValues(executor: KubernetesExecutor): object {
  const { image_pull_policy, image_pull_secrets, tolerations, node_selector, service_account } = executor;
  const { spec } = executorPod(executor, {
    ...{ role: 'scheduler', metadata: {}, container: {}, mounts: [], volumes: [], template: undefined },
  });
  return {
    image: {
      ...imageParts(executor.image),
      ...(image_pull_policy && { pullPolicy: image_pull_policy }),
      ...(image_pull_secrets && { pullSecrets: image_pull_secrets.map((name) => ({ name })) }),
    },
    ...(tolerations && { tolerations }),
    ...(node_selector && { nodeSelector: node_selector }),
    ...(service_account !== undefined && { serviceAccountName: service_account }),
    securityContext: spec?.securityContext,
  };
}

/** The chart joins both by a colon. */
export function imageParts(image: string): { readonly repository: string; readonly tag: string } {
  const at = image.lastIndexOf(':');
  // What comes before may be a registry with its port.
  if (at < 0 || image.includes('/', at)) return { repository: image, tag: 'latest' };
  return { repository: image.slice(0, at), tag: image.slice(at + 1) };
}

/** What the chart does not tell workers, or tells them otherwise: where there are limits, threads and memory. */
function workerArguments(shape: DeploymentShape): object {
  const { executor, threads, memoryBytes } = shape;
  const { limits } = containerResources(executor, 'worker', memoryBytes);
  const own = [
    // Older ones write to where they start, which their user may not.
    ...['--local-directory', '/tmp/dask'],
    // What comes last counts; 0 and auto are Dask's defaults.
    ...(limits || threads !== undefined ? ['--nthreads', String(threads ?? 0)] : []),
    ...(limits || memoryBytes !== undefined ? ['--memory-limit', String(memoryBytes ?? 'auto')] : []),
    ...resourceFlags(executor),
    ...workerFlags(executor),
  ];
  return { extraArgs: own };
}

function resourcesOf(shape: DeploymentShape, role: 'scheduler' | 'worker'): object {
  const resources = containerResources(shape.executor, role, shape.memoryBytes);
  return Object.keys(resources).length > 0 ? { resources } : {};
}

function variables({ name, executor }: DeploymentShape, role: 'scheduler' | 'worker'): V1EnvVar[] {
  const secret = namesOf(name).env;
  const own = role === 'worker' ? Object.keys(executor.env ?? {}) : [];
  return [
    // The user that pods run as has no home of its own.
    { name: 'HOME', value: '/tmp' },
    ...own.map((key) => ({ name: key, valueFrom: { secretKeyRef: { name: secret, key } } })),
  ];
}
