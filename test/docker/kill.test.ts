import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { imageOf } from '../../scripts/lib/docker.mjs';
import type { DockerBackend } from '../../src/backends/docker/dockerBackend.ts';
import { findLeftovers } from '../../src/backends/docker/removal.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { UserError } from '../../src/core/errors.ts';
import { dockerBackend, leftovers, ownLabel, testEngine, testOwner } from '../support/docker.ts';
import { OwnEngine } from '../support/ownEngine.ts';
import { slowRegistry } from '../support/slowRegistry.ts';

/** Starts a cluster that is not going to be one. */
function start(
  backend: DockerBackend,
  options: Partial<DockerExecutor> & { readonly image: string },
  { signal = new AbortController().signal, stage = (_: string): void => undefined } = {},
) {
  const executor = { name: 'docker', kind: 'docker', n_workers: 2, pull: 'never', ...options } as const;
  return backend.start(executor, {
    ...{ clusterId: 'c1', lifetime: 'temporary', signal, inherit: {} },
    ...{ stage, worker: () => undefined, scaling: () => undefined },
  });
}

async function says(starting: Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(starting, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    assert.ok(error.hint, error.message);
    return true;
  });
}

async function until(condition: () => boolean | Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const began = performance.now(); !(await condition()); await sleep(50)) {
    assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
  }
}

