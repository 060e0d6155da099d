import assert from 'node:assert/strict';
import type { V1ContainerState, V1ContainerStatus, V1Pod, V1PodStatus } from '@kubernetes/client-node';
import { disruptionOf, endOf, memberOf, troubleOf } from '../../../src/backends/kubernetes/podState.ts';
import { mergeManifest } from '../../../src/backends/kubernetes/podTemplate.ts';
import { memberLines, memberText } from '../../../src/core/members.ts';

describe('a pod template', () => {
  const pod = {
    metadata: { labels: { a: '1' } },
    spec: {
      restartPolicy: 'Never',
      securityContext: { runAsUser: 1000, runAsNonRoot: true },
      tolerations: [{ key: 'old' }],
      containers: [
        {
          name: 'worker',
          image: 'etl',
          args: ['a', 'b'],
          env: [{ name: 'HOME', value: '/tmp' }],
          volumeMounts: [{ name: 'scratch', mountPath: '/tmp' }],
          ports: [{ containerPort: 1 }],
        },
      ],
      volumes: [{ name: 'scratch', emptyDir: {} }],
    },
  };

  it('is merged: objects into each other, what has a name by that, other lists in their place', () => {
    const merged = mergeManifest(pod, {
      metadata: { labels: { b: '2' } },
      spec: {
        priorityClassName: 'low',
        tolerations: [{ key: 'new' }],
        containers: [
          {
            name: 'worker',
            args: ['c'],
            env: [
              { name: 'HOME', value: '/home' },
              { name: 'X', value: 'y' },
            ],
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
            ports: [{ containerPort: 1, name: 'one' }],
          },
          { name: 'side', image: 'proxy' },
        ],
        volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '1Gi' } }],
      },
    });
    assert.deepEqual(merged, {
      metadata: { labels: { a: '1', b: '2' } },
      spec: {
        restartPolicy: 'Never',
        priorityClassName: 'low',
        securityContext: { runAsUser: 1000, runAsNonRoot: true },
        tolerations: [{ key: 'new' }],
        containers: [
          {
            name: 'worker',
            image: 'etl',
            args: ['c'],
            env: [
              { name: 'HOME', value: '/home' },
              { name: 'X', value: 'y' },
            ],
            volumeMounts: [
              { name: 'scratch', mountPath: '/tmp' },
              { name: 'data', mountPath: '/data' },
            ],
            ports: [{ containerPort: 1, name: 'one' }],
          },
          { name: 'side', image: 'proxy' },
        ],
        volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '1Gi' } }],
      },
    });
  });

  it('gives a variable its own value where it came from elsewhere', () => {
    const valueFrom = { secretKeyRef: { name: 'keys', key: 'token' } };
    const container = (env: object[]) => ({ spec: { containers: [{ name: 'worker', env }] } });
    const merged = mergeManifest(container([{ name: 'TOKEN', valueFrom }]), {
      ...container([{ name: 'TOKEN', value: 'mine' }]),
    });
    assert.deepEqual(merged, container([{ name: 'TOKEN', value: 'mine' }]));
  });

  it('takes away by null, and leaves the pod that it is merged over as it was', () => {
    const before = structuredClone(pod);
    const { spec } = mergeManifest(pod, {
      spec: {
        securityContext: { runAsUser: null },
        tolerations: null,
        containers: [{ name: 'worker', args: null }],
      },
    });
    assert.deepEqual(spec.securityContext, { runAsNonRoot: true });
    assert.deepEqual(Object.keys(spec).sort(), ['containers', 'restartPolicy', 'securityContext', 'volumes']);
    assert.ok(!Object.keys(spec.containers[0] ?? {}).includes('args'));
    assert.deepEqual(pod, before);
  });
});

