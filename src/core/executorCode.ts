import { type Address, overTls, parseAddress } from './address.ts';
import { clientCode, securityCode } from './clientCode.ts';
import { type ClusterClassExecutor, isFilePath, splitImportPath } from './clusterClassExecutor.ts';
import { UserError } from './errors.ts';
import type { Executor, ExistingExecutor, LocalExecutor } from './executor.ts';
import { runImage } from './imageExecutor.ts';
import { PythonCall, PythonName, type PythonValue, pythonSource } from './pythonSource.ts';

/** Whose words the code is in: `DaskExecutor`, `DaskTaskRunner`, or `Client` and a cluster. */
export type CodeApi = 'prefect1' | 'prefect3' | 'dask';

/** The lines, or why there are none. */
type Code = { readonly code: string } | { readonly why: string };

/**
 * An executor as the lines of Python that do the same without this extension, without an end of line after the last one.
 * Undefined where there is no such code. Prefect 2 and 3 have the same words.
 */
export function executorCode(executor: Executor, api: CodeApi): string | undefined {
  const found = codeOf(executor, api);
  return 'code' in found ? found.code : undefined;
}

/** Why there is no such code, in a sentence or two; undefined where there is. */
export function whyNoCode(executor: Executor, api: CodeApi): string | undefined {
  const found = codeOf(executor, api);
  return 'why' in found ? found.why : undefined;
}

function codeOf(executor: Executor, api: CodeApi): Code {
  switch (executor.kind) {
    case 'local':
      return { code: api === 'dask' ? localScript(executor) : taskRunner(api, localArguments(executor)) };
    case 'clusterClass':
      return classCode(executor, api);
    case 'existing':
      return existingCode(executor, api);
    case 'localDask': {
      if (api !== 'prefect1') return { why: 'Its LocalDaskExecutor is there for Prefect 1 alone.' };
      const { scheduler, num_workers } = executor;
      const call = new PythonCall('LocalDaskExecutor', { scheduler, num_workers });
      const head = 'flow.executor = ';
      return {
        code: `from prefect.executors import LocalDaskExecutor\n\n${head}${pythonSource(call, head)}`,
      };
    }
    case 'kubernetes':
      return {
        why: 'Configure Executors has it for KubeCluster. Or start a static cluster, and let your code connect to that: Insert Client Code on its row.',
      };
    default:
      return {
        why: 'Dask has no class that does this. Start a static cluster from it, and let your code connect to that: Insert Client Code on its row.',
      };
  }
}

/** Of a task runner or an executor of Prefect, both of which have the same keywords. */
type Arguments = ConstructorParameters<typeof PythonCall>[1];

/** @param before lines in front of it */
export function taskRunner(
  api: Exclude<CodeApi, 'dask'>,
  keywords: Arguments,
  before: readonly string[] = [],
): string {
  const [from, callee, target] =
    api === 'prefect1'
      ? ['prefect.executors', 'DaskExecutor', 'flow.executor']
      : ['prefect_dask', 'DaskTaskRunner', 'task_runner'];
  const head = `${target} = `;
  return [
    ...before,
    `from ${from} import ${callee}`,
    '',
    `${head}${pythonSource(new PythonCall(callee, keywords), head)}`,
    ...(api === 'prefect1' ? [] : ['# @flow(task_runner=task_runner)']),
  ].join('\n');
}

const clusterArguments = ({
  n_workers,
  threads_per_worker,
  processes,
  memory_limit,
  scheduler_port,
}: LocalExecutor) => ({ n_workers, threads_per_worker, processes, memory_limit, scheduler_port });

const some = (of: Arguments): Arguments | undefined =>
  Object.values(of).some((value) => value !== undefined) ? of : undefined;

/** As Prefect takes them: it scales by itself only if there is something in them. */
const prefectLimits = (limits: LocalExecutor['adapt_kwargs']): Arguments | undefined =>
  limits && (some({ ...limits }) ?? { minimum: 0 });

