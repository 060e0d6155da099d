import * as z from 'zod/mini';
import { adaptiveStart, type ImageExecutor, imageFields } from './imageExecutor.ts';
import type { ListChange } from './settingsEdit.ts';

/** A cluster in containers. Further keys are those of Compose files. Without a memory limit containers have none. */
export interface DockerExecutor extends ImageExecutor {
  readonly kind: 'docker';
  /** Cores that a worker's container may use. */
  readonly cpus?: number | undefined;
  /** `source:target` or `source:target:ro`; a source is a folder on the engine's machine, or a volume. */
  readonly volumes?: readonly string[] | undefined;
  /** A network of the engine that workers join beside their own. */
  readonly network?: string | undefined;
  /** How many GPUs a worker gets. */
  readonly gpus?: number | 'all' | undefined;
  /** When the image is fetched. Absent: when it is missing. */
  readonly pull?: 'missing' | 'always' | 'never' | undefined;
  /** A Docker context by name. Absent: `DOCKER_HOST`, else the current context. */
  readonly docker_context?: string | undefined;
  /** As `DOCKER_HOST` has it: `unix:///run/user/1000/podman/podman.sock`, `tcp://…`. */
  readonly docker_host?: string | undefined;
}

const text = z.string().check(z.minLength(1));
/** `source:target[:options]`; a source may be a Windows path. */
const volume = z.string().check(z.regex(/^([A-Za-z]:[\\/][^:]*|[^:]+):\/[^:]*(:[a-z,]+)?$/));

/** Fields beside `name`, `kind`, and those that all kinds with workers of their own share. */
export const dockerFields = {
  ...imageFields,
  cpus: z.optional(z.number().check(z.gt(0), z.lte(1024))),
  volumes: z.optional(z.array(volume)),
  network: z.optional(text),
  gpus: z.optional(z.union([z.literal('all'), z.int().check(z.gte(1), z.lte(64))])),
  pull: z.optional(z.enum(['missing', 'always', 'never'])),
  docker_context: z.optional(text),
  docker_host: z.optional(z.string().check(z.regex(/^(unix|npipe|tcp|http|https|ssh):\/\/.+/))),
};

/** What a field must be, in words; those of `imageExpectations` are not repeated. */
export const dockerExpectations: Readonly<Record<string, string>> = {
  cpus: 'a number of cores, such as 1.5',
  volumes: 'a list of "source:/target" or "source:/target:ro"',
  network: 'the name of a network',
  gpus: '"all" or a whole number from 1',
  pull: '"missing", "always" or "never"',
  docker_context: 'the name of a Docker context',
  docker_host: 'an address such as "unix:///var/run/docker.sock"',
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
    return {
      workers: n_workers ?? adaptiveStart(adapt_kwargs),
      threads: threads_per_worker ?? usual.threads,
    };
  }
  if (n_workers === undefined) {
    const threads = threads_per_worker ?? usual.threads;
    const workers = threads_per_worker === undefined ? usual.workers : Math.floor(cores / threads);
    return { workers: Math.max(1, workers), threads };
  }
  return { workers: n_workers, threads: threads_per_worker ?? Math.max(1, Math.floor(cores / n_workers)) };
}

/** What gives an executor in Docker this image: the one of that name in the settings' list, or a new one. */
export function imageChange(list: readonly unknown[], name: string, image: string): ListChange {
  const isIt = (one: unknown): one is object =>
    typeof one === 'object' && one !== null && 'name' in one && one.name === name;
  const was = list.find(isIt);
  return was
    ? { kind: 'set', index: list.indexOf(was), was, value: { ...was, image } }
    : { kind: 'add', value: { name, kind: 'docker', image } };
}
