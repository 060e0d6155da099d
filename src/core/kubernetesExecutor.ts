import * as z from 'zod/mini';
import { adaptiveStart, type ImageExecutor, imageFields, longestStartSeconds } from './imageExecutor.ts';

/** Part of a manifest, in the words of Kubernetes. */
export type Manifest = Readonly<Record<string, unknown>>;

/** What a container asks for, or gets at most: `{ "cpu": "500m", "memory": "2Gi" }`. */
export type Quantities = Readonly<Record<string, string | number>>;

/** A cluster in pods. Further keys are those of pods in Dask's way of writing. */
export interface KubernetesExecutor extends ImageExecutor {
  readonly kind: 'kubernetes';
  /** A context of the kubeconfig. Absent: its current one. */
  readonly context?: string | undefined;
  /** Path of the kubeconfig. Absent: as `kubectl` finds it. */
  readonly kubeconfig?: string | undefined;
  /** Absent: that of the context. */
  readonly namespace?: string | undefined;
  /** Dask's operator makes the pods, from a `DaskCluster`. Absent: they are made without it. */
  readonly operator?: boolean | undefined;
  /** Of each worker's container. */
  readonly requests?: Quantities | undefined;
  readonly limits?: Quantities | undefined;
  /** Of the scheduler alone. */
  readonly scheduler?: SchedulerPod | undefined;
  readonly image_pull_policy?: 'IfNotPresent' | 'Always' | 'Never' | undefined;
  /** Names of secrets. */
  readonly image_pull_secrets?: readonly string[] | undefined;
  /** Absent: pods have no token of any. */
  readonly service_account?: string | undefined;
  readonly node_selector?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly Manifest[] | undefined;
  readonly volumes?: readonly Manifest[] | undefined;
  /** Of the workers. */
  readonly volume_mounts?: readonly Manifest[] | undefined;
  /** On all that is made. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Merged over the pods of workers as Kubernetes merges: a manifest, or its YAML. Their container is `worker`. */
  readonly pod_template?: Manifest | string | undefined;
  /** Seconds until its first worker has to be there. Absent: five minutes. */
  readonly start_timeout?: number | undefined;
}

export interface SchedulerPod {
  readonly requests?: Quantities | undefined;
  readonly limits?: Quantities | undefined;
  /** As that of the workers; its container is `scheduler`. */
  readonly pod_template?: Manifest | string | undefined;
}

/** Where nothing is said of their number. */
export const usualWorkers = 2;
const usualStartSeconds = 300;

/** Workers that it starts with: nobody can know how many a Kubernetes cluster has room for. */
export function startWorkers({ n_workers, adapt_kwargs }: KubernetesExecutor): number {
  if (n_workers !== undefined) return n_workers;
  if (!adapt_kwargs) return usualWorkers;
  return adaptiveStart(adapt_kwargs);
}

export const startTimeoutMs = ({ start_timeout = usualStartSeconds }: KubernetesExecutor): number =>
  start_timeout * 1000;

const text = z.string().check(z.minLength(1));
const dnsLabel = z.string().check(z.regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/), z.maxLength(63));
const quantityText = /^\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i)?$|^\d+(\.\d+)?[eE]\d+$/;
const quantities = z.record(
  z.string(),
  z.union([z.number().check(z.gte(0)), z.string().check(z.regex(quantityText))]),
);
const manifest = z.record(z.string(), z.unknown());
const texts = z.record(z.string(), z.string());
const template = z.optional(z.union([text, manifest]));

/** Fields beside `name`, `kind`, and those that all kinds with workers of their own share. */
export const kubernetesFields = {
  ...imageFields,
  context: z.optional(text),
  kubeconfig: z.optional(text),
  namespace: z.optional(dnsLabel),
  operator: z.optional(z.boolean()),
  requests: z.optional(quantities),
  limits: z.optional(quantities),
  scheduler: z.optional(
    z.strictObject({
      requests: z.optional(quantities),
      limits: z.optional(quantities),
      pod_template: template,
    }),
  ),
  image_pull_policy: z.optional(z.enum(['IfNotPresent', 'Always', 'Never'])),
  image_pull_secrets: z.optional(z.array(text)),
  service_account: z.optional(text),
  node_selector: z.optional(texts),
  tolerations: z.optional(z.array(manifest)),
  volumes: z.optional(z.array(manifest)),
  volume_mounts: z.optional(z.array(manifest)),
  labels: z.optional(texts),
  annotations: z.optional(texts),
  pod_template: template,
  start_timeout: z.optional(z.int().check(z.gte(10), z.lte(longestStartSeconds))),
};

/** What a field must be, in words; those of `imageExpectations` are not repeated. */
export const kubernetesExpectations: Readonly<Record<string, string>> = {
  context: 'the name of a context of the kubeconfig',
  kubeconfig: 'the path of a kubeconfig',
  namespace: 'the name of a namespace: lower-case letters, digits and "-"',
  operator: 'true or false',
  requests: 'an object of quantities, such as { "cpu": "500m", "memory": "2Gi" }',
  limits: 'an object of quantities, such as { "cpu": "1", "memory": "2Gi" }',
  image_pull_policy: '"IfNotPresent", "Always" or "Never"',
  image_pull_secrets: 'a list of names of secrets',
  service_account: 'the name of a service account',
  node_selector: 'an object of texts',
  tolerations: 'a list of tolerations, as pods have them',
  scheduler: 'an object with "requests", "limits" and "pod_template"',
  volumes: 'a list of volumes, as pods have them',
  volume_mounts: 'a list of mounts, as containers have them',
  labels: 'an object of texts',
  annotations: 'an object of texts',
  pod_template: 'a manifest of a pod to be merged, or its YAML',
  start_timeout: `a whole number of seconds from 10 to ${longestStartSeconds}`,
};