const localArguments = (executor: LocalExecutor): Arguments => ({
  cluster_kwargs: some(clusterArguments(executor)),
  adapt_kwargs: prefectLimits(executor.adapt_kwargs),
});

function localScript(executor: LocalExecutor): string {
  const call = new PythonCall('LocalCluster', clusterArguments(executor));
  return script(['from distributed import Client, LocalCluster'], call, executor);
}

/** @param calls what it is told once it is there */
function script(
  imports: readonly string[],
  cluster: PythonCall,
  calls: Pick<LocalExecutor, 'adapt_kwargs'> & { readonly scale?: number | undefined },
): string {
  const head = '    cluster = ';
  const { adapt_kwargs, scale } = calls;
  return [
    ...imports,
    '',
    '# Workers are processes that import this file: nothing may start outside of this.',
    'if __name__ == "__main__":',
    `${head}${pythonSource(cluster, head)}`,
    ...(scale === undefined ? [] : [`    cluster.scale(${scale})`]),
    ...(adapt_kwargs
      ? [`    ${pythonSource(new PythonCall('cluster.adapt', { ...adapt_kwargs }), '    ')}`]
      : []),
    '    client = Client(cluster)',
  ].join('\n');
}

function classCode(executor: ClusterClassExecutor, api: CodeApi): Code {
  const { cluster_class, cluster_kwargs, n_workers, adapt_kwargs } = executor;
  if (!isPlain(cluster_kwargs)) return { why: 'Values that it is called with are made only when it starts.' };
  if (isFilePath(cluster_class))
    return {
      why: 'It is named by its file. Where that can be imported, its import path has code: module.name.',
    };
  const { module, name } = splitImportPath(cluster_class);
  if (api === 'dask') {
    const imports = ['from distributed import Client', `from ${module} import ${name.split('.')[0]}`];
    const call = new PythonCall(name, cluster_kwargs ?? {});
    return { code: script(imports, call, { adapt_kwargs, scale: n_workers }) };
  }
  if (n_workers !== undefined)
    return { why: 'Prefect has no word for n_workers, which is given to its scale: only for adapt_kwargs.' };
  if (cluster_class.includes(':') && name.includes('.'))
    return { why: `Prefect finds only what stands in a module by itself, not ${name}.` };
  const limits = prefectLimits(adapt_kwargs);
  // Prefect 2 and 3 know no colons.
  const words = { cluster_class: `${module}.${name}`, cluster_kwargs, adapt_kwargs: limits };
  return { code: taskRunner(api, words) };
}

type PlainArguments = Readonly<Record<string, PythonValue>> | undefined;

function isPlain(kwargs: ClusterClassExecutor['cluster_kwargs']): kwargs is PlainArguments {
  const plain = (value: unknown): boolean =>
    value !== runImage &&
    (typeof value !== 'object' ||
      value === null ||
      (!('$import' in value) && Object.values(value).every(plain)));
  return plain(kwargs);
}

/** The same with certificates that code must not name: it has places for them, which the user fills in. */
export function withoutFiles({ name, kind, address }: ExistingExecutor): ExistingExecutor {
  const read = readOr(address);
  return { name, kind, address: 'text' in read ? overTls(read).text : address };
}

/** Dask asks for a port, and for TLS by the scheme: neither has to be in the settings. */
function existingCode({ address, security }: ExistingExecutor, api: CodeApi): Code {
  const read = readOr(address);
  if ('why' in read) return read;
  const target = { address: (security ? overTls(read) : read).text, files: security };
  const secured = securityCode(target);
  if (api === 'dask') return { code: clientCode(target) };
  const client_kwargs = secured && { security: new PythonName('security') };
  return { code: taskRunner(api, { address: target.address, client_kwargs }, secured && [...secured, '']) };
}

/** A dashboard's URL, say, is enough for this extension, which asks there for the scheduler. */
function readOr(address: string): Address | { readonly why: string } {
  try {
    return parseAddress(address);
  } catch (error) {
    if (error instanceof UserError) return { why: [error.message, error.hint].filter(Boolean).join(' ') };
    throw error;
  }
}
