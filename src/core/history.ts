import * as z from 'zod/mini';
import { podSchedulerSchema } from './podScheduler.ts';
import { isOver, type Run } from './run.ts';

/** How many runs that are over stay in the list. */
export const keptRuns = 50;

const times = { startedMs: z.optional(z.number()), endedMs: z.number() };
const action = z.union([
  z.object({ kind: z.literal('select-interpreter') }),
  z.object({ kind: z.literal('copy'), label: z.string(), text: z.string() }),
  z.object({ kind: z.literal('open-file'), path: z.string(), line: z.optional(z.number()) }),
  z.object({ kind: z.literal('open-settings'), key: z.string() }),
  z.object({ kind: z.literal('show-output') }),
  z.object({ kind: z.literal('show-run'), id: z.string() }),
  z.object({ kind: z.literal('manage-trust') }),
  z.object({ kind: z.literal('open-text'), label: z.string(), text: z.string(), language: z.string() }),
  z.object({ kind: z.literal('check-kubernetes'), executor: z.string() }),
  z.object({ kind: z.literal('undeploy'), pods: podSchedulerSchema }),
]);
const failure = z.object({
  message: z.string(),
  hint: z.optional(z.string()),
  detail: z.optional(z.string()),
  action: z.optional(action),
});
const state = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('queued'), stage: z.string() }),
  z.object({ kind: z.literal('running'), startedMs: z.number(), stage: z.optional(z.string()) }),
  z.object({ kind: z.literal('cancelling'), startedMs: z.optional(z.number()), forced: z.boolean() }),
  z.object({
    kind: z.literal('completed'),
    startedMs: z.number(),
    endedMs: z.number(),
    result: z.optional(z.string()),
  }),
  z.object({ kind: z.literal('failed'), ...times, failure }),
  z.object({ kind: z.literal('cancelled'), ...times }),
  z.object({ kind: z.literal('crashed'), ...times, failure }),
]);
const flow = z.object({
  api: z.enum(['prefect', 'prefect1', 'dask']),
  name: z.string(),
  entry: z.discriminatedUnion('how', [
    z.object({ how: z.literal('import'), path: z.string() }),
    z.object({ how: z.literal('script'), qualname: z.optional(z.string()) }),
  ]),
  line: z.number(),
  parameters: z.array(
    z.object({ name: z.string(), annotation: z.optional(z.string()), default: z.optional(z.string()) }),
  ),
});
const run = z.object({
  id: z.string(),
  uri: z.string(),
  flow,
  executor: z.string(),
  clusterId: z.optional(z.string()),
  clusterUse: z.optional(
    z.object({
      executor: z.string(),
      lifetime: z.enum(['temporary', 'static']),
      upSinceMs: z.number(),
      startupMs: z.optional(z.number()),
      workers: z.optional(z.number()),
    }),
  ),
  parameters: z.record(z.string(), z.unknown()),
  createdMs: z.number(),
  state,
  tasks: z.array(
    z.object({
      name: z.string(),
      total: z.number(),
      counts: z.record(z.string(), z.number()),
      message: z.optional(z.string()),
    }),
  ),
  notes: z.array(z.string()),
  missing: z.optional(z.array(z.string())),
});

/**
 * The runs of earlier windows from what was stored, oldest first. What another version has written in a shape that
 * is not ours is left out. A run that was live then ended with its window, which could not say so any more.
 */
export function readHistory(stored: unknown): Run[] {
  if (!Array.isArray(stored)) return [];
  const runs = stored.flatMap((raw) => {
    const parsed = run.safeParse(raw);
    // zod's `optional` allows an undefined that JSON has not; the shapes are the same otherwise.
    return parsed.success ? [ended(parsed.data as Run)] : [];
  });
  return runs.slice(-keptRuns);
}

function ended(found: Run): Run {
  if (isOver(found)) return found;
  const message = 'The window was closed while it ran';
  // When that was, nobody knows: no duration is shown.
  return { ...found, state: { kind: 'crashed', endedMs: found.createdMs, failure: { message } } };
}

/** What to store: the live runs, and the last ones that are over. */
export function toHistory(runs: Iterable<Run>): Run[] {
  const all = [...runs];
  const over = all.filter(isOver).slice(-keptRuns);
  const kept = new Set([...over, ...all.filter((one) => !isOver(one))]);
  return all.filter((one) => kept.has(one));
}

/** Ids of the runs that are over and too many, oldest first. */
export function tooOld(runs: Iterable<Run>): string[] {
  return [...runs]
    .filter(isOver)
    .slice(0, -keptRuns)
    .map(({ id }) => id);
}
