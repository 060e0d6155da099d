/** Rejects with `late()` when the promise has not settled within the time limit; what it does later is not looked at. */
export function within<T>(promise: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** As {@link within}, for work that can be stopped: its signal aborts when it is late. */
export function stoppedAfter<T>(
  timeoutMs: number,
  late: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  return within(work(stop.signal), timeoutMs, () => {
    stop.abort();
    return late();
  });
}
