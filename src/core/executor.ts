import * as z from 'zod/mini';
import {
  type ClusterClassExecutor,
  classWorkers,
  clusterClassExpectations,
  clusterClassFields,
} from './clusterClassExecutor.ts';
import { type DockerExecutor, dockerExpectations, dockerFields } from './dockerExecutor.ts';
import { imageExpectations, runImage } from './imageExecutor.ts';
import { type KubernetesExecutor, kubernetesExpectations, kubernetesFields } from './kubernetesExecutor.ts';
import {
  type AdaptLimits,
  type Advice,
  adviseLimits,
  adviseNumber,
  limitsSize,
  type Machine,
} from './scaling.ts';

/** A named way of running flows on local processes. Keys are those of Dask's `LocalCluster`; absent is Dask's default. */
export interface LocalExecutor {
  readonly name: string;
  readonly kind: 'local';
  /** With `adapt_kwargs` the start size. */
  readonly n_workers?: number | undefined;
  /** As for `LocalCluster.adapt`: as many workers as the work asks for. Absent: a fixed number. */
  readonly adapt_kwargs?: AdaptLimits | undefined;
  readonly threads_per_worker?: number | undefined;
  /** False: worker threads in one process. */
  readonly processes?: boolean | undefined;
  /** Per worker, as Dask reads it: `auto`, bytes, a fraction of the machine, or text such as `4GiB`. */
  readonly memory_limit?: string | number | undefined;
  /** 0 or absent: any free port. */
  readonly scheduler_port?: number | undefined;
}

