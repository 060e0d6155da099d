import assert from 'node:assert/strict';
import { UserError } from '../../../src/core/errors.ts';
import { toFailure } from '../../../src/core/failure.ts';
import { formatBytes, formatClock, formatDuration, formatSpan } from '../../../src/core/format.ts';

describe('format', () => {
  it('durations', () => {
    assert.deepEqual([0, 999, 31_000, 725_000, 3_723_000, -5].map(formatDuration), [
      '00:00',
      '00:00',
      '00:31',
      '12:05',
      '1:02:03',
      '00:00',
    ]);
  });

  it('spans, in the unit that fits', () => {
    assert.deepEqual([1.84, 9.97, 45, 59.7, 600, 3600, 5400, 172_800].map(formatSpan), [
      '1.8 s',
      '10 s',
      '45 s',
      '1 min',
      '10 min',
      '1 h',
      '1.5 h',
      '2 d',
    ]);
  });

  it('bytes, in binary units', () => {
    const MiB = 1024 ** 2;
    assert.deepEqual([0, 999, 1000, 412 * MiB, 1000 * MiB, 1536 * MiB, 4096 * MiB, -1].map(formatBytes), [
      '0 B',
      '999 B',
      '1.0 KiB',
      '412 MiB',
      '1.0 GiB',
      '1.5 GiB',
      '4 GiB',
      '0 B',
    ]);
    assert.match(formatBytes(1e30), / PiB$/);
  });

  it('the clock', () => {
    assert.equal(formatClock(new Date(2026, 0, 1, 9, 5).getTime()), '09:05');
  });
});

describe('failure of', () => {
  it('a user error has its hint, its action, and its cause as detail', () => {
    const cause = new Error('Traceback (most recent call last): …');
    const action = { kind: 'show-output' } as const;
    const error = new UserError('cluster-failed', 'It broke', { hint: 'Try again.', action, cause });
    assert.deepEqual(toFailure(error), {
      message: 'It broke',
      hint: 'Try again.',
      action,
      detail: cause.message,
    });
    assert.deepEqual(toFailure(new UserError('timeout', 'Late')), { message: 'Late' });
  });

  it('a cause that the message has already is not said twice', () => {
    const error = new UserError('python-missing', 'No Python (ENOENT)', { cause: new Error('ENOENT') });
    assert.deepEqual(toFailure(error), { message: 'No Python (ENOENT)' });
  });

  it('a bug has its stack; anything else thrown is shown as text', () => {
    const failure = toFailure(new TypeError('x is undefined'));
    assert.equal(failure.message, 'x is undefined');
    assert.match(failure.detail ?? '', /TypeError: x is undefined\n {4}at/);
    assert.deepEqual(toFailure('boo'), { message: 'boo' });
  });
});
