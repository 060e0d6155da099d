import { randomBytes, randomUUID } from 'node:crypto';
import type { V1Job, V1Namespace, V1Pod, V1ResourceQuota } from '@kubernetes/client-node';
import { executorSettings, UserError } from '../../core/errors.ts';
import { plural } from '../../core/executor.ts';
import { runImage } from '../../core/imageExecutor.ts';
import { type KubernetesExecutor, startWorkers } from '../../core/kubernetesExecutor.ts';
import { type Finding, findingOf, foundBy, listed } from '../../core/preflight/finding.ts';
import { toldRunImage } from '../runImage.ts';
import { apiError } from './failures.ts';
import { judgeImage } from './imageName.ts';
import { codeOf, type KubernetesApi, openKubernetes, reasonOf, unlessGone } from './kubernetesApi.ts';
import {
  type ClusterShape,
  executorShape,
  label,
  managedBy,
  ownerOf,
  schedulerJob,
  schedulerPod,
  workerPod,
} from './manifests.ts';
import { wayOf } from './objects.ts';
import { knowsOperator, noOperator } from './operator.ts';
import {
  type DaskResource,
  daskCluster,
  daskClusters,
  keeperJob,
  operatorGroup,
} from './operatorManifests.ts';
import {
  amountText,
  clusterAmounts,
  counts,
  leftOf,
  operatedAmounts,
  operatedWorkerAmounts,
  podAmounts,
  roomFor,
} from './quota.ts';
import { isThere, type Reference, referencesOf } from './references.ts';
import {
  deploymentRights,
  isAllowed,
  isNeeded,
  type Right,
  rightsManifest,
  rightsOf,
  rightsText,
} from './rights.ts';

/** For the API server to say that it is there, and as long again for all else. */
const answerMs = 8_000;
/** Of the operator's own pod, as its Helm chart has it. */
const operatorSelector = 'app.kubernetes.io/name=dask-kubernetes-operator';
const enforced = 'pod-security.kubernetes.io/enforce';
/** Whom an API server takes those for that come without a login. */
const nobody = 'system:anonymous';
/** In manifests, where nobody knows who the user is. */
const unknownUser = 'NAME-OF-THE-USER';

/** What a look at an API server, and at one namespace, takes. */
interface Look {
  readonly api: KubernetesApi;
  readonly executor: KubernetesExecutor;
  readonly signal: AbortSignal;
}

/** Pods as an executor makes them, and what they come from. */
interface Trial {
  readonly job: V1Job;
  readonly scheduler: V1Pod;
  readonly worker: V1Pod;
  /** Of one that the operator makes. */
  readonly operated?: { readonly keeper: V1Pod; readonly cluster: DaskResource };
}

type TrialPods = Readonly<Record<'scheduler' | 'worker', V1Pod>> & { readonly keeper?: V1Pod };

/**
 * Whether clusters of an executor can start: the API server, rights, the namespace and its quotas, what pods name, and what
 * admission says of them. Nothing is made. What may not be looked at is not known, and no fault. The worst comes first.
 */
export async function checkKubernetes(executor: KubernetesExecutor, signal: AbortSignal): Promise<Finding[]> {
  signal.throwIfAborted();
  return foundBy(async () => {
    const api = await openKubernetes(executor);
    await api.login();
    signal.throwIfAborted();
    return lookAround(api, executor, signal);
  }, signal);
}

