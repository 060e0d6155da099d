import assert from 'node:assert/strict';
import { join } from 'node:path';
import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { UserError } from '../../src/core/errors.ts';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { clusterNodes, type TreeNode } from '../../src/core/tree.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import type { PythonHost } from '../../src/host/pythonHost.ts';
import { RunChannels } from '../../src/runs/channel.ts';
import { ClusterLog } from '../../src/runs/clusterLog.ts';
import { ClusterOutputs } from '../../src/runs/clusterOutputs.ts';
import { preflight } from '../../src/runs/preflight.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import {
  deploy,
  deployedObjects,
  deployments,
  noOptions,
  podsOf,
  type Way,
  wayTo,
  workersOf,
} from '../support/deployments.ts';
import { runOn } from '../support/foreignClient.ts';
import { MemoryLog } from '../support/host.ts';
import {
  flowsDirectory,
  liveBench,
  liveHost,
  prefectHome,
  pythonOf,
  removeFolder,
} from '../support/hostLive.ts';
import { kubernetesExecutor, testCluster, testNamespace, until } from '../support/kubernetes.ts';
import { startPrefectServer } from '../support/prefectServer.ts';
import { startStory, stories } from '../support/stories.ts';

const signal = new AbortController().signal;

/** A row of a window that is attached to it. */
function attachedTo({ address, security, forwarded }: Way) {
  const store = new Store();
  const manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
  const id = manager.attach({
    ...{ name: 'etl', address, ...(security && { security }) },
    ...(forwarded && { forwarded }),
  });
  const outputs = new ClusterOutputs({ store, manager, channels: new RunChannels() });
  const told: string[] = [];
  const log = new ClusterLog(id, { store, manager, outputs });
  log.onTold((entries) => told.push(...entries.map(({ source, text }) => `${source}: ${text}`)));
  /** Rows with their descriptions, and what their menus go by. */
  const rows = () => {
    const all = (nodes: readonly TreeNode[]): TreeNode[] =>
      nodes.flatMap((node) => [node, ...all(node.children ?? [])]);
    return all(clusterNodes(store.snapshot, Date.now()));
  };
  return {
    ...{ told, rows, now: () => store.snapshot.clusters.get(id), access: () => manager.members(id) },
    close: () => {
      log.dispose();
      return manager.dispose();
    },
  };
}

