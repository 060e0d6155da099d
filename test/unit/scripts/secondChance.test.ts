import { strict as assert } from 'node:assert';
import { counts, filesToRunAgain } from '../../../scripts/lib/secondChance.mjs';

describe('tests on real parts that fail', () => {
  const first = {
    good: { passed: 5, skipped: 1, failures: [] },
    bad: { passed: 1, skipped: 0, failures: ['bad is slow'] },
  };

  it('run once more with the others of their file, unless they are many', () => {
    assert.deepEqual(filesToRunAgain(first), ['bad']);
    const many = { passed: 0, skipped: 0, failures: ['one', 'two', 'three'] };
    assert.deepEqual(filesToRunAgain({ ...first, many }), []);
    assert.deepEqual(filesToRunAgain({ good: first.good }), []);
  });

  it('are named where they pass then', () => {
    const second = { bad: { passed: 2, skipped: 0, failures: [] } };
    assert.deepEqual(counts(first, second), { passed: 7, failed: 0, skipped: 1, again: ['bad is slow'] });
  });

  it('count as failed where any of their file fails then', () => {
    const same = { bad: { passed: 1, skipped: 0, failures: ['bad is slow'] } };
    assert.deepEqual(counts(first, same), { passed: 6, failed: 1, skipped: 1, again: [] });
    const other = { bad: { passed: 1, skipped: 0, failures: ['bad is lost'] } };
    assert.deepEqual(counts(first, other), { passed: 6, failed: 1, skipped: 1, again: ['bad is slow'] });
    assert.deepEqual(counts(first), { passed: 6, failed: 1, skipped: 1, again: [] });
  });
});
