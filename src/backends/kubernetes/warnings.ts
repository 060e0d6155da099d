import type { CoreV1Event } from '@kubernetes/client-node';
import type { KubernetesApi } from './kubernetesApi.ts';

/** A pod that the API server did not take from a controller. */
export interface Refusal {
  /** Of the Job or ReplicaSet that was to make it. */
  readonly name: string;
  readonly message: string;
}

/** What events warn of last, of one object. Undefined too if they may not be read. */
export async function lastWarning(
  api: KubernetesApi,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  // The operator's errors have a type of their own.
  const events = await listEvents(api, ['type!=Normal', `involvedObject.name=${name}`], signal);
  return events.at(-1)?.message;
}

/** What was refused to the controllers of one cluster. Nothing too if events may not be read. */
export async function refusals(api: KubernetesApi, id: string, signal: AbortSignal): Promise<Refusal[]> {
  const events = await listEvents(api, ['type=Warning', 'reason=FailedCreate'], signal);
  return events.flatMap(({ involvedObject: { name = '' }, message = '' }) =>
    name === id || name.startsWith(`${id}-`) ? [{ name, message }] : [],
  );
}

/** The oldest first. */
async function listEvents(
  api: KubernetesApi,
  fields: readonly string[],
  signal: AbortSignal,
): Promise<CoreV1Event[]> {
  const query = { namespace: api.namespace, fieldSelector: fields.join() };
  const events = await api.core.listNamespacedEvent(query, api.until(signal)).catch(() => undefined);
  const time = ({ lastTimestamp, eventTime }: CoreV1Event) =>
    new Date(lastTimestamp ?? eventTime ?? 0).getTime();
  return (events?.items ?? []).sort((a, b) => time(a) - time(b));
}
