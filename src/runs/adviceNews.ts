import { adviseCluster, type ClusterAdvice } from '../core/clusterAdvice.ts';
import type { Disposable } from '../core/emitter.ts';
import type { Store } from '../core/store.ts';
import type { Memory } from './attachments.ts';

/** Key of the workspace's memory: by the executor's name, when advice about it was told last. */
export const adviceKey = 'clusterAdvice';
/** Whatever the user has answered: the row goes on saying it. */
const silenceMs = 30 * 24 * 3_600_000;

export interface AdviceNewsOptions {
  readonly store: Store;
  readonly memory: Memory;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  tell(executor: string, advice: ClusterAdvice): void;
}

/** Tells of advice about an executor when it first holds after a run that went well, or for want of modules did not, and not again for 30 days. */
export function followAdvice({ store, memory, now = Date.now, tell }: AdviceNewsOptions): Disposable {
  return store.onDidChange((event) => {
    if (event.type !== 'run.state') return;
    const run = store.snapshot.runs.get(event.id);
    // A run that failed is not the time for advice, unless that may be why.
    const isTime = event.state.kind === 'completed' || (event.state.kind === 'failed' && run?.missing);
    const executor = run?.clusterUse?.executor ?? run?.executor;
    if (!isTime) return;
    const nowMs = now();
    const silent = silentSince(memory.get(adviceKey), nowMs);
    if (executor === undefined || Object.hasOwn(silent, executor)) return;
    const advice = adviseCluster(executor, store.snapshot, nowMs);
    if (!advice) return;
    // A failed write is VS Code's to report; then it is told once more.
    void memory.update(adviceKey, { ...silent, [executor]: nowMs });
    tell(executor, advice);
  });
}

function silentSince(stored: unknown, nowMs: number): Readonly<Record<string, number>> {
  if (typeof stored !== 'object' || stored === null) return {};
  const recent = Object.entries(stored).filter(
    ([, atMs]) => typeof atMs === 'number' && nowMs - atMs < silenceMs,
  );
  return Object.fromEntries(recent);
}
