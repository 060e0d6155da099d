import { checkDocker } from '../backends/docker/check.ts';
import { checkKubernetes } from '../backends/kubernetes/check.ts';
import { type ClusterClassExecutor, className } from '../core/clusterClassExecutor.ts';
import type { Executor, ExistingExecutor } from '../core/executor.ts';
import type { FlowApiId } from '../core/flow.ts';
import { judgeArguments } from '../core/judgeArguments.ts';
import { type Finding, foundBy } from '../core/preflight/finding.ts';
import type { Security } from '../core/security.ts';
import { locateScheduler } from '../dask/locate.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import { type PreflightRequest, preflight, preflightSeconds } from './preflight.ts';
import { checkPackages, suitableHost } from './requirements.ts';

/** What a check of an executor takes. */
export interface CheckMeans {
  /** Of the interpreter that runs would have. */
  host(): Promise<PythonHost>;
  /** Certificates of an existing cluster, as far as they are known. */
  security(executor: ExistingExecutor): Promise<Security | undefined>;
  /** What is to run on it; absent: nothing in particular. */
  readonly flow?: PreflightRequest['flow'];
  readonly signal: AbortSignal;
  stage(text: string): void;
}

/**
 * Whether runs on an executor can begin, by what its kind needs: the interpreter, the engine and its image, Kubernetes, the
 * class and its arguments, the scheduler and its workers. Nothing is started. The worst comes first.
 */
export function checkExecutor(executor: Executor, means: CheckMeans): Promise<Finding[]> {
  return foundBy(() => look(executor, means), means.signal);
}

async function look(executor: Executor, means: CheckMeans): Promise<Finding[]> {
  const { signal, stage } = means;
  switch (executor.kind) {
    case 'local':
      return [await lookAtPython('dask', means)];
    case 'localDask':
      return [await lookAtPython('prefect1', means)];
    case 'docker':
      stage('asking the Docker engine');
      return checkDocker(executor, signal);
    case 'kubernetes':
      stage('asking Kubernetes');
      return checkKubernetes(executor, signal);
    case 'clusterClass':
      return lookAtClass(executor, means);
    case 'existing':
      return lookAtExisting(executor, means);
    default:
      return executor satisfies never;
  }
}

async function lookAtPython(api: FlowApiId, { host, stage }: CheckMeans): Promise<Finding> {
  stage('starting Python');
  const { executable, python, packages } = await (await host()).hello;
  checkPackages(executable, packages, api);
  const { distributed, prefect } = packages;
  const has = [`distributed ${distributed}`, ...(prefect ? [`Prefect ${prefect}`] : [])].join(' and ');
  return { severity: 'good', message: `Python ${python} of ${executable} has ${has}` };
}

async function lookAtClass(executor: ClusterClassExecutor, means: CheckMeans): Promise<Finding[]> {
  const python = await lookAtPython('dask', means);
  const { cluster_class, cluster_kwargs = {} } = executor;
  means.stage(`importing ${cluster_class}`);
  const host = await means.host();
  const description = await host.describeClass(cluster_class, means.signal, cluster_kwargs);
  const { problems, findings } = judgeArguments(cluster_kwargs, description);
  const refused = Object.values(problems).map((message): Finding => ({ severity: 'error', message }));
  const imported: Finding = { severity: 'good', message: `${cluster_class} can be imported` };
  const takes: Finding = {
    severity: 'good',
    message: `${className(executor)} takes what it is to be called with`,
  };
  return [python, imported, ...(refused.length > 0 ? refused : [takes]), ...findings];
}

async function lookAtExisting(executor: ExistingExecutor, means: CheckMeans): Promise<Finding[]> {
  const { flow, signal, stage } = means;
  stage(`asking ${executor.address}`);
  const security = await means.security(executor);
  const found = await locateScheduler(executor.address, { signal, security });
  if (found.kind === 'certificates') {
    const { message, hint } = found.error;
    const ask = 'Name them in security; without that you are asked for them when you attach.';
    return [{ severity: security ? 'error' : 'warning', message, hint: security ? (hint ?? ask) : ask }];
  }
  const { address } = found;
  const answers: Finding = { severity: 'good', message: `The scheduler at ${address} answers` };
  stage('starting Python');
  const known = await means.host();
  const host = flow ? await suitableHost(known, () => means.host(), flow.api) : known;
  await host.whenReady();
  stage(`asking the scheduler and its workers (at most ${preflightSeconds} s)`);
  const handle = { address, ...(security && { security }) };
  const cluster = { ownership: 'discovered' } as const;
  return [
    answers,
    ...(await preflight({ host, cluster, handle, ...(flow && { flow }), brief: false, signal })),
  ];
}