describe('a pod that does not run', () => {
  const aPod = (status: V1PodStatus): V1Pod => ({
    metadata: {
      name: 'c1-worker-0',
      uid: 'u1',
      creationTimestamp: new Date(0),
      labels: { 'flow-clusters/role': 'worker', 'flow-clusters/worker': '0' },
    },
    spec: { nodeName: 'node-1', containers: [{ name: 'worker', image: 'etl:1' }] },
    status: { phase: 'Pending', ...status },
  });
  const withContainer = (state: V1ContainerState, more: Partial<V1ContainerStatus> = {}, phase = 'Pending') =>
    aPod({
      phase,
      containerStatuses: [
        { name: 'worker', image: 'etl:1', imageID: '', ready: false, restartCount: 0, state, ...more },
      ],
    });
  const waits = (reason: string, message = '', more: Partial<V1ContainerStatus> = {}) =>
    withContainer({ waiting: { reason, message } }, more);

  /** Texts as containerd, kubelet and scheduler have them. */
  const cases: readonly [what: string, pod: V1Pod, text: RegExp, final: boolean][] = [
    [
      'of which there is no image',
      waits(
        'ErrImagePull',
        'failed to resolve reference "docker.io/library/etl:1": docker.io/library/etl:1: not found',
      ),
      /^the image etl:1 can't be pulled: there is none of that name$/,
      true,
    ],
    [
      'whose registry refuses',
      waits('ImagePullBackOff', 'pull access denied, repository does not exist or may require authorization'),
      /^the image etl:1 can't be pulled: its registry refuses, or does not know it$/,
      true,
    ],
    [
      'whose registry wants a login',
      waits(
        'ErrImagePull',
        'failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized',
      ),
      /its registry refuses/,
      true,
    ],
    [
      'whose image is for other processors',
      waits('ErrImagePull', 'no match for platform in manifest: not found'),
      /can't be pulled: there is none for its node's kind of processor$/,
      true,
    ],
    [
      'whose registry is not reached',
      waits('ErrImagePull', 'dial tcp 10.0.0.1:443: i/o timeout'),
      /can't be pulled: dial tcp 10.0.0.1:443: i\/o timeout$/,
      false,
    ],
    [
      'that may not pull',
      waits('ErrImageNeverPull'),
      /is not on its node, and image_pull_policy is "Never"$/,
      true,
    ],
    ['whose image has no proper name', waits('InvalidImageName'), /^“etl:1” is no name of an image$/, true],
    [
      'that no node takes',
      aPod({
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/3 nodes are available: 3 Insufficient memory.',
          },
        ],
      }),
      /^no node takes it: 0\/3 nodes are available: 3 Insufficient memory$/,
      false,
    ],
    [
      'whose secret is missing',
      waits('CreateContainerConfigError', 'secret "login" not found'),
      /^there is no secret "login" in its namespace$/,
      true,
    ],
    [
      'whose config map is missing',
      waits('CreateContainerConfigError', 'configmap "settings" not found'),
      /^there is no configmap "settings" in its namespace$/,
      true,
    ],
    [
      'that would run as root',
      waits('CreateContainerConfigError', 'container has runAsNonRoot and image will run as root'),
      /^the image etl:1 runs as root, which its pod does not allow$/,
      true,
    ],
    [
      'without Python',
      waits('RunContainerError', 'exec: "python3": executable file not found in $PATH: unknown'),
      /^the image etl:1 has no python3$/,
      true,
    ],
    [
      'of another processor',
      waits('RunContainerError', 'exec /usr/bin/python3: exec format error'),
      /^the image etl:1 is for another kind of processor than its node has$/,
      true,
    ],
    [
      'that ends again and again',
      waits('CrashLoopBackOff', 'back-off 10s', {
        restartCount: 2,
        lastState: { terminated: { exitCode: 3, reason: 'Error' } },
      }),
      /^it ended 3 times and waits to be started again \(exit code 3\)$/,
      false,
    ],
    [
      'that runs out of memory again and again',
      waits('CrashLoopBackOff', '', {
        restartCount: 1,
        lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      }),
      /^it ended 2 times .*\(out of memory\)$/,
      false,
    ],
    [
      'that its node evicted',
      aPod({ phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory.' }),
      /^its node evicted it: The node was low on resource: memory$/,
      true,
    ],
  ];
  for (const [what, pod, text, final] of cases) {
    it(`says why: one ${what}`, () => {
      const trouble = troubleOf(pod);
      assert.match(trouble?.text ?? 'no trouble', text);
      assert.equal(trouble?.final, final);
    });
  }

  it('says nothing while all is well', () => {
    for (const reason of ['ContainerCreating', 'PodInitializing'])
      assert.equal(troubleOf(waits(reason)), undefined);
    assert.equal(troubleOf(withContainer({ running: {} }, {}, 'Running')), undefined);
    assert.equal(disruptionOf(withContainer({ running: {} }, {}, 'Running')), undefined);
  });

  it('says how it ended, and whether Kubernetes ended it', () => {
    const killed = withContainer({ terminated: { exitCode: 137, reason: 'OOMKilled' } }, {}, 'Failed');
    assert.deepEqual(endOf(killed), { exitCode: 137, outOfMemory: true });
    assert.deepEqual(endOf(withContainer({ terminated: { exitCode: 0 } }, {}, 'Succeeded')), {
      exitCode: 0,
      outOfMemory: false,
    });
    const words: Readonly<Record<string, string>> = {
      PreemptionByScheduler: 'it made room for a pod of higher priority',
      EvictionByEvictionAPI: 'it was evicted, as its node is being drained',
      DeletionByTaintManager: 'its node is to run no such pods any more',
    };
    for (const [reason, text] of Object.entries(words)) {
      const conditions = [{ type: 'DisruptionTarget', status: 'True', reason }];
      assert.equal(disruptionOf(aPod({ conditions })), text);
    }
    assert.equal(endOf(withContainer({ running: {} }, {}, 'Running')), undefined);
  });

  it('says that its node is silent, and that it was given up for that', () => {
    const silent = [
      { type: 'Ready', status: 'False' },
      { type: 'ContainersReady', status: 'True' },
    ];
    const pod = withContainer({ running: {} }, {}, 'Running');
    const lost = { ...pod, status: { ...pod.status, conditions: silent } };
    assert.equal(memberText(memberOf(lost)), 'pod on node-1 · its node does not answer');
    const disruption = { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' };
    const given = { ...lost, status: { ...lost.status, conditions: [...silent, disruption] } };
    assert.equal(disruptionOf(given), 'its node does not answer any more');
    // One that is not ready by what its kubelet says has a reason.
    const gated = silent.map((one) => ({ ...one, reason: 'ReadinessGatesNotReady' }));
    assert.equal(troubleOf({ ...pod, status: { ...pod.status, conditions: gated } }), undefined);
  });

  it('is a member that says so', () => {
    const waiting = memberOf(waits('InvalidImageName'));
    assert.equal(memberText(waiting), 'pod on node-1 · “etl:1” is no name of an image');
    assert.deepEqual(memberLines(waiting).slice(0, 3), [
      'Pod c1-worker-0 on the node node-1',
      'Image: etl:1',
      'Waits: “etl:1” is no name of an image',
    ]);
    const killed = withContainer(
      { terminated: { exitCode: 137, reason: 'OOMKilled', finishedAt: new Date(0) } },
      { restartCount: 1 },
      'Failed',
    );
    assert.equal(memberText(memberOf(killed)), 'pod on node-1 · exited 137, out of memory · 1 restart');
  });
});