describe('windows that are killed while a cluster in Docker starts', function () {
  this.timeout(60_000);
  let engine: Docker;

  before(() => {
    engine = testEngine();
  });
  afterEach(async () => assert.deepEqual(await leftovers(engine), []));

  /** A process that starts a cluster, killed once it has said this. */
  async function killAt(image: string, stage: RegExp, afterMs = 0): Promise<void> {
    const starter = spawn(process.execPath, ['--import', 'tsx', 'test/support/dockerStarter.ts', image], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    starter.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await until(() => stage.test(said));
    await sleep(afterMs);
    starter.kill('SIGKILL');
    await once(starter, 'exit');
  }

  it('leave what the next start finds, in whichever moment it was', async () => {
    for (const afterMs of [0, 50, 300]) {
      await killAt(await imageOf('dask-latest'), /creating containers/, afterMs);
      await sleep(300); // what the engine was told last may still be under way
      const [left] = await findLeftovers(engine, { machine: testOwner });
      assert.equal(left?.safe, true, `after ${afterMs} ms`);
      await assert.rejects(start(dockerBackend(), { image: 'not/there:1' }));
      await until(async () => (await leftovers(engine)).length === 0);
    }
  });

  it('end the pull of an image as well, as a cancel does', async () => {
    const registry = await slowRegistry();
    try {
      await killAt(registry.image, /pulling .*: \d+ %/);
      await until(() => registry.pullers === 0);
      const abort = new AbortController();
      const starting = start(
        dockerBackend(),
        { image: registry.image, pull: 'missing' },
        { signal: abort.signal },
      );
      starting.catch(() => undefined);
      await until(() => registry.pullers === 1);
      abort.abort(new UserError('cancelled', 'The start was cancelled'));
      await assert.rejects(starting, { reason: 'cancelled' });
      await until(async () => registry.pullers === 0 && (await leftovers(engine)).length === 0);
    } finally {
      await registry.stop();
    }
  });

  it('are not mistaken for ones that live, nor these for others', async () => {
    const label = (window: number, started: string, machine = testOwner) => ({
      'flow-clusters/cluster': `flow-clusters-${window}-${machine}`,
      'flow-clusters/owner': machine,
      'flow-clusters/window': String(window),
      'flow-clusters/window-started': started,
    });
    const make = (Labels: Record<string, string>) =>
      engine.createNetwork({ Name: Labels['flow-clusters/cluster'] ?? '', Labels });
    const mine = await make(label(process.pid, ''));
    const reused = await make(label(process.pid, 'another-boot.1.1', testOwner));
    const others = await make({ ...label(1 << 22, '', `not-${testOwner}`), 'test/of': testOwner });
    try {
      // Two parts of one cluster, of which one window lives.
      assert.deepEqual(await findLeftovers(engine, { machine: testOwner }), []);
      await mine.remove();
      const found = await findLeftovers(engine, { machine: testOwner });
      assert.deepEqual(
        found.map(({ containers, safe }) => [containers, safe]),
        [[0, true]],
      );
      await assert.rejects(start(dockerBackend(), { image: 'not/there:1' }));
      await until(async () => (await leftovers(engine)).length === 0);
      assert.equal((await engine.listNetworks({ filters: { label: [`test/of=${testOwner}`] } })).length, 1);
    } finally {
      for (const one of [mine, reused, others]) await one.remove().catch(() => undefined);
    }
  });

  it('have what they left listed, each engine once, and removed one by one', async () => {
    await killAt(await imageOf('dask-latest'), /starting scheduler/, 300);
    const nowhere = { docker_host: 'unix:///nowhere/docker.sock' };
    const backend = dockerBackend();
    await until(async () => {
      const { found } = await backend.leftovers([{}]);
      return found[0]?.leftovers[0]?.running === 0 || found[0]?.leftovers[0]?.containers === 0;
    });
    const { found, unreachable } = await backend.leftovers([{}, nowhere, {}]);
    assert.equal(found.length, 1);
    assert.deepEqual(
      unreachable.map(({ reason }) => reason),
      ['unreachable'],
    );
    const [{ place, leftovers: listed } = assert.fail()] = found;
    assert.deepEqual(
      listed.map(({ name, safe, lifetime }) => [name, safe, lifetime]),
      [['docker', true, 'temporary']],
    );
    assert.ok(Math.abs(Date.now() - (listed[0]?.createdMs ?? 0)) < 60_000);
    for (const one of listed) await backend.removeLeftover(place, one);
    assert.deepEqual((await backend.leftovers([{}])).found[0]?.leftovers, []);
  });

  it('is told when a name is taken, and what has it is left alone', async () => {
    const name = `flow-clusters-clash-${process.pid}`;
    const network = await engine.createNetwork({ Name: name });
    try {
      const image = await imageOf('dask-latest');
      const starting = start(dockerBackend({ newId: () => name }), { image });
      await says(starting, /A network of the name .* is there already/);
      await network.inspect();
    } finally {
      await network.remove();
    }
    assert.deepEqual(await engine.listContainers({ all: true, filters: { label: [ownLabel] } }), []);
  });
});

describe('an engine that fails a cluster', function () {
  this.timeout(120_000);
  let own: OwnEngine;
  let image: string;
  let backend: DockerBackend;

  before(async () => {
    own = await OwnEngine.start({ pool: 'base=10.219.0.0/24,size=24', dataMiB: 64 });
    image = await own.emptyImage();
  });
  after(() => own?.dispose());
  beforeEach(() => {
    backend = dockerBackend();
  });
  afterEach(async () => assert.deepEqual(await leftovers(own.docker), []));

  it('has no network left to give: says so, or takes what a dead window has left', async () => {
    const strange = await own.docker.createNetwork({ Name: 'strange' });
    await says(
      start(backend, { image, docker_host: own.host }),
      /The Docker engine has no network left to give/,
    );
    assert.deepEqual(await leftovers(own.docker), []);
    await strange.remove();
    await own.docker.createNetwork({
      Name: 'flow-clusters-dead',
      Labels: {
        'flow-clusters/cluster': 'flow-clusters-dead',
        'flow-clusters/owner': testOwner,
        'flow-clusters/window': '1',
        'flow-clusters/window-started': 'another-boot.1.1',
      },
    });
    // Further than the network: there is nothing in the image.
    await says(start(backend, { image, docker_host: own.host }), /has no python3/);
  });

  it('is stopped while a cluster starts: says so, and the next start removes what is left', async () => {
    let stopping: Promise<void> | undefined;
    const stage = (text: string) => {
      if (text === 'creating containers') stopping = own.stop();
    };
    await says(
      start(backend, { image, docker_host: own.host }, { stage }),
      /went away while the cluster started|has no python3/,
    );
    await stopping;
    await says(start(backend, { image, docker_host: own.host }), /does not answer/);
    await own.start();
    await says(start(backend, { image, docker_host: own.host }), /has no python3/);
    await until(async () => (await leftovers(own.docker)).length === 0);
  });

  // The last one: an engine forgets to note on a full disk which addresses are free again.
  it('has no room left: says so, and nothing is left', async () => {
    const filler = join(own.data, 'filler');
    await writeFile(filler, Buffer.alloc(64 * 1024 * 1024)).catch((error: NodeJS.ErrnoException) =>
      assert.equal(error.code, 'ENOSPC'),
    );
    try {
      await says(start(backend, { image, docker_host: own.host }), /The disk of the Docker engine is full/);
      assert.deepEqual(await leftovers(own.docker), []);
    } finally {
      await writeFile(filler, '');
    }
  });
});