/** Files of the certificates for a `tls://` or `wss://` scheduler; keys as in `Security` of `distributed`. */
export interface SecurityFiles {
  readonly ca: string;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** A cluster that is there already, by the address of its scheduler. */
export interface ExistingExecutor {
  readonly name: string;
  readonly kind: 'existing';
  readonly address: string;
  readonly security?: SecurityFiles | undefined;
}

/** No cluster at all: Prefect 1 runs the tasks itself. Keys are those of its `LocalDaskExecutor`. */
export interface LocalDaskExecutor {
  readonly name: string;
  readonly kind: 'localDask';
  /** Absent is Prefect's default, threads. */
  readonly scheduler?: 'threads' | 'processes' | undefined;
  /** Absent: one for each core. */
  readonly num_workers?: number | undefined;
}

/** One that clusters are made from. */
export type OwnExecutor = LocalExecutor | DockerExecutor | KubernetesExecutor | ClusterClassExecutor;
export type Executor = OwnExecutor | ExistingExecutor | LocalDaskExecutor;

/** Whether clusters are made from it: a temporary one for each run, or static ones. */
export function makesClusters(executor: Executor): executor is OwnExecutor {
  return executor.kind !== 'existing' && executor.kind !== 'localDask';
}

/** What there is without settings. */
export const builtinExecutor: LocalExecutor = { name: 'local', kind: 'local' };

const memoryText = /^(auto|\d+(\.\d+)?\s*([kmgtp]i?b?|b)?)$/i;

/** Characters of an executor's name. */
export const longestName = 60;

const executorName = z.string().check(z.minLength(1), z.maxLength(longestName));
const path = z.string().check(z.minLength(1));
const count = z.optional(z.nullable(z.int()));
const limits = z.strictObject({ minimum: count, maximum: count }).check((context) => {
  const bad = adviseLimits(context.value).find(({ severity }) => severity === 'error');
  if (bad) context.issues.push({ code: 'custom', input: context.value, message: bad.message });
});

const sizeFields = {
  n_workers: z.optional(z.int().check(z.gte(1), z.lte(4096))),
  adapt_kwargs: z.optional(limits),
  threads_per_worker: z.optional(z.int().check(z.gte(1), z.lte(1024))),
};

const localSchema = z.strictObject({
  name: executorName,
  kind: z.literal('local'),
  ...sizeFields,
  processes: z.optional(z.boolean()),
  memory_limit: z.optional(z.union([z.number().check(z.gte(0)), z.string().check(z.regex(memoryText))])),
  scheduler_port: z.optional(z.int().check(z.gte(0), z.lte(65535))),
});

const dockerSchema = z.strictObject({
  name: executorName,
  kind: z.literal('docker'),
  ...sizeFields,
  ...dockerFields,
});

const kubernetesSchema = z.strictObject({
  name: executorName,
  kind: z.literal('kubernetes'),
  ...sizeFields,
  ...kubernetesFields,
});

const { n_workers, adapt_kwargs } = sizeFields;
const clusterClassSchema = z
  .strictObject({
    name: executorName,
    kind: z.literal('clusterClass'),
    ...{ n_workers, adapt_kwargs },
    ...clusterClassFields,
  })
  .check((context) => {
    const { value } = context;
    if (value.n_workers === undefined || value.cluster_kwargs?.n_workers === undefined) return;
    const message = 'is in "cluster_kwargs" too: say it once';
    context.issues.push({ code: 'custom', input: value, path: ['n_workers'], message });
  });

const existingSchema = z.strictObject({
  name: executorName,
  kind: z.literal('existing'),
  address: z.string().check(z.minLength(1)),
  security: z.optional(z.strictObject({ ca: path, cert: z.optional(path), key: z.optional(path) })),
});

const localDaskSchema = z.strictObject({
  name: executorName,
  kind: z.literal('localDask'),
  scheduler: z.optional(z.enum(['threads', 'processes'])),
  num_workers: z.optional(z.int().check(z.gte(1), z.lte(1024))),
});

const executorSchema = z.discriminatedUnion('kind', [
  localSchema,
  dockerSchema,
  kubernetesSchema,
  clusterClassSchema,
  existingSchema,
  localDaskSchema,
]);

/** A profile that could not be used, and why. */
export interface ExecutorProblem {
  /** Its name, or its place in the setting. */
  readonly where: string;
  readonly message: string;
}

export interface ExecutorSet {
  readonly executors: readonly Executor[];
  readonly defaultName: string;
  readonly problems: readonly ExecutorProblem[];
  /** By the executor's name: what is to be known before it is started. */
  readonly advice?: Readonly<Record<string, readonly Advice[]>>;
  /** What an hour of a worker elsewhere costs, in the user's own currency; absent if the user has not said. */
  readonly workerHourPrice?: number;
}

/**
 * Reads the settings `flowClusters.executors` and `flowClusters.defaultExecutor`. A bad profile is reported
 * and left out; the others stay. The built-in `local` is always there unless a profile takes its name.
 * @param machine where local clusters are started, if it is known
 */
export function readExecutors(executors: unknown, defaultName: unknown, machine?: Machine): ExecutorSet {
  const good: Executor[] = [];
  const problems: ExecutorProblem[] = [];
  if (executors !== undefined && !Array.isArray(executors)) {
    problems.push({ where: 'flowClusters.executors', message: 'must be a list' });
  }
  for (const [i, raw] of (Array.isArray(executors) ? executors : []).entries()) {
    const where = nameOf(raw) ?? `executor ${i + 1}`;
    const read = readExecutor(raw);
    if ('problems' in read)
      problems.push({ where, message: read.problems.map(({ message }) => message).join('; ') });
    else if (good.some((e) => e.name === read.executor.name)) problems.push({ where, message: nameTaken });
    else good.push(read.executor);
  }
  if (!good.some((e) => e.name === builtinExecutor.name)) good.push(builtinExecutor);
  const wanted = typeof defaultName === 'string' && defaultName !== '' ? defaultName : undefined;
  const found = good.find((e) => e.name === wanted);
  if (wanted && !found) {
    problems.push({ where: 'flowClusters.defaultExecutor', message: `no executor is called "${wanted}"` });
  }
  const advised = good.map((one) => [one.name, adviseExecutor(one, machine)] as const);
  const advice = Object.fromEntries(advised.filter(([, of]) => of.length > 0));
  return {
    executors: good,
    defaultName: (found ?? good[0] ?? builtinExecutor).name,
    problems,
    ...(Object.keys(advice).length > 0 && { advice }),
  };
}

/** Said of a second executor of a name. */
export const nameTaken = 'this name is taken';

/** What is wrong with an option of an executor. */
export interface OptionProblem {
  /** Keys that lead to it; none: the executor as a whole. */
  readonly path: readonly string[];
  /** Names the option. */
  readonly message: string;
}

/** Reads one executor as settings have it. */
export function readExecutor(
  raw: unknown,
): { readonly executor: Executor } | { readonly problems: readonly OptionProblem[] } {
  const parsed = executorSchema.safeParse(raw);
  return parsed.success
    ? { executor: parsed.data }
    : { problems: parsed.error.issues.map((issue) => explain(issue, kindOf(raw))) };
}

const kindOf = (raw: unknown): unknown => (raw as { kind?: unknown } | null)?.kind;

function nameOf(raw: unknown): string | undefined {
  if (typeof raw !== 'object' || raw === null || !('name' in raw)) return undefined;
  return typeof raw.name === 'string' && raw.name !== '' ? raw.name : undefined;
}

const expected: Record<string, string> = {
  name: `a name of 1 to ${longestName} characters`,
  kind: '"local", "docker", "kubernetes", "clusterClass", "existing" or "localDask"',
  n_workers: 'a whole number from 1 to 4096',
  adapt_kwargs: 'an object with "minimum" and "maximum", each a whole number or null',
  threads_per_worker: 'a whole number from 1 to 1024',
  processes: 'true or false',
  memory_limit: '"auto", a number of bytes, a fraction, or text such as "4GiB"',
  address: 'the address of a scheduler, such as "tcp://10.0.0.5:8786"',
  security: 'an object with the paths "ca", "cert" and "key" of PEM files',
  scheduler: '"threads" or "processes"',
  num_workers: 'a whole number from 1 to 1024',
  scheduler_port: 'a port from 0 to 65535 (0: any free one)',
};

/** Of fields that only one kind has, or that mean another thing there. */
const expectedOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  docker: { ...imageExpectations, ...dockerExpectations },
  kubernetes: { ...imageExpectations, ...kubernetesExpectations },
  clusterClass: clusterClassExpectations,
};

