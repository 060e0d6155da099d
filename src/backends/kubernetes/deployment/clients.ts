import type { PodScheduler } from '../../../core/podScheduler.ts';
import type { Security } from '../../../core/security.ts';
import { dashboardPort, schedulerPort } from '../../memberProtocol.ts';
import { apiError } from '../failures.ts';
import { type ApiPlace, codeOf, openKubernetes } from '../kubernetesApi.ts';
import { deploymentLabel, deploymentSelector } from './objects.ts';
import { namesOf } from './shape.ts';
import { certificatesIn } from './store.ts';

/** The scheduler of a static cluster by its name, as discovery would find it. */
export const deployedScheduler = (
  place: ApiPlace,
  kubeconfig: string | undefined,
  name: string,
): PodScheduler => ({
  ...place,
  ...{ maker: 'deployment', name, port: schedulerPort, dashboardPort },
  selector: `${deploymentSelector},${deploymentLabel}=${name}`,
  ...(kubeconfig !== undefined && { kubeconfig }),
});

/**
 * What clients of a static cluster need. Undefined where there is no such Secret, or this user may not read it.
 * @throws UserError if the API server does not answer
 */
export async function clientCertificates(
  { context, kubeconfig, namespace, name }: PodScheduler,
  signal: AbortSignal,
): Promise<Security | undefined> {
  const api = await openKubernetes({ context, namespace, ...(kubeconfig !== undefined && { kubeconfig }) });
  const which = { name: namesOf(name).clientTls, namespace };
  try {
    return certificatesIn(await api.core.readNamespacedSecret(which, api.until(signal)));
  } catch (error) {
    signal.throwIfAborted();
    if ([403, 404].includes(codeOf(error) ?? 0)) return undefined;
    throw apiError(error, api.place, 'the context');
  }
}
