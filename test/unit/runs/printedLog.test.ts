import assert from 'node:assert/strict';
import { PrintedLog } from '../../../src/runs/printedLog.ts';

const warning = '2026-11-25 08:22:06,317 - distributed.worker - WARNING - Compute Failed';

describe('what workers print', () => {
  let said: string[];
  let printed: PrintedLog;

  beforeEach(() => {
    said = [];
    printed = new PrintedLog((lines) => said.push(...lines));
  });

  it('comes line by line, without colours and without what a progress bar wrote over', () => {
    printed.write('one\ntw', 0);
    assert.deepEqual(said, ['one']);
    printed.write('o\r\n\x1b[31mred\x1b[0m\n 10 %\r 20 %\r', 0);
    printed.write(' 30 %\r\ndone\n', 0);
    assert.deepEqual(said, ['one', 'two', 'red', ' 30 %', 'done']);
  });

  it('leaves out lines of the log, which come from the workers themselves', () => {
    printed.write(`before\n${warning}\nKey: boom-0\nTraceback\nafter\n`, 0);
    assert.deepEqual(said, ['before']);
    printed.logged([`${warning}\nKey: boom-0\nTraceback`], 1_000);
    assert.deepEqual(said, ['before', 'after']);
    printed.release(60_000);
    assert.deepEqual(said, ['before', 'after']);
  });

  it('passes on the last words of a worker that nobody could ask any more', () => {
    printed.write(`${warning}\nKey: boom-0\n`, 0);
    printed.release(4_000);
    assert.deepEqual(said, []);
    printed.release(5_000);
    assert.deepEqual(said, [warning, 'Key: boom-0']);
  });

  it('keeps no more than it can hold', () => {
    for (let i = 0; i < 1_100; i += 1) printed.write(`${warning} ${i}\n`, 0);
    assert.equal(said.length, 100);
    printed.write('x'.repeat(10_001), 0);
    assert.equal(said.length, 101, 'a line without an end');
  });
});
