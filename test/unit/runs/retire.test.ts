import assert from 'node:assert/strict';
import type { Cluster } from '../../../src/core/cluster.ts';
import { checkRetirable, retireRisk } from '../../../src/runs/retire.ts';
import { aCluster, aWorker, infoOf } from '../core/samples.ts';

const prod: Cluster = { ...aCluster, name: 'prod', ownership: 'attached' };
const idle = { executing: 0, processing: 0, inMemory: 0 };

describe('before a worker is retired', () => {
  const check = (workers: Parameters<typeof infoOf>, other: Partial<Cluster> = {}) =>
    checkRetirable({ ...prod, info: infoOf(...workers), ...other }, workers[0] ?? assert.fail());

  it('there must be another that takes what it has', () => {
    check([aWorker(0), aWorker(1)]);
    check([aWorker(0), aWorker(1, { status: 'unknown' })]);
    check([aWorker(0, idle)]);
    const refused = {
      reason: 'worker-kept',
      message:
        'worker 0 is the only worker of prod that takes tasks: there is no other for its 1 task and 3 results',
    };
    assert.throws(() => check([aWorker(0)]), refused);
    assert.throws(() => check([aWorker(0), aWorker(1, { status: 'paused' })]), refused);
    const drain = { name: '1', sinceMs: 0, limitMs: 1, phase: 'moving', executing: 0 } as const;
    const drains = [{ worker: aWorker(1).address, ...drain }];
    assert.throws(() => check([aWorker(0), aWorker(1)], { drains }), refused);
  });

  it('the owner of a cluster that is not ours has a say: the question names the risk', () => {
    const risk = retireRisk(prod, aWorker(0, { executing: 2, processing: 5, inMemory: 120 }));
    assert.match(risk, /prod was not started from here/);
    assert.match(
      risk,
      /waits for 2 tasks executing there, hands 3 waiting tasks to other workers, copies 120 results into the memory/,
    );
    assert.match(risk, /may start another worker at once/);
    assert.match(risk, /cannot be taken back/);
    assert.match(retireRisk(prod, aWorker(0, idle)), /has no tasks and no results now/);
  });
});
