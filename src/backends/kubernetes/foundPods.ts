import type { V1Pod } from '@kubernetes/client-node';
import type { ClusterMember } from '../../core/members.ts';
import type { PodMaker, PodScheduler } from '../../core/podScheduler.ts';
import { dashboardPort as ownDashboardPort, schedulerPort as ownPort } from '../memberProtocol.ts';
import { deploymentLabel, deploymentSelector } from './deployment/objects.ts';
import type { ApiPlace } from './kubernetesApi.ts';
import { annotation, label, labelValue, managedBy } from './manifests.ts';
import { disruptionOf, mainContainer, memberOf, troubleOf } from './podState.ts';

/** A scheduler that was found on Kubernetes. */
export interface FoundPod {
  readonly scheduler: PodScheduler;
  /** Of its pod: `running`, or why it does not. */
  readonly text: string;
  /** Milliseconds since the epoch: when its pod was made. */
  readonly sinceMs: number;
  /** Of one that this extension has started, in whichever window: that has its certificates. */
  readonly own?: OwnPod;
}

export interface OwnPod {
  /** As `KubernetesBackend` names clusters. */
  readonly cluster: string;
  /** Name of the executor. */
  readonly executor: string;
  /** Label of machine and user. */
  readonly owner: string;
  /** Of the extension host that has started it. */
  readonly pid: number;
}

/** How one maker's schedulers are told from other pods, and their workers with them. */
interface Kind {
  readonly maker: PodMaker;
  readonly selector: string;
  /** Label that names the cluster. */
  readonly name: string;
  /** Label that tells schedulers from workers, by these words. */
  readonly role: string;
  /** What selects schedulers and workers alike. Absent: the label that names the cluster. */
  all?(name: string): string;
}

const defaultPort = 8786;
const defaultDashboardPort = 8787;

/**
 * Labels of dask-kubernetes, its operator (`build_scheduler_deployment_spec`) and the `KubeCluster` before that; of the
 * Helm chart `dask/dask` (`dask.selectorLabels`), in its two styles; ours, and those that were deployed.
 */
const kinds: readonly Kind[] = [
  // First, as one of ours may be the operator's as well.
  {
    maker: 'flow-clusters',
    selector: `${label.managedBy}=${managedBy},${label.role}=scheduler`,
    name: label.cluster,
    role: label.role,
  },
  {
    maker: 'operator',
    selector: 'dask.org/component=scheduler',
    name: 'dask.org/cluster-name',
    role: 'dask.org/component',
  },
  {
    maker: 'helm',
    selector: 'app=dask,component=scheduler',
    name: 'release',
    role: 'component',
    // Other charts of one release have such components too.
    all: (name) => `app=dask,release=${name}`,
  },
  {
    maker: 'helm',
    selector: 'app.kubernetes.io/name=dask-scheduler,app.kubernetes.io/component=scheduler',
    name: 'app.kubernetes.io/instance',
    role: 'app.kubernetes.io/component',
    // Their instance is not that of the release: it is `dask-worker` of workers.
    all: () => 'app.kubernetes.io/name in (dask-scheduler,dask-worker)',
  },
  { maker: 'deployment', selector: deploymentSelector, name: deploymentLabel, role: label.role },
];

function kindOf({ maker, selector }: PodScheduler): Kind | undefined {
  const ofMaker = kinds.filter((kind) => kind.maker === maker);
  return ofMaker.find((kind) => selector.startsWith(kind.selector)) ?? ofMaker[0];
}

/** What selects the schedulers that there may be. */
export const schedulerSelectors: readonly string[] = kinds.map(({ selector }) => selector);

/** The scheduler that a pod is; undefined if it is none, or ends. */
export function foundPod(pod: V1Pod, place: ApiPlace, kubeconfig: string | undefined): FoundPod | undefined {
  const { labels = {}, annotations = {}, namespace, creationTimestamp } = pod.metadata ?? {};
  const kind = kinds.find(({ selector }) => matches(labels, selector));
  const name = kind && labels[kind.name];
  if (!kind || !name || !namespace || isOver(pod)) return undefined;
  const own = kind.maker === 'flow-clusters';
  return {
    scheduler: {
      ...{ context: place.context, server: place.server, namespace, maker: kind.maker, name },
      selector: `${kind.selector},${kind.name}=${name}`,
      ...(kubeconfig !== undefined && { kubeconfig }),
      ...(own ? { port: ownPort, dashboardPort: ownDashboardPort } : portsOf(pod)),
    },
    text: stateText(pod),
    sinceMs: creationTimestamp ? new Date(creationTimestamp).getTime() : Date.now(),
    ...(own && {
      own: {
        cluster: name,
        executor: annotations[annotation.name] ?? name,
        owner: labels[label.owner] ?? '',
        pid: Number(annotations[annotation.window]),
      },
    }),
  };
}

