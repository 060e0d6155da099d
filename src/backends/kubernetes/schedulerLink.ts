import { type Disposable, Emitter } from '../../core/emitter.ts';
import { UserError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { type MembersListener, membersInOrder } from '../../core/members.ts';
import type { PodScheduler } from '../../core/podScheduler.ts';
import { apiError } from './failures.ts';
import { foundMember, livePod, membersSelector } from './foundPods.ts';
import { type KubernetesApi, openKubernetes, reasonOf } from './kubernetesApi.ts';
import { PodAccess } from './podAccess.ts';
import { PodWatch } from './podWatch.ts';
import { PortForward } from './portForward.ts';

/** Ports of this machine that lead to a scheduler in a pod until they are closed, to whichever pod it is in then. */
export interface SchedulerLink {
  readonly port: number;
  readonly dashboardPort: number;
  /**
   * Resolves when connections get through.
   * @throws UserError `unreachable` and others if they don't, with the reason; the signal's
   */
  ready(signal: AbortSignal): Promise<void>;
  /** Tells of the pods of its cluster, now and as they change, until disposed or closed. Nothing is done to them by that. */
  onMembers(listener: MembersListener): Disposable;
  /** Nothing else ends by that. */
  close(): void;
}

/**
 * Connections break while it has no pod, or the API server does not answer; the next ones get through again.
 * @throws UserError `setting` if the kubeconfig does not name the API server any more
 */
export async function linkScheduler(scheduler: PodScheduler, log: Logger): Promise<SchedulerLink> {
  const { context, kubeconfig, namespace, name } = scheduler;
  const api = await openKubernetes({ context, namespace, ...(kubeconfig !== undefined && { kubeconfig }) });
  const stop = new AbortController();
  const members = () => [...watch.pods.values()].map((pod) => [pod, foundMember(pod, scheduler)] as const);
  const pods = () => livePod(members().flatMap(([pod, { role }]) => (role === 'scheduler' ? [pod] : [])));
  const changed = new Emitter<void>();
  const access = new PodAccess(api, (pod) => watch.pods.get(pod));
  let isListed = false;
  let isTelling = false;
  /** Of a list of many each is told. */
  const tell = () => {
    if (isTelling || !isListed) return;
    isTelling = true;
    queueMicrotask(() => {
      isTelling = false;
      if (!stop.signal.aborted) changed.fire();
    });
  };
  const onMembers = (listener: MembersListener) => {
    const hear = () => {
      // As with those of ours one that is being deleted is not there any more. The reason, if there is one, is told before.
      const here = members().flatMap(([{ metadata }, member]) =>
        metadata?.deletionTimestamp === undefined || member.leaving !== undefined ? [member] : [],
      );
      listener(membersInOrder(here), access);
    };
    if (isListed) hear();
    return changed.on(hear);
  };
  const answer = Promise.withResolvers<void>();
  answer.promise.catch(() => undefined);
  let told = '';
  const watch = new PodWatch({
    ...{ api, selector: membersSelector(scheduler), signal: stop.signal },
    ...{ onPod: tell, onGone: tell },
    onTrouble: (error) => {
      const failure = error instanceof UserError ? error : apiError(error, api.place, 'the context');
      answer.reject(failure);
      const reason = failure.message;
      if (reason !== told) log.warn(`the pods of ${namespace}/${name} can't be watched: ${reason}`);
      told = reason;
    },
    onListed: () => {
      told = '';
      isListed = true;
      tell();
      if (pods() !== undefined) answer.resolve();
      else answer.reject(new UserError('unreachable', `No scheduler of ${namespace}/${name} runs now`));
    },
  });
  const forwards = [scheduler.port, scheduler.dashboardPort].map((port) => new PortForward(api, pods, port));
  const close = () => {
    stop.abort();
    for (const forward of forwards) forward.close();
    changed.dispose();
  };
  try {
    const [port = 0, dashboardPort = 0] = await Promise.all(forwards.map((forward) => forward.listen()));
    void watch.run();
    const ready = (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        answer.promise.then(() => tryForward(api, pods(), scheduler)).then(resolve, reject);
      });
    return { port, dashboardPort, ready, onMembers, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** What refuses it is not told to whoever connects to the port here. */
async function tryForward(
  api: KubernetesApi,
  pod: string | undefined,
  { port }: PodScheduler,
): Promise<void> {
  if (pod === undefined) return; // it has gone meanwhile: another takes its place
  try {
    (await api.connect(pod, `portforward?ports=${port}`, () => undefined)).close();
  } catch (error) {
    const where = `${api.namespace}/${pod}`;
    throw new UserError('unreachable', `The ports of ${where} can't be forwarded: ${reasonOf(error)}`, {
      hint: 'It takes the right to get pods/portforward, from Kubernetes 1.35 on also that to create them.',
      cause: error,
    });
  }
}