async function lookAround(
  api: KubernetesApi,
  executor: KubernetesExecutor,
  life: AbortSignal,
): Promise<Finding[]> {
  const { namespace } = api;
  const greeted = await greet({ api, executor, signal: atMost(life) });
  const look: Look = { api, executor, signal: atMost(life) };
  const image = judgeImage(executor, api.place.context);
  const [place, allowed, operator] = await Promise.all([
    lookAtNamespace(look),
    lookAtRights(look, greeted),
    lookForOperator(look),
  ]);
  const known = [greeted.finding, ...image, ...operator];
  if (place.isMissing) return [...known, ...place.findings];
  const trial = trialOf(look);
  const [tried, quotas, references] = await Promise.all([
    tryOut(look, trial, allowed),
    listQuotas(look),
    lookAtReferences(look, trial),
  ]);
  const room = 'findings' in quotas ? quotas.findings : judgeQuotas(quotas.items, tried.pods, executor);
  // What is told better already.
  const isTold = ({ message }: Finding) =>
    (/quota of the namespace .* is used up/.test(message) &&
      room.some(({ severity }) => severity === 'error')) ||
    (/serviceaccount "/.test(message) && references.some(({ severity }) => severity === 'error'));
  const refusals = tried.findings.filter((finding) => !isTold(finding));
  const takes =
    refusals.length === 0 && tried.findings.length === 0
      ? [{ severity: 'good' as const, message: `Kubernetes takes such pods in ${namespace}${place.level}` }]
      : refusals;
  return [...known, ...place.findings, ...allowed.findings, ...takes, ...room, ...references];
}

/** Ends with the look, and when its time is over. */
const atMost = (life: AbortSignal): AbortSignal => AbortSignal.any([life, AbortSignal.timeout(answerMs)]);

interface Greeted {
  readonly finding: Finding;
  /** Of its version; undefined where that is not for everybody. */
  readonly minor: number | undefined;
  /** As it knows the user; undefined where it does not tell. */
  readonly user: string | undefined;
}

/** @throws UserError if nobody answers, or the login is not accepted */
async function greet(look: Look): Promise<Greeted> {
  const { api, signal } = look;
  const [version, user] = await Promise.all([
    api.version.getCode({}, api.until(signal)).catch((error: unknown) => {
      if (codeOf(error) === 403) return undefined;
      throw refusalOf(error, look);
    }),
    userName(look),
  ]);
  if (user === nobody) {
    throw new UserError(
      'not-permitted',
      `The kubeconfig has no login to ${api.place.context}: nobody is logged in`,
      {
        hint: 'Log in, as your cloud has it; “kubectl get pods” tells whether that worked.',
      },
    );
  }
  const parts = [
    `The API server of ${api.place.context} answers`,
    ...(version ? [`it is ${version.gitVersion}`] : []),
    ...(user === undefined ? [] : [`knows you as ${user}`]),
  ];
  return {
    finding: { severity: 'good', message: listed(parts) },
    // Clouds add a plus.
    minor: version && (Number.parseInt(version.minor, 10) || undefined),
    user,
  };
}

/** Undefined before Kubernetes 1.28. */
async function userName({ api, signal }: Look): Promise<string | undefined> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  try {
    const { status } = await api.authentication.createSelfSubjectReview({ body }, api.until(signal));
    return status?.userInfo?.username;
  } catch (error) {
    // Whatever else it is, what comes after meets it too.
    return reasonOf(error).includes(`"${nobody}"`) ? nobody : undefined;
  }
}

async function lookAtNamespace(
  look: Look,
): Promise<{ readonly isMissing: boolean; readonly level: string; readonly findings: readonly Finding[] }> {
  const { api, signal } = look;
  const { namespace } = api;
  const place = { isMissing: false, level: '' };
  let found: V1Namespace;
  try {
    found = await api.core.readNamespace({ name: namespace }, api.until(signal));
  } catch (error) {
    const code = codeOf(error);
    if (code === 404)
      return {
        ...place,
        isMissing: true,
        findings: [findingOf(refusalOf(error, look), copyCreate(namespace))],
      };
    // It may be seen to, or not: that tells nothing of what may be done in it.
    if (code === 403) return { ...place, findings: [] };
    return { ...place, findings: [unasked(`the namespace ${namespace}`, error, look)] };
  }
  const level = found.metadata?.labels?.[enforced];
  const findings: Finding[] =
    found.status?.phase === 'Terminating'
      ? [
          {
            severity: 'error',
            message: `The namespace ${namespace} is being deleted: nothing new can be made in it`,
            hint: 'Name another one as namespace of the executor.',
            actions: [executorSettings],
          },
        ]
      : [];
  return { ...place, level: level ? ` (Pod Security: ${level})` : '', findings };
}

const copyCreate = (namespace: string) =>
  ({ kind: 'copy', label: 'Copy Command', text: `kubectl create namespace ${namespace}` }) as const;

interface Allowed {
  readonly missing: readonly Right[];
  /** Also where the operator makes them: only who may create pods may try whether they are admitted. */
  readonly pods: boolean;
  readonly findings: readonly Finding[];
}

