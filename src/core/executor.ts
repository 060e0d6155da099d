import * as z from 'zod/mini';

/** A named way of running flows on local processes. Keys are those of Dask's `LocalCluster`; absent is Dask's default. */
export interface LocalExecutor {
  readonly name: string;
  readonly kind: 'local';
  readonly n_workers?: number | undefined;
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

export type Executor = LocalExecutor | ExistingExecutor;

/** What there is without settings. */
export const builtinExecutor: LocalExecutor = { name: 'local', kind: 'local' };

const memoryText = /^(auto|\d+(\.\d+)?\s*([kmgtp]i?b?|b)?)$/i;

const executorName = z.string().check(z.minLength(1), z.maxLength(60));
const path = z.string().check(z.minLength(1));

const localSchema = z.strictObject({
  name: executorName,
  kind: z.literal('local'),
  n_workers: z.optional(z.int().check(z.gte(1), z.lte(4096))),
  threads_per_worker: z.optional(z.int().check(z.gte(1), z.lte(1024))),
  processes: z.optional(z.boolean()),
  memory_limit: z.optional(z.union([z.number().check(z.gte(0)), z.string().check(z.regex(memoryText))])),
  scheduler_port: z.optional(z.int().check(z.gte(0), z.lte(65535))),
});

const existingSchema = z.strictObject({
  name: executorName,
  kind: z.literal('existing'),
  address: z.string().check(z.minLength(1)),
  security: z.optional(z.strictObject({ ca: path, cert: z.optional(path), key: z.optional(path) })),
});

const executorSchema = z.discriminatedUnion('kind', [localSchema, existingSchema]);

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
}

/**
 * Reads the settings `flowClusters.executors` and `flowClusters.defaultExecutor`. A bad profile is reported
 * and left out; the others stay. The built-in `local` is always there unless a profile takes its name.
 */
export function readExecutors(executors: unknown, defaultName: unknown): ExecutorSet {
  const good: Executor[] = [];
  const problems: ExecutorProblem[] = [];
  if (executors !== undefined && !Array.isArray(executors)) {
    problems.push({ where: 'flowClusters.executors', message: 'must be a list' });
  }
  for (const [i, raw] of (Array.isArray(executors) ? executors : []).entries()) {
    const where = nameOf(raw) ?? `executor ${i + 1}`;
    const parsed = executorSchema.safeParse(raw);
    if (!parsed.success) problems.push({ where, message: explain(parsed.error) });
    else if (good.some((e) => e.name === parsed.data.name))
      problems.push({ where, message: 'this name is taken' });
    else good.push(parsed.data);
  }
  if (!good.some((e) => e.name === builtinExecutor.name)) good.push(builtinExecutor);
  const wanted = typeof defaultName === 'string' && defaultName !== '' ? defaultName : undefined;
  const found = good.find((e) => e.name === wanted);
  if (wanted && !found) {
    problems.push({ where: 'flowClusters.defaultExecutor', message: `no executor is called "${wanted}"` });
  }
  return { executors: good, defaultName: (found ?? good[0] ?? builtinExecutor).name, problems };
}

function nameOf(raw: unknown): string | undefined {
  if (typeof raw !== 'object' || raw === null || !('name' in raw)) return undefined;
  return typeof raw.name === 'string' && raw.name !== '' ? raw.name : undefined;
}

const expected: Record<string, string> = {
  name: 'a name of 1 to 60 characters',
  kind: '"local" or "existing"',
  n_workers: 'a whole number from 1 to 4096',
  threads_per_worker: 'a whole number from 1 to 1024',
  processes: 'true or false',
  memory_limit: '"auto", a number of bytes, a fraction, or text such as "4GiB"',
  address: 'the address of a scheduler, such as "tcp://10.0.0.5:8786"',
  security: 'an object with the paths "ca", "cert" and "key" of PEM files',
  scheduler_port: 'a port from 0 to 65535 (0: any free one)',
};

function explain(error: z.core.$ZodError): string {
  return error.issues
    .map((issue) => {
      if (issue.code === 'unrecognized_keys')
        return `unknown option ${issue.keys.map((k) => `"${k}"`).join(', ')}`;
      const key = String(issue.path[0] ?? '');
      return key === '' ? 'must be an object' : `${key} must be ${expected[key] ?? issue.message}`;
    })
    .join('; ');
}

/** The executor in a few words: `2 workers × 2 threads · 4GiB`. */
export function describeExecutor(executor: Executor): string {
  if (executor.kind === 'existing') return `existing · ${executor.address}`;
  const { n_workers, threads_per_worker, processes, memory_limit } = executor;
  const workers = n_workers === undefined ? undefined : plural(n_workers, 'worker');
  const threads = threads_per_worker === undefined ? undefined : plural(threads_per_worker, 'thread');
  const size =
    workers && threads ? `${workers} × ${threads}` : (workers ?? (threads && `${threads} per worker`));
  const parts = [
    executor.kind,
    size ?? 'sized by the cores',
    processes === false ? 'threads in one process' : undefined,
    memory_limit === undefined ? undefined : String(memory_limit),
  ];
  return parts.filter((part) => part !== undefined).join(' · ');
}

/** `1 worker`, `2 workers`. */
export function plural(n: number, noun: string): string {
  return `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
}
