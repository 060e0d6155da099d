import * as z from 'zod/mini';
import type { AdaptLimits } from './scaling.ts';

/** A cluster in containers. Keys are those of Dask's workers and of Compose files. */
export interface DockerExecutor {
  readonly name: string;
  readonly kind: 'docker';
  /** An image with `distributed` for Python 3.8 or later, or {@link runImage}. */
  readonly image: string;
  readonly n_workers?: number | undefined;
  readonly adapt_kwargs?: AdaptLimits | undefined;
  readonly threads_per_worker?: number | undefined;
  /** Per worker, of Dask and of its container: bytes, or text such as `4GiB`. Absent: no limit of the container. */
  readonly memory_limit?: string | number | undefined;
  /** Cores that a worker's container may use. */
  readonly cpus?: number | undefined;
  /** Environment of the workers. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** `source:target` or `source:target:ro`; a source is a folder on the engine's machine, or a volume. */
  readonly volumes?: readonly string[] | undefined;
  /** A network of the engine that workers join beside their own. */
  readonly network?: string | undefined;
  /** Dask's abstract resources of each worker. */
  readonly resources?: Readonly<Record<string, number>> | undefined;
  /** Further keyword arguments of Dask's `Nanny` and `Worker`. */
  readonly worker_options?: Readonly<Record<string, unknown>> | undefined;
  /** How many GPUs a worker gets. */
  readonly gpus?: number | 'all' | undefined;
  /** When the image is fetched. Absent: when it is missing. */
  readonly pull?: 'missing' | 'always' | 'never' | undefined;
  /** A Docker context by name. Absent: `DOCKER_HOST`, else the current context. */
  readonly docker_context?: string | undefined;
  /** As `DOCKER_HOST` has it: `unix:///run/user/1000/podman/podman.sock`, `tcp://…`. */
  readonly docker_host?: string | undefined;
  /** Seconds that a static cluster may idle before it ends by itself. Absent: an hour. */
  readonly idle_timeout?: number | undefined;
}

const hourSeconds = 3600;

/** How many seconds a static cluster idles before it ends by itself. */
export const idleSeconds = ({ idle_timeout }: DockerExecutor): number => idle_timeout ?? hourSeconds;
/** Stands for the image that the run itself is in. What that is, is found when a cluster starts. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is written so in settings
export const runImage = '${runImage}';

const text = z.string().check(z.minLength(1));
/** `source:target[:options]`; a source may be a Windows path. */
const volume = z.string().check(z.regex(/^([A-Za-z]:[\\/][^:]*|[^:]+):\/[^:]*(:[a-z,]+)?$/));

/** Fields beside `name`, `kind`, and those that all kinds with workers of their own share. */
export const dockerFields = {
  image: text,
  memory_limit: z.optional(
    z.union([z.int().check(z.gte(1)), z.string().check(z.regex(/^\d+(\.\d+)?\s*([kmgtp]i?b?|b)?$/i))]),
  ),
  cpus: z.optional(z.number().check(z.gt(0), z.lte(1024))),
  env: z.optional(z.record(z.string(), z.string())),
  volumes: z.optional(z.array(volume)),
  network: z.optional(text),
  resources: z.optional(z.record(z.string(), z.number().check(z.gte(0)))),
  worker_options: z.optional(z.record(z.string(), z.unknown())),
  gpus: z.optional(z.union([z.literal('all'), z.int().check(z.gte(1), z.lte(64))])),
  pull: z.optional(z.enum(['missing', 'always', 'never'])),
  docker_context: z.optional(text),
  docker_host: z.optional(z.string().check(z.regex(/^(unix|npipe|tcp|http|https|ssh):\/\/.+/))),
  idle_timeout: z.optional(z.int().check(z.gte(10))),
};

/** What a field must be, in words. */
export const dockerExpectations: Readonly<Record<string, string>> = {
  image: `the name of an image, such as "my-prefect-image", or "${runImage}"`,
  cpus: 'a number of cores, such as 1.5',
  env: 'an object of texts',
  volumes: 'a list of "source:/target" or "source:/target:ro"',
  network: 'the name of a network',
  resources: 'an object of numbers, such as { "GPU": 1 }',
  worker_options: 'an object of keyword arguments of Dask’s Worker',
  gpus: '"all" or a whole number from 1',
  pull: '"missing", "always" or "never"',
  docker_context: 'the name of a Docker context',
  docker_host: 'an address such as "unix:///var/run/docker.sock"',
  idle_timeout: 'a whole number of seconds from 10',
};

/**
 * How many workers of how many threads a machine of so many cores gets, as `nprocesses_nthreads` of
 * `distributed.deploy.utils` has it: what `LocalCluster` does when nothing is said.
 */
export function defaultSize(cores: number): { readonly workers: number; readonly threads: number } {
  let workers = cores;
  if (cores > 4) {
    const least = Math.ceil(Math.sqrt(cores));
    for (workers = least; cores % workers !== 0; workers += 1);
  }
  return { workers, threads: Math.max(1, Math.floor(cores / workers)) };
}

/** Workers and their threads on an engine with so many cores: what is not said is divided evenly. */
export function sizeOf(
  { n_workers, threads_per_worker, adapt_kwargs }: DockerExecutor,
  cores: number,
): { readonly workers: number; readonly threads: number } {
  const usual = defaultSize(cores);
  if (adapt_kwargs) {
    const { minimum, maximum } = adapt_kwargs;
    const start = Math.min(Math.max(minimum ?? 0, 1), maximum ?? Number.POSITIVE_INFINITY);
    return { workers: n_workers ?? start, threads: threads_per_worker ?? usual.threads };
  }
  if (n_workers === undefined) {
    const threads = threads_per_worker ?? usual.threads;
    const workers = threads_per_worker === undefined ? usual.workers : Math.floor(cores / threads);
    return { workers: Math.max(1, workers), threads };
  }
  return { workers: n_workers, threads: threads_per_worker ?? Math.max(1, Math.floor(cores / n_workers)) };
}

/** Executors as settings have them, where one in Docker has this image: the one of that name, or a new one. */
export function putImage(executors: unknown, name: string, image: string): unknown[] {
  const all: unknown[] = Array.isArray(executors) ? executors : [];
  const isIt = (one: unknown) =>
    typeof one === 'object' && one !== null && 'name' in one && one.name === name;
  if (!all.some(isIt)) return [...all, { name, kind: 'docker', image }];
  return all.map((one) => (isIt(one) ? { ...(one as object), image } : one));
}