function explain(issue: z.core.$ZodIssue, kind: unknown): OptionProblem {
  const words = { ...expected, ...expectedOf[String(kind)] };
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return { path, message: `unknown option ${issue.keys.map((k) => `"${k}"`).join(', ')}` };
  const [key = ''] = path;
  if (issue.code === 'custom') return { path, message: `${key}: ${issue.message}` };
  return {
    path,
    message: key === '' ? 'must be an object' : `${key} must be ${words[key] ?? issue.message}`,
  };
}

/** What is to be known of an executor before anything is started from it, the gravest first. */
export function adviseExecutor(executor: Executor, machine?: Machine): Advice[] {
  if (!makesClusters(executor)) return [];
  const { n_workers, adapt_kwargs } = executor;
  const { threads_per_worker, memory_limit } = workerOf(executor);
  // What other machines have is known when they answer.
  if (executor.kind !== 'local') machine = undefined;
  const worker = { threads: threads_per_worker, memoryBytes: memoryOf(memory_limit, machine) };
  if (!adapt_kwargs) return n_workers === undefined ? [] : adviseNumber(n_workers, machine, worker);
  const advice = adviseLimits(adapt_kwargs, machine, worker);
  const minimum = adapt_kwargs.minimum ?? 0;
  const maximum = adapt_kwargs.maximum ?? Number.POSITIVE_INFINITY;
  if (n_workers !== undefined && (n_workers < minimum || n_workers > maximum)) {
    const message = `It starts with ${plural(n_workers, 'worker')}; adaptive scaling then goes within its limits.`;
    advice.push({ severity: 'info', message });
  }
  return advice;
}

