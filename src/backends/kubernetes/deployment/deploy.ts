import { text as textOf } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesObject, V1Pod } from '@kubernetes/client-node';
import { executorSettings, UserError } from '../../../core/errors.ts';
import { startTimeoutMs } from '../../../core/kubernetesExecutor.ts';
import type { Logger } from '../../../core/log.ts';
import { apiError, podError } from '../failures.ts';
import { codeOf, type KubernetesApi, reasonOf } from '../kubernetesApi.ts';
import { label } from '../manifests.ts';
import { containerOf, type PodTrouble, troubleOf } from '../podState.ts';
import { PodWatch } from '../podWatch.ts';
import { deployedScheduler } from './clients.ts';
import { deployerAnnotation, deploymentLabel, revisionAnnotation } from './objects.ts';
import type { Change, Plan } from './plan.ts';
import { leastWorkers, namesOf } from './shape.ts';
import { DeploymentStore, nameOf, type ObjectName, plain, removeObjects, unscaled } from './store.ts';

export interface DeployContext {
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Says in a few words what is being waited for. */
  stage(text: string): void;
}

const lookMs = 250;
/** How long a trouble that may pass is only told. */
const finalMs = 1_500;
/** A container that has ended so often will not get better. */
const mostRestarts = 2;
const refusalLookMs = 1_500;
const lastLines = 20;
const logMs = 5_000;
const undoMs = 60_000;
const callMs = 30_000;

type Role = 'scheduler' | 'worker';

/**
 * Carries a plan out, and resolves when the cluster is ready: its scheduler, and a worker if it is to have any. One that
 * fails, or that the signal aborts, leaves things as they were: nothing of a new cluster, the old one of an update. What
 * others make or change meanwhile stays as they want it.
 * @throws UserError `cluster-failed`, `timeout` with the reason, `cancelled` by the signal's reason; with what is left where
 * things can't be as they were
 */
export async function carryOut(api: KubernetesApi, plan: Plan, context: DeployContext): Promise<void> {
  const { signal, log } = context;
  const { executor } = plan.shape;
  const done: Done[] = [];
  try {
    context.stage(plan.isNew ? 'creating it' : 'updating it');
    for (const change of plan.changes) {
      if (!change.apply) continue;
      signal.throwIfAborted();
      await make(api, change, change.apply, done);
    }
    await new Readiness(api, plan, context).wait();
    const store = new DeploymentStore(api, signal);
    for (const change of plan.changes) {
      if (change.what !== 'delete') continue;
      done.push({ change, uid: undefined });
      await store.delete(change.object);
    }
  } catch (error) {
    context.stage(plan.isNew ? 'removing what was made' : 'going back to what it was');
    const left = await undo(api, plan, done);
    if (left) log.warn(`${plan.shape.name} can't be brought back to what it was: ${reasonOf(left.why)}`);
    const why = () =>
      error instanceof UserError
        ? error
        : apiError(error, api.place, `the executor "${executor.name}"`, executor.name);
    if (left && left.objects.length > 0) throw leftError(api, plan, left, signal.aborted ? undefined : why());
    signal.throwIfAborted();
    throw why();
  }
}

/** A change that was made, or may have been. */
interface Done {
  readonly change: Change;
  /** Of what was created; undefined: nobody has heard whether it was. */
  readonly uid: string | undefined;
}

/** Seen to its end: what is cut off may be made after it was removed. */
async function make(
  api: KubernetesApi,
  change: Change,
  apply: KubernetesObject,
  done: Done[],
): Promise<void> {
  const store = new DeploymentStore(api, AbortSignal.timeout(callMs));
  try {
    if (change.before) {
      await store.update(change.before, apply);
      done.push({ change, uid: undefined });
      return;
    }
    const made = await store.create(apply);
    done.push({ change, uid: made.metadata?.uid });
    await store.own(made);
  } catch (error) {
    const isMade = done.some((one) => one.change === change);
    if (!isMade && isUnsure(error)) done.push({ change, uid: undefined });
    throw error;
  }
}

/** Whether the server may have done it all the same. */
function isUnsure(error: unknown): boolean {
  const code = codeOf(error) ?? 0;
  return !(error instanceof UserError) && (code < 400 || code >= 500);
}

/** What could not be brought back. */
interface Left {
  readonly objects: readonly ObjectName[];
  readonly why: unknown;
}

