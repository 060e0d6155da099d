import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import type { ClusterHandle, WorkerNews } from '../../src/core/backend.ts';
import { clientCode } from '../../src/core/clientCode.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { UserError } from '../../src/core/errors.ts';
import type { ScalingNews } from '../../src/core/scaling.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { ClientFiles } from '../../src/runs/clientFiles.ts';
import {
  dockerBackend,
  dockerExecutor,
  leftovers,
  ownLabel,
  removeTestOrphans,
  testEngine,
} from '../support/docker.ts';
import { pythonOf } from '../support/hostLive.ts';
import { assertLetsNobodyIn, describePool } from '../support/pools.ts';

const run = promisify(execFile);

describe('a cluster in Docker', function () {
  this.timeout(60_000);
  let engine: Docker;
  let handle: ClusterHandle | undefined;
  let client: SchedulerClient | undefined;
  const stages: string[] = [];
  const news: WorkerNews[] = [];
  const steps: ScalingNews[] = [];

  before(() => {
    engine = testEngine();
  });
  beforeEach(() => {
    for (const list of [stages, news, steps]) list.length = 0;
  });
  afterEach(async () => {
    client?.close();
    client = undefined;
    await handle?.close({ force: true });
    handle = undefined;
    assert.deepEqual(await leftovers(engine), []);
  });

  async function start(
    options: Partial<DockerExecutor> = {},
    {
      lifetime = 'temporary',
      signal = new AbortController().signal,
    }: { lifetime?: 'temporary' | 'static'; signal?: AbortSignal } = {},
  ): Promise<ClusterHandle> {
    handle = await dockerBackend().start(await dockerExecutor('dask-latest', options), {
      ...{ clusterId: 'c1', lifetime, signal, inherit: {} },
      stage: (text) => stages.push(text),
      worker: (one) => news.push(one),
      scaling: (one) => steps.push(one),
    });
    client = new SchedulerClient(handle.address, { security: handle.security });
    return handle;
  }

  const workers = async () => (await client?.identity())?.workers ?? [];

  async function until(condition: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
    for (const began = performance.now(); !(await condition()); await sleep(50)) {
      assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
    }
  }

  it('has the workers, threads, memory and resources that it was asked for', async () => {
    const one = await start({
      n_workers: 3,
      threads_per_worker: 2,
      memory_limit: '512MiB',
      resources: { GPU: 1 },
      cpus: 0.5,
    });
    assert.equal(one.workers, 3);
    await until(async () => (await workers()).length === 3);
    for (const worker of await workers()) {
      assert.equal(worker.threads, 2);
      assert.equal(worker.memoryLimitBytes, 512 * 1024 * 1024);
    }
    const [container] = await engine.listContainers({
      filters: { label: [ownLabel, 'flow-clusters/role=worker'] },
    });
    const { HostConfig } = await engine.getContainer(container?.Id ?? '').inspect();
    assert.equal(HostConfig.Memory, 512 * 1024 * 1024);
    assert.equal(HostConfig.NanoCpus, 0.5e9);
    assert.equal(one.versions?.distributed, '2026.8.0');
  });

  describePool({
    ...{ start, news, steps, until },
    client: () => client ?? assert.fail('no cluster'),
    // With a scheduler and a network.
    has: async (count) => (await leftovers(engine)).length === count + 2,
  });

  it('is connected to by the lines that Insert Client Code writes', async () => {
    const { address, security } = await start({ n_workers: 1 });
    const folder = await mkdtemp(join(tmpdir(), 'client-code-'));
    try {
      const files = await new ClientFiles(folder).put(security ?? assert.fail('no certificates'));
      const code = `${clientCode({ address, files })}\nprint(client.submit(sum, [1, 2]).result())`;
      const { stdout } = await run(await pythonOf('dask-latest'), ['-c', code]);
      assert.equal(stdout, '3\n');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is published on loopback only, and lets nobody in without its certificate', async () => {
    const one = await start({ n_workers: 1 });
    const [container] = await engine.listContainers({
      filters: { label: [ownLabel, 'flow-clusters/role=scheduler'] },
    });
    assert.deepEqual([...new Set((container?.Ports ?? []).flatMap(({ IP }) => IP ?? []))], ['127.0.0.1']);
    await assertLetsNobodyIn(one);
    const { Config } = await engine.getContainer(container?.Id ?? '').inspect();
    assert.ok(!JSON.stringify(Config).includes('PRIVATE KEY'), 'keys are files, not environment');
  });

  it('gives workers their environment without showing it in a command line, which all on the machine may read', async () => {
    await start({ n_workers: 1, env: { TOKEN: 'token-4711' } });
    const label = [ownLabel, 'flow-clusters/role=worker'];
    const [container] = await engine.listContainers({ filters: { label } });
    const { Processes } = await engine.getContainer(container?.Id ?? '').top({ ps_args: '-eo pid,args' });
    assert.ok(!JSON.stringify(Processes).includes('token-4711'));
    const work = "import os; print(open('/proc/1/environ').read().count('TOKEN=token-4711'))";
    const said = await run('docker', ['exec', container?.Id ?? '', 'python3', '-c', work]);
    assert.equal(said.stdout.trim(), '1');
  });

  it('runs at an engine that is reached by a TCP port of this machine, and ends there', async () => {
    const { socketPath } = engine.modem as { socketPath?: string };
    const ends = new Set<Socket>();
    const port = createServer({ allowHalfOpen: true }, (here) => {
      const there = connect({ path: socketPath ?? '', allowHalfOpen: true });
      for (const end of [here, there]) {
        ends.add(end);
        end.on('error', () => [here, there].map((one) => one.destroy()));
      }
      here.pipe(there).pipe(here);
    });
    await once(port.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port: number } = port.address() as AddressInfo;
      await start({ docker_host: `tcp://127.0.0.1:${number}` });
      await until(async () => (await workers()).length === 2);
      assert.ok(ends.size > 0, 'it was reached by that port');
      client?.close();
      await handle?.close({ force: true });
      assert.deepEqual(await leftovers(engine), []);
    } finally {
      for (const end of ends) end.destroy();
      port.close();
    }
  });

  it('starts a worker again whose container was killed, and says so', async () => {
    await start({ n_workers: 2 });
    await until(async () => (await workers()).length === 2);
    const [container] = await engine.listContainers({
      filters: { label: [ownLabel, 'flow-clusters/workers=1'] },
    });
    await engine.getContainer(container?.Id ?? '').kill();
    await until(() => news.some(({ what }) => what === 'restarted'));
    await until(async () => (await workers()).length === 2);
    assert.match(news[0]?.message ?? '', /^the container of worker 1 ended: killed \(exit code 137\)/);
  });

  it('is over when the container of its scheduler is killed, and says why', async () => {
    const one = await start({ n_workers: 1 });
    const [container] = await engine.listContainers({
      filters: { label: [ownLabel, 'flow-clusters/role=scheduler'] },
    });
    await engine.getContainer(container?.Id ?? '').kill();
    const exit = await one.finished;
    assert.equal(exit.how, 'died');
    assert.match(exit.how === 'died' ? exit.message : '', /killed \(exit code 137\)/);
    await until(async () => (await leftovers(engine)).length === 0);
  });

  it('leaves nothing when its start is cancelled at any stage', async () => {
    for (const afterMs of [1, 100, 300, 600, 1000]) {
      const abort = new AbortController();
      const starting = start({}, { signal: abort.signal });
      await Promise.race([sleep(afterMs), starting.catch(() => undefined)]);
      abort.abort(new UserError('cancelled', 'The start was cancelled'));
      await starting.then((one) => one.close({ force: true })).catch(() => undefined);
      assert.deepEqual(await leftovers(engine), [], `after ${afterMs} ms`);
    }
  });

  it('ends by itself when the process that started it is killed', async () => {
    const owner = spawn(process.execPath, ['--import', 'tsx', 'test/support/dockerOwner.ts'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(owner.stdout, 'data');
    const containers = () => engine.listContainers({ all: true, filters: { label: [ownLabel] } });
    assert.equal((await containers()).length, 2);
    owner.kill('SIGKILL');
    await until(async () => (await containers()).length === 0);
    // A network takes nothing and can't remove itself: the next start does.
    await removeTestOrphans(engine);
  });

  it('says what is wrong with its image', async () => {
    const cases: [Partial<DockerExecutor>, RegExp][] = [
      [
        { image: 'nobody/has-this:1', pull: 'never' },
        /The image nobody\/has-this:1 is not there, and pull is "never"/,
      ],
      [{ image: 'localhost:1/nothing:1' }, /The image localhost:1\/nothing:1 can't be pulled/],
      [
        { image: 'flow-clusters-test/python:bookworm-1' },
        /The image flow-clusters-test\/python:bookworm-1 has no distributed/,
      ],
      [{ network: 'not-there' }, /There is no network "not-there"/],
      [{ docker_host: 'unix:///nowhere/docker.sock' }, /does not answer: there is no such socket/],
      [{ docker_context: 'nope' }, /There is no Docker context "nope"/],
      [{ volumes: ['/x:relative'] }, /Docker refuses|mount/],
      [{ gpus: 1 }, /GPU/],
    ];
    for (const [options, message] of cases) {
      await assert.rejects(start(options), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.ok(error.hint, error.message);
        return true;
      });
      assert.deepEqual(await leftovers(engine), [], message.source);
    }
  });
});
