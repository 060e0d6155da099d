import type { V1Container, V1ContainerStatus, V1Pod } from '@kubernetes/client-node';
import type { ClusterMember, MemberState } from '../../core/members.ts';
import { label } from './manifests.ts';

/** Why a pod does not run, in plain words. */
export interface PodTrouble {
  readonly text: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Waiting does not help. */
  readonly final: boolean;
}

/** How a pod's container ended; absent while it runs or waits for its first start. */
export interface PodEnd {
  readonly exitCode: number | undefined;
  readonly outOfMemory: boolean;
  /** Of the pod as a whole, by Kubernetes: it was evicted, its node is gone. */
  readonly why?: string;
}

/** What a pod is in its cluster, as the labels of its maker tell. */
export type PodPart = Pick<ClusterMember, 'role' | 'workers'>;

function ownPart({ metadata }: V1Pod): PodPart {
  const { [label.role]: role, [label.worker]: worker } = metadata?.labels ?? {};
  return {
    role: role === 'scheduler' ? 'scheduler' : 'worker',
    workers: worker === undefined ? [] : [worker],
  };
}

/** A pod as the explorer shows it. */
export function memberOf(pod: V1Pod, part = ownPart(pod)): ClusterMember {
  const { metadata, spec } = pod;
  const container = containerOf(pod);
  const ended = container?.state?.terminated ?? container?.lastState?.terminated;
  const trouble = troubleOf(pod);
  const state = stateOf(pod);
  const since =
    container?.state?.running?.startedAt ??
    container?.state?.terminated?.finishedAt ??
    metadata?.creationTimestamp;
  return {
    name: metadata?.name ?? '',
    id: metadata?.uid ?? '',
    kind: 'pod',
    ...part,
    image: container?.image || mainContainer(pod)?.image || '',
    state,
    ...(spec?.nodeName && { node: spec.nodeName }),
    ...(trouble && (state !== 'running' || isNodeSilent(pod)) && { waiting: trouble.text }),
    ...(state === 'exited' && ended && { exitCode: ended.exitCode }),
    ...(state !== 'exited' && ended && ended.reason !== 'OOMKilled' && { lastExitCode: ended.exitCode }),
    ...(ended?.reason === 'OOMKilled' && { outOfMemoryMs: timeOf(ended.finishedAt) }),
    restarts: container?.restartCount ?? 0,
    sinceMs: timeOf(since),
  };
}

/** The container that Dask is in; others may be beside it, and who puts those in says which is the one that counts. */
export function mainContainer({ metadata, spec }: V1Pod): V1Container | undefined {
  const { labels, annotations } = metadata ?? {};
  const wanted = [labels?.[label.role], annotations?.['kubectl.kubernetes.io/default-container']];
  const named = wanted.flatMap((one) => spec?.containers.find(({ name }) => name === one) ?? []);
  return named[0] ?? spec?.containers[0];
}

/** Of {@link mainContainer}. */
export function containerOf(pod: V1Pod): V1ContainerStatus | undefined {
  const { containerStatuses = [] } = pod.status ?? {};
  return containerStatuses.find(({ name }) => name === mainContainer(pod)?.name) ?? containerStatuses[0];
}

function stateOf(pod: V1Pod): MemberState {
  const phase = pod.status?.phase;
  if (phase === 'Succeeded' || phase === 'Failed') return 'exited';
  const { running, terminated } = containerOf(pod)?.state ?? {};
  if (running) return 'running';
  return terminated ? 'exited' : 'created';
}

/** How it ended for good: it will not be started again. Undefined while it may still run. */
export function endOf(pod: V1Pod): PodEnd | undefined {
  const phase = pod.status?.phase;
  if (phase !== 'Succeeded' && phase !== 'Failed') return endInPlace(pod);
  const ended = containerOf(pod)?.state?.terminated;
  const why = disruptionOf(pod);
  return {
    exitCode: ended?.exitCode ?? (phase === 'Succeeded' ? 0 : undefined),
    outOfMemory: ended?.reason === 'OOMKilled',
    ...(why !== undefined && { why }),
  };
}

/**
 * The end of what a Deployment starts again whatever it says: a scheduler has ended for good then, and a worker that has
 * ended in order (`_has_ended` of `member.py`).
 */
function endInPlace(pod: V1Pod): PodEnd | undefined {
  if (pod.spec?.restartPolicy !== 'Always') return undefined;
  const { state, lastState } = containerOf(pod) ?? {};
  const ended = state?.terminated ?? lastState?.terminated;
  if (!ended) return undefined;
  if (pod.metadata?.labels?.[label.role] !== 'scheduler' && ended.exitCode !== 0) return undefined;
  return { exitCode: ended.exitCode, outOfMemory: ended.reason === 'OOMKilled' };
}

/**
 * Whether nobody hears of its node any more: that of a pod is then all that Kubernetes changes, and its containers stay as they
 * were last seen (MarkPodsNotReady of its controllers).
 */
function isNodeSilent({ status }: V1Pod): boolean {
  const conditionOf = (type: string) => status?.conditions?.find((one) => one.type === type);
  const ready = conditionOf('Ready');
  const isMarked = ready?.status === 'False' && !ready.reason;
  return isMarked && conditionOf('ContainersReady')?.status === 'True';
}

