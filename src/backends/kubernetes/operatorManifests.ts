import type { V1Job, V1ObjectMeta, V1OwnerReference, V1Pod } from '@kubernetes/client-node';
import { startTimeoutMs } from '../../core/kubernetesExecutor.ts';
import { relayPort } from '../memberProtocol.ts';
import {
  type ClusterShape,
  metaOf,
  ownerJob,
  podOf,
  schedulerPod,
  serviceHost,
  serviceSpec,
  workerPod,
} from './manifests.ts';

/** Of the resources of Dask's operator. */
export const operatorGroup = 'kubernetes.dask.org';
const version = 'v1';
export const daskClusters = { group: operatorGroup, version, plural: 'daskclusters' } as const;
export const daskWorkerGroups = { group: operatorGroup, version, plural: 'daskworkergroups' } as const;
export const daskClusterKind = { apiVersion: `${operatorGroup}/${version}`, kind: 'DaskCluster' } as const;

/** A resource of the operator. */
export interface DaskResource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: V1ObjectMeta;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly status?: { readonly phase?: string };
}

/** A keeper ends after so long without its scheduler; a network that breaks is back before. */
const aloneSeconds = 60;
/** A keeper does nothing but hold a connection. */
const keeperResources = {
  requests: { cpu: '10m', memory: '32Mi' },
  limits: { cpu: '100m', memory: '64Mi' },
};
const keeperRetries = 6;

/**
 * The owner of a cluster that the operator makes. Its Deployments would start for ever again what has ended, and what it
 * knows of idling it asks of a port without TLS, which our schedulers have not. So a pod of its own, which needs no right
 * to anything, waits at the scheduler's hub for its end, and the Job ends with it.
 */
export function keeperJob(shape: ClusterShape): V1Job {
  const order = {
    role: 'keeper',
    hub: `${serviceHost(shape)}:${relayPort}`,
    start_seconds: startTimeoutMs(shape.executor) / 1000,
    alone_seconds: aloneSeconds,
  };
  // What lets a scheduler's pod be admitted lets this one.
  const { containers: _its, ...spec } = (shape.templates.scheduler?.spec ?? {}) as Record<string, unknown>;
  const template = shape.templates.scheduler && { ...shape.templates.scheduler, spec };
  const pod = podOf(shape, 'keeper', { order, container: { resources: keeperResources }, template });
  return ownerJob(shape, 'keeper', pod, keeperRetries);
}

/** All but the workers, which have groups of their own. */
export function daskCluster(shape: ClusterShape, owner: V1OwnerReference): DaskResource {
  return {
    ...daskClusterKind,
    metadata: { ...metaOf(shape, shape.id), ownerReferences: [owner] },
    spec: {
      scheduler: { ...ofPod(schedulerPod(shape)), service: { type: 'ClusterIP', ...serviceSpec(shape) } },
      // The operator makes a group of these, of none.
      worker: { ...ofPod(workerPod(shape, 'none', owner)), replicas: 0 },
    },
  };
}

/**
 * A worker as a group of one: that is how it is the extension, and not the operator, that says which worker goes, and what
 * Dask calls it. The operator would have to ask the scheduler, over a connection without TLS.
 */
export function daskWorkerGroup(shape: ClusterShape, name: string, owner: V1OwnerReference): DaskResource {
  return {
    ...{ apiVersion: daskClusterKind.apiVersion, kind: 'DaskWorkerGroup' },
    metadata: { ...metaOf(shape, workerGroupName(shape.id, name)), ownerReferences: [owner] },
    spec: { cluster: shape.id, worker: { ...ofPod(workerPod(shape, name, owner)), replicas: 1 } },
  };
}

export const workerGroupName = (id: string, name: string): string => `${id}-${name}`;

const ofPod = ({ metadata, spec }: V1Pod) => ({
  metadata: { labels: metadata?.labels ?? {}, annotations: metadata?.annotations ?? {} },
  spec,
});
