import * as z from 'zod/mini';

/** Who made a cluster on Kubernetes, as its labels tell. `deployment`: a static cluster that was deployed from here, or from files that were exported here. */
export type PodMaker = 'operator' | 'helm' | 'flow-clusters' | 'deployment';

/** A scheduler in a pod, by what stays the same when another pod takes the place of its first. */
export interface PodScheduler {
  /** Of the kubeconfig. */
  readonly context: string;
  /** Path of the kubeconfig. Absent: as `kubectl` finds it. */
  readonly kubeconfig?: string | undefined;
  readonly server: string;
  readonly namespace: string;
  readonly maker: PodMaker;
  /** As its maker calls the cluster. */
  readonly name: string;
  /** By labels: its pods, and no others of the namespace. */
  readonly selector: string;
  /** In the pod. */
  readonly port: number;
  readonly dashboardPort: number;
}

const text = z.string().check(z.minLength(1));
const port = z.number().check(z.int(), z.minimum(1), z.maximum(65535));

export const podSchedulerSchema = z.object({
  ...{ context: text, server: text, namespace: text, name: text, selector: text, port, dashboardPort: port },
  kubeconfig: z.optional(text),
  maker: z.enum(['operator', 'helm', 'flow-clusters', 'deployment']),
});

/** The same for the same cluster, by whichever context it was found. */
export const podKey = ({ server, namespace, maker, name }: PodScheduler): string =>
  [server, namespace, maker, name].join(' ');

const makers: Readonly<Record<PodMaker, string>> = {
  operator: 'operator',
  helm: 'Helm chart',
  'flow-clusters': 'Flow Clusters',
  deployment: 'deployed',
};

/** Where it is from, in words: `operator · analytics/etl`. */
export const podText = ({ maker, namespace, name }: PodScheduler): string =>
  `${makers[maker]} · ${namespace}/${name}`;

/** How it is called where others have an address. Nothing can connect to it: it is reached through the API server. */
export const podAddress = ({ context, namespace, name }: PodScheduler): string =>
  `kubernetes://${context}/${namespace}/${name}`;
