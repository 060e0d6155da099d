import * as z from 'zod/mini';
import { longestStartSeconds, runImage } from './imageExecutor.ts';
import type { AdaptLimits } from './scaling.ts';

/** A cluster of a class that the user names, or of a function that makes one. Keys are those of Prefect. */
export interface ClusterClassExecutor {
  readonly name: string;
  readonly kind: 'clusterClass';
  /**
   * Import path, as `dask_jobqueue.SLURMCluster` or `my_module.make_cluster`, in the user's interpreter; or a file and
   * what it defines, as `flows/my-etl.py:make_cluster`, from the workspace folder on.
   */
  readonly cluster_class: string;
  /**
   * What it is called with. A value beside JSON's is `{ "$import": path }`: the object of that path; with `args` or `kwargs`
   * what that gives when it is called with them.
   */
  readonly cluster_kwargs?: Readonly<Record<string, unknown>> | undefined;
  /** What its `scale` is called with once it is there. Absent: what it makes by itself. */
  readonly n_workers?: number | undefined;
  /** What its `adapt` is called with. */
  readonly adapt_kwargs?: AdaptLimits | undefined;
  /** Seconds until it has to be there. Absent: five minutes. */
  readonly start_timeout?: number | undefined;
}

const usualStartSeconds = 300;

export const classStartSeconds = ({ start_timeout = usualStartSeconds }: ClusterClassExecutor): number =>
  start_timeout;

/** The module or file of a path, and what it is called there. Without a colon the last name is taken for what that is. */
export function splitImportPath(path: string): { readonly module: string; readonly name: string } {
  const at = path.includes(':') ? path.lastIndexOf(':') : path.lastIndexOf('.');
  return { module: path.slice(0, at), name: path.slice(at + 1) };
}

/** The last name of its import path: `SLURMCluster`. */
export const className = ({ cluster_class }: ClusterClassExecutor): string =>
  splitImportPath(cluster_class).name;

/** How many workers it says it starts with, if it does. */
export function classWorkers({ n_workers, cluster_kwargs }: ClusterClassExecutor): number | undefined {
  const given = n_workers ?? cluster_kwargs?.n_workers;
  return typeof given === 'number' ? given : undefined;
}

/** The arguments with the run's image in place of what stands for it; undefined if that is wanted and not known. */
export function kwargsWithImage(
  kwargs: Readonly<Record<string, unknown>>,
  image: string | undefined,
): Readonly<Record<string, unknown>> | undefined {
  let missing = false;
  const filled = (value: unknown): unknown => {
    if (value === runImage) {
      missing ||= image === undefined;
      return image;
    }
    if (Array.isArray(value)) return value.map(filled);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, filled(of)]));
  };
  const all = Object.fromEntries(Object.entries(kwargs).map(([key, value]) => [key, filled(value)]));
  return missing ? undefined : all;
}

const name = '[\\p{L}_][\\p{L}\\p{N}_]*';
const names = `${name}(\\.${name})*`;
const importPath = new RegExp(`^${names}[.:]${names}$`, 'u');
const classPath = new RegExp(`^(${names}[.:]|[^\\n]+\\.py:)${names}$`, 'u');
const moduleName = new RegExp(`^${name}$`, 'u');

/** Whether it names a file and what that defines, and no module. */
export const isFilePath = (path: string): boolean => splitImportPath(path).module.endsWith('.py');

/**
 * How settings name what a file defines: by its import path where a program in the workspace folder could import it, else
 * by the file.
 * @param file its path with slashes, from the workspace folder on if it is in there
 * @param packages the folders, named in the same way, that have an `__init__.py`
 */
export function definitionPath(file: string, defined: string, packages: ReadonlySet<string>): string {
  const parts = file.replace(/\.py$/, '').split('/');
  const folders = parts.slice(0, -1).map((_, i) => parts.slice(0, i + 1).join('/'));
  const isModule = parts.every((part) => moduleName.test(part)) && folders.every((one) => packages.has(one));
  if (!isModule) return `${file}:${defined}`;
  return [...(parts.at(-1) === '__init__' ? parts.slice(0, -1) : parts), defined].join('.');
}

/** Fields beside `name`, `kind`, and those of its number of workers. */
export const clusterClassFields = {
  cluster_class: z.string().check(z.regex(classPath)),
  cluster_kwargs: z.optional(z.record(z.string(), z.unknown())).check((context) => {
    const problem = problemOf(context.value ?? {});
    if (problem) context.issues.push({ code: 'custom', input: context.value, message: problem });
  }),
  start_timeout: z.optional(z.int().check(z.gte(1), z.lte(longestStartSeconds))),
};

/** What a field must be, in words. */
export const clusterClassExpectations: Readonly<Record<string, string>> = {
  cluster_class:
    'the import path of a cluster class, or of a function that makes a cluster, such as "dask_jobqueue.SLURMCluster" or "flows/etl.py:make_cluster"',
  cluster_kwargs: 'an object of keyword arguments',
  start_timeout: `a whole number of seconds from 1 to ${longestStartSeconds}`,
};

function problemOf(kwargs: Readonly<Record<string, unknown>>): string | undefined {
  // As with Prefect's task runner.
  if ('asynchronous' in kwargs)
    return '"asynchronous" is not to be given: it is set when the class is called';
  return Object.values(kwargs).map(problemOfValue).find(Boolean);
}

function problemOfValue(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.map(problemOfValue).find(Boolean);
  if (typeof value !== 'object' || value === null) return undefined;
  if ('$import' in value) {
    const { $import, args = [], kwargs = {}, ...rest } = value as Record<string, unknown>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined)
      return `a value with "$import" may have "args" and "kwargs" besides, not "${unknown}"`;
    if (typeof $import !== 'string' || !importPath.test($import))
      return '"$import" must be an import path, such as "datetime.timedelta"';
    if (!Array.isArray(args)) return '"args" of a value with "$import" must be a list';
    if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs))
      return '"kwargs" of a value with "$import" must be an object';
  }
  return Object.values(value).map(problemOfValue).find(Boolean);
}