/** Brings back what there was before; tells what of it can't be. */
async function undo(
  api: KubernetesApi,
  { shape, wasAdaptive }: Plan,
  done: readonly Done[],
): Promise<Left | undefined> {
  const store = new DeploymentStore(api, AbortSignal.timeout(undoMs));
  const objects: ObjectName[] = [];
  let why: unknown;
  for (const { change } of done) {
    if (!change.before) continue;
    try {
      await store.apply(asItWas(change, change.before, wasAdaptive));
    } catch (error) {
      why ??= error;
      objects.push(change.object);
    }
  }
  const made = done.filter(({ change }) => !change.before);
  const created = made.map(({ change, uid }) => ({ ...change.object, uid }));
  try {
    const own = await Promise.all(
      made.map(async ({ change, uid }) => ({ ...change.object, uid: uid ?? (await uidOf(store, change)) })),
    );
    const there = own.filter(({ uid }) => uid !== undefined);
    if (there.length > 0) await removeObjects(api, shape.name, there);
  } catch (error) {
    why ??= error;
    const last = new DeploymentStore(api, AbortSignal.timeout(callMs));
    objects.push(
      ...(await last.remaining(created).then(
        (all) => all.map(nameOf),
        () => created,
      )),
    );
  }
  return why === undefined ? undefined : { objects, why };
}

/** Of an object that nobody has heard of since it was to be made; undefined if it was not, or is another's. */
async function uidOf(store: DeploymentStore, { object, apply }: Change): Promise<string | undefined> {
  const [there] = await store.remaining([object]);
  const who = (one: KubernetesObject | undefined) => one?.metadata?.annotations?.[deployerAnnotation];
  return who(there) !== undefined && who(there) === who(apply) ? there?.metadata?.uid : undefined;
}

/** As {@link plain}, with what is secret; without what was not ours to say. What was deleted gets a new uid. */
function asItWas({ what }: Change, before: KubernetesObject, wasAdaptive: boolean): KubernetesObject {
  const { data } = before as { data?: unknown };
  const { metadata, ...rest } = plain(before);
  const uid = what === 'update' ? before.metadata?.uid : undefined;
  const object = {
    ...{ ...rest, metadata: { ...metadata, ...(uid !== undefined && { uid }) } },
    ...(data !== undefined && { data }),
  } as KubernetesObject;
  const isWorkers = before.kind === 'Deployment' && before.metadata?.labels?.[label.role] === 'worker';
  return wasAdaptive && isWorkers ? unscaled(object) : object;
}

/** @param why it failed; undefined: the user has cancelled it */
function leftError(
  api: KubernetesApi,
  plan: Plan,
  { objects, why: whyLeft }: Left,
  why: UserError | undefined,
): UserError {
  const { name, executor } = plan.shape;
  const list = objects.map(({ kind, name: of }) => `${kind} ${of}`).join(', ');
  const failed = why?.message ?? `${name} is cancelled`;
  const left = plan.isNew ? 'This is left of it' : 'This is not what it was before';
  const pods = deployedScheduler(api.place, executor.kubeconfig, name);
  return new UserError('cluster-failed', `${failed}. ${left}: ${list} (${reasonOf(whyLeft)})`, {
    hint: plan.isNew
      ? `Delete ${name} as soon as the API server does as it is told.`
      : 'Deploy it again, as it was or as it shall be.',
    action: plan.isNew ? { kind: 'undeploy', pods } : executorSettings,
    cause: why ?? whyLeft,
  });
}

/** Waits for the pods of a plan, with reasons. */
class Readiness {
  readonly #api: KubernetesApi;
  readonly #plan: Plan;
  readonly #context: DeployContext;
  readonly #stop = new AbortController();
  readonly #watch: PodWatch;
  /** Since when a pod has had a trouble that waiting does not help, by its name. */
  readonly #finalSince = new Map<string, number>();
  #said = '';

  constructor(api: KubernetesApi, plan: Plan, context: DeployContext) {
    this.#api = api;
    this.#plan = plan;
    this.#context = context;
    const nothing = () => undefined;
    this.#watch = new PodWatch({
      ...{ api, selector: `${deploymentLabel}=${plan.shape.name}` },
      signal: AbortSignal.any([context.signal, this.#stop.signal]),
      ...{ onPod: nothing, onGone: nothing },
      onTrouble: (error) => this.#say(`Kubernetes does not answer: ${reasonOf(error)}`),
    });
  }

