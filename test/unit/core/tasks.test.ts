import assert from 'node:assert/strict';
import fc from 'fast-check';
import { doneCount, type TaskState, TaskTable } from '../../../src/core/tasks.ts';

/** `name: state state…` of one task run each; returns the groups' counts. */
function counts(...changes: [id: string, state: TaskState, message?: string][]) {
  const table = new TaskTable();
  for (const [id, state, message] of changes)
    table.apply({ id, name: id.split('-')[0] ?? '', state, message });
  return table.groups().map(({ name, total, counts: of, message }) => {
    const present = Object.entries(of).filter(([, n]) => n !== 0);
    return { name, total, ...Object.fromEntries(present), ...(message && { message }) };
  });
}

describe('task table', () => {
  it('adds up by name, in the order of appearance', () => {
    const groups = counts(
      ['load-1', 'submitted'],
      ['transform-1', 'running'],
      ['transform-2', 'submitted'],
      ['transform-1', 'completed'],
    );
    assert.deepEqual(groups, [
      { name: 'load', total: 1, submitted: 1 },
      { name: 'transform', total: 2, completed: 1, submitted: 1 },
    ]);
  });

  it('lets nothing undo what is known already', () => {
    assert.deepEqual(counts(['a', 'running'], ['a', 'submitted']), [{ name: 'a', total: 1, running: 1 }]);
    for (const final of ['completed', 'cached', 'cancelled', 'skipped'] as const) {
      assert.deepEqual(counts(['a', final], ['a', 'running'], ['a', 'submitted']), [
        { name: 'a', total: 1, [final]: 1 },
      ]);
    }
  });

  it('follows retries: what failed may run again', () => {
    const first = [
      ['a', 'running'],
      ['a', 'retrying', 'ValueError: once'],
    ] as const;
    assert.deepEqual(counts(...first.map((step) => [...step] as [string, TaskState, string?])), [
      { name: 'a', total: 1, retrying: 1, message: 'ValueError: once' },
    ]);
    assert.deepEqual(counts(['a', 'retrying'], ['a', 'running'], ['a', 'completed']), [
      { name: 'a', total: 1, completed: 1 },
    ]);
    assert.deepEqual(counts(['a', 'crashed', 'worker died'], ['a', 'running']), [
      { name: 'a', total: 1, running: 1, message: 'worker died' },
    ]);
  });

  it('keeps the last failure of a group, and no message of a success', () => {
    const groups = counts(
      ['a-1', 'failed', 'first'],
      ['a-2', 'failed', 'second'],
      ['a-3', 'completed', 'All states completed.'],
    );
    assert.deepEqual(groups, [{ name: 'a', total: 3, failed: 2, completed: 1, message: 'second' }]);
  });

  it('never loses a task run, whatever arrives in whatever order', () => {
    const states = [
      'submitted',
      'running',
      'retrying',
      'completed',
      'cached',
      'failed',
      'crashed',
      'skipped',
    ] as const;
    const change = fc.record({
      id: fc.nat(5).map(String),
      name: fc.constantFrom('a', 'b'),
      state: fc.constantFrom(...states),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const table = new TaskTable();
        for (const one of changes) table.apply(one);
        const groups = table.groups();
        const totals = groups.reduce((sum, { total }) => sum + total, 0);
        assert.equal(totals, new Set(changes.map(({ id }) => id)).size);
        for (const group of groups) {
          const values = Object.values(group.counts);
          assert.ok(values.every((n) => n >= 0));
          assert.equal(
            values.reduce((sum, n) => sum + n, 0),
            group.total,
          );
          assert.ok(doneCount(group) <= group.total);
        }
      }),
    );
  });
});