/** Asks for all rights at once. */
async function lookAtRights(look: Look, { minor, user }: Greeted): Promise<Allowed> {
  const { api, executor } = look;
  const { namespace } = api;
  let missing: readonly Right[];
  let missingToDeploy: readonly Right[];
  let pods: boolean;
  try {
    [pods, missing, missingToDeploy] = await Promise.all([
      isAllowed(api, { group: '', resource: 'pods', verb: 'create' }, namespace, look.signal),
      missingOf(look, rightsOf(wayOf(executor))),
      missingOf(look, deploymentRights),
    ]);
  } catch (error) {
    return { missing: [], pods: true, findings: [unasked('your rights', error, look)] };
  }
  const deploying = lookAtDeploying(look, missingToDeploy, user);
  if (missing.length === 0)
    return {
      ...{ missing, pods },
      findings: [
        { severity: 'good', message: `You may do in ${namespace} all that clusters take` },
        ...deploying,
      ],
    };
  const actions = manifestActions(look, missing, user);
  const needed = missing.filter((right) => isNeeded(right, minor));
  const useful = missing.filter((right) => !needed.includes(right));
  const findings: Finding[] = [];
  if (needed.length > 0)
    findings.push({
      severity: 'error',
      message: `You may not ${listed(rightsText(needed), needed.length)} in the namespace ${namespace}`,
      hint: 'Clusters can’t start so. Whoever looks after it can apply the manifest: it gives exactly what is missing.',
      actions,
    });
  else
    findings.push({
      severity: 'good',
      message: `You may do in ${namespace} what clusters cannot do without`,
    });
  if (useful.length > 0)
    findings.push({
      severity: 'info',
      message: `You may not ${listed(rightsText(useful), useful.length)}: ${listed([...new Set(useful.flatMap(({ without = [] }) => without))], useful.length)}`,
      hint: 'Clusters start all the same. The manifest gives what is missing.',
      actions,
    });
  return { missing, pods, findings: [...findings, ...deploying] };
}

async function missingOf({ api, signal }: Look, some: readonly Right[]): Promise<readonly Right[]> {
  const answers = await Promise.all(some.map((right) => isAllowed(api, right, api.namespace, signal)));
  return some.filter((_right, n) => !answers[n]);
}

/** What static clusters that are deployed take beside: few need it. */
function lookAtDeploying(look: Look, missing: readonly Right[], user: string | undefined): Finding[] {
  if (missing.length === 0) return [];
  const kinds = [...new Set(missing.map(({ resource }) => resource))];
  return [
    {
      severity: 'info',
      message: `You may not deploy static clusters in ${look.api.namespace}: that takes more rights on ${listed(kinds, kinds.length)}`,
      hint: 'Clusters for runs start all the same. The manifest gives exactly what is missing.',
      actions: manifestActions(look, missing, user),
    },
  ];
}

/** For whoever may give rights. */
function manifestActions(
  { api }: Look,
  missing: readonly Right[],
  user: string | undefined,
): NonNullable<Finding['actions']> {
  const { namespace, place, library } = api;
  const head = [
    `# What ${user ?? 'the user'} lacks in the namespace ${namespace} of ${place.context} to run Dask clusters with Flow Clusters.`,
    ...(user === undefined
      ? [`# Put the name that Kubernetes has for the user in the place of ${unknownUser}.`]
      : []),
    '# For whoever may give rights there: kubectl apply -f THIS-FILE',
  ];
  const parts = rightsManifest(missing, namespace, user ?? unknownUser).map((part) =>
    library.dumpYaml(part, { noRefs: true }),
  );
  const text = `${head.join('\n')}\n${parts.join('---\n')}`;
  return [
    { kind: 'open-text', label: 'Open Manifest', text, language: 'yaml' },
    { kind: 'copy', label: 'Copy Manifest', text },
  ];
}

async function lookForOperator(look: Look): Promise<Finding[]> {
  const { api, executor, signal } = look;
  try {
    const isKnown = await knowsOperator(api, signal);
    if (wayOf(executor) === 'operator') {
      if (isKnown === false) return [findingOf(noOperator(api.place.context))];
      return [await lookForItsPod(look)];
    }
    if (isKnown === undefined) return [];
    const message = isKnown
      ? `The Dask operator is there (${operatorGroup}); these clusters do without it`
      : 'There is no Dask operator, and these clusters need none';
    return [{ severity: 'info', message }];
  } catch (error) {
    return [unasked('the Dask operator', error, look)];
  }
}

/** Whether the operator runs: it may be in any namespace, and elsewhere too. */
async function lookForItsPod({ api, signal }: Look): Promise<Finding> {
  const query = { labelSelector: operatorSelector };
  const pods = await api.core.listPodForAllNamespaces(query, api.until(signal)).catch((error: unknown) => {
    if (codeOf(error) === 403) return undefined;
    throw error;
  });
  const running = pods?.items.find(({ status }) => status?.phase === 'Running');
  if (running) {
    const message = `The Dask operator runs in the namespace ${running.metadata?.namespace}`;
    return { severity: 'good', message };
  }
  const why = pods ? 'no pod of its Helm chart does' : 'pods of other namespaces may not be looked at';
  return { severity: 'info', message: `Whether the Dask operator runs is not known: ${why}` };
}