  async wait(): Promise<void> {
    const { signal } = this.#context;
    const { executor, name } = this.#plan.shape;
    const limitMs = startTimeoutMs(executor);
    void this.#watch.run();
    try {
      let askedMs = performance.now();
      for (const began = performance.now(); !this.#isReady(); ) {
        await sleep(lookMs, undefined, { signal });
        await this.#lookAtTroubles();
        if (performance.now() - askedMs > refusalLookMs) {
          await this.#lookForRefusals();
          askedMs = performance.now();
        }
        if (performance.now() - began > limitMs) throw lateError(name, limitMs, this.#firstTrouble());
      }
    } finally {
      this.#stop.abort();
    }
  }

  #isReady(): boolean {
    if (!this.#pods('scheduler').some(isReady)) {
      this.#say('starting the scheduler');
      return false;
    }
    if (leastWorkers(this.#plan.shape) === 0 || this.#pods('worker').some(isReady)) return true;
    this.#say('waiting for the first worker');
    return false;
  }

  /** Those that the plan means, not those before. */
  #pods(role: Role): V1Pod[] {
    const revision = this.#plan.revisions[role];
    return [...this.#watch.pods.values()].filter(
      ({ metadata }) =>
        metadata?.labels?.[label.role] === role &&
        metadata.annotations?.[revisionAnnotation] === revision &&
        metadata.deletionTimestamp === undefined,
    );
  }

  async #lookAtTroubles(): Promise<void> {
    for (const role of ['scheduler', 'worker'] as const) {
      const pods = this.#pods(role);
      if (pods.some(isReady)) continue;
      for (const pod of pods) {
        const trouble = troubleOf(pod);
        const name = pod.metadata?.name ?? '';
        if (trouble) this.#say(`${role}: ${trouble.text}`);
        const isFinal = trouble?.final || (trouble && (containerOf(pod)?.restartCount ?? 0) >= mostRestarts);
        if (!isFinal) {
          this.#finalSince.delete(name);
          continue;
        }
        const since = this.#finalSince.get(name) ?? performance.now();
        this.#finalSince.set(name, since);
        if (performance.now() - since > finalMs)
          throw podError(role, trouble, await this.#lastLines(pod, role));
      }
    }
  }

  async #lastLines(pod: V1Pod, role: Role): Promise<string[]> {
    if (!(containerOf(pod)?.restartCount ?? 0)) return [];
    const options = { previous: true, tailLines: lastLines };
    try {
      const log = await this.#api.log(pod.metadata?.name ?? '', role, options, AbortSignal.timeout(logMs));
      return (await textOf(log)).split('\n').filter(Boolean);
    } catch {
      return []; // its node keeps it for a moment only
    }
  }

  /** Pods that there are none of, since they are refused: a quota for example. */
  async #lookForRefusals(): Promise<void> {
    const { scheduler, worker } = namesOf(this.#plan.shape.name);
    const { namespace, apps } = this.#api;
    const missing = [
      ...(this.#pods('scheduler').length === 0 ? [scheduler] : []),
      ...(this.#pods('worker').length === 0 && leastWorkers(this.#plan.shape) > 0 ? [worker] : []),
    ];
    for (const name of missing) {
      const { status } = await apps.readNamespacedDeployment(
        { name, namespace },
        this.#api.until(this.#context.signal),
      );
      const refusal = status?.conditions?.find(
        (one) => one.type === 'ReplicaFailure' && one.status === 'True',
      );
      if (refusal) throw Object.assign(new Error(refusal.message), { code: 403 });
    }
  }

  #firstTrouble(): readonly [Role, PodTrouble] | undefined {
    for (const role of ['scheduler', 'worker'] as const) {
      for (const pod of this.#pods(role)) {
        const trouble = troubleOf(pod);
        if (trouble) return [role, trouble];
      }
    }
    return undefined;
  }

  #say(text: string): void {
    if (text !== this.#said) this.#context.stage(text);
    this.#said = text;
  }
}

const isReady = ({ status }: V1Pod): boolean =>
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;

function lateError(
  name: string,
  limitMs: number,
  trouble: readonly [Role, PodTrouble] | undefined,
): UserError {
  const [who, why] = trouble ?? [];
  const what = who && why ? `The ${who} was not there` : `${name} was not ready`;
  return new UserError('timeout', `${what} within ${limitMs / 1000} s${why ? `: ${why.text}` : ''}`, {
    hint:
      why?.hint ?? 'Give it more by start_timeout of the executor; the pods’ events say what they wait for.',
    action: executorSettings,
  });
}
