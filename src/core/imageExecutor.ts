import * as z from 'zod/mini';
import type { AdaptLimits } from './scaling.ts';

/** What executors have in common whose workers run in an image. Keys are those of Dask's workers. */
export interface ImageExecutor {
  readonly name: string;
  /** An image with `distributed` for Python 3.8 or later, or {@link runImage}. */
  readonly image: string;
  readonly n_workers?: number | undefined;
  readonly adapt_kwargs?: AdaptLimits | undefined;
  readonly threads_per_worker?: number | undefined;
  /** Of each worker, of Dask and of its container: bytes, or text such as `4GiB`. Absent: the executor's kind says. */
  readonly memory_limit?: string | number | undefined;
  /** Environment of the workers. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Dask's abstract resources of each worker. */
  readonly resources?: Readonly<Record<string, number>> | undefined;
  /** Further keyword arguments of Dask's `Nanny` and `Worker`. */
  readonly worker_options?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds that it may idle before it ends by itself. Absent: an hour. */
  readonly idle_timeout?: number | undefined;
}

/** Stands for the image that the run itself is in. What that is, is found when a cluster starts. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is written so in settings
export const runImage = '${runImage}';

const hourSeconds = 3600;
/** A week: longer than anyone waits for a cluster, and short enough for timers. */
export const longestStartSeconds = 604_800;

/** How many seconds it idles before it ends by itself. */
export const idleSeconds = ({ idle_timeout = hourSeconds }: Pick<ImageExecutor, 'idle_timeout'>): number =>
  idle_timeout;

/** Workers that it starts with where that follows from its limits of adaptive scaling: one, if they allow it. */
export const adaptiveStart = ({ minimum, maximum }: AdaptLimits): number =>
  Math.min(Math.max(minimum ?? 0, 1), maximum ?? Number.POSITIVE_INFINITY);

/** Fields beside `name`, and those that all kinds with workers of their own share. */
export const imageFields = {
  image: z.string().check(z.minLength(1)),
  memory_limit: z.optional(
    z.union([z.int().check(z.gte(1)), z.string().check(z.regex(/^\d+(\.\d+)?\s*([kmgtp]i?b?|b)?$/i))]),
  ),
  env: z.optional(z.record(z.string(), z.string())),
  resources: z.optional(z.record(z.string(), z.number().check(z.gte(0)))),
  worker_options: z.optional(z.record(z.string(), z.unknown())),
  idle_timeout: z.optional(z.int().check(z.gte(10))),
};

/** What a field must be, in words. */
export const imageExpectations: Readonly<Record<string, string>> = {
  image: `the name of an image, such as "my-prefect-image", or "${runImage}"`,
  memory_limit: 'a number of bytes, or text such as "4GiB"',
  env: 'an object of texts',
  resources: 'an object of numbers, such as { "GPU": 1 }',
  worker_options: 'an object of keyword arguments of Dask’s Worker',
  idle_timeout: 'a whole number of seconds from 10',
};
