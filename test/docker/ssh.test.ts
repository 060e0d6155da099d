import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { closeSshEngines } from '../../src/backends/docker/sshEngine.ts';
import type { ClusterHandle, Keepsake } from '../../src/core/backend.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { UserError } from '../../src/core/errors.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { ownerOf, removeOrphanDirectories } from '../../src/host/directories.ts';
import { dockerBackend, dockerExecutor, leftovers, ownLabel, testEngine } from '../support/docker.ts';
import type { Bench } from '../support/host.ts';
import { liveBench, pythonOf } from '../support/hostLive.ts';
import { accepts, freePort, SshBed } from '../support/sshBed.ts';
import { assertCompletes, startStory, stories } from '../support/stories.ts';

const story = stories.find(({ environment }) => environment === 'dask-latest') ?? assert.fail('no story');
const prefix = 'flow-clusters-';
/** Of a process, by default this one. */
async function folders(pid = process.pid): Promise<string[]> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(prefix));
  const owners = names.map((name) => ownerOf(join(tmpdir(), name)).catch(() => undefined));
  const known = await Promise.all(owners);
  return names.filter((_, n) => known[n] === pid);
}

async function until(condition: () => boolean | Promise<boolean>, limitMs = 30_000): Promise<void> {
  for (const began = performance.now(); !(await condition()); await sleep(50)) {
    assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
  }
}

