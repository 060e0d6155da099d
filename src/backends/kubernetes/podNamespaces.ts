import { stoppedAfter } from '../../core/limit.ts';
import { codeOf, type KubernetesApi } from './kubernetesApi.ts';
import { isAllowed } from './rights.ts';

/** Each costs a watch for each kind of scheduler, and each watch a connection. */
export const mostNamespaces = 20;
/** Of a server with thousands of namespaces not each is asked for. */
const mostAsked = 500;
const askedAtOnce = 20;
const forbidden = 403;

export interface PodNamespaces {
  /** Null: all that there are, at once. */
  readonly namespaces: readonly (string | null)[];
  /** How many more there are that nobody looks into. */
  readonly leftOut: number;
}

export interface NamespaceQuestion {
  readonly api: KubernetesApi;
  /** They are looked into whatever the server says, so that what is wrong with them is told. */
  readonly named: readonly string[];
  /** Those that were found to be readable before are not asked for again. */
  readonly known?: ReadonlySet<string | null>;
  readonly signal: AbortSignal;
  /** For the server to answer all of it. */
  readonly timeoutMs: number;
}

/**
 * Where pods may be listed and watched: everywhere at once; else in those namespaces, of all if they can be listed, in
 * which the server allows it, and in those that are named.
 * @throws whatever keeps the server from answering; that something is forbidden is an answer
 */
export function podNamespaces(question: NamespaceQuestion): Promise<PodNamespaces> {
  const { timeoutMs, signal } = question;
  const late = () => new Error(`no answer within ${timeoutMs / 1000} s`);
  return stoppedAfter(timeoutMs, late, (stop) => search(question, AbortSignal.any([signal, stop])));
}

async function search({ api, named, known }: NamespaceQuestion, signal: AbortSignal): Promise<PodNamespaces> {
  const until = api.until(signal);
  if (await permitted(api.core.listPodForAllNamespaces({ limit: 1 }, until)))
    return { namespaces: [null], leftOut: 0 };
  const chosen = new Set(named.slice(0, mostNamespaces));
  const all = await permitted(api.core.listNamespace({ limit: mostAsked }, until));
  const there = all?.items.flatMap(({ metadata }) => metadata?.name ?? []) ?? [];
  const candidates = [...new Set([...named, ...there])].filter((one) => !chosen.has(one));
  let leftOut = candidates.length + (all?.metadata?.remainingItemCount ?? 0);
  for (let n = 0; n < candidates.length && chosen.size < mostNamespaces; n += askedAtOnce) {
    const some = candidates.slice(n, n + askedAtOnce);
    const answers = await Promise.all(some.map((one) => known?.has(one) || mayRead(api, one, signal)));
    const readable = some.filter((_one, i) => answers[i]);
    const more = readable.slice(0, mostNamespaces - chosen.size);
    for (const one of more) chosen.add(one);
    leftOut -= some.length - (readable.length - more.length);
  }
  return { namespaces: [...chosen], leftOut };
}

/** Who may not even ask what is allowed tries it. */
async function mayRead(api: KubernetesApi, namespace: string, signal: AbortSignal): Promise<boolean> {
  const may = (verb: string) => isAllowed(api, { group: '', resource: 'pods', verb }, namespace, signal);
  const answer = await permitted(may('list').then((first) => first && may('watch')));
  if (answer !== undefined) return answer;
  return (
    (await permitted(api.core.listNamespacedPod({ namespace, limit: 1 }, api.until(signal)))) !== undefined
  );
}

/** What it resolves with; undefined if that is forbidden. */
function permitted<T>(call: Promise<T>): Promise<T | undefined> {
  return call.catch((error: unknown) => {
    if (codeOf(error) === forbidden) return undefined;
    throw error;
  });
}