/** What a start would make, but for its files. */
function trialOf({ api, executor }: Look): Trial {
  const id = `flow-clusters-check-${randomBytes(4).toString('hex')}`;
  // Which one the run has is not known yet.
  const image = executor.image === runImage ? (toldRunImage({}) ?? 'run-image') : executor.image;
  const shape: ClusterShape = {
    ...{ id, namespace: api.namespace, paths: ['cluster_member.py'], annotations: {}, env: [] },
    ...{ executor: { ...executor, image }, holdSeconds: undefined },
    labels: { [label.managedBy]: managedBy, [label.cluster]: id },
    ...executorShape(executor, api.library.loadYaml),
  };
  const owner = ownerOf({ metadata: { name: id, uid: randomUUID() } });
  const named = (pod: V1Pod, name: string) => ({ ...pod, metadata: { ...pod.metadata, name } });
  const pods = { scheduler: named(schedulerPod(shape), id), worker: workerPod(shape, '0', owner) };
  if (shape.way === 'plain') return { job: schedulerJob(shape), ...pods };
  const job = keeperJob(shape);
  const { metadata = {}, spec } = job.spec?.template ?? {};
  const keeper = { apiVersion: 'v1', kind: 'Pod', metadata, ...(spec && { spec }) };
  return {
    ...{ job, ...pods },
    operated: { keeper: named(keeper, `${id}-keeper`), cluster: daskCluster(shape, owner) },
  };
}

/**
 * Has the API server go through the creation of all, and stop before it. Pods come back as they would be: with what the
 * namespace adds to them.
 */
async function tryOut(
  look: Look,
  trial: Trial,
  { missing, pods: mayCreatePods }: Allowed,
): Promise<{ readonly findings: readonly Finding[]; readonly pods: TrialPods }> {
  const { api, signal } = look;
  const { namespace } = api;
  const mayCreate = (resource: string) =>
    !missing.some((right) => right.resource === resource && right.verb === 'create');
  const options = api.until(signal);
  const findings: Finding[] = [];
  const attempt = async <T>(what: string, own: T, create: () => Promise<T>): Promise<T> => {
    try {
      return await create();
    } catch (error) {
      const finding = notTaken(what, error, look);
      // Where both pods are refused for the same reason, one of them tells enough.
      if (!findings.some(({ message }) => message === finding.message)) findings.push(finding);
      return own;
    }
  };
  const pod = async (what: string, body: V1Pod) =>
    mayCreatePods
      ? attempt(what, body, () => api.core.createNamespacedPod({ namespace, body, dryRun: 'All' }, options))
      : body;
  const { operated } = trial;
  const [scheduler, worker, keeper] = await Promise.all([
    pod('scheduler', trial.scheduler),
    pod('worker', trial.worker),
    operated && pod('keeper', operated.keeper),
    operated &&
      mayCreate(daskClusters.plural) &&
      attempt('DaskCluster', undefined, () => tryCluster(look, operated)),
    mayCreate('jobs') &&
      attempt('job', trial.job, () =>
        api.batch.createNamespacedJob({ namespace, body: trial.job, dryRun: 'All' }, options),
      ),
  ]);
  if (!mayCreatePods)
    findings.push({
      severity: 'info',
      message: 'Whether such pods are admitted is not known: that takes the right to create them',
    });
  return { findings, pods: { scheduler, worker, ...(keeper && { keeper }) } };
}

/** What its definition does not know is refused. Where there is no definition, that is told already. */
async function tryCluster(
  { api, signal }: Look,
  { cluster: body }: NonNullable<Trial['operated']>,
): Promise<undefined> {
  const how = { dryRun: 'All', fieldValidation: 'Strict', namespace: api.namespace };
  await unlessGone(
    api.custom.createNamespacedCustomObject({ ...daskClusters, body, ...how }, api.until(signal)),
  );
}

function notTaken(what: string, error: unknown, look: Look): Finding {
  // 400: a webhook that would do more than to look.
  if (codeOf(error) === 400 && /dry run/.test(reasonOf(error)))
    return { severity: 'info', message: `Whether such pods are admitted is not known: ${reasonOf(error)}` };
  if (look.signal.aborted || codeOf(error) === undefined)
    return unasked('what admission says of such pods', error, look);
  const finding = findingOf(refusalOf(error, look));
  if (!/^Kubernetes (refuses|does not take)/.test(finding.message)) return finding;
  return { ...finding, message: `${finding.message} (${what})` };
}