describe('an engine on another machine, over ssh', function () {
  this.timeout(90_000);
  let engine: Docker;
  let bed: SshBed;
  let socket: string;
  let handle: ClusterHandle | undefined;
  let client: SchedulerClient | undefined;

  before(async function () {
    this.timeout(300_000); // it may have to be installed
    engine = testEngine();
    socket = process.env.FLOW_CLUSTERS_TEST_DOCKER?.replace('unix://', '') ?? assert.fail('no engine');
    bed = await SshBed.start();
  });
  after(() => bed?.dispose());
  afterEach(async () => {
    client?.close();
    client = undefined;
    await handle?.close({ force: true });
    handle = undefined;
    await closeSshEngines();
    await bed.configure();
    assert.deepEqual(await leftovers(engine), []);
    await until(async () => (await bed.clients()).length === 0, 5_000);
  });

  const executor = (options: Partial<DockerExecutor> = {}) =>
    dockerExecutor('dask-latest', { docker_host: bed.urlOf(socket), n_workers: 1, ...options });
  /** It has a dashboard. */
  const withBokeh = async () => ({ image: await imageOf('prefect3') });

  const context = (lifetime: 'temporary' | 'static' = 'temporary') =>
    ({
      ...{ clusterId: 'c1', lifetime, signal: new AbortController().signal, inherit: {} },
      ...{ stage: () => undefined, worker: () => undefined, scaling: () => undefined },
    }) as const;

  async function start(
    lifetime: 'temporary' | 'static' = 'temporary',
    options: Partial<DockerExecutor> = {},
  ): Promise<ClusterHandle> {
    handle = await dockerBackend().start(await executor(options), context(lifetime));
    client = new SchedulerClient(handle.address, { security: handle.security });
    return handle;
  }

  const workers = async () => (await client?.identity())?.workers.length ?? 0;
  const portOf = (address: string) => Number(/:(\d+)/.exec(address.replace(/^\w+:/, ''))?.[1]);

  async function published(): Promise<number[]> {
    const filters = { label: [ownLabel, 'flow-clusters/role=scheduler'] };
    const [container] = await engine.listContainers({ filters });
    return (container?.Ports ?? []).map(({ PublicPort }) => PublicPort);
  }

  it('has a cluster that is reached through tunnels alone, and nothing is left of them', async () => {
    const before = await folders();
    const one = await start('temporary', await withBokeh());
    await until(async () => (await workers()) === 1);
    assert.match(one.address, /^tls:\/\/127\.0\.0\.1:\d+$/);
    const there = await published();
    const here = portOf(one.address);
    assert.ok(there.length > 0 && !there.includes(here), 'its port here is not the one over there');
    assert.equal((await fetch(one.dashboard ?? assert.fail('no dashboard'))).status, 200);
    assert.equal((await bed.clients()).length, 2, 'one for the engine, one for the cluster');
    await one.close({ force: true });
    await until(async () => !(await accepts(here)));
    await closeSshEngines();
    await until(async () => (await bed.clients()).length === 0, 5_000);
    assert.deepEqual(await folders(), before);
  });

  it('runs a flow with its tasks by name', async function () {
    this.timeout(600_000);
    const { api, completes, environment, groups } = story;
    const bench: Bench = await liveBench({ python: await pythonOf(environment) });
    try {
      await bench.host.whenReady();
      const target = { kind: 'executor', executor: await executor(), backend: dockerBackend() } as const;
      await assertCompletes(bench, await startStory(bench, api, completes, target), groups, 60_000);
    } finally {
      await bench.dispose();
    }
  });

  for (const lifetime of ['temporary', 'static'] as const) {
    it(`keeps a ${lifetime} cluster when the connection breaks, and finds it again at the same address`, async () => {
      const one = await start(lifetime);
      await until(async () => (await workers()) === 1);
      let isOver = false;
      void one.finished.then(() => {
        isOver = true;
      });
      await bed.stopServer();
      const all = await bed.clients();
      for (const pid of all) process.kill(pid, 'SIGKILL');
      await until(async () => !(await accepts(portOf(one.address))));
      await assert.rejects(client?.identity({ timeoutMs: 2_000 }) ?? assert.fail());
      await sleep(6_000); // longer than whoever listens to the engine waits to ask again
      await bed.startServer();
      // No sooner than they are there again, they break once more.
      await until(async () => (await bed.clients()).length === 2);
      await sleep(500);
      for (const pid of await bed.clients()) process.kill(pid, 'SIGKILL');
      await until(async () => (await bed.clients()).length === 2);
      await until(() => workers().then(Boolean, () => false));
      await one.scale?.(2);
      await until(() =>
        workers().then(
          (count) => count === 2,
          () => false,
        ),
      );
      assert.ok(!isOver);
      // What it hears after that is of now: a scheduler that dies is told.
      const filters = { label: [ownLabel, 'flow-clusters/role=scheduler'] };
      const [container] = await engine.listContainers({ filters });
      await sleep(4_000);
      await engine.getContainer(container?.Id ?? '').kill();
      await until(() => isOver);
      assert.equal((await one.finished).how, 'died');
    });
  }

  it('has its static clusters found by the next window', async () => {
    const one = await start('static');
    const keepsake: Keepsake = one.keepsake?.() ?? assert.fail('no keepsake');
    one.leave?.();
    handle = undefined;
    await closeSshEngines();
    await until(async () => (await bed.clients()).length === 0, 5_000);
    handle = await dockerBackend().adopt(keepsake, context('static'));
    assert.ok(handle);
    client?.close();
    client = new SchedulerClient(handle.address, { security: handle.security });
    await until(async () => (await workers()) === 1);
  });

  it('is left by a window that is killed: its tunnels end at once, its cluster after a while', async () => {
    const env = { ...process.env, DOCKER_HOST: bed.urlOf(socket), FLOW_CLUSTERS_TEST_HOLD: '3' };
    const owner = spawn(process.execPath, ['--import', 'tsx', 'test/support/dockerOwner.ts'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    await once(owner.stdout, 'data');
    assert.equal((await bed.clients()).length, 2);
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await until(async () => (await bed.clients()).length === 0, 5_000);
    // As the next window does.
    await removeOrphanDirectories();
    assert.deepEqual(await folders(owner.pid), []);
    const filters = { label: [ownLabel] };
    await until(async () => (await engine.listContainers({ all: true, filters })).length === 0);
    const backend = dockerBackend();
    // Not by itself: nobody has asked for a login.
    await backend.sweep([{ docker_host: bed.urlOf(socket) }]);
    assert.deepEqual(await bed.clients(), []);
    const { found } = await backend.leftovers([{ docker_host: bed.urlOf(socket) }]);
    const [{ place, leftovers: listed } = assert.fail()] = found;
    for (const one of listed) await backend.removeLeftover(place, one);
  });

  describe('says what is wrong, quickly', () => {
    async function refused(docker_host: string, message: RegExp, limitMs = 5_000): Promise<UserError> {
      const began = performance.now();
      let said: unknown;
      await dockerBackend()
        .start(await executor({ docker_host }), context())
        .catch((error: unknown) => {
          said = error;
        });
      assert.ok(said instanceof UserError, String(said));
      assert.match(said.message, message);
      assert.ok(said.hint, said.message);
      assert.ok(performance.now() - began < limitMs, `${performance.now() - began} ms`);
      return said;
    }

    it('of keys, of hosts and of ports', async () => {
      await bed.configure({ key: 'strange_key' });
      const { action } = await refused(bed.urlOf(socket), /does not let you in without asking/);
      assert.ok(action?.kind === 'copy' && action.text.startsWith(`ssh -p ${bed.port} `));
      await bed.configure({ knownHosts: 'no_hosts' });
      await refused(bed.urlOf(socket), /its host key is not known here/);
      await bed.configure({ knownHosts: 'other_hosts' });
      await refused(bed.urlOf(socket), /its host key is not the one that is known of it/);
      await bed.configure();
      await refused(bed.urlOf(socket, { port: await freePort() }), /no ssh server listens there/);
      await refused('ssh://no-such-host.invalid', /no such host/, 15_000);
    });

    it('of an engine that is not there', async () => {
      await refused(
        bed.urlOf('/nowhere/docker.sock'),
        /does not answer: there is no \/nowhere\/docker\.sock/,
      );
    });

    it('of a server that forbids forwarding', async () => {
      await bed.stopServer();
      await bed.startServer(['AllowStreamLocalForwarding=no']);
      try {
        // Servers do not tell this from an engine that has ended.
        const { hint } = await refused(bed.urlOf(socket), /nothing answers at/);
        assert.match(hint ?? '', /AllowStreamLocalForwarding/);
      } finally {
        await closeSshEngines();
        await bed.stopServer();
        await bed.startServer();
      }
    });

    it('of a host that does not answer', async () => {
      const silent = createServer((one) => one.resume().on('error', () => undefined));
      await new Promise<void>((resolve) => {
        silent.listen(0, '127.0.0.1', resolve);
      });
      const { port } = silent.address() as AddressInfo;
      try {
        await refused(bed.urlOf(socket, { port }), /it does not answer/, 15_000);
        const abort = new AbortController();
        const docker_host = bed.urlOf(socket, { port });
        const starting = dockerBackend().start(await executor({ docker_host }), {
          ...context(),
          signal: abort.signal,
        });
        setTimeout(() => abort.abort(new UserError('cancelled', 'The start was cancelled')), 500);
        const began = performance.now();
        await assert.rejects(starting, { reason: 'cancelled' });
        assert.ok(performance.now() - began < 3_000);
      } finally {
        silent.close();
      }
    });

    it('of a machine without ssh', async () => {
      const path = process.env.PATH;
      process.env.PATH = '/nowhere';
      try {
        await refused(bed.urlOf(socket), /There is no program “ssh”/);
      } finally {
        process.env.PATH = path;
      }
    });

    it('of leftovers there as well', async () => {
      const url = bed.urlOf(socket, { port: await freePort() });
      const { unreachable } = await dockerBackend().leftovers([{ docker_host: url }]);
      assert.match(unreachable[0]?.message ?? '', /no ssh server listens there/);
    });
  });
});
