import type * as vscode from 'vscode';
import { readHistory, toHistory, tooOld } from '../core/history.ts';
import { isOver } from '../core/run.ts';
import type { Store, StoreEvent } from '../core/store.ts';

const key = 'runs';

export interface HistoryOptions {
  readonly store: Store;
  readonly memory: vscode.Memento;
  /** Removes a run that is over from the store, with all that is kept about it. */
  remove(id: string): void;
}

/**
 * Brings the runs of earlier windows back, and keeps those of this one for the next, from their start: a window that
 * is killed has no time to. The oldest make room for new ones.
 */
export function followHistory({ store, memory, remove }: HistoryOptions): vscode.Disposable {
  for (const run of readHistory(memory.get(key))) store.dispatch({ type: 'run.added', run });
  return store.onDidChange((event) => {
    if (!isKept(store, event)) return;
    // A failed write of the history is VS Code's to report; the run itself is not affected.
    void memory.update(key, toHistory(store.snapshot.runs.values()));
    // Later: whoever else listens to this event must hear of it before its run is gone.
    if (event.type === 'run.added')
      queueMicrotask(() => tooOld(store.snapshot.runs.values()).forEach((id) => void remove(id)));
  });
}

function isKept(store: Store, event: StoreEvent): boolean {
  if (event.type === 'run.added' || event.type === 'run.removed') return true;
  // The last task counts of a run may come after its end.
  if (event.type !== 'run.state' && event.type !== 'run.tasks') return false;
  const run = store.snapshot.runs.get(event.id);
  return run !== undefined && isOver(run);
}