/** What selects the scheduler and the workers of a cluster, and no other pods. */
export function membersSelector(scheduler: PodScheduler): string {
  const kind = kindOf(scheduler);
  if (!kind) return scheduler.selector;
  const all = kind.all?.(scheduler.name) ?? `${kind.name}=${scheduler.name}`;
  return `${all},${kind.role} in (scheduler,worker)`;
}

/**
 * A pod of a cluster of others. How Dask calls its workers only their starter knows: until Dask tells who listens there, they are
 * called as the operator has them called, else as the pod.
 */
export function foundMember(pod: V1Pod, scheduler: PodScheduler): ClusterMember {
  const { metadata, spec, status } = pod;
  const role = metadata?.labels?.[kindOf(scheduler)?.role ?? ''] === 'worker' ? 'worker' : 'scheduler';
  const named = mainContainer(pod)?.env?.find(({ name }) => name === 'DASK_WORKER_NAME')?.value;
  const workers = role === 'worker' ? [named ?? metadata?.name ?? ''] : [];
  // Else it is that of its node, and of whatever else is there.
  const host = spec?.hostNetwork ? undefined : status?.podIP;
  const leaving = disruptionOf(pod);
  return {
    ...memberOf(pod, { role, workers }),
    ...(host && { host }),
    ...(leaving !== undefined && { leaving, waiting: leaving }),
  };
}

/** Who looks, and what of its own it has rows of already. */
export interface Looker {
  /** Machine and user, as {@link OwnPod.owner} has it before it is a label. */
  readonly machine: string;
  readonly pid: number;
  /** Whether a cluster of ours has a row here. */
  isHere(cluster: string): boolean;
  /** Whether this window has the certificates of a cluster of ours. */
  isKept(cluster: string): boolean;
}

/** Those that are to be shown: not what has a row as ours; of others' of ours, why they can't be attached to. */
export function othersOf(found: readonly FoundPod[], looker: Looker): FoundPod[] {
  return found.flatMap((one) => {
    const { own, text } = one;
    if (!own) return [one];
    const isMine = own.owner === labelValue(looker.machine);
    if (isMine && (own.pid === looker.pid || looker.isHere(own.cluster))) return [];
    return looker.isKept(own.cluster) ? [one] : [{ ...one, text: `${text} · only its window has the keys` }];
  });
}

/** The pod that a connection goes to: of those of one scheduler that run the newest. */
export function livePod(pods: Iterable<V1Pod>): string | undefined {
  const made = ({ metadata }: V1Pod) => new Date(metadata?.creationTimestamp ?? 0).getTime();
  const live = [...pods].filter((pod) => !isOver(pod) && pod.status?.phase === 'Running');
  return live.sort((a, b) => made(b) - made(a))[0]?.metadata?.name;
}

const isOver = ({ metadata, status }: V1Pod): boolean =>
  metadata?.deletionTimestamp !== undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** @param selector of equalities alone */
const matches = (labels: Readonly<Record<string, string>>, selector: string): boolean =>
  selector.split(',').every((term) => {
    const [key = '', value] = term.split('=');
    return labels[key] === value;
  });

/** By the names that the operator gives them, else Dask's own. */
function portsOf({ spec }: V1Pod): Pick<PodScheduler, 'port' | 'dashboardPort'> {
  const ports = spec?.containers.flatMap(({ ports = [] }) => ports) ?? [];
  const named = (name: string) => ports.find((one) => one.name === name)?.containerPort;
  return {
    port: named('tcp-comm') ?? defaultPort,
    dashboardPort: named('http-dashboard') ?? defaultDashboardPort,
  };
}

function stateText(pod: V1Pod): string {
  if (pod.status?.phase === 'Running') return 'running';
  return troubleOf(pod)?.text ?? 'its pod starts';
}