/** Why Kubernetes itself ends a pod; undefined if it does not. */
export function disruptionOf(pod: V1Pod): string | undefined {
  const { status } = pod;
  const condition = status?.conditions?.find(
    (one) => one.type === 'DisruptionTarget' && one.status === 'True',
  );
  const told = condition?.message || status?.message || '';
  const reason = condition?.reason ?? (status?.phase === 'Failed' ? status.reason : undefined);
  if (!reason) return undefined;
  const words: Readonly<Record<string, string>> = {
    PreemptionByScheduler: 'it made room for a pod of higher priority',
    DeletionByTaintManager: isNodeSilent(pod)
      ? 'its node does not answer any more'
      : 'its node is to run no such pods any more',
    EvictionByEvictionAPI: 'it was evicted, as its node is being drained',
    DeletionByPodGC: 'its node is gone',
    TerminationByKubelet: 'its node ended it',
    Evicted: 'its node evicted it',
    NodeLost: 'its node is gone',
    Shutdown: 'its node is shutting down',
    Terminated: 'its node is shutting down',
    DeadlineExceeded: 'its time was over',
  };
  return [words[reason] ?? reason, short(told)].filter(Boolean).join(': ');
}

/** What keeps a pod from running. */
export function troubleOf(pod: V1Pod): PodTrouble | undefined {
  const { status } = pod;
  const image = mainContainer(pod)?.image ?? '';
  const conditions = status?.conditions ?? [];
  const placed = conditions.find(({ type }) => type === 'PodScheduled');
  if (placed?.status === 'False') {
    return {
      text: `no node takes it: ${short(placed.message ?? placed.reason ?? '')}`,
      hint: 'Ask for less in requests, change node_selector or tolerations, or give the cluster another node.',
      final: false,
    };
  }
  const why = disruptionOf(pod);
  if (why !== undefined) return { text: why, final: true };
  if (isNodeSilent(pod)) return { text: 'its node does not answer', final: false };
  const starting = [...(status?.initContainerStatuses ?? []), containerOf(pod)];
  for (const container of starting) {
    const waiting = container?.state?.waiting;
    const trouble =
      waiting?.reason && waitingTrouble(waiting.reason, waiting.message ?? '', container, image);
    if (trouble) return trouble;
  }
  return undefined;
}

function waitingTrouble(
  reason: string,
  message: string,
  container: V1ContainerStatus | undefined,
  image: string,
): PodTrouble | undefined {
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff':
      return pullTrouble(image, message);
    case 'ErrImageNeverPull':
      return {
        text: `the image ${image} is not on its node, and image_pull_policy is "Never"`,
        hint: 'Load it into the nodes, or let image_pull_policy be "IfNotPresent".',
        final: true,
      };
    case 'InvalidImageName':
      return { text: `“${image}” is no name of an image`, hint: 'Correct image.', final: true };
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
      return configTrouble(image, message);
    case 'RunContainerError':
      return runTrouble(image, message);
    case 'CrashLoopBackOff':
      return { text: crashText(container), hint: 'Its log says more.', final: false };
    default:
      // ContainerCreating, PodInitializing: all is well so far.
      return undefined;
  }
}

function pullTrouble(image: string, message: string): PodTrouble {
  const refused = /denied|unauthorized|forbidden|authentication required|no basic auth|401|403/i.test(
    message,
  );
  const missing = /not found|manifest unknown|does not exist|no such host|404/i.test(message);
  const platform = /no match for platform|no matching manifest/i.test(message);
  if (platform)
    return {
      text: `the image ${image} can't be pulled: there is none for its node's kind of processor`,
      hint: 'Build it for that one, or choose nodes by node_selector.',
      final: true,
    };
  if (refused)
    return {
      text: `the image ${image} can't be pulled: its registry refuses, or does not know it`,
      hint: 'Name a secret with the login in image_pull_secrets, or check the name.',
      final: true,
    };
  if (missing)
    return {
      text: `the image ${image} can't be pulled: there is none of that name`,
      hint: 'Check the name. Nodes pull it themselves: an image that only this machine has is not there.',
      final: true,
    };
  return {
    text: `the image ${image} can't be pulled: ${short(message)}`,
    hint: 'Check the name, and whether the nodes reach its registry.',
    final: false,
  };
}

function configTrouble(image: string, message: string): PodTrouble {
  if (/runAsNonRoot|run as root/i.test(message))
    return {
      text: `the image ${image} runs as root, which its pod does not allow`,
      hint: 'Set runAsUser in pod_template, or take an image that runs as another user.',
      final: true,
    };
  const [, kind, name] = /(secret|configmap) "?([^" ]+)"? not found/i.exec(message) ?? [];
  if (kind)
    return {
      text: `there is no ${kind.toLowerCase()} "${name}" in its namespace`,
      hint: 'Make it, or correct volumes or env of the executor.',
      final: true,
    };
  return { text: `its container can't be made: ${short(message)}`, final: true };
}

function runTrouble(image: string, message: string): PodTrouble {
  if (/executable file not found|no such file or directory/i.test(message))
    return {
      text: `the image ${image} has no python3`,
      hint: 'Take an image with Python and distributed, such as one built from your environment.',
      final: true,
    };
  if (/exec format error/i.test(message))
    return {
      text: `the image ${image} is for another kind of processor than its node has`,
      hint: 'Build it for that one, or choose nodes by node_selector.',
      final: true,
    };
  return { text: `its container can't be started: ${short(message)}`, final: true };
}

function crashText(container: V1ContainerStatus | undefined): string {
  const { exitCode, reason } = container?.lastState?.terminated ?? {};
  const times = container?.restartCount ?? 0;
  const how = reason === 'OOMKilled' ? 'out of memory' : `exit code ${exitCode ?? 'unknown'}`;
  return `it ended ${times > 0 ? `${times + 1} times` : ''} and waits to be started again (${how})`.replace(
    '  ',
    ' ',
  );
}

const mostText = 300;

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().replace(/\.$/, '');
  return line.length > mostText ? `${line.slice(0, mostText)}…` : line;
}

const timeOf = (time: Date | string | undefined): number =>
  time === undefined ? Date.now() : new Date(time).getTime();
