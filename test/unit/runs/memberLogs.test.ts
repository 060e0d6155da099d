import assert from 'node:assert/strict';
import type { FollowOptions, MemberAccess, MemberLogLine } from '../../../src/core/members.ts';
import { MemberLogs } from '../../../src/runs/memberLogs.ts';
import { aMember, aWorker } from '../core/samples.ts';

/** Containers that print what they are told to. */
class HandAccess implements MemberAccess {
  readonly following = new Map<string, (line: MemberLogLine) => void>();
  starts = 0;

  follow(
    name: string,
    { signal, previous }: FollowOptions,
    onLine: (line: MemberLogLine) => void,
  ): Promise<void> {
    this.starts += 1;
    if (previous) {
      onLine({ text: 'last words', timeMs: 1 });
      return Promise.resolve();
    }
    if (name.endsWith('broken')) return Promise.reject(new Error('no such container'));
    this.following.set(name, onLine);
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        if (this.following.get(name) === onLine) this.following.delete(name);
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
    onTrouble: (reason) => told.push(reason),
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

  it('are those too of pods that Dask does not know, and of what was in a pod before', () => {
    const { told, access, logs, print } = bench();
    const pod = (n: number, other: Parameters<typeof aMember>[1] = {}) =>
      aMember(String(n), { kind: 'pod', id: String(n), ...other });
    const waiting = pod(2, { state: 'created' });
    logs.update([pod(0), pod(1, { restarts: 1 }), waiting], access, [aWorker(0), aWorker(1)]);
    assert.deepEqual(told, ['flow-clusters-1-1: last words']);
    assert.equal(access.following.size, 0);
    logs.update([pod(0), pod(1, { restarts: 1 }), pod(2)], access, [aWorker(0), aWorker(1)]);
    assert.deepEqual([...access.following.keys()], ['flow-clusters-1-2']);
    print('2', 'I start', 2);
    // What ends and waits to be started again has its log as well, and once more when it is.
    logs.update([pod(2, { state: 'exited' })], access, []);
    print('2', 'I end', 3);
    logs.update([pod(2, { state: 'created', restarts: 1 })], access, []);
    print('2', 'I end', 3);
    print('2', 'again', 4);
    logs.update([pod(2, { restarts: 1 })], access, [aWorker(2)]);
    assert.equal(access.following.size, 0, 'Dask tells what it says');
    assert.deepEqual(told.slice(1), [
      ...['flow-clusters-1-2: I start', 'flow-clusters-1-2: I end', 'flow-clusters-1-2: again'],
    ]);
    assert.equal(access.starts, 3);
    // Of one that is gone the last lines may be on their way.
    logs.update([pod(0)], access, []);
    logs.update([], access, []);
    print('0', 'goodbye', 5);
    assert.equal(told.at(-1), 'flow-clusters-1-0: goodbye');
    logs.dispose();
    assert.equal(access.following.size, 0);
  });

  it('say why they can not be read, once', async () => {
    const { told, access, logs } = bench();
    logs.on = true;
    logs.update([aMember('broken'), aMember('second-broken', { id: 'other' })], access);
    await Promise.resolve();
    await new Promise(setImmediate);
    assert.deepEqual(told, ['the log of worker broken: no such container']);
    logs.dispose();
  });
});
