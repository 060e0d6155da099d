import { UserError } from '../core/errors.ts';
import type { Drain } from '../core/scaling.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';
import type { WorkerIdentity } from './identity.ts';
import { RemoteError } from './rpc.ts';
import type { SchedulerClient } from './scheduler.ts';

/** How retiring a worker ended. */
export type DrainEnd =
  | { readonly how: 'retired' }
  /** It left by itself meanwhile: ended, or closed by its owner. */
  | { readonly how: 'gone' }
  /** It holds what cannot be moved. `open`: it takes tasks as before; else none any more. */
  | { readonly how: 'kept'; readonly open: boolean }
  /** Given up before its tasks had finished. It takes no new ones any more. */
  | { readonly how: 'stopped'; readonly why: 'cancelled' | 'late'; readonly executing: number };

export interface DrainOptions {
  readonly client: Pick<SchedulerClient, 'identity' | 'retireWorkers' | 'threadsBusyOn'>;
  /** The worker as it is next heard of, undefined if it has gone; rejects when the signal ends the waiting. */
  readonly nextLook: (signal: AbortSignal) => Promise<WorkerInfo | undefined>;
  readonly limitMs: number;
  /** False: its tasks are not waited for, but run again elsewhere. */
  readonly wait?: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Pick<Drain, 'phase' | 'executing'>) => void;
}

/** Metrics lag behind: a task may begin just after they were taken. */
const quietBeats = 2;
/** The answer to the last call comes when its results have been moved. */
const closeTimeoutMs = 120_000;

/**
 * Retires a worker without losing work. Dask's own `retire_workers` closes it at once, and what runs there runs again
 * elsewhere; so it is first told to take nothing new, then left alone until nothing executes, then closed. Tasks
 * that wait there go to other workers when it closes.
 *
 * A worker that has begun to retire cannot be opened again from outside: Dask has no call for that.
 * @throws UserError `not-permitted` if the scheduler forbids it: then nothing has changed
 */
export async function drainWorker(worker: string, options: DrainOptions): Promise<DrainEnd> {
  const { client, limitMs, wait = true, signal, onProgress } = options;
  const before = await find(worker, client);
  if (!before) return gone;
  const open = before.status !== 'closing_gracefully';
  let executing = before.executing;
  if (wait) {
    const until = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    try {
      onProgress({ phase: 'moving', executing });
      const limit = { signal: until, timeoutMs: limitMs };
      const { retired } = await client.retireWorkers([worker], { close: false }, limit);
      if (retired.length === 0) return (await find(worker, client)) ? { how: 'kept', open } : gone;
      const stays = await untilQuiet(worker, options, until, (count) => {
        executing = count;
        onProgress({ phase: 'finishing', executing });
      });
      if (!stays) return gone;
    } catch (error) {
      if (!until.aborted && !isLate(error)) throw error;
      return { how: 'stopped', why: signal.aborted ? 'cancelled' : 'late', executing };
    }
  }
  onProgress({ phase: 'closing', executing });
  const { retired } = await client.retireWorkers([worker], { close: true }, { timeoutMs: closeTimeoutMs });
  if (retired.length > 0) return { how: 'retired' };
  return (await find(worker, client)) ? { how: 'kept', open: open && !wait } : gone;
}

const gone = { how: 'gone' } as const;

/** Resolves with true when nothing executes on the worker any more, with false when it has gone. */
async function untilQuiet(
  worker: string,
  { client, nextLook }: DrainOptions,
  signal: AbortSignal,
  tell: (executing: number) => void,
): Promise<boolean> {
  let beats = 0;
  let lastSeenMs = 0;
  for (;;) {
    const seen = await nextLook(signal);
    if (!seen) return false;
    tell(seen.executing);
    if (seen.executing > 0) beats = 0;
    else if (seen.lastSeenMs !== lastSeenMs) beats += 1;
    lastSeenMs = seen.lastSeenMs;
    if (beats >= quietBeats && (await isQuiet(worker, client, signal))) return true;
  }
}

async function isQuiet(
  worker: string,
  client: DrainOptions['client'],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await client.threadsBusyOn(worker, { signal })) === 0;
  } catch (error) {
    // A task has ended between the two questions, or the scheduler cannot be asked now: the next look tells.
    if (error instanceof RemoteError && error.reason === 'remote') return false;
    if (error instanceof UserError && isPassing(error)) return false;
    throw error;
  }
}

function isPassing({ reason }: UserError): boolean {
  return reason === 'scheduler-lost' || reason === 'unreachable' || reason === 'timeout';
}

function isLate(error: unknown): boolean {
  return error instanceof UserError && error.reason === 'timeout';
}

async function find(worker: string, client: DrainOptions['client']): Promise<WorkerIdentity | undefined> {
  return (await client.identity()).workers.find(({ address }) => address === worker);
}