async function listQuotas(
  look: Look,
): Promise<{ readonly items: readonly V1ResourceQuota[] } | { readonly findings: readonly Finding[] }> {
  const { api, signal } = look;
  const { namespace } = api;
  try {
    return await api.core.listNamespacedResourceQuota({ namespace }, api.until(signal));
  } catch (error) {
    if (codeOf(error) !== 403) return { findings: [unasked('quotas', error, look)] };
    const message = `Quotas of ${namespace} may not be looked at: what they leave room for is not known`;
    return { findings: [{ severity: 'info', message }] };
  }
}

function judgeQuotas(
  quotas: readonly V1ResourceQuota[],
  { scheduler, worker, keeper }: TrialPods,
  executor: KubernetesExecutor,
): Finding[] {
  const amountsOf = (pod: V1Pod | undefined) => (pod?.spec ? podAmounts(pod.spec) : {});
  const [first, each, other] = [scheduler, worker, keeper].map(amountsOf);
  const isOperated = wayOf(executor) === 'operator';
  const wanted = startWorkers(executor);
  const most = executor.adapt_kwargs?.maximum ?? wanted;
  return quotas.flatMap((quota): Finding[] => {
    const name = quota.metadata?.name ?? '';
    const takes = [first, each].map((amounts) => counts(quota, amounts ?? {}));
    if (takes.includes(undefined))
      return [{ severity: 'info', message: `Whether the quota "${name}" counts such pods is not known` }];
    const left = leftOf(quota);
    const rest = [clusterAmounts, (takes[0] && first) || {}];
    if (isOperated) rest.push(operatedAmounts, (counts(quota, other ?? {}) && other) || {});
    const perWorker = { ...(takes[1] && each), ...(isOperated && operatedWorkerAmounts) };
    const room = roomFor(left, rest, perWorker);
    if (!room) return [];
    const { workers, by } = room;
    const why = `${by}: ${amountText(by, left[by] ?? 0)} left`;
    const hint = 'Ask for less in requests and limits, also of the scheduler, or end what runs there.';
    const actions = [executorSettings];
    if (workers < wanted) {
      const many = workers === 0 ? 'no worker' : `${workers} of ${plural(wanted, 'worker')}`;
      const message = `The quota "${name}" has room for ${many} (${why})`;
      return [{ severity: 'error', message, hint, actions }];
    }
    const message = `The quota "${name}" has room for ${plural(workers, 'such worker')} (${why})`;
    if (workers >= most) return [{ severity: 'good', message }];
    return [
      { severity: 'warning', message: `${message}; adaptive scaling may ask for ${most}`, hint, actions },
    ];
  });
}

async function lookAtReferences(look: Look, { scheduler, worker }: Trial): Promise<Finding[]> {
  const { api, signal } = look;
  // Its own files come with a cluster.
  const own = scheduler.metadata?.name;
  const specs = [scheduler, worker].flatMap(({ spec }) => spec ?? []);
  const references = referencesOf(specs).filter(({ name }) => name !== own);
  try {
    const there = await Promise.all(references.map((one) => isThere(api, one, signal)));
    const which = (state: boolean | undefined) => references.filter((_one, n) => there[n] === state);
    const [absent, unknown, present] = [which(false), which(undefined), which(true)];
    const findings = absent.map((one): Finding => {
      const message = `There is no ${nameOf(one)} in ${api.namespace}, for ${one.use}`;
      if (one.optional) return { severity: 'warning', message };
      return {
        severity: 'error',
        message,
        hint: 'Make it, or correct the executor.',
        actions: [executorSettings],
      };
    });
    if (present.length > 0)
      findings.push({
        severity: 'good',
        message: `What pods name is there: ${listed(present.map(nameOf), 6)}`,
      });
    if (unknown.length > 0)
      findings.push({
        severity: 'info',
        message: `Whether there is the ${listed(unknown.map(nameOf), 6)} may not be looked at`,
      });
    return findings;
  } catch (error) {
    return [unasked('what pods name', error, look)];
  }
}

const nameOf = ({ kind, name }: Reference) => `${kind} "${name}"`;

/** What could not be looked at, though nobody forbids it. */
function unasked(what: string, error: unknown, { signal }: Look): Finding {
  const why = signal.aborted ? `no answer within ${answerMs / 1000} s` : reasonOf(error);
  return { severity: 'warning', message: `Not known: ${what} (${why})` };
}

/** As the user can act on it. One that the look's own limit has ended is that of a server that does not answer. */
function refusalOf(error: unknown, { api, executor, signal }: Look): UserError {
  const told = signal.aborted ? Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }) : error;
  return apiError(told, api.place, `the executor "${executor.name}"`);
}
