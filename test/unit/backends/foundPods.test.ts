import assert from 'node:assert/strict';
import type { V1Deployment, V1Pod } from '@kubernetes/client-node';
import { deployedScheduler } from '../../../src/backends/kubernetes/deployment/clients.ts';
import { deploymentObjects } from '../../../src/backends/kubernetes/deployment/objects.ts';
import { deploymentShape } from '../../../src/backends/kubernetes/deployment/shape.ts';
import {
  foundMember,
  foundPod,
  livePod,
  membersSelector,
  othersOf,
} from '../../../src/backends/kubernetes/foundPods.ts';
import { podText } from '../../../src/core/podScheduler.ts';

const place = { context: 'prod', namespace: 'default', server: 'https://prod:6443' };
const created = new Date('2026-01-02T03:04:05Z');

const aPod = (labels: Record<string, string>, other: Partial<V1Pod> = {}): V1Pod => ({
  metadata: { name: 'pod-1', namespace: 'analytics', labels, creationTimestamp: created },
  spec: { containers: [{ name: 'scheduler', image: 'dask' }] },
  status: { phase: 'Running' },
  ...other,
});
const operator = { 'dask.org/cluster-name': 'etl', 'dask.org/component': 'scheduler', team: 'a' };
const found = (pod: V1Pod) => foundPod(pod, place, undefined);
const own = {
  'app.kubernetes.io/managed-by': 'flow-clusters',
  'flow-clusters/role': 'scheduler',
  'flow-clusters/cluster': 'flow-clusters-1',
  'flow-clusters/owner': 'laptop_me',
};

