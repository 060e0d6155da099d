import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CoreV1Api, CustomObjectsApi, KubeConfig, RbacAuthorizationV1Api } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { operatorPython, withOperator } from '../../scripts/lib/kubernetesOperator.mjs';
import { PodDiscovery } from '../../src/backends/kubernetes/discovery.ts';
import { type FoundPod, othersOf } from '../../src/backends/kubernetes/foundPods.ts';
import type { ApiChoice } from '../../src/backends/kubernetes/kubernetesApi.ts';
import { daskClusters } from '../../src/backends/kubernetes/operatorManifests.ts';
import { linkScheduler } from '../../src/backends/kubernetes/schedulerLink.ts';
import type { Cluster } from '../../src/core/cluster.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { clusterNodes } from '../../src/core/tree.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { PodRows } from '../../src/discover/podRows.ts';
import { Attachments } from '../../src/runs/attachments.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { daskCluster, helmRelease } from '../support/daskOnKubernetes.ts';
import { type Bench, MemoryLog } from '../support/host.ts';
import { liveBench, pythonOf } from '../support/hostLive.ts';
import {
  kubernetesBackend,
  kubernetesExecutor,
  testCluster,
  testKubernetes,
  testNamespace,
  until,
} from '../support/kubernetes.ts';
import { startStory } from '../support/stories.ts';

const run = promisify(execFile);
const answerMs = 1_000;

/** A window that looks for clusters, and attaches. */
function aWindow(kept = new Map<string, unknown>(), bench?: Bench) {
  const log = new MemoryLog();
  const store = bench?.store ?? new Store();
  const manager = bench?.manager ?? new ClusterManager({ store, watch: watchScheduler, log });
  const attachments = new Attachments({
    ...{ store, manager, log },
    memory: { get: (key) => kept.get(key), update: async (key, value) => void kept.set(key, value) },
    secrets: { get: async () => undefined, store: async () => undefined, delete: async () => undefined },
    readCertificates: async () => assert.fail('no certificates are needed'),
    link: (pods) => linkScheduler(pods, log),
  });
  const rows = new PodRows(store);
  let found: readonly FoundPod[] = [];
  const discovery = new PodDiscovery({
    ...{ log, listTimeoutMs: answerMs, searchAgainMs: 500 },
    onChange: (all) => {
      found = all;
      rows.show(othersOf(all, { machine: 'm', pid: 1, isHere: () => false, isKept: () => false }));
    },
  });
  return {
    ...{ log, store, manager, attachments, discovery, kept },
    found: () => found,
    clusters: (namespace: string) =>
      [...store.snapshot.clusters.values()].filter(({ pods }) => pods?.namespace === namespace),
    text: ({ id }: Cluster) =>
      clusterNodes(store.snapshot, Date.now()).find((one) => one.key === id)?.description ?? '',
    attach: async ({ pods }: Cluster) => {
      assert.ok(pods);
      const link = await linkScheduler(pods, log);
      try {
        await link.ready(AbortSignal.timeout(10_000));
      } catch (error) {
        link.close();
        throw error;
      }
      const address = `tcp://127.0.0.1:${link.port}`;
      const id = await attachments.add({ address, forwarded: { pods, link } });
      await attachments.ready(id);
      return id;
    },
    close: async () => {
      discovery.rest();
      rows.dispose();
      attachments.dispose();
      await manager.dispose();
    },
  };
}

