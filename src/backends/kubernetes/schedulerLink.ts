import { UserError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { PodScheduler } from '../../core/podScheduler.ts';
import { apiError } from './failures.ts';
import { livePod } from './foundPods.ts';
import { type KubernetesApi, openKubernetes, reasonOf } from './kubernetesApi.ts';
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
  const pods = () => livePod(watch.pods.values());
  const answer = Promise.withResolvers<void>();
  answer.promise.catch(() => undefined);
  let told = '';
  const watch = new PodWatch({
    ...{ api, selector: scheduler.selector, signal: stop.signal },
    ...{ onPod: () => undefined, onGone: () => undefined },
    onTrouble: (error) => {
      answer.reject(error instanceof UserError ? error : apiError(error, api.place, 'the context'));
      const reason = reasonOf(error);
      if (reason !== told) log.warn(`the scheduler of ${namespace}/${name} can't be watched: ${reason}`);
      told = reason;
    },
    onListed: () => {
      told = '';
      if (pods() !== undefined) answer.resolve();
      else answer.reject(new UserError('unreachable', `No scheduler of ${namespace}/${name} runs now`));
    },
  });
  const forwards = [scheduler.port, scheduler.dashboardPort].map((port) => new PortForward(api, pods, port));
  const close = () => {
    stop.abort();
    for (const forward of forwards) forward.close();
  };
  try {
    const [port = 0, dashboardPort = 0] = await Promise.all(forwards.map((forward) => forward.listen()));
    void watch.run();
    const ready = (signal: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        answer.promise.then(() => tryForward(api, pods(), scheduler)).then(resolve, reject);
      });
    return { port, dashboardPort, ready, close };
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
