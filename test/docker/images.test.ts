import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import { baseImage, imageOf } from '../../scripts/lib/docker.mjs';
import { type BuildContext, buildImage, dockerfileOf, tagOf } from '../../src/backends/docker/buildImage.ts';
import { pack } from '../../src/backends/docker/dockerode.ts';
import { readSource } from '../../src/backends/docker/environment.ts';
import { withRunImage } from '../../src/backends/docker/runImage.ts';
import type { ClusterHandle } from '../../src/core/backend.ts';
import { UserError } from '../../src/core/errors.ts';
import type { FlowDef } from '../../src/core/flow.ts';
import { runImage } from '../../src/core/imageExecutor.ts';
import { dockerBackend, dockerExecutor, leftovers, ownLabel, testEngine } from '../support/docker.ts';
import { liveBench, prefectHome, pythonOf, removeFolder } from '../support/hostLive.ts';

const script = fileURLToPath(new URL('../../src/python/environment_facts.py', import.meta.url));
const workspace = `test-images-${process.pid}`;

async function tarOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o755 }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const [name = '', value = ''] = ownLabel.split('=');
const owner = { name, value };

describe('images of workers', function () {
  this.timeout(120_000);
  let engine: Docker;
  let folder: string;
  let handle: ClusterHandle | undefined;
  const tags = new Set<string>();
  const printed: string[] = [];

  before(async () => {
    engine = testEngine();
    folder = await mkdtemp(join(tmpdir(), 'images-'));
  });
  afterEach(async () => {
    printed.length = 0;
    await handle?.close({ force: true });
    handle = undefined;
    assert.deepEqual(await leftovers(engine), []);
  });
  after(async () => {
    for (const tag of tags) await engine.getImage(tag).remove({ force: true });
    await rm(folder, { recursive: true, force: true });
  });

  async function build(
    context: BuildContext,
    signal = new AbortController().signal,
  ): Promise<[string, boolean]> {
    const tag = tagOf(workspace, context);
    const built = await buildImage(engine, tag, context, {
      ...{ signal, network: 'host', stage: () => undefined },
      log: (text) => printed.push(text),
    });
    tags.add(tag);
    return [tag, built];
  }

  async function start(image: string, env: Record<string, string> = {}): Promise<ClusterHandle> {
    const notes = { stage: () => undefined, worker: () => undefined, scaling: () => undefined };
    const signal = new AbortController().signal;
    handle = await dockerBackend().start(await dockerExecutor('dask-latest', { image, n_workers: 1 }), {
      ...{ clusterId: 'c1', lifetime: 'temporary', signal, inherit: { env }, ...notes },
    });
    return handle;
  }

  /** Ids of images and containers at the engine, to see that nothing has come. */
  const images = async () => new Set((await engine.listImages({ all: true })).map(({ Id }) => Id));
  const refused = (pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof UserError && error.hint, String(error));
    assert.match(error.message, pattern);
    return true;
  };

  it('are built from a project with a package of others, and run a flow with a module of the workspace', async () => {
    const python = await pythonOf('dask-latest');
    await writeFile(join(folder, 'requirements.txt'), '-r base.txt\n-e .\n');
    await writeFile(join(folder, 'base.txt'), 'inflection==0.5.1\n');
    await writeFile(
      join(folder, 'own.py'),
      'def name(text):\n    import inflection\n    return inflection.camelize(text)\n',
    );
    const code = [
      'from distributed import Client',
      'import own',
      'if __name__ == "__main__":',
      '    client = Client()',
      '    found = client.submit(own.name, "flow_clusters").result()',
      '    assert found == "FlowClusters", found',
    ];
    await writeFile(join(folder, 'flow.py'), `${code.join('\n')}\n`);
    const source = await readSource(python, folder, script, new AbortController().signal);
    assert.equal(source.python, '3.11');
    const context = { dockerfile: dockerfileOf(source, baseImage), files: source.files };
    const [tag, built] = await build(context);
    assert.ok(built);
    const log = printed.join('');
    assert.match(log, /Step 1\/\d+ : FROM/);
    assert.match(log, /inflection/);
    const began = performance.now();
    assert.deepEqual(await build(context), [tag, false]);
    assert.ok(performance.now() - began < 1_000, 'what is there is not built again');
    const bench = await liveBench({ python, workspace: folder });
    try {
      const flow: FlowDef = {
        api: 'dask',
        name: 'flow.py',
        entry: { how: 'script' },
        line: 0,
        parameters: [],
      };
      const executor = await dockerExecutor('dask-latest', { image: tag });
      const target = { kind: 'executor', executor, backend: dockerBackend() } as const;
      const run = await bench.over(
        await bench.start({ file: join(folder, 'flow.py'), flow, target }),
        60_000,
      );
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      assert.deepEqual(run.notes, []);
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
    } finally {
      await bench.dispose();
    }
  });

  it('are not there after a build that was cancelled, nor is anything of it', async () => {
    const before = await images();
    const abort = new AbortController();
    const dockerfile = `FROM ${baseImage}\nRUN echo ${workspace} > /made\nRUN echo begun && sleep 60\n`;
    const building = build({ dockerfile, files: new Map() }, abort.signal);
    building.catch(() => undefined);
    for (let n = 0; !printed.join('').includes('begun\n') && n < 300; n += 1) await sleep(100);
    const container = /.*Running in ([0-9a-f]+)/s.exec(printed.join(''))?.[1] ?? '';
    assert.equal((await engine.getContainer(container).inspect()).State.Running, true);
    const began = performance.now();
    abort.abort();
    await assert.rejects(building, { name: 'AbortError' });
    assert.ok(performance.now() - began < 5_000);
    await assert.rejects(engine.getContainer(container).inspect(), { statusCode: 404 });
    assert.deepEqual(
      [...(await images())].filter((id) => !before.has(id)),
      [],
    );
  });

  it('say why they can’t be built', async () => {
    const before = await images();
    const failing = (dockerfile: string) => build({ dockerfile, files: new Map() });
    const pip = 'RUN ["python3", "-m", "pip", "install", "dask==0.0.1.no"]';
    await assert.rejects(
      failing(`FROM ${baseImage}\n${pip}\n`),
      refused(/pip could not install|dask==0\.0\.1\.no/),
    );
    await assert.rejects(
      failing(`FROM ${baseImage}\nRUN exit 3\n`),
      refused(/could not build the image: .*3$/),
    );
    await assert.rejects(
      failing('FROM flow-clusters-test/no:1\nRUN true\n'),
      refused(/base image can't be pulled/),
    );
    assert.deepEqual(
      [...(await images())].filter((id) => !before.has(id)),
      [],
    );
  });

  it('are told apart by their kind of processor', async () => {
    const { Arch } = await engine.version();
    const other = Arch === 'arm64' ? 'amd64' : 'arm64';
    const tag = `flow-clusters/${workspace}:foreign`;
    // The head of a program for it, which this machine can't run.
    const head = Buffer.alloc(64);
    head.write('\x7fELF\x02\x01\x01', 'latin1');
    head.writeUInt16LE(2, 16);
    head.writeUInt16LE(other === 'arm64' ? 183 : 62, 18);
    const layer = await tarOf({ 'usr/bin/python3': head });
    const diff = createHash('sha256').update(layer).digest('hex');
    const rootfs = { type: 'layers', diff_ids: [`sha256:${diff}`] };
    const config = { architecture: other, os: 'linux', config: {}, rootfs };
    const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: ['layer.tar'] }];
    const saved = await tarOf({
      'config.json': JSON.stringify(config),
      'layer.tar': layer,
      'manifest.json': JSON.stringify(manifest),
    });
    const loading = await engine.loadImage(Readable.from([saved]));
    await new Promise((resolve) => engine.modem.followProgress(loading, resolve));
    tags.add(tag);
    await assert.rejects(start(tag), refused(new RegExp(`is for ${other}, and the machine.* is ${Arch}`)));
  });

  it('are refused without distributed, and before a Prefect flow without Prefect', async () => {
    await assert.rejects(start(baseImage), refused(/has no distributed|has no dask/));
    const python = await pythonOf('prefect3');
    const home = await prefectHome(python);
    const bench = await liveBench({ python, workspace: folder, env: home.env });
    try {
      await writeFile(join(folder, 'etl.py'), 'from prefect import flow\n@flow\ndef etl():\n    pass\n');
      const entry = { how: 'import', path: 'etl' } as const;
      const flow: FlowDef = { api: 'prefect', name: 'etl', entry, line: 1, parameters: [] };
      const executor = await dockerExecutor('dask-latest');
      const target = { kind: 'executor', executor, backend: dockerBackend() } as const;
      const run = await bench.over(await bench.start({ file: join(folder, 'etl.py'), flow, target }), 60_000);
      assert.ok(run.state.kind === 'failed', JSON.stringify(run.state));
      assert.match(run.state.failure.message, /have no prefect/);
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
    } finally {
      await bench.dispose();
      await removeFolder(home.folder);
    }
  });

  it('are the run’s own where that is known, and say so where it is not', async () => {
    const image = await imageOf('dask-latest');
    const { versions, missing } = await start(runImage, { PREFECT__CONTEXT__IMAGE: image });
    assert.equal(versions?.distributed, '2026.8.0');
    assert.match(versions?.Python ?? '', /^3\.\d+$/);
    assert.deepEqual(missing, ['prefect']);
    await assert.rejects(start(runImage), refused(/this run is in no image/));
    const Labels = { [owner.name]: owner.value };
    const container = await engine.createContainer({ Image: image, Labels, Cmd: ['true'] });
    try {
      const executor = await dockerExecutor('dask-latest', { image: runImage });
      const machine = { env: {}, hostname: container.id.slice(0, 12), mounts: async () => '' };
      const place = { engine, env: {}, signal: new AbortController().signal, machine };
      const { Id } = await engine.getImage(image).inspect();
      assert.equal((await withRunImage(executor, place)).image, Id);
    } finally {
      await container.remove();
    }
  });
});
