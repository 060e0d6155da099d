import { executorSettings, UserError } from '../../../core/errors.ts';
import { runImage } from '../../../core/imageExecutor.ts';
import { type KubernetesExecutor, startWorkers, usualWorkers } from '../../../core/kubernetesExecutor.ts';
import { type ClusterShape, executorShape } from '../manifests.ts';

/** What may be chosen for a static cluster beside its executor. */
export interface DeploymentOptions {
  /** Only its own pods reach its workers, and only pods of its namespace its scheduler. */
  readonly networkPolicy: boolean;
  /** Its dashboard, which has no TLS, can be reached from other pods. */
  readonly dashboard: boolean;
}

/** A static cluster as it shall be. */
export interface DeploymentShape extends Pick<ClusterShape, 'threads' | 'memoryBytes' | 'templates'> {
  readonly name: string;
  readonly executor: KubernetesExecutor;
  readonly options: DeploymentOptions;
}

/** Names of all that a cluster may be made of. */
export interface DeploymentNames {
  readonly scheduler: string;
  readonly worker: string;
  /** Certificates of its members, and those of its clients. */
  readonly tls: string;
  readonly clientTls: string;
  /** Values of the executor's variables. */
  readonly env: string;
  readonly adaptive: string;
}

/** What follows the name of the cluster is at most ten characters, and services have names of at most 63. */
const namePattern = /^[a-z]([-a-z0-9]{0,51}[a-z0-9])?$/;

/** Why a cluster can't have that name; undefined if it can. */
export const nameProblem = (name: string): string | undefined =>
  namePattern.test(name)
    ? undefined
    : 'Lower-case letters, digits and “-”, beginning with a letter, at most 53 of them';

/** A name that clusters can have, from that of an executor. */
export function nameFrom(executor: string): string {
  const plain = executor
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 53)
    .replace(/-+$/, '');
  return plain || 'dask';
}

export const namesOf = (name: string): DeploymentNames => ({
  scheduler: `${name}-scheduler`,
  worker: `${name}-worker`,
  tls: `${name}-tls`,
  clientTls: `${name}-client-tls`,
  env: `${name}-env`,
  adaptive: `${name}-adaptive`,
});

/**
 * What an executor means as a static cluster.
 * @param parse reads YAML
 * @throws UserError `setting` if that can't be
 */
export function deploymentShape(
  name: string,
  executor: KubernetesExecutor,
  options: DeploymentOptions,
  parse: (text: string) => unknown,
): DeploymentShape {
  const problem = nameProblem(name);
  if (problem) throw failed(`“${name}” can't be the name of a cluster: ${problem}`, 'Choose another one.');
  if (executor.image === runImage)
    throw failed(
      `The executor "${executor.name}" takes the image of the run, and a static cluster is there before any run`,
      'Name an image.',
    );
  workerFlags(executor);
  return { name, executor, options, ...executorShape(executor, parse) };
}

const failed = (message: string, hint: string) =>
  new UserError('setting', message, { hint, action: executorSettings });

/** Keyword arguments of Dask's `Nanny` and `Worker` that `dask worker` has, by the names of its flags. */
const flags: Readonly<Record<string, string>> = {
  nthreads: '--nthreads',
  memory_limit: '--memory-limit',
  death_timeout: '--death-timeout',
  lifetime: '--lifetime',
  lifetime_stagger: '--lifetime-stagger',
  lifetime_restart: '--lifetime-restart',
  local_directory: '--local-directory',
  preload: '--preload',
  preload_nanny: '--preload-nanny',
  worker_class: '--worker-class',
};

/**
 * The executor's `worker_options` as arguments of `dask worker`.
 * @throws UserError `setting` if it has none for one of them
 */
export function workerFlags({ name, worker_options = {} }: KubernetesExecutor): string[] {
  return Object.entries(worker_options).flatMap(([key, value]) => {
    const flag = flags[key];
    const values = Array.isArray(value) ? value : [value];
    if (!flag || values.some((one) => !['string', 'number', 'boolean'].includes(typeof one)))
      throw failed(
        `worker_options.${key} of the executor "${name}" can't be told to a static cluster`,
        `Its workers are started by “dask worker”, which takes ${Object.keys(flags).join(', ')}.`,
      );
    if (value === true) return [flag];
    if (value === false) return [flag.replace('--', '--no-')];
    return values.flatMap((one) => [flag, String(one)]);
  });
}

/** Dask's abstract resources as arguments of `dask worker`. */
export function resourceFlags({ resources = {} }: KubernetesExecutor): string[] {
  const all = Object.entries(resources).map(([what, amount]) => `${what}=${amount}`);
  return all.length > 0 ? ['--resources', all.join(' ')] : [];
}

/** Workers that it has whatever the work asks for. */
export const leastWorkers = ({ executor }: DeploymentShape): number =>
  executor.adapt_kwargs ? (executor.adapt_kwargs.minimum ?? 0) : startWorkers(executor);

/**
 * Workers where nobody scales. Of an executor that adapts as many as it shall begin with, else as it may have: its minimum
 * may be 0, and runs would wait for ever.
 */
export function fixedWorkers({ executor }: DeploymentShape): number {
  const { n_workers, adapt_kwargs } = executor;
  if (!adapt_kwargs) return startWorkers(executor);
  return n_workers || adapt_kwargs.maximum || Math.max(adapt_kwargs.minimum ?? 0, usualWorkers);
}