describe('schedulers among pods', () => {
  it('are known by the labels of who makes them, and named by where they are', () => {
    const all: Record<string, string>[] = [
      operator,
      { app: 'dask', component: 'scheduler', release: 'nightly' },
      {
        'app.kubernetes.io/name': 'dask-scheduler',
        'app.kubernetes.io/component': 'scheduler',
        'app.kubernetes.io/instance': 'dask-scheduler',
      },
      own,
    ];
    const texts = all.map((labels) => {
      const one = found(aPod(labels));
      return one && `${podText(one.scheduler)} by ${one.scheduler.selector}`;
    });
    assert.deepEqual(texts, [
      'operator · analytics/etl by dask.org/component=scheduler,dask.org/cluster-name=etl',
      'Helm chart · analytics/nightly by app=dask,component=scheduler,release=nightly',
      'Helm chart · analytics/dask-scheduler by app.kubernetes.io/name=dask-scheduler,' +
        'app.kubernetes.io/component=scheduler,app.kubernetes.io/instance=dask-scheduler',
      'Flow Clusters · analytics/flow-clusters-1 by app.kubernetes.io/managed-by=flow-clusters,' +
        'flow-clusters/role=scheduler,flow-clusters/cluster=flow-clusters-1',
    ]);
  });

  it('that were deployed are those that deploying attaches to', () => {
    const shape = deploymentShape(
      'etl',
      { name: 'pods', kind: 'kubernetes', image: 'dask' },
      { networkPolicy: true, dashboard: false },
      () => assert.fail('there is no template'),
    );
    const pods = deploymentObjects(shape, '').flatMap((one) =>
      one.kind === 'Deployment' ? ((one as V1Deployment).spec?.template ?? []) : [],
    );
    const schedulers = pods.flatMap(
      ({ metadata, spec }) => found(aPod(metadata?.labels ?? {}, spec && { spec }))?.scheduler ?? [],
    );
    const there = { ...place, namespace: 'analytics' };
    assert.deepEqual(schedulers, [deployedScheduler(there, undefined, 'etl')]);
    assert.equal(podText(deployedScheduler(there, undefined, 'etl')), 'deployed · analytics/etl');
  });

  it('are no workers, no Jupyter, nothing without the name of a cluster, and not what ends', () => {
    const none = [
      aPod({ ...operator, 'dask.org/component': 'worker' }),
      aPod({ app: 'dask', component: 'jupyter', release: 'nightly' }),
      aPod({ 'dask.org/component': 'scheduler' }),
      aPod({ component: 'scheduler', tier: 'control-plane' }),
      aPod(operator, { status: { phase: 'Failed' } }),
      aPod(operator, { metadata: { ...aPod(operator).metadata, deletionTimestamp: created } }),
    ];
    for (const pod of none) assert.equal(found(pod), undefined, JSON.stringify(pod));
  });

  it('say where they listen, since when they are there, and why they do not run', () => {
    const ports = [
      { name: 'tcp-comm', containerPort: 9786 },
      { name: 'http-dashboard', containerPort: 9787 },
    ];
    const spec = { containers: [{ name: 'scheduler', image: 'dask', ports }] };
    const waiting = { reason: 'ImagePullBackOff', message: 'no such image' };
    const containerStatuses = [{ name: 'scheduler', state: { waiting } }] as NonNullable<
      V1Pod['status']
    >['containerStatuses'];
    const one = found(aPod(operator, { spec, status: { phase: 'Pending', containerStatuses } }));
    assert.deepEqual([one?.scheduler.port, one?.scheduler.dashboardPort], [9786, 9787]);
    assert.equal(one?.sinceMs, created.getTime());
    assert.match(one?.text ?? '', /image/);
    assert.equal(found(aPod(operator))?.text, 'running');
    assert.equal(found(aPod(operator))?.scheduler.port, 8786);
    assert.equal(found(aPod(operator, { status: { phase: 'Pending' } }))?.text, 'its pod starts');
  });

  it('are connected to at the newest pod that runs', () => {
    const pod = (name: string, seconds: number, other: Partial<V1Pod> = {}) =>
      aPod(operator, {
        ...{
          metadata: { name, namespace: 'analytics', creationTimestamp: new Date(seconds * 1000) },
          ...other,
        },
      });
    const pending = pod('pending', 3, { status: { phase: 'Pending' } });
    assert.equal(livePod([pod('old', 1), pod('new', 2), pending]), 'new');
    assert.equal(livePod([pending]), undefined);
    assert.equal(livePod([]), undefined);
  });

  it('have workers with them, by the labels of the same maker, which are called as Dask or their pod calls them', () => {
    const operated = { ...operator, 'dask.org/component': 'worker' };
    const env = [{ name: 'DASK_WORKER_NAME', value: 'etl-default-worker-1' }];
    const spec = {
      containers: [
        { name: 'proxy', image: 'proxy' },
        { name: 'dask', image: 'dask:1', env },
      ],
    };
    const annotations = { 'kubectl.kubernetes.io/default-container': 'dask' };
    const status = { phase: 'Running', podIP: '10.1.2.3' };
    const pod = aPod(operated, { spec, status });
    const beside = { ...pod, metadata: { ...pod.metadata, annotations } };
    const cases: [labels: Record<string, string>, worker: V1Pod, selector: string, name: string][] = [
      [
        operator,
        beside,
        'dask.org/cluster-name=etl,dask.org/component in (scheduler,worker)',
        'etl-default-worker-1',
      ],
      [
        { app: 'dask', component: 'scheduler', release: 'nightly' },
        aPod({ app: 'dask', component: 'worker', release: 'nightly' }, { status }),
        'app=dask,release=nightly,component in (scheduler,worker)',
        'pod-1',
      ],
      [
        {
          'app.kubernetes.io/name': 'dask-scheduler',
          'app.kubernetes.io/component': 'scheduler',
          'app.kubernetes.io/instance': 'dask-scheduler',
        },
        aPod({ 'app.kubernetes.io/component': 'worker' }, { status }),
        'app.kubernetes.io/name in (dask-scheduler,dask-worker),app.kubernetes.io/component in (scheduler,worker)',
        'pod-1',
      ],
      [
        {
          'app.kubernetes.io/name': 'dask',
          'flow-clusters/role': 'scheduler',
          'flow-clusters/deployment': 'shared',
        },
        aPod({ 'flow-clusters/role': 'worker' }, { status }),
        'flow-clusters/deployment=shared,flow-clusters/role in (scheduler,worker)',
        'pod-1',
      ],
    ];
    for (const [labels, worker, selector, name] of cases) {
      const scheduler = found(aPod(labels))?.scheduler ?? assert.fail(selector);
      assert.equal(membersSelector(scheduler), selector);
      const { role, workers } = foundMember(aPod(labels), scheduler);
      assert.deepEqual([role, workers], ['scheduler', []]);
      const member = foundMember(worker, scheduler);
      assert.deepEqual([member.role, member.workers, member.host], ['worker', [name], '10.1.2.3']);
    }
    const scheduler = found(aPod(operator))?.scheduler ?? assert.fail();
    assert.equal(foundMember(beside, scheduler).image, 'dask:1');
    const onNode = aPod(operated, { spec: { ...spec, hostNetwork: true }, status });
    assert.equal(foundMember(onNode, scheduler).host, undefined, 'others are there too');
  });

  it('of ours have no second row in their window, and say elsewhere that they are for it alone', () => {
    const annotations = { 'flow-clusters/window': '7' };
    const pod = aPod(own, { metadata: { ...aPod(own).metadata, annotations } });
    const all = [found(aPod(operator)), found(pod)].filter((one) => one !== undefined);
    const texts = (looker: Partial<Parameters<typeof othersOf>[1]>) =>
      othersOf(all, {
        ...{ machine: 'laptop/me', pid: 7, isHere: () => false, isKept: () => false },
        ...looker,
      }).map(({ text }) => text);
    assert.deepEqual(texts({}), ['running']);
    assert.deepEqual(texts({ pid: 8, isHere: () => true }), ['running']);
    assert.deepEqual(texts({ pid: 8, isKept: () => true }), ['running', 'running']);
    const closed = ['running', 'running · only its window has the keys'];
    assert.deepEqual(texts({ pid: 8 }), closed);
    assert.deepEqual(texts({ machine: 'server/you' }), closed, 'numbers of processes are used everywhere');
  });
});
