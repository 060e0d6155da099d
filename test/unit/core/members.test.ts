import assert from 'node:assert/strict';
import type { ClusterState } from '../../../src/core/cluster.ts';
import { formatClock } from '../../../src/core/format.ts';
import {
  type ClusterMember,
  memberLabel,
  memberNoun,
  membersInOrder,
  memberText,
  outOfMemoryText,
  withWorkerNames,
} from '../../../src/core/members.ts';
import { emptySnapshot, reduce } from '../../../src/core/store.ts';
import { clusterNodes, type TreeNode } from '../../../src/core/tree.ts';
import { aCluster, aMember, aWorker, infoOf } from './samples.ts';

const MiB = 1024 * 1024;
const clock = formatClock(0);
const running: ClusterState = { kind: 'running', sinceMs: 0, address: 'tls://127.0.0.1:1', dashboard: null };

/** The rows under the cluster, two spaces a level. */
function read(state: ClusterState, members: ClusterMember[], info = infoOf()): string[] {
  const lines = (nodes: readonly TreeNode[], indent: string): string[] =>
    nodes.flatMap(({ label, description, children = [] }) => [
      `${indent}${[label, description].filter(Boolean).join(' | ')}`,
      ...lines(children, `${indent}  `),
    ]);
  return lines(nodesOf(state, members, info), '');
}

function nodesOf(state: ClusterState, members: ClusterMember[], info = infoOf()): readonly TreeNode[] {
  const known = { ...emptySnapshot, clusters: new Map([['c1', { ...aCluster, state, info }]]) };
  const snapshot = reduce(known, { type: 'cluster.members', id: 'c1', members });
  return clusterNodes(snapshot, 0)[0]?.children ?? [];
}

