import * as z from 'zod/mini';
import type { Executor, ExistingExecutor, SecurityFiles } from './executor.ts';
import { type PodScheduler, podSchedulerSchema } from './podScheduler.ts';

/** What a workspace remembers of a cluster that it is attached to. Secrets are kept elsewhere. */
export interface Attached {
  /** Unique over windows: its secret is kept under it. */
  readonly id: string;
  readonly name: string;
  /** What it is reached by, in Dask's spelling; of a scheduler in a pod how that is called. */
  readonly address: string;
  /** It is reached through an API server. */
  readonly pods?: PodScheduler | undefined;
  /** The executor that it is of, and the address that this had then, as the user wrote it. */
  readonly executor?: { readonly name: string; readonly address: string } | undefined;
  /** Where its certificates are read from. */
  readonly files?: SecurityFiles | undefined;
  /** Its certificates are kept as a secret. */
  readonly secret?: boolean | undefined;
  /** URL of its dashboard, where that is not beside the scheduler. */
  readonly dashboard?: string | undefined;
  /** The user chose it for runs. */
  readonly used?: boolean | undefined;
}

const text = z.string().check(z.minLength(1));
const attachedSchema = z.object({
  id: text,
  name: text,
  address: text,
  pods: z.optional(podSchedulerSchema),
  executor: z.optional(z.object({ name: text, address: text })),
  files: z.optional(z.object({ ca: text, cert: z.optional(text), key: z.optional(text) })),
  secret: z.optional(z.boolean()),
  dashboard: z.optional(text),
  used: z.optional(z.boolean()),
});

/** What an earlier window, or an earlier version, has remembered; what can't be understood is left out. */
export function readAttached(stored: unknown): Attached[] {
  const all: readonly unknown[] = Array.isArray(stored) ? stored : [];
  return all.flatMap((one) => attachedSchema.safeParse(one).data ?? []);
}

const keptBefore = 10;

/** The addresses that were used before, the last one first, after one more. */
export function withAddress(stored: unknown, address: string): string[] {
  return [address, ...readAddresses(stored).filter((known) => known !== address)].slice(0, keptBefore);
}

export function readAddresses(stored: unknown): string[] {
  const all: readonly unknown[] = Array.isArray(stored) ? stored : [];
  return all.filter((one) => typeof one === 'string');
}

/** A scheduler that the user may mean. */
export interface Offer {
  readonly address: string;
  /** Where it is known from: `DASK_SCHEDULER_ADDRESS`, `executor prod`, `used before`. */
  readonly from: string;
  /** Name of the executor that names it. */
  readonly executor?: string;
  /** Only remembered: the user may want to have it forgotten. */
  readonly before?: true;
}

/** What the offers are made from. */
export interface OfferSources {
  /** What Dask itself would connect to, with the place that says so. */
  readonly dask: readonly { readonly address: string; readonly source: string }[];
  readonly executors: readonly Executor[];
  readonly before: readonly string[];
  /** Addresses that are attached already. */
  readonly attached: readonly string[];
}

/** Each address once, the likeliest first: Dask's own, those of executors, those of before. */
export function offersOf({ dask, executors, before, attached }: OfferSources): Offer[] {
  const all: Offer[] = [
    ...dask.map(({ address, source }) => ({ address, from: source })),
    ...executors.flatMap((executor) =>
      executor.kind === 'existing'
        ? [{ address: executor.address, from: `executor ${executor.name}`, executor: executor.name }]
        : [],
    ),
    ...before.map((address) => ({ address, from: 'used before', before: true as const })),
  ];
  const seen = new Set(attached.map(plain));
  const offers = new Map<string, Offer>();
  for (const offer of all) {
    const key = plain(offer.address);
    const first = offers.get(key);
    // The same address of an executor has its certificates with it.
    if (first && !first.executor && offer.executor) offers.set(key, { ...first, executor: offer.executor });
    if (first || seen.has(key)) continue;
    offers.set(key, offer);
  }
  return [...offers.values()];
}

/** The executor that means this address, if one does. */
export function executorAt(executors: readonly Executor[], address: string): ExistingExecutor | undefined {
  return executors
    .filter((executor) => executor.kind === 'existing')
    .find((executor) => plain(executor.address) === plain(address));
}

/** The same for the spellings of an address that are often met. */
function plain(address: string): string {
  const trimmed = address.trim().toLowerCase().replace(/\/$/, '');
  return trimmed.includes('://') ? trimmed : `tcp://${trimmed}`;
}
