/** States of one task run, the same for every flow API. */
export type TaskState =
  | 'submitted'
  | 'running'
  | 'retrying'
  | 'completed'
  | 'cached'
  | 'failed'
  | 'crashed'
  | 'cancelled'
  | 'skipped';

/** The task runs of one name. */
export interface TaskGroup {
  readonly name: string;
  readonly total: number;
  readonly counts: Readonly<Partial<Record<TaskState, number>>>;
  /** The last failure of this group, for its tooltip. */
  readonly message?: string;
}

/** One change of one task run. */
export interface TaskChange {
  readonly id: string;
  readonly name: string;
  readonly state: TaskState;
  readonly message?: string | undefined;
}

const over: ReadonlySet<TaskState> = new Set([
  'completed',
  'cached',
  'failed',
  'crashed',
  'cancelled',
  'skipped',
]);

/** States that a late "running" cannot undo; what failed or crashed may run again. */
const final: ReadonlySet<TaskState> = new Set(['completed', 'cached', 'cancelled', 'skipped']);

/** Adds up the changes of one run's tasks. Mutable, as a run may have a hundred thousand of them. */
export class TaskTable {
  readonly #states = new Map<string, { name: string; state: TaskState }>();
  readonly #groups = new Map<
    string,
    { counts: Partial<Record<TaskState, number>>; total: number; message?: string }
  >();

  apply(change: TaskChange): void {
    const known = this.#states.get(change.id);
    // The submitting side and the workers report apart: a late "submitted" must not undo a "running".
    if (known && change.state === 'submitted') return;
    if (known && final.has(known.state) && change.state === 'running') return;
    const name = known?.name ?? change.name;
    const group = this.#groups.get(name) ?? { counts: {}, total: 0 };
    this.#groups.set(name, group);
    if (known) group.counts[known.state] = (group.counts[known.state] ?? 1) - 1;
    else group.total += 1;
    group.counts[change.state] = (group.counts[change.state] ?? 0) + 1;
    if (
      change.message &&
      (change.state === 'failed' || change.state === 'crashed' || change.state === 'retrying')
    ) {
      group.message = change.message;
    }
    this.#states.set(change.id, { name, state: change.state });
  }

  groups(): TaskGroup[] {
    return [...this.#groups].map(([name, { counts, total, message }]) => ({
      name,
      total,
      counts: { ...counts },
      ...(message && { message }),
    }));
  }
}

/** How many of the group's task runs need nothing more. */
export function doneCount(group: TaskGroup): number {
  return Object.entries(group.counts).reduce(
    (sum, [state, n]) => sum + (over.has(state as TaskState) ? n : 0),
    0,
  );
}
