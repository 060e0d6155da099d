import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Emitter } from '../../../src/core/emitter.ts';

describe('emitter', () => {
  it('tells all listeners, and whoever tells, although one of them is broken; its error is not lost', async () => {
    const emitter = new Emitter<number>();
    const seen: number[] = [];
    const errors: unknown[] = [];
    const mochas = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => errors.push(error));
    try {
      const broken = new Error('broken view');
      emitter.on(() => {
        throw broken;
      });
      emitter.on((value) => seen.push(value));
      emitter.fire(1);
      await nextTurn();
      assert.deepEqual(seen, [1]);
      assert.deepEqual(errors, [broken]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of mochas) process.on('uncaughtException', listener);
    }
  });
});
