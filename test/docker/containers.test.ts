import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { toFailure } from '../../src/core/failure.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { type ClusterMember, type MemberLogLine, memberText } from '../../src/core/members.ts';
import { Store, type StoreEvent } from '../../src/core/store.ts';
import { clusterNodes, type TreeNode } from '../../src/core/tree.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { RunChannels } from '../../src/runs/channel.ts';
import { ClusterLog } from '../../src/runs/clusterLog.ts';
import { ClusterOutputs } from '../../src/runs/clusterOutputs.ts';
import { dockerBackend, dockerExecutor, leftovers, ownLabel, testEngine } from '../support/docker.ts';
import { MemoryLog } from '../support/host.ts';

/** A task of more memory than its worker has, from a client in the scheduler's container. */
const eat = [
  'from distributed import Client, Security',
  "pem = '/flow-clusters/node.pem'",
  "tls = Security(tls_ca_file='/flow-clusters/ca.pem', tls_client_cert=pem, tls_client_key=pem)",
  "Client('tls://127.0.0.1:8786', security=tls).submit(lambda: len(b'x' * 500_000_000), retries=0).result()",
].join('; ');

describe('containers of a cluster', function () {
  this.timeout(90_000);
  let engine: Docker;
  let store: Store;
  let manager: ClusterManager;
  const events: StoreEvent[] = [];

  before(() => {
    engine = testEngine();
  });
  beforeEach(() => {
    events.length = 0;
    store = new Store();
    store.onDidChange((event) => events.push(event));
    manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
  });
  afterEach(async () => {
    // Static ones would outlive their manager.
    await Promise.all([...store.snapshot.clusters.keys()].map((id) => manager.stop(id, { force: true })));
    await manager.dispose();
    assert.deepEqual(await leftovers(engine), []);
  });

  async function begin(options: Partial<DockerExecutor> = {}) {
    const executor = await dockerExecutor('dask-latest', { n_workers: 1, ...options });
    return manager.start({ executor, backend: dockerBackend(), name: 'docker', lifetime: 'static' });
  }

  async function start(options: Partial<DockerExecutor> = {}): Promise<string> {
    const { id, started } = await begin(options);
    await started;
    await until(() => store.snapshot.clusters.get(id)?.info?.workers.length === (options.n_workers ?? 1));
    return id;
  }

  async function until(condition: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
    for (const began = performance.now(); !(await condition()); await sleep(50)) {
      assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
    }
  }

  const members = (id: string) => store.snapshot.clusters.get(id)?.members ?? [];
  const member = (id: string, role: ClusterMember['role']) =>
    members(id).find((one) => one.role === role) as ClusterMember;
  const incidents = (id: string) => store.snapshot.clusters.get(id)?.incidents ?? [];
  const rows = (nodes = clusterNodes(store.snapshot, Date.now())): TreeNode[] =>
    nodes.flatMap((node) => [node, ...rows([...(node.children ?? [])])]);
  const container = (one: ClusterMember) => engine.getContainer(one.name);

  async function shell(id: string, name: string) {
    const one = await manager.members(id)?.shell(name, { rows: 24, columns: 80 });
    assert.ok(one);
    let text = '';
    one.onData((chunk) => {
      text += chunk;
    });
    return { one, printed: () => text };
  }

  it('are known as they come, with image, state and restarts', async () => {
    const id = await start({ n_workers: 2 });
    const { image } = await dockerExecutor('dask-latest');
    assert.deepEqual(
      members(id).map(({ role, workers, state, restarts, image: of }) => [
        role,
        workers,
        state,
        restarts,
        of,
      ]),
      [
        ['scheduler', [], 'running', 0, image],
        ['worker', ['0'], 'running', 0, image],
        ['worker', ['1'], 'running', 0, image],
      ],
    );
    const told = events.flatMap((event) =>
      event.type === 'cluster.members' ? event.members.map(({ state }) => state) : [],
    );
    assert.ok(told.includes('created'), 'before they run');
    await container(members(id)[2] as ClusterMember).kill();
    await until(() => members(id)[2]?.restarts === 1 && members(id)[2]?.state === 'running');
    assert.ok(
      events.some(
        (event) => event.type === 'cluster.members' && event.members.some(({ exitCode }) => exitCode === 137),
      ),
    );
    assert.match(incidents(id)[0]?.message ?? '', /the container of worker 1 ended: killed/);
    await until(() => rows().some(({ description }) => / · 1 restart$/.test(description ?? '')));
    await manager.scale(id, 1);
    await until(() => members(id).length === 2);
  });

  it('say which worker ran out of memory, whether its container ends with it or not', async () => {
    // Dask itself would act first.
    const id = await start({ memory_limit: '256MiB', worker_options: { memory_limit: 0 } });
    const scheduler = await shell(id, member(id, 'scheduler').name);
    scheduler.one.write(`python3 -c "${eat}"\n`);
    await until(() => incidents(id).length > 0);
    const message =
      'worker 0 ran out of memory (limit 256 MiB) and was killed: raise memory_limit of the executor';
    assert.equal(incidents(id)[0]?.message, message);
    // The biggest process is the worker's: its nanny starts another in the same container.
    await until(() => incidents(id)[0]?.restarted === true);
    assert.equal(member(id, 'worker').state, 'running');
    assert.equal(member(id, 'worker').restarts, 0);
    await until(() =>
      rows().some(({ description = '' }) => /running, was out of memory at/.test(description)),
    );
    await scheduler.one.close();
    await sleep(3500);
    const before = incidents(id).length;
    const worker = await shell(id, member(id, 'worker').name);
    worker.one.write(`echo 1000 >/proc/1/oom_score_adj; python3 -c "kept = b'x' * 500_000_000"\n`);
    await until(() => member(id, 'worker').restarts === 1 && member(id, 'worker').state === 'running');
    assert.equal(incidents(id).length, before + 1);
    assert.deepEqual(incidents(id).at(-1)?.message, message);
    await until(() => incidents(id).at(-1)?.restarted === true);
    const ended = events.flatMap((event) =>
      event.type === 'cluster.members' ? event.members.filter(({ state }) => state === 'exited') : [],
    );
    assert.match(memberText(ended[0] as ClusterMember), /^container \w{4}… · exited 137, out of memory$/);
  });

  it('have logs where the scheduler does not answer', async () => {
    const id = await start();
    const channels = new RunChannels();
    const outputs = new ClusterOutputs({ store, manager, channels });
    await container(member(id, 'scheduler')).pause();
    const log = new ClusterLog(id, { store, manager, outputs });
    try {
      await until(() =>
        log.entries.some(({ source, text }) => source === 'scheduler' && /tls:\/\//.test(text)),
      );
      await until(() => log.entries.some(({ source }) => source === 'worker 0'));
      assert.equal(member(id, 'scheduler').state, 'paused');
      await until(() =>
        rows().some(({ label, description }) => label === 'scheduler' && /paused/.test(description ?? '')),
      );
    } finally {
      await container(member(id, 'scheduler')).unpause();
      log.dispose();
      outputs.dispose();
      channels.dispose();
    }
  });

  it('follow what is printed, from its past on', async () => {
    const id = await start();
    const lines: MemberLogLine[] = [];
    const stop = new AbortController();
    const { name } = member(id, 'worker');
    const following = manager
      .members(id)
      ?.follow(name, { tail: 1000, signal: stop.signal }, (line) => lines.push(line));
    await until(() => lines.length > 0);
    assert.ok(lines.every(({ timeMs }) => timeMs !== undefined && Math.abs(timeMs - Date.now()) < 60_000));
    const { one } = await shell(id, name);
    one.write('echo hello >/proc/1/fd/1\n');
    await until(() => lines.some(({ text }) => text === 'hello'));
    await one.close();
    stop.abort();
    await following;
  });

  it('open a shell, which ends by itself or with its terminal', async () => {
    const id = await start();
    const { name } = member(id, 'worker');
    const first = await shell(id, name);
    first.one.write('echo $((40 + 2)); stty size; exit 3\n');
    assert.equal(await first.one.ended, 3);
    assert.match(first.printed(), /\b42\r\n24 80\r\n/);
    const second = await shell(id, name);
    await second.one.resize({ rows: 30, columns: 100 });
    second.one.write('stty size; sleep 1000\n');
    await until(() => /30 100/.test(second.printed()));
    const processes = async () => JSON.stringify(await container(member(id, 'worker')).top());
    await until(async () => (await processes()).includes('sleep 1000'));
    await second.one.close();
    await until(async () => !(await processes()).includes('sleep 1000'), 3000);
    await assert.rejects(
      manager.members(id)?.shell('nobody', { rows: 1, columns: 1 }) ?? Promise.resolve(),
      /The container nobody is not there any more/,
    );
  });

  it('are known of a cluster that another window has started', async () => {
    const id = await start();
    const before = members(id);
    const keepsake = manager.handle(id).keepsake?.();
    assert.ok(keepsake);
    await manager.dispose();
    const backend = dockerBackend();
    const taken = manager.adopt({ name: 'again', executor: 'docker', backend, keepsake });
    await taken.found;
    const facts = (all: readonly ClusterMember[]) =>
      all.map((one) => [one.name, one.id, one.image, one.state]);
    await until(() => members(taken.id).length === 2);
    assert.deepEqual(facts(members(taken.id)), facts(before));
    // From here on this window sees to it.
    await manager.scale(taken.id, 1);
    await container(member(taken.id, 'worker')).kill();
    await until(
      () => member(taken.id, 'worker').restarts === 1 && member(taken.id, 'worker').state === 'running',
    );
  });

  it('tell by their last lines why a start failed', async () => {
    const repo = `${ownLabel.replace(/\W/g, '-')}/failing`;
    const made = await engine.createContainer({ Image: (await dockerExecutor('dask-latest')).image });
    const fails = ['/usr/bin/env', 'python3', '-c', "print('first\\nlast'); raise SystemExit(3)"];
    await made.commit({ repo, tag: '1', changes: [`ENTRYPOINT ${JSON.stringify(fails)}`] });
    await made.remove();
    try {
      const { started } = await begin({ image: `${repo}:1` });
      const error = await started.then(() => assert.fail('it started'), toFailure);
      assert.match(error.message, /The scheduler's container ended: exit code 3; its last line was “last”/);
      assert.equal(error.detail, 'first\nlast');
    } finally {
      await engine.getImage(`${repo}:1`).remove({ force: true });
    }
  });
});
