import type { TaskNumbers } from '../core/backend.ts';
import type { Store } from '../core/store.ts';
import { type TaskGroup, TaskTable } from '../core/tasks.ts';
import type { TaskEvent } from '../protocol/host.ts';

const tasksDelayMs = 100;

/** Brings the tasks of one run into the store: at most ten times a second, however many change. */
export class TaskReport {
  readonly #id: string;
  readonly #store: Store;
  #table = new TaskTable();
  #timer: NodeJS.Timeout | undefined;

  constructor(id: string, store: Store) {
    this.#id = id;
    this.#store = store;
  }

  /** Tasks of Prefect runs come one by one. */
  apply(tasks: readonly TaskEvent[]): void {
    for (const { id, name, state, message } of tasks) this.#table.apply({ id, name, state, message });
    this.#timer ??= setTimeout(() => this.flush(), tasksDelayMs);
  }

  /** Tasks of plain Dask runs are counted, by the scheduler or by asking it. */
  count(groups: TaskNumbers): void {
    this.#show(
      Object.entries(groups).map(([name, counts]) => ({
        name,
        counts,
        total: Object.values(counts).reduce((sum, n) => sum + n, 0),
      })),
    );
  }

  /** Shows now what came one by one and is not shown yet. */
  flush(): void {
    if (!this.#timer) return;
    this.dispose();
    this.#show(this.#table.groups());
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** The run is over and shown: a hundred thousand tasks need not stay in memory. */
  end(): void {
    this.dispose();
    this.#table = new TaskTable();
  }

  #show(tasks: readonly TaskGroup[]): void {
    const id = this.#id;
    if (this.#store.snapshot.runs.has(id)) this.#store.dispatch({ type: 'run.tasks', id, tasks });
  }
}
