import assert from 'node:assert/strict';
import { formatClock } from '../../../src/core/format.ts';
import {
  adviseLimits,
  adviseNumber,
  limitsSize,
  limitsText,
  scaleEventText,
  stepText,
} from '../../../src/core/scaling.ts';

const GiB = 1024 ** 3;
const machine = { cores: 4, memoryBytes: 16 * GiB };
const said = (advice: readonly { severity: string; message: string }[]) =>
  advice.map(({ severity, message }) => `${severity}: ${message}`);

describe('limits of adaptive scaling', () => {
  it('read as a range', () => {
    const texts = [
      [{ minimum: 1, maximum: 8 }, '1–8', '1–8 workers, adaptive'],
      [{ maximum: 8 }, '0–8', '0–8 workers, adaptive'],
      [{ minimum: 1, maximum: 1 }, '1', '1 worker, adaptive'],
      [{ minimum: 4, maximum: 4 }, '4', '4 workers, adaptive'],
      [{ minimum: 2, maximum: null }, 'from 2', '2 or more workers, adaptive'],
      [{}, 'without limits', 'adaptive without limits'],
      [{ minimum: null, maximum: null }, 'without limits', 'adaptive without limits'],
      [{ minimum: 0 }, 'without limits', 'adaptive without limits'],
    ] as const;
    for (const [limits, range, size] of texts) {
      assert.equal(limitsText(limits), range);
      assert.equal(limitsSize(limits), size);
    }
  });

  it('are refused where they make no sense, with what Dask would do', () => {
    assert.deepEqual(said(adviseLimits({ minimum: 4, maximum: 2 }, machine)), [
      'error: The maximum (2) is below the minimum (4): Dask would always keep 4 and never adapt.',
    ]);
    const wrong = [
      [{ minimum: -1 }, 'error: The minimum must be a whole number from 0 to 4096, or none.'],
      [{ minimum: 1.5 }, 'error: The minimum must be a whole number from 0 to 4096, or none.'],
      [{ minimum: Number.NaN }, 'error: The minimum must be a whole number from 0 to 4096, or none.'],
      [{ maximum: 0 }, 'error: The maximum must be a whole number from 1 to 4096, or none.'],
      [{ maximum: 5000 }, 'error: The maximum must be a whole number from 1 to 4096, or none.'],
    ] as const;
    for (const [limits, text] of wrong) assert.deepEqual(said(adviseLimits(limits)), [text]);
  });

  it('are advised on where they may surprise', () => {
    assert.deepEqual(adviseLimits({ minimum: 1, maximum: 4 }, machine), []);
    const [unlimited, idle] = said(adviseLimits({}, machine));
    assert.match(
      unlimited ?? '',
      /^warning: Without a maximum .* in 5 s, whatever the 4 cores of this machine/,
    );
    assert.match(
      idle ?? '',
      /^warning: With a minimum of 0 an idle cluster loses its last worker: .* import/,
    );
    assert.equal(said(adviseLimits({ minimum: 0, maximum: 4 }, machine))[0], idle);
    const worker = { threads: 2, memoryBytes: 4 * GiB };
    assert.deepEqual(said(adviseLimits({ minimum: 1, maximum: 8 }, machine, worker)), [
      'info: 8 workers × 2 threads are more than the 4 cores of this machine.',
      'info: 8 workers may take 32 GiB of memory; this machine has 16 GiB.',
    ]);
    assert.match(
      said(adviseLimits({ minimum: 1, maximum: 4 }, machine, { memoryBytes: 0 }))[0] ?? '',
      /^info: Workers without a memory limit stay as long as any result is held/,
    );
  });
});

describe('a fixed number of workers', () => {
  it('is a whole number; none, and more than the machine has, are said', () => {
    assert.deepEqual(adviseNumber(4, machine), []);
    for (const wrong of [-1, 1.5, Number.NaN, 4097])
      assert.deepEqual(said(adviseNumber(wrong)), ['error: A whole number from 0 to 4096 is needed.']);
    assert.match(said(adviseNumber(0))[0] ?? '', /^warning: Without workers, results that are held are lost/);
    assert.deepEqual(said(adviseNumber(5, machine)), [
      'info: 5 workers are more than the 4 cores of this machine.',
    ]);
    assert.deepEqual(adviseNumber(100), [], 'of an unknown machine nothing can be said');
  });
});

describe('steps of scaling', () => {
  it('say what the cluster was asked to become, and why', () => {
    const fixed = { workers: 4 };
    const adaptive = { workers: 4, adaptive: { minimum: 1, maximum: 8 } };
    assert.equal(stepText(fixed, { from: 2, to: 4, why: 'asked' }), 'scaled to 4');
    assert.equal(stepText(adaptive, { from: 4, to: 4, why: 'asked' }), 'set to adaptive 1–8');
    const step = (why: 'tasks' | 'memory' | 'idle' | 'minimum' | 'maximum', waiting?: number) =>
      stepText(adaptive, { from: 2, to: 4, why, waiting });
    assert.equal(step('tasks', 12), 'adaptive: 2 → 4 (12 tasks waiting)');
    assert.equal(step('tasks', 1), 'adaptive: 2 → 4 (1 task waiting)');
    assert.equal(step('memory'), 'adaptive: 2 → 4 (results fill over 60 % of the memory)');
    assert.equal(step('idle'), 'adaptive: 2 → 4 (idle)');
    assert.equal(step('minimum'), 'adaptive: 2 → 4 (at least 1)');
    assert.equal(step('maximum'), 'adaptive: 2 → 4 (at most 8)');
    const retired = stepText(fixed, { from: 5, to: 4, why: 'retired', worker: '3' });
    assert.equal(retired, 'worker 3 retired: 5 → 4');
    assert.equal(scaleEventText({ message: 'scaled to 4', atMs: 0 }), `scaled to 4 · ${formatClock(0)}`);
  });
});