describe('a static cluster that is deployed on Kubernetes', function () {
  this.timeout(400_000);
  let core: CoreV1Api;
  let namespace: string;
  let remove: () => Promise<void>;
  let python: string;
  const ways: Way[] = [];
  const rows: ReturnType<typeof attachedTo>[] = [];

  before(async function () {
    this.timeout(600_000);
    ({ python } = await daskEnv('latest'));
    core = testCluster().makeApiClient(CoreV1Api);
    ({ namespace, remove } = await testNamespace('deploy'));
  });
  afterEach(async () => {
    // Those of a test that failed would keep the process.
    for (const row of rows.splice(0)) await row.close();
    for (const way of ways.splice(0)) way.close();
    for (const name of await deployments().names({ namespace }, signal)) await undeploy(name);
  });
  after(() => remove());

  const executor = (options: Partial<KubernetesExecutor> = {}) =>
    kubernetesExecutor('dask-latest', namespace, options);
  const way = async (name: string) => {
    const one = await wayTo(namespace, name);
    ways.push(one);
    return one;
  };
  const plan = (of: KubernetesExecutor, name: string, options = noOptions) =>
    deployments().plan(of, name, options, signal);
  const undeploy = async (name: string) => {
    const found = await deployments().found({ namespace }, name, signal);
    await found.remove();
    return found.objects.map((one) => `${one.kind} ${one.name}`);
  };

  it('is made, used, made no second time, healed by Kubernetes, changed with a diff, and deleted to nothing', async () => {
    const env = { GREETING: 'hello' };
    const options = { networkPolicy: true, dashboard: false };
    const first = await plan(await executor({ env }), 'etl', options);
    assert.ok(first.plan.isNew);
    assert.equal(first.before, '');
    assert.doesNotMatch(first.after, /PRIVATE KEY|hello/);
    const stages: string[] = [];
    await first.carryOut({ signal, stage: (text) => void stages.push(text) });
    assert.ok(stages.includes('starting the scheduler'), stages.join());

    const etl = await way('etl');
    const names = await workersOf(etl, 2);
    assert.deepEqual(names, (await podsOf(namespace, 'worker')).map(({ metadata }) => metadata?.name).sort());
    assert.equal(
      await runOn(python, etl, `client.submit(lambda: __import__("os").environ["GREETING"]).result()`),
      'hello',
    );
    // Without a certificate nobody gets in.
    await assert.rejects(runOn(python, { ...etl, security: undefined }, '1'));

    const again = await plan(await executor({ env }), 'etl', options);
    assert.deepEqual(again.plan.changes, []);
    assert.ok(!again.plan.isNew);
    assert.deepEqual(await deployments().options(await executor(), 'etl', signal), options);

    const [gone = ''] = names;
    await core.deleteNamespacedPod({ namespace, name: gone });
    await until(async () => !(await workersOf(etl, 2)).includes(gone), 180_000);

    const [scheduler] = await podsOf(namespace, 'scheduler');
    const row = attachedTo(etl);
    await until(() => row.now()?.state.kind === 'running' && row.now()?.info !== undefined);
    const before = row.now()?.info?.id;
    await core.deleteNamespacedPod({ namespace, name: scheduler?.metadata?.name ?? '' });
    await until(() => row.now()?.state.kind === 'lost');
    await until(() => row.now()?.state.kind === 'running' && row.now()?.info?.id !== before, 120_000);
    await row.close();
    await workersOf(etl, 2, 120_000);
    assert.equal(await runOn(python, etl, 'client.submit(sum, [1, 2]).result()'), '3');

    const fewer = await plan(await executor({ env, n_workers: 1 }), 'etl', options);
    assert.deepEqual(
      fewer.plan.changes.map(({ what, object }) => `${what} ${object.kind} ${object.name}`),
      ['update Deployment etl-worker'],
    );
    assert.match(fewer.before, /^ {2}replicas: 2$/m);
    assert.match(fewer.after, /^ {2}replicas: 1$/m);
    assert.ok(!fewer.plan.restarts);
    const { id } = await etl.client.identity();
    await fewer.carryOut({ signal, stage: () => undefined });
    await workersOf(etl, 1);
    assert.equal((await etl.client.identity()).id, id, 'the scheduler is the same');

    const image = await imageOf('prefect3');
    const other = await plan(await executor({ env, n_workers: 1, image }), 'etl', noOptions);
    assert.ok(other.plan.restarts && !other.plan.renewsCertificates);
    assert.ok(other.after.includes(`image: ${image}`) && !other.before.includes(`image: ${image}`));
    await other.carryOut({ signal, stage: () => undefined });
    await workersOf(etl, 1, 120_000); // with the certificates of before
    assert.ok(!(await deployedObjects(namespace)).some((one) => one.startsWith('NetworkPolicy')));

    const removed = await undeploy('etl');
    assert.deepEqual(removed.sort(), [
      ...['Deployment etl-scheduler', 'Deployment etl-worker', 'Secret etl-client-tls', 'Secret etl-env'],
      ...['Secret etl-tls', 'Service etl-scheduler'],
    ]);
    await until(async () => (await deployedObjects(namespace)).length === 0);
  });

  it('shows its pods to who is attached: why they do not come, how they ended, what they print, a shell', async () => {
    await deploy(await executor(), 'seen');
    const seen = await way('seen');
    const names = await workersOf(seen, 2);
    const there = async () =>
      (await core.listNamespacedPod({ namespace })).items.map(({ metadata }) => metadata?.uid).sort();
    const before = await there();
    const row = attachedTo(seen);
    rows.push(row);
    const said = (what: RegExp) => row.told.some((line) => what.test(line));
    const member = (name: string | undefined) => row.now()?.members?.find((one) => one.name === name);
    const rowOf = (name: string | undefined) => row.rows().find((one) => one.member === name);
    await until(() => row.now()?.info?.workers.length === 2);
    assert.deepEqual(
      row.now()?.members?.map(({ role, workers, state }) => [role, ...workers, state]),
      [['scheduler', 'running'], ...names.map((name) => ['worker', name, 'running'])],
    );
    const [crashes = '', stays = ''] = names;
    assert.equal(rowOf(crashes)?.context, 'worker.attached.running.container.pod');

    const access = row.access() ?? assert.fail('there is no way to its pods');
    assert.match((await access.describe?.(stays)) ?? '', /^# Events\n(#.*\n)*# .*Scheduled.*assigned/);
    const type = async (line: string) => {
      const shell = await access.shell(stays, { rows: 30, columns: 100 });
      shell.write(`${line}; exit 3\n`);
      assert.equal(await shell.ended, 3);
    };
    await type('id -u');
    assert.deepEqual(await there(), before, 'nothing has changed by that');

    // What its container printed last is there although it has another by now, and Dask answers.
    const { address } = row.now()?.info?.workers.find(({ name }) => name === crashes) ?? {};
    const crash = 'def crash():\n  import os\n  print("last words", flush=True)\n  os._exit(3)';
    const to = JSON.stringify({ nanny: true, workers: [address], on_error: 'ignore' });
    await runOn(python, seen, `client.run(crash, **__import__("json").loads('${to}'))`, crash);
    await until(() => member(crashes)?.restarts === 1 && said(new RegExp(`^worker ${crashes}: last words$`)));
    await until(() => rowOf(crashes)?.context.startsWith('worker.') === true);
    assert.match(rowOf(crashes)?.description ?? '', /1 restart \(exit code 3\)$/);

    const apps = testCluster().makeApiClient(AppsV1Api);
    const nowhere = async (name: string) => {
      const deployment = await apps.readNamespacedDeployment({ namespace, name });
      const pod = deployment.spec?.template.spec ?? assert.fail('it has no template');
      pod.nodeSelector = { disk: 'golden' };
      await apps.replaceNamespacedDeployment({ namespace, name, body: deployment });
    };
    await nowhere('seen-worker');
    const waits = () => row.now()?.members?.find(({ waiting }) => waiting !== undefined);
    await until(() => waits() !== undefined);
    assert.match(
      rowOf(waits()?.name)?.description ?? '',
      /^pod · no node takes it: 0\/1 nodes are available/,
    );
    await until(() => row.now()?.members?.length === 3);
    const left = row.now()?.members?.find(({ role, state }) => role === 'worker' && state === 'running');
    assert.ok(left && names.includes(left.name), 'the other makes room for it');

    // Without its scheduler the pods still tell.
    const lost = row.told.length;
    await nowhere('seen-scheduler');
    await until(() => row.now()?.state.kind === 'lost');
    await until(() =>
      /no node takes it/.test(row.rows().find(({ label }) => label === 'scheduler')?.description ?? ''),
    );
    const ends = new RegExp(`^worker ${left.name}: .*Closing Nanny`);
    await until(() => row.told.slice(lost).some((line) => ends.test(line))).catch(() =>
      assert.fail(row.told.slice(lost).join('\n')),
    );
    const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: left.name, namespace } };
    await core.createNamespacedPodEviction({ name: left.name, namespace, body });
    await until(() => member(left.name) === undefined);
    assert.ok(
      said(new RegExp(`^cluster: the pod of worker ${left.name} has gone: it was evicted, as its node`)),
    );
    assert.equal(row.told.filter((line) => line.includes('last words')).length, 1, 'nothing twice');
    await row.close();
    assert.equal(row.access(), undefined);
  });

  for (const { environment, api, completes, groups } of stories) {
    if (environment === 'dask-latest') continue;
    it(`runs a flow of ${environment}, with its tasks by name`, async function () {
      this.timeout(400_000);
      const name = `${environment}-flows`;
      const python = await pythonOf(environment);
      // Tasks of Prefect 2 and 3 report to a server from where they run.
      const serverless = api !== 'prefect';
      const [, url] = await Promise.all([
        deploy(await kubernetesExecutor(environment, namespace, { n_workers: 1 }), name),
        serverless ? undefined : startPrefectServer(environment, namespace),
      ]);
      const { address, security } = await way(name);
      const home = serverless ? undefined : await prefectHome(python);
      const bench = await liveBench({ python, env: { ...home?.env, ...(url && { PREFECT_API_URL: url }) } });
      try {
        const clusterId = bench.manager.attach({ name, address, ...(security && { security }) });
        const cluster = () => bench.store.snapshot.clusters.get(clusterId);
        await bench.until(() => cluster()?.state.kind === 'running', 20_000);
        if (home) {
          const apiOf = async (host: PythonHost) => {
            const found = cluster();
            assert.ok(found);
            const flow = { file: join(flowsDirectory, completes[0]), api };
            const about = { host, cluster: found, handle: bench.manager.handle(clusterId), flow, signal };
            const findings = await preflight({ ...about, brief: true });
            return findings.find(({ message }) => message.includes('Prefect API'))?.message;
          };
          const withoutServer = await liveHost({ python, env: home.env });
          const [here, there] = await Promise.all([apiOf(withoutServer), apiOf(bench.host)]);
          await withoutServer.dispose();
          assert.match(here ?? '', /^The only worker does not reach the Prefect API server on this machine/);
          assert.equal(there, `The Prefect API at ${url} is reached by the only worker`);
        }
        const id = await startStory(bench, api, completes, { kind: 'cluster', clusterId });
        const run = await bench.over(id, 120_000);
        assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
        const seen = Object.fromEntries(run.tasks.map((group) => [group.name, group.counts.completed]));
        assert.deepEqual(seen, groups);
      } finally {
        await bench.dispose();
        if (home) await removeFolder(home.folder);
      }
    });
  }

  it('leaves nothing when it is cancelled, or can’t start, and then says why', async () => {
    const stop = new AbortController();
    const planned = await plan(await executor(), 'stopped');
    await assert.rejects(
      planned.carryOut({
        signal: stop.signal,
        stage: (text) => text === 'starting the scheduler' && stop.abort(),
      }),
    );
    assert.deepEqual(await deployedObjects(namespace), []);

    const fails = async (options: Partial<KubernetesExecutor>, message: RegExp) => {
      await assert.rejects(
        deploy(await executor(options), 'bad'),
        (error) => error instanceof UserError && message.test(error.message),
      );
      await until(async () => (await deployedObjects(namespace)).length === 0);
    };
    await fails(
      { image: 'localhost:1/no-such-image:1', image_pull_policy: 'Never' },
      /image localhost:1\/no-such-image:1 is not on its node/,
    );
    await fails({ node_selector: { disk: 'golden' }, start_timeout: 10 }, /within 10 s: no node takes it/);
    await fails(
      { worker_options: { worker_class: 'no.such.Class' }, n_workers: 1 },
      /worker does not start: it ended/,
    );
    await assert.rejects(
      plan(await executor({ pod_template: { spec: { hostNetwork: true } } }), 'bad'),
      /does not allow such pods.*host/,
    );
    assert.deepEqual(await deployedObjects(namespace), []);
  });

  it('is what it was before an update that fails', async () => {
    await deploy(await executor({ n_workers: 1 }), 'keeps');
    const keeps = await way('keeps');
    await workersOf(keeps, 1);
    const before = (await plan(await executor({ n_workers: 1 }), 'keeps')).plan;
    assert.deepEqual(before.changes, []);
    const bad = await executor({
      n_workers: 1,
      image: 'localhost:1/no-such-image:1',
      image_pull_policy: 'Never',
    });
    await assert.rejects(deploy(bad, 'keeps'), /is not on its node/);
    await workersOf(keeps, 1, 120_000);
    assert.deepEqual((await plan(await executor({ n_workers: 1 }), 'keeps')).plan.changes, []);
    await undeploy('keeps');
  });

  it('adapts with no window open: up with the work, and down without losing results', async () => {
    const adapt_kwargs = { minimum: 0, maximum: 3 };
    await deploy(await executor({ adapt_kwargs }), 'adapts');
    assert.deepEqual((await plan(await executor({ adapt_kwargs }), 'adapts')).plan.changes, []);
    const adapts = await way('adapts');
    await workersOf(adapts, 0);
    const work = `
import time
def slow(x):
    time.sleep(2)
    return x
held = client.submit(lambda: list(range(10)), key="held")
futures = client.map(slow, range(24), pure=False)
total = sum(client.gather(futures))
most = len(client.scheduler_info()["workers"])
del futures
deadline = time.time() + 90
while len(client.scheduler_info()["workers"]) > 1 and time.time() < deadline:
    time.sleep(0.5)
least = len(client.scheduler_info()["workers"])
assert client.gather(held) == list(range(10))
recomputed = "no"
`;
    assert.equal(await runOn(python, adapts, '(total, most, least)', work), '(276, 3, 1)');
    await workersOf(adapts, 0, 90_000);
    // Back to a fixed number: what only an adaptive one takes goes.
    await deploy(await executor({ n_workers: 1 }), 'adapts');
    await workersOf(adapts, 1, 120_000);
    const kinds = (await deployedObjects(namespace)).map((one) => one.split(' ')[0]);
    assert.ok(!kinds.includes('Role') && !kinds.includes('ConfigMap') && !kinds.includes('ServiceAccount'));
    await undeploy('adapts');
  });

  it('is not taken by who plans the same name, is known as somebody’s, and drops what it is no longer told', async () => {
    const ben = deployments('desk/ben');
    const labels = { team: 'etl' };
    const told = await executor({ n_workers: 1, env: { A: '1', B: '2' }, labels });
    const [first, second] = [await plan(told, 'once'), await ben.plan(told, 'once', noOptions, signal)];
    await first.carryOut({ signal, stage: () => undefined });
    await assert.rejects(
      second.carryOut({ signal, stage: () => undefined }),
      /There is a Secret once-tls in .* by now: somebody else has made it/,
    );
    assert.deepEqual((await plan(told, 'once')).plan.changes, []);
    await workersOf(await way('once'), 1);

    const less = await executor({ n_workers: 1, env: { A: '1' } });
    const update = await ben.plan(less, 'once', noOptions, signal);
    assert.equal(update.deployer, 'tester from bed');
    assert.equal((await plan(less, 'once')).deployer, undefined);
    assert.deepEqual(update.plan.replacesWorkers, ['labels']);
    await update.carryOut({ signal, stage: () => undefined });
    const { data, metadata } = await core.readNamespacedSecret({ namespace, name: 'once-env' });
    assert.deepEqual(Object.keys(data ?? {}), ['A']);
    assert.equal(metadata?.labels?.team, undefined);
    assert.equal((await ben.found({ namespace }, 'once', signal)).deployer, 'tester from bed');

    // Whoever else makes one in its place keeps it.
    const found = await ben.found({ namespace }, 'once', signal);
    await core.deleteNamespacedSecret({ namespace, name: 'once-env' });
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'once-env' } } });
    await found.remove();
    await core.readNamespacedSecret({ namespace, name: 'once-env' });
    await core.deleteNamespacedSecret({ namespace, name: 'once-env' });
    assert.deepEqual(await undeploy('once'), []);
  });

  it('leaves the workers that there are to its scheduler when it turns adaptive, and when an update fails', async () => {
    const adapt_kwargs = { minimum: 2, maximum: 3 };
    await deploy(await executor(), 'sized');
    const pods = async () => (await podsOf(namespace, 'worker')).map(({ metadata }) => metadata?.uid).sort();
    const first = await pods();
    assert.equal(first.length, 2);
    const turned = await plan(await executor({ adapt_kwargs }), 'sized');
    assert.ok(turned.plan.restarts && turned.plan.replacesWorkers.length + turned.plan.endsWorkers === 0);
    await turned.carryOut({ signal, stage: () => undefined });
    await workersOf(await way('sized'), 2);
    assert.deepEqual(await pods(), first);
    assert.deepEqual((await plan(await executor({ adapt_kwargs }), 'sized')).plan.changes, []);

    const apps = testCluster().makeApiClient(AppsV1Api);
    const bad = { image: 'localhost:1/no-such-image:1', image_pull_policy: 'Never' } as const;
    await assert.rejects(deploy(await executor({ adapt_kwargs, ...bad }), 'sized'), /is not on its node/);
    const { spec, metadata } = await apps.readNamespacedDeployment({ namespace, name: 'sized-worker' });
    assert.equal(spec?.replicas, 2);
    const owners = metadata?.managedFields?.filter(
      ({ fieldsV1 }) =>
        (fieldsV1 as { 'f:spec'?: object })?.['f:spec']?.['f:replicas' as never] !== undefined,
    );
    assert.ok(!owners?.some(({ manager }) => manager === 'flow-clusters'), 'it is not said from here');
    assert.deepEqual((await plan(await executor({ adapt_kwargs }), 'sized')).plan.changes, []);
  });

  it('does not take what others have made', async () => {
    await core.createNamespacedService({
      namespace,
      body: { metadata: { name: 'taken-scheduler' }, spec: { ports: [{ port: 1 }] } },
    });
    await assert.rejects(plan(await executor(), 'taken'), /There is a Service taken-scheduler already/);
    assert.deepEqual(await undeploy('taken'), []);
    await core.readNamespacedService({ namespace, name: 'taken-scheduler' });
  });
});