describe('containers', () => {
  it('read as what they are and how they are', () => {
    assert.equal(memberLabel(aMember('scheduler')), 'scheduler');
    assert.equal(memberLabel(aMember('1')), 'worker 1');
    assert.equal(memberLabel(aMember('1', { workers: ['0', '1'] })), 'workers 0, 1');
    assert.equal(memberText(aMember('1')), 'container 4f1c… · running');
    const killed = { state: 'exited', exitCode: 137, outOfMemoryMs: 0, restarts: 2 } as const;
    assert.equal(
      memberText(aMember('1', killed)),
      'container 4f1c… · exited 137, out of memory · 2 restarts',
    );
    assert.equal(
      memberText(aMember('1', { outOfMemoryMs: 0 })),
      `container 4f1c… · running, was out of memory at ${clock}`,
    );
    assert.equal(memberText(aMember('1', { state: 'exited' })), 'container 4f1c… · exited');
  });

  it('are called pods where all of them are', () => {
    const pod = aMember('1', { kind: 'pod', node: 'node-1' });
    assert.equal(memberNoun(pod, pod), 'pod');
    assert.equal(memberNoun(pod, aMember('0')), 'container');
    assert.equal(memberNoun(), 'container');
    assert.equal(memberText(pod), 'pod on node-1 · running');
  });

  it('say plainly that memory was too little, and what helps', () => {
    assert.equal(
      outOfMemoryText(aMember('1'), 512 * MiB),
      'worker 1 ran out of memory (limit 512 MiB) and was killed: raise memory_limit of the executor',
    );
    assert.equal(
      outOfMemoryText(aMember('scheduler'), undefined),
      "scheduler was killed: the engine's machine ran out of memory",
    );
  });

  it('of others are called as Dask calls who listens there, and keep that name when Dask knows it no more', () => {
    const scheduler = aMember('scheduler', { kind: 'pod', host: '10.0.0.1' });
    const pods = ['a', 'b'].map((name, i) =>
      aMember(name, { kind: 'pod', id: name, host: `10.0.0.${i + 2}` }),
    );
    const raw = [scheduler, ...pods];
    const workers = [
      aWorker(0, { name: 'tcp://10.0.0.2:1', host: '10.0.0.2' }),
      aWorker(1, { name: 'tcp://10.0.0.2:2', host: '10.0.0.2' }),
    ];
    const named = withWorkerNames(raw, raw, workers);
    assert.deepEqual(
      named.map(({ workers }) => workers),
      [[], ['tcp://10.0.0.2:1', 'tcp://10.0.0.2:2'], ['b']],
    );
    assert.equal(withWorkerNames(named, named, workers), named, 'nothing has changed');
    assert.deepEqual(withWorkerNames(raw, named, []), named);
    const ours = [aMember('0')];
    assert.equal(withWorkerNames(ours, [], workers), ours);
  });

  it('stand in the order of their names, a scheduler that runs before one that does not', () => {
    const members = [
      aMember('w-10'),
      aMember('w-9'),
      aMember('scheduler', { name: 'old', state: 'exited' }),
      aMember('scheduler', { name: 'new' }),
    ];
    assert.deepEqual(
      membersInOrder(members).map(({ name }) => name),
      ['new', 'old', 'flow-clusters-1-w-9', 'flow-clusters-1-w-10'],
    );
  });

  it('say how the container before has ended, and what they wait for, also at those that Dask knows', () => {
    const again = { kind: 'pod', restarts: 1, lastExitCode: 3 } as const;
    const members = [
      aMember('scheduler', { kind: 'pod', waiting: 'its node does not answer' }),
      aMember('0', again),
      aMember('1', { ...again, state: 'created', waiting: 'it ended 2 times (exit code 3)' }),
    ];
    assert.deepEqual(read(running, members, infoOf(aWorker(0))), [
      'scheduler | tls://127.0.0.1:1 · its node does not answer',
      'workers (1) | 1 not connected',
      '  worker 0 | 2 threads · 73 % · 412 MiB of 4 GiB · transform · 1 restart (exit code 3)',
      '  worker 1 | pod · it ended 2 times (exit code 3) · 1 restart',
    ]);
  });

  it('have rows while their cluster starts', () => {
    const starting: ClusterState = { kind: 'starting', sinceMs: 0, stage: 'pulling my-image:1: 42 %' };
    assert.deepEqual(read(starting, [aMember('scheduler'), aMember('0', { state: 'created' })]), [
      'scheduler | container 4f1c… · running',
      'worker 0 | container 4f1c… · created',
    ]);
    const [row] = clusterNodes(
      { ...emptySnapshot, clusters: new Map([['c1', { ...aCluster, state: starting }]]) },
      5000,
    );
    assert.equal(row?.description, 'starting · pulling my-image:1: 42 % · 00:05 · static');
  });

  it('are told of at their worker, or have a row where the scheduler does not know one', () => {
    const members = [
      aMember('scheduler', { state: 'paused' }),
      aMember('0', { restarts: 1 }),
      aMember('1', { state: 'exited', exitCode: 1 }),
    ];
    assert.deepEqual(read(running, members, infoOf(aWorker(0))), [
      'scheduler | tls://127.0.0.1:1 · paused',
      'workers (1) | 1 not connected',
      '  worker 0 | 2 threads · 73 % · 412 MiB of 4 GiB · transform · 1 restart',
      '  worker 1 | container 4f1c… · exited 1',
    ]);
    const [, workers] = nodesOf(running, members, infoOf(aWorker(0)));
    const [connected, gone] = workers?.children ?? [];
    assert.match(
      connected?.tooltip ?? '',
      new RegExp(
        `\\nContainer flow-clusters-1-0 \\(4f1c2ab01234\\)\\nImage: my-image:1\\nrunning since ${clock}`,
      ),
    );
    assert.equal(gone?.icon, 'vm');
    assert.equal(gone?.member, 'flow-clusters-1-1');
  });

  it('say nothing more of a worker whose container is well', () => {
    const [, , worker] = read(running, [aMember('scheduler'), aMember('0')], infoOf(aWorker(0)));
    assert.equal(worker, '  worker 0 | 2 threads · 73 % · 412 MiB of 4 GiB · transform');
  });
});