/** What is said of each worker; of a class nobody but itself knows what its arguments mean. */
function workerOf(executor: OwnExecutor): Pick<LocalExecutor, 'threads_per_worker' | 'memory_limit'> {
  return executor.kind === 'clusterClass' ? {} : executor;
}

/** What an executor's pick warns of, as a field of it; nothing if there is nothing. */
export function warningDetail({ advice = {} }: ExecutorSet, name: string): { readonly detail?: string } {
  const warnings = (advice[name] ?? []).filter(({ severity }) => severity === 'warning');
  return warnings.length > 0 ? { detail: warnings.map(({ message }) => message).join(' ') } : {};
}

/** Bytes that Dask reads in a `memory_limit`; undefined where it chooses itself. */
export function memoryOf(limit: string | number | undefined, machine?: Machine): number | undefined {
  if (limit === undefined) return undefined;
  if (typeof limit === 'number') {
    if (Number.isInteger(limit) || limit > 1) return limit;
    return machine && limit * machine.memoryBytes;
  }
  const [, value, prefix = '', i] = /^([\d.]+)\s*([kmgtp]?)(i?)b?$/i.exec(limit) ?? [];
  if (value === undefined) return undefined;
  return Number(value) * (i ? 1024 : 1000) ** ' kmgtp'.indexOf(prefix.toLowerCase() || ' ');
}

/** The executor in a few words: `2 workers × 2 threads · 4GiB`. */
export function describeExecutor(executor: Executor): string {
  if (executor.kind === 'existing') return `existing · ${executor.address}`;
  if (executor.kind === 'localDask') return describeLocalDask(executor);
  if (executor.kind === 'clusterClass') return describeClass(executor);
  const processes = executor.kind === 'local' ? executor.processes : undefined;
  const { n_workers, adapt_kwargs, threads_per_worker, memory_limit } = executor;
  const workers = n_workers === undefined || adapt_kwargs ? undefined : plural(n_workers, 'worker');
  const threads = threads_per_worker === undefined ? undefined : plural(threads_per_worker, 'thread');
  const size =
    workers && threads ? `${workers} × ${threads}` : (workers ?? (threads && `${threads} per worker`));
  const adaptive = adapt_kwargs && limitsSize(adapt_kwargs);
  const parts = [
    executor.kind,
    executor.kind === 'kubernetes' && executor.operator ? 'by the operator' : undefined,
    executor.kind === 'local' ? undefined : imageText(executor.image),
    adaptive,
    size ?? (adaptive ? undefined : executor.kind === 'kubernetes' ? '2 workers' : 'sized by the cores'),
    processes === false ? 'threads in one process' : undefined,
    memory_limit === undefined ? undefined : String(memory_limit),
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

function describeClass(executor: ClusterClassExecutor): string {
  const { kind, cluster_class, adapt_kwargs } = executor;
  const workers = classWorkers(executor);
  const size = adapt_kwargs ? limitsSize(adapt_kwargs) : workers !== undefined && plural(workers, 'worker');
  return [kind, cluster_class, size].filter(Boolean).join(' · ');
}

const imageText = (image: string) => (image === runImage ? 'the run’s own image' : image);

function describeLocalDask({ scheduler = 'threads', num_workers }: LocalDaskExecutor): string {
  const noun = scheduler === 'threads' ? 'thread' : 'process';
  const size = num_workers === undefined ? `a ${noun} per core` : plural(num_workers, noun);
  return `localDask · ${size} · no cluster`;
}

/** `1 worker`, `2 workers`. */
export function plural(n: number, noun: string): string {
  const ending = n === 1 ? '' : noun.endsWith('s') ? 'es' : 's';
  return `${n.toLocaleString('en')} ${noun}${ending}`;
}
