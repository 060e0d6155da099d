import { UserError } from '../core/errors.ts';

/** How long to wait for something, and what else ends the waiting. */
export interface Limit {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for `work`, but not longer than the limit. When the limit ends it, `giveUp` is called to stop the work.
 * @throws UserError `timeout` or `cancelled`, or what the work throws
 */
export function within<T>(work: Promise<T>, limit: Limit, what: string, giveUp: () => void): Promise<T> {
  const { timeoutMs, signal } = limit;
  return new Promise<T>((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: unknown) => {
      end();
      // First, so that what the work throws on being given up comes too late to be the reason.
      reject(error);
      giveUp();
    };
    const onAbort = () => fail(new UserError('cancelled', `Cancelled: ${what}.`, { cause: signal?.reason }));
    const timer = setTimeout(() => fail(timeoutError(what, timeoutMs)), timeoutMs);
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then((value) => {
      end();
      resolve(value);
    }, fail);
    if (signal?.aborted) onAbort();
  });
}

function timeoutError(what: string, timeoutMs: number): UserError {
  return new UserError('timeout', `No answer within ${inSeconds(timeoutMs)}: ${what}.`, {
    hint: 'The scheduler may be busy, stopped, or behind a firewall. Check that it runs, then try again.',
  });
}

/** `8 s`, `0.06 s`: what is left of a limit is seldom round. */
export function inSeconds(timeMs: number): string {
  return `${Number((timeMs / 1000).toPrecision(2))} s`;
}
