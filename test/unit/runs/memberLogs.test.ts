import assert from 'node:assert/strict';
import type { MemberAccess, MemberLogLine } from '../../../src/core/members.ts';
import { MemberLogs } from '../../../src/runs/memberLogs.ts';
import { aMember } from '../core/samples.ts';

/** Containers that print what they are told to. */
class HandAccess implements MemberAccess {
  readonly following = new Map<string, (line: MemberLogLine) => void>();
  starts = 0;

  follow(
    name: string,
    { signal }: { readonly signal: AbortSignal },
    onLine: (line: MemberLogLine) => void,
  ): Promise<void> {
    this.starts += 1;
    if (name.endsWith('broken')) return Promise.reject(new Error('no such container'));
    this.following.set(name, onLine);
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        this.following.delete(name);
        resolve();
      });
    });
  }

  shell(): Promise<never> {
    return Promise.reject(new Error('none here'));
  }
}

function bench() {
  const told: string[] = [];
  const access = new HandAccess();
  const logs = new MemberLogs({
    onLine: ({ name }, { text }) => told.push(`${name}: ${text}`),
    onTrouble: (_, reason) => told.push(reason),
  });
  const print = (who: string, text: string, timeMs: number) =>
    access.following.get(`flow-clusters-1-${who}`)?.({ text, timeMs });
  return { told, access, logs, print };
}

describe('logs of containers', () => {
  it('are followed only where Dask does not answer, and as containers come', () => {
    const { told, access, logs, print } = bench();
    logs.update([aMember('scheduler')], access);
    assert.equal(access.starts, 0);
    logs.on = true;
    logs.update([aMember('scheduler'), aMember('0', { id: '0' }), aMember('1', { state: 'exited' })], access);
    assert.deepEqual([...access.following.keys()], ['flow-clusters-1-scheduler', 'flow-clusters-1-0']);
    print('0', 'hello', 1);
    logs.on = false;
    assert.equal(access.following.size, 0);
    assert.deepEqual(told, ['flow-clusters-1-0: hello']);
  });

  it('tell nothing twice, whoever told it first', () => {
    const { told, access, logs, print } = bench();
    const line = (n: number) => `2026-08-01 10:41:0${n},123 - distributed.scheduler - INFO - ${n}`;
    assert.equal(logs.logged(line(1)), true);
    logs.on = true;
    logs.update([aMember('scheduler')], access);
    for (const n of [1, 2]) print('scheduler', line(n), n);
    print('scheduler', 'printed', 3);
    assert.equal(logs.logged(line(2)), false);
    assert.equal(logs.logged(`${line(3)}\nTraceback`), true);
    logs.on = false;
    logs.on = true;
    print('scheduler', 'printed', 2);
    print('scheduler', 'more', 4);
    const name = 'flow-clusters-1-scheduler';
    assert.deepEqual(told, [`${name}: ${line(2)}`, `${name}: printed`, `${name}: more`]);
    logs.dispose();
  });

  it('say why they can not be read', async () => {
    const { told, access, logs } = bench();
    logs.on = true;
    logs.update([aMember('broken')], access);
    await Promise.resolve();
    await new Promise(setImmediate);
    assert.deepEqual(told, ['the log of worker broken: no such container']);
    logs.dispose();
  });
});