describe('clusters of others on Kubernetes', function () {
  this.timeout(120_000);
  let core: CoreV1Api;
  let namespace: string;
  let other: string;
  let third: string;
  let folder: string;
  const undo: (() => Promise<unknown>)[] = [];
  const windows: ReturnType<typeof aWindow>[] = [];
  let python: string;
  /** Of the account that may read one namespace. */
  let token = '';

  before(async function () {
    this.timeout(600_000);
    ({ python } = await daskEnv('latest'));
    core = testCluster().makeApiClient(CoreV1Api);
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-discovery-'));
    const [own, more, granted] = await Promise.all(
      ['found', 'hidden', 'granted'].map((name) => testNamespace(name, {})),
    );
    assert.ok(own && more && granted);
    namespace = own.namespace;
    other = more.namespace;
    third = granted.namespace;
    undo.push(own.remove, more.remove, granted.remove, () => rm(folder, { recursive: true }));
  });
  afterEach(async () => {
    for (const one of windows.splice(0)) await one.close();
  });
  after(async () => {
    for (const one of undo) await one();
  });

  function look(
    choices: readonly ApiChoice[],
    kept?: Map<string, unknown>,
    bench?: Bench,
  ): ReturnType<typeof aWindow> {
    const one = aWindow(kept, bench);
    windows.push(one);
    one.discovery.look(choices);
    return one;
  }
  const everywhere = (): ApiChoice => ({ kubeconfig: testKubernetes().kubeconfig });
  const pods = async () => (await core.listNamespacedPod({ namespace })).items;

  const metadata = { name: 'reader' };
  const subjects = (where: string) => [{ kind: 'ServiceAccount', name: 'reader', namespace: where }];

  /** Lets the reader of a namespace read the pods of one. */
  async function mayRead(reader: string, where: string): Promise<void> {
    const rights = testCluster().makeApiClient(RbacAuthorizationV1Api);
    const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] }];
    await rights.createNamespacedRole({ namespace: where, body: { metadata, rules } });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' };
    const body = { metadata, roleRef, subjects: subjects(reader) };
    await rights.createNamespacedRoleBinding({ namespace: where, body });
  }

  /** Lets the reader of a namespace know which there are. */
  async function mayListNamespaces(reader: string): Promise<void> {
    const rights = testCluster().makeApiClient(RbacAuthorizationV1Api);
    const own = { name: `reader-of-${reader}` };
    const rules = [{ apiGroups: [''], resources: ['namespaces'], verbs: ['list'] }];
    await rights.createClusterRole({ body: { metadata: own, rules } });
    undo.push(() => rights.deleteClusterRole(own));
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', ...own };
    await rights.createClusterRoleBinding({ body: { metadata: own, roleRef, subjects: subjects(reader) } });
    undo.push(() => rights.deleteClusterRoleBinding(own));
  }

  /** A kubeconfig of somebody who may read one namespace only. */
  async function limitedTo(where: string): Promise<string> {
    await core.createNamespacedServiceAccount({ namespace: where, body: { metadata } });
    await mayRead(where, where);
    const body = { spec: { audiences: [] as string[] } };
    const { status } = await core.createNamespacedServiceAccountToken({
      ...{ name: 'reader', namespace: where, body },
    });
    assert.ok(status?.token);
    token = status.token;
    return await kubeconfig('limited', testCluster().getCurrentCluster() ?? {}, where, { token });
  }

  async function kubeconfig(name: string, cluster: object, where = 'default', user: object = {}) {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ ...cluster, name }],
      users: [{ ...user, name }],
      contexts: [{ name, cluster: name, user: name, namespace: where }],
      currentContext: name,
    });
    const path = join(folder, `${name}.json`);
    await writeFile(path, config.exportConfig());
    return path;
  }

  it('are found, attached with all that a run needs, found again when their pod is replaced, and left as they are', async () => {
    const resources = testCluster().makeApiClient(CustomObjectsApi);
    const own = look([everywhere()]);
    await withOperator(testKubernetes(), namespace, async () => {
      const body = daskCluster('etl', await imageOf('dask-latest'), 1);
      await resources.createNamespacedCustomObject({ ...daskClusters, namespace, body });
      await until(() => own.clusters(namespace).some((one) => own.text(one).startsWith('running')));
      const [row, ...more] = own.clusters(namespace);
      assert.ok(row);
      assert.deepEqual(more, []);
      assert.equal(row.ownership, 'discovered');
      assert.equal(own.text(row), `running · discovered · operator · ${namespace}/etl`);

      const id = await own.attach(row);
      const [attached, ...none] = own.clusters(namespace);
      assert.deepEqual([attached?.id, none], [id, []], 'it has one row');
      assert.equal(attached?.ownership, 'attached');
      const now = () => own.store.snapshot.clusters.get(id);
      await until(() => now()?.info?.workers.length === 1, 60_000);
      // Its node may be slower to say that it runs.
      await until(() => now()?.members?.every(({ state }) => state === 'running') === true);
      const [worker] = now()?.info?.workers ?? [];
      assert.deepEqual(
        now()?.members?.map(({ role, workers, state }) => [role, ...workers, state]),
        [
          ['scheduler', 'running'],
          ['worker', worker?.name, 'running'],
        ],
      );
      const { address } = own.manager.handle(id);
      const work = `from distributed import Client\nprint(Client(${JSON.stringify(address)}).submit(sum, [1, 2]).result())`;
      assert.equal((await run(python, ['-c', work])).stdout.trim(), '3');
      const state = now()?.state;
      assert.ok(state?.kind === 'running' && state.dashboard);
      assert.equal((await fetch(state.dashboard)).status, 200, 'the dashboard answers');

      const scheduler = (await pods()).find(
        ({ metadata }) => metadata?.labels?.['dask.org/component'] === 'scheduler',
      );
      const before = now()?.info?.id;
      await core.deleteNamespacedPod({ namespace, name: scheduler?.metadata?.name ?? '' });
      await until(() => now()?.state.kind === 'lost');
      await until(() => now()?.state.kind === 'running' && now()?.info?.id !== before, 60_000);
      const client = new SchedulerClient(address);
      await until(async () => (await client.identity()).workers.length === 1, 60_000);
      client.close();

      // The next window has it at once.
      const kept = new Map(own.kept);
      const next = look([], kept);
      await next.attachments.restore();
      const [restored] = next.clusters(namespace);
      assert.equal(restored?.ownership, 'attached');
      await next.attachments.ready(restored?.id ?? '');

      const there = (await pods()).map(({ metadata }) => metadata?.name).sort();
      await own.attachments.detach(id);
      await assert.rejects(new SchedulerClient(address, { timeoutMs: 2_000 }).identity(), /127\.0\.0\.1/);
      await until(() => own.clusters(namespace).every(({ ownership }) => ownership === 'discovered'));
      assert.equal(own.clusters(namespace).length, 1, 'it is offered again');
      assert.deepEqual((await pods()).map(({ metadata }) => metadata?.name).sort(), there);

      await resources.deleteNamespacedCustomObject({ ...daskClusters, namespace, name: 'etl' });
      const left = () =>
        resources.listNamespacedCustomObject({ ...daskClusters, namespace }) as Promise<{ items: unknown[] }>;
      await until(async () => (await left()).items.length === 0);
    });
  });

  it('are those that KubeCluster has made: they run a flow, and are their owner’s afterwards', async function () {
    // From outside of the cluster it takes 20 s to start by itself.
    this.timeout(300_000);
    const bench = await liveBench({ python: await pythonOf('dask-latest') });
    await withOperator(testKubernetes(), namespace, async () => {
      const script = fileURLToPath(new URL('../support/kube_cluster.py', import.meta.url));
      const args = [script, namespace, `notebook-${process.pid}`, await imageOf('dask-latest')];
      const owner = spawn(await operatorPython(), args, { stdio: ['pipe', 'pipe', 'inherit'] });
      const lines = createInterface(owner.stdout)[Symbol.asyncIterator]();
      try {
        const { value: name } = await lines.next();
        await bench.host.whenReady();
        const own = look([everywhere()], undefined, bench);
        const theirs = () => own.clusters(namespace).find(({ pods }) => pods?.name === name);
        await until(() => theirs() !== undefined);
        const row = theirs() ?? assert.fail('no row');
        assert.equal(own.text(row), `running · discovered · operator · ${namespace}/${name}`);
        const clusterId = await own.attach(row);
        const id = await startStory(bench, 'dask', ['plain.py'], { kind: 'cluster', clusterId });
        const done = await bench.over(id, 60_000);
        assert.equal(done.state.kind, 'completed', JSON.stringify(done.state));
        await own.attachments.detach(clusterId);
        owner.stdin.write('\n');
        assert.deepEqual([(await lines.next()).value, (await lines.next()).value], ['3', 'closed']);
        await until(() => theirs() === undefined);
      } finally {
        owner.kill();
        await bench.dispose();
      }
    });
  });

  it('are those of the namespaces that one may read, also since then', async () => {
    await Promise.all([helmRelease('prod', namespace, 1), helmRelease('secret', other)]);
    const all = look([everywhere()]);
    const limited = await limitedTo(namespace);
    const one = look([{ kubeconfig: limited }]);
    const helm = (window: typeof all, where: string) =>
      window.clusters(where).filter(({ pods }) => pods?.maker === 'helm');
    await until(() => helm(all, other).length === 1 && helm(one, namespace).length === 1);
    const [row] = helm(one, namespace);
    await until(() => row !== undefined && one.text(row).startsWith('running'));
    assert.match(row ? one.text(row) : '', new RegExp(`Helm chart · ${namespace}/prod$`));
    assert.deepEqual(one.clusters(other), []);
    assert.deepEqual(one.log.lines, []);

    assert.ok(row);
    await assert.rejects(one.attach(row), /ports of .* can't be forwarded: .*403/);
    const rights = testCluster().makeApiClient(RbacAuthorizationV1Api);
    const role = await rights.readNamespacedRole({ namespace, name: 'reader' });
    const forward = { apiGroups: [''], resources: ['pods/portforward'], verbs: ['get', 'create'] };
    const body = { ...role, rules: [...(role.rules ?? []), forward] };
    await rights.replaceNamespacedRole({ namespace, name: 'reader', body });
    const id = await one.attach(row);
    const now = () => one.store.snapshot.clusters.get(id);
    // Called by its address: its pod is known by where that is.
    await until(() => now()?.members?.[1]?.workers[0]?.startsWith('tcp://') === true);
    assert.deepEqual(
      now()?.members?.map(({ workers }) => workers),
      [[], now()?.info?.workers.map(({ name }) => name)],
    );
    const access = one.manager.members(id) ?? assert.fail('there is no way to its pods');
    const name = now()?.members?.[1]?.name ?? '';
    await assert.rejects(
      access.follow(name, { tail: 1, signal: AbortSignal.timeout(10_000) }, () => undefined),
      /^UserError: You may not get pods\/log in the namespace \S+$/,
    );
    await assert.rejects(
      access.describe?.(name) ?? Promise.resolve(),
      /can't be read: You may not get pods in the namespace \S+$/,
    );
    await assert.rejects(access.shell(name, { rows: 1, columns: 1 }), /^UserError: No shell .*403$/);
    await one.attachments.detach(id);
    assert.equal(one.manager.members(id), undefined);

    // Rights that are given meanwhile: on two namespaces of the three.
    await helmRelease('later', third);
    await mayRead(namespace, third);
    const named = look([{ kubeconfig: limited }, { kubeconfig: limited, namespace: third }]);
    await until(() => helm(named, third).length === 1 && helm(named, namespace).length === 1);
    assert.deepEqual(helm(one, third), [], 'nobody has named it');
    await mayListNamespaces(namespace);
    await until(() => helm(one, third).length === 1);
    for (const window of [one, named]) {
      assert.deepEqual(window.clusters(other), []);
      assert.deepEqual(window.log.lines, []);
    }
  });

  it('are looked for after one login, and a login that fails is not repeated at once', async () => {
    const logins = join(folder, 'logins');
    const apiVersion = 'client.authentication.k8s.io/v1';
    const credential = JSON.stringify({ apiVersion, kind: 'ExecCredential', status: { token } });
    const login = (name: string, script: string) => {
      const args = ['-c', `echo ${name} >> ${logins}; ${script}`];
      const exec = { apiVersion, command: 'sh', args, interactiveMode: 'Never' };
      return kubeconfig(name, testCluster().getCurrentCluster() ?? {}, namespace, { exec });
    };
    const good = await login('good', `sleep 0.3; echo '${credential}'`);
    const bad = await login('bad', 'echo your session is over >&2; exit 1');
    const one = look([
      { kubeconfig: bad, context: 'bad' },
      { kubeconfig: good, context: 'good' },
    ]);
    await until(() => one.clusters(namespace).length > 0);
    await sleep(1_500);
    assert.equal(one.log.lines.length, 1, one.log.lines.join('\n'));
    assert.match(one.log.lines[0] ?? '', /Kubernetes \(bad\).*your session is over/);
    assert.deepEqual((await readFile(logins, 'utf8')).trim().split('\n').sort(), ['bad', 'good']);
  });

  it('give way to those of servers that answer', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    assert.ok(typeof address === 'object' && address);
    const server = `https://127.0.0.1:${address.port}`;
    const dead = await kubeconfig('dead', { server, skipTLSVerify: true });
    const began = performance.now();
    const one = look([{ kubeconfig: dead, context: 'dead' }, everywhere()]);
    assert.ok(performance.now() - began < 100, 'nobody waits');
    await until(() => one.clusters(namespace).length > 0);
    await until(() => one.log.lines.length > 0);
    assert.equal(one.log.lines.length, 1, one.log.lines.join('\n'));
    assert.match(one.log.lines[0] ?? '', /Kubernetes \(dead\).*no answer within 1 s/);
    assert.ok(one.found().every(({ scheduler }) => scheduler.context !== 'dead'));
    one.discovery.rest();
    assert.ok(one.clusters(namespace).length > 0, 'they stay while nobody looks');
    one.discovery.look([]);
    assert.deepEqual(one.clusters(namespace), [], 'and go when nobody wants to see them');
    await one.close();
    silent.close();
  });

  it('are those of other windows, which have the keys of theirs', async () => {
    const executor = await kubernetesExecutor('dask-latest', namespace, { n_workers: 0 });
    const nothing = () => undefined;
    const backend = kubernetesBackend({ owner: { machine: 'other', pid: 7 } });
    const handle = await backend.start(executor, {
      ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
      ...{ stage: nothing, worker: nothing, scaling: nothing },
    });
    try {
      const one = look([everywhere()]);
      const ours = () => one.clusters(namespace).find(({ pods }) => pods?.maker === 'flow-clusters');
      await until(() => ours() !== undefined);
      const row = ours();
      assert.match(row ? one.text(row) : '', /^running · only its window has the keys · discovered/);
      const own = { machine: 'other', pid: 7, isHere: () => false, isKept: () => false };
      const here = one.found().filter(({ scheduler }) => scheduler.namespace === namespace);
      assert.deepEqual(
        othersOf(here, own).map(({ scheduler }) => scheduler.maker),
        here.filter((found) => !found.own).map(({ scheduler }) => scheduler.maker),
        'not in its own window',
      );
    } finally {
      await handle.close({ force: true });
    }
  });
});
