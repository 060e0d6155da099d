import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchV1Api, CoreV1Api, type V1Pod } from '@kubernetes/client-node';
import type { ClusterHandle, WorkerNews } from '../../src/core/backend.ts';
import { UserError } from '../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import type { ClusterMember, MemberAccess } from '../../src/core/members.ts';
import type { ScalingNews } from '../../src/core/scaling.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import {
  describeWays,
  kubernetesBackend,
  kubernetesExecutor,
  optionsOf,
  testCluster,
  until,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';
import { assertLetsNobodyIn, describePool } from '../support/pools.ts';

describeWays('a cluster on Kubernetes', 'cluster', (way, namespaceOf) => {
  let core: CoreV1Api;
  let namespace: string;
  let handle: ClusterHandle | undefined;
  let client: SchedulerClient | undefined;
  let members: readonly ClusterMember[] = [];
  let access: MemberAccess | undefined;
  const stages: string[] = [];
  const news: WorkerNews[] = [];
  const steps: ScalingNews[] = [];

  before(() => {
    core = testCluster().makeApiClient(CoreV1Api);
    namespace = namespaceOf();
  });
  beforeEach(() => {
    for (const list of [stages, news, steps]) list.length = 0;
    members = [];
  });
  afterEach(async () => {
    client?.close();
    client = undefined;
    await handle?.close({ force: true });
    handle = undefined;
    await untilNothingIsLeft(namespace);
  });

  async function start(
    options: Partial<KubernetesExecutor> = {},
    signal = new AbortController().signal,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ClusterHandle> {
    const executor = await kubernetesExecutor('dask-latest', namespace, { ...optionsOf(way), ...options });
    handle = await kubernetesBackend().start(executor, {
      ...{ clusterId: 'c1', lifetime: 'temporary', signal, inherit: { env } },
      stage: (text) => stages.push(text),
      worker: (one) => news.push(one),
      scaling: (one) => steps.push(one),
      members: (some, by) => {
        members = some;
        access = by;
      },
    });
    client = new SchedulerClient(handle.address, { security: handle.security });
    return handle;
  }

  const workers = async () => (await client?.identity())?.workers ?? [];
  const pods = async (role = 'worker'): Promise<V1Pod[]> => {
    const labelSelector = `flow-clusters/role=${role}`;
    return (await core.listNamespacedPod({ namespace, labelSelector })).items;
  };
  const podOf = async (worker: string) =>
    (await pods()).find(({ metadata }) => metadata?.labels?.['flow-clusters/worker'] === worker);
  const failure = (message: RegExp) => (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.ok(error.hint, error.message);
    return true;
  };

  it('has the workers, threads, memory and resources that it was asked for, under the level restricted', async () => {
    const one = await start({
      ...{ n_workers: 2, threads_per_worker: 2, memory_limit: '512MiB', resources: { GPU: 1 } },
      ...{ requests: { cpu: '100m' }, limits: { cpu: 1 }, labels: { team: 'data' }, env: { STAGE: 'test' } },
      scheduler: { requests: { cpu: '50m' }, limits: { memory: '1Gi' } },
      pod_template: 'spec:\n  containers:\n    - name: worker\n      env: [{name: MORE, value: "1"}]\n',
    });
    assert.equal(one.workers, 2);
    assert.equal(one.versions?.distributed, '2026.8.0');
    await until(async () => (await workers()).length === 2);
    for (const worker of await workers()) {
      assert.equal(worker.threads, 2);
      assert.equal(worker.memoryLimitBytes, 512 * 1024 * 1024);
    }
    const [pod] = await pods();
    const container = pod?.spec?.containers[0];
    assert.deepEqual(
      { ...container?.resources },
      {
        requests: { cpu: '100m', memory: '536870912' },
        limits: { cpu: '1', memory: '536870912' },
      },
    );
    assert.equal(container?.env?.find(({ name }) => name === 'MORE')?.value, '1');
    assert.equal(pod?.metadata?.labels?.team, 'data');
    assert.equal(pod?.spec?.automountServiceAccountToken, false);
    const [scheduler] = await pods('scheduler');
    assert.deepEqual(
      { ...scheduler?.spec?.containers[0]?.resources },
      {
        requests: { cpu: '50m', memory: '1Gi' },
        limits: { memory: '1Gi' },
      },
    );
    // Kubernetes tells of a container that runs later than that says so itself, to Dask.
    await until(() => members.every(({ state }) => state === 'running'));
    assert.deepEqual(
      members.map(({ role, workers: names, state, node }) => [role, ...names, state, typeof node]),
      [
        ['scheduler', 'running', 'string'],
        ['worker', '0', 'running', 'string'],
        ['worker', '1', 'running', 'string'],
      ],
    );
  });

  describePool({
    ...{ start, news, steps, until },
    client: () => client ?? assert.fail('no cluster'),
    has: async (count) => (await pods()).length === count,
  });

  it('lets nobody in without its certificate, and has its keys in a secret only', async () => {
    const one = await start({ n_workers: 1 });
    assert.match(one.address, /^tls:\/\/127\.0\.0\.1:\d+$/);
    await assertLetsNobodyIn(one);
    for (const pod of [...(await pods()), ...(await pods('scheduler'))])
      assert.ok(!JSON.stringify(pod).includes('PRIVATE KEY'));
  });

  it('gives workers their environment, and shows its values to nobody who may look at pods', async () => {
    const [own, ofRun] = ['own-4711', 'run-4711'];
    const env = { TOKEN: ofRun, STAGE: ofRun, GONE: ofRun };
    const pod_template = 'spec: {containers: [{name: worker, env: [{name: GONE, value: template}]}]}';
    await start({ n_workers: 1, env: { STAGE: own }, pod_template }, undefined, env);
    const by = access ?? assert.fail('no pods');
    const worker = members.find(({ role }) => role === 'worker')?.name ?? '';
    const shell = await by.shell(worker, { rows: 24, columns: 200 });
    let said = '';
    shell.onData((text) => {
      said += text;
    });
    shell.write('echo $TOKEN,$STAGE,$GONE; exit\n');
    await Promise.race([shell.ended, sleep(20_000)]);
    assert.match(said, /run-4711,own-4711,template/);

    const query = { namespace };
    const shown = [
      ...(await core.listNamespacedPod(query)).items,
      ...(await testCluster().makeApiClient(BatchV1Api).listNamespacedJob(query)).items,
      ...(await core.listNamespacedService(query)).items,
      ...(await core.listNamespacedEvent(query)).items,
    ];
    const described = await Promise.all(members.map(({ name }) => by.describe?.(name)));
    const text = JSON.stringify([shown, described]);
    assert.ok(text.includes('TOKEN'));
    for (const value of [own, ofRun]) assert.ok(!text.includes(value));
  });

  it('gives a worker whose pod is taken away another one, and says so', async () => {
    await start();
    await until(async () => (await workers()).length === 2);
    await core.deleteNamespacedPod({ name: (await podOf('1'))?.metadata?.name ?? '', namespace });
    await until(() => news.some(({ what }) => what === 'restarted'));
    assert.match(news[0]?.message ?? '', /^the pod of worker 1 has gone: somebody deleted it$/);
    assert.equal(news.at(-1)?.message, 'worker 2 takes the place of worker 1');
    await until(async () => {
      const names = (await workers()).map(({ name }) => name).sort();
      return names.join() === '0,2';
    });
  });

  it('says of an evicted pod why, and goes on', async () => {
    await start();
    await until(async () => (await workers()).length === 2);
    const name = (await podOf('0'))?.metadata?.name ?? '';
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } };
    await core.createNamespacedPodEviction({ name, namespace, body });
    await until(() => news.length >= 2);
    assert.match(
      news[0]?.message ?? '',
      /^the pod of worker 0 has gone: it was evicted, as its node is being drained/,
    );
    await until(async () => (await workers()).length === 2);
  });

  it('says that a worker ran out of memory, and has it again', async () => {
    const one = await start({ n_workers: 1, memory_limit: '200MiB', worker_options: { memory_limit: 0 } });
    await until(async () => (await workers()).length === 1);
    assert.ok(access && one);
    const shell = await access.shell(members.find(({ role }) => role === 'worker')?.name ?? '', {
      ...{ rows: 24, columns: 80 },
    });
    shell.write('python3 -c "x = bytearray(400_000_000)"; echo done $?; exit\n');
    let said = '';
    shell.onData((text) => {
      said += text;
    });
    await Promise.race([shell.ended, sleep(20_000)]);
    // The kernel takes the greediest: the shell's own, or the whole container.
    assert.ok(/done 137/.test(said) || news.some(({ message }) => /out of memory/.test(message)), said);
  });

  it('is over when the pod of its scheduler goes, and says why', async () => {
    const one = await start({ n_workers: 1 });
    const [scheduler] = await pods('scheduler');
    await core.deleteNamespacedPod({ name: scheduler?.metadata?.name ?? '', namespace });
    const exit = await one.finished;
    assert.equal(exit.how, 'died');
    assert.match(exit.how === 'died' ? exit.message : '', /^The scheduler's pod ended: somebody deleted it/);
    await untilNothingIsLeft(namespace);
  });

  it('leaves nothing when its start is cancelled at any stage', async () => {
    for (const afterMs of [1, 100, 300, 1000, 2000]) {
      const abort = new AbortController();
      const starting = start({}, abort.signal);
      await Promise.race([sleep(afterMs), starting.catch(() => undefined)]);
      abort.abort(new UserError('cancelled', 'The start was cancelled'));
      await starting.then((one) => one.close({ force: true })).catch(() => undefined);
      await untilNothingIsLeft(namespace);
    }
  });

  it('says what is wrong with its image, before the time limit', async () => {
    const cases: [Partial<KubernetesExecutor>, RegExp][] = [
      [
        { image: '127.0.0.1:1/x:1', start_timeout: 10 },
        /The (scheduler|worker \d) was not there within 10 s: the image 127\.0\.0\.1:1\/x:1 can't be pulled: .*refused/,
      ],
      [
        { image: 'not there' },
        /“not there” is no name of an image|InvalidImageName|Kubernetes does not take/,
      ],
      [
        { image: 'flow-clusters-test/absent:1', image_pull_policy: 'Never' },
        /is not on its node, and image_pull_policy is "Never"/,
      ],
      [{ image: 'flow-clusters-test/pause:1' }, /has no python3/],
    ];
    for (const [options, message] of cases) await assert.rejects(start(options), failure(message));
  });

  it('says what keeps its pods from starting', async () => {
    const cases: [Partial<KubernetesExecutor>, RegExp][] = [
      [
        { requests: { cpu: 500 }, start_timeout: 10 },
        /The worker \d was not there within 10 s: no node takes it: .*Insufficient cpu/,
      ],
      [
        { node_selector: { disk: 'none' }, start_timeout: 10 },
        /no node takes it: .*didn't match Pod's node affinity/,
      ],
      [
        {
          volumes: [{ name: 'a', secret: { secretName: 'none' } }],
          volume_mounts: [{ name: 'a', mountPath: '/a' }],
          start_timeout: 10,
        },
        /The worker \d was not there within 10 s: .*secret "none" not found/,
      ],
      [
        { pod_template: { spec: { hostNetwork: true } } },
        /does not allow such pods: violates PodSecurity "restricted/,
      ],
      [{ pod_template: '{' }, /^pod_template is no manifest/],
      [{ namespace: 'not-there' }, /There is no namespace "not-there"/],
      [{ context: 'nope' }, /The kubeconfig has no context "nope"/],
      [{ kubeconfig: '/nowhere/config' }, /The kubeconfig can't be read/],
    ];
    for (const [options, message] of cases) await assert.rejects(start(options), failure(message));
  });

  it('tells pods’ logs, events and manifests, and has a shell in them', async () => {
    await start({ n_workers: 1 });
    await until(async () => (await workers()).length === 1);
    assert.ok(access);
    const name = members.find(({ role }) => role === 'worker')?.name ?? '';
    const lines: string[] = [];
    const abort = new AbortController();
    const following = access.follow(name, { tail: 100, signal: abort.signal }, ({ timeMs, text }) => {
      assert.ok(timeMs && Math.abs(timeMs - Date.now()) < 3_600_000);
      lines.push(text);
    });
    await until(() => lines.some((line) => /Registered to: +tls:/.test(line)));
    abort.abort();
    await following;
    const described = (await access.describe?.(name)) ?? '';
    assert.match(described, /^# Events\n(#.*\n)*# .*Scheduled.*assigned/);
    assert.match(described, new RegExp(`name: ${name}`));
    const shell = await access.shell(name, { rows: 30, columns: 100 });
    let said = '';
    shell.onData((text) => {
      said += text;
    });
    shell.write('sleep 1; stty size; id -u; exit 3\n');
    assert.equal(await shell.ended, 3);
    assert.match(said, /30 100\s+1000/);
  });
});
