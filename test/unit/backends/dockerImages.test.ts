import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import {
  buildError,
  contextOf,
  dockerfileOf,
  type ImageSource,
  tagOf,
  usualBase,
} from '../../../src/backends/docker/buildImage.ts';
import { readSource } from '../../../src/backends/docker/environment.ts';
import { isForeign } from '../../../src/backends/docker/image.ts';
import { containerOf } from '../../../src/backends/docker/ownContainer.ts';
import { type Machine, withRunImage } from '../../../src/backends/docker/runImage.ts';
import { type DockerExecutor, imageChange } from '../../../src/core/dockerExecutor.ts';
import { UserError } from '../../../src/core/errors.ts';
import { runImage } from '../../../src/core/imageExecutor.ts';

const signal = new AbortController().signal;
const source = (options: Partial<ImageSource> = {}): ImageSource => ({
  ...{ python: '3.11', from: 'pyproject.toml', files: new Map(), packages: ['numpy>=1'], pins: [] },
  ...options,
});

describe('the image of a workspace', () => {
  it('has a Dockerfile in which names are data', () => {
    const packages = ['a; python_version > "3"', "b'$(touch x)"];
    const text = dockerfileOf(source({ packages, pins: ['dask==1'] }), usualBase('3.11'));
    assert.match(text, /^FROM python:3\.11-slim$/m);
    const run = /^RUN (\[[\s\S]*?\])$/m.exec(text)?.[1]?.replaceAll('\\\n', '') ?? '';
    assert.deepEqual((JSON.parse(run) as string[]).slice(-3), [...packages, 'dask==1']);
  });

  it('takes requirements as they are, but for what lies on this machine alone', () => {
    const files = new Map([
      ['requirements.txt', '-r more/base.txt\n-e .\ndask[complete]==2\n'],
      ['more/base.txt', 'pandas\n'],
    ]);
    const text = dockerfileOf(source({ files, packages: [], pins: ['dask==1', 'distributed==1'] }), 'base');
    assert.match(text, /COPY \["more\/base\.txt","\/opt\/flow-clusters-image\/more\/base\.txt"\]/);
    assert.match(text, /RUN \["sed".*requirements\.txt"\]/);
    assert.doesNotMatch(text, /sed.*base\.txt/);
    assert.doesNotMatch(text, /dask==1/, 'the workspace pins it');
    assert.match(text, /"distributed==1"/);
    const hashed = new Map([['requirements.txt', 'dask==2 --hash=sha256:00\n']]);
    assert.doesNotMatch(
      dockerfileOf(source({ files: hashed, pins: ['distributed==1'] }), 'base'),
      /distributed/,
    );
  });

  it('is named by its content', async () => {
    const files = new Map([
      ['a', '1'],
      ['b', '2'],
    ]);
    const tag = tagOf('My Project!', { dockerfile: 'FROM x', files });
    assert.match(tag, /^flow-clusters\/my-project:[0-9a-f]{12}$/);
    assert.equal(tag, tagOf('My Project!', { dockerfile: 'FROM x', files: new Map([...files].reverse()) }));
    assert.notEqual(tag, tagOf('My Project!', { dockerfile: 'FROM y', files }));
    assert.match(tagOf('研究', { dockerfile: '', files }), /^flow-clusters\/workspace:/);
    const context = { dockerfile: 'FROM x', files };
    assert.deepEqual(await contextOf(context), await contextOf(context));
  });

  it('says why it could not be built', () => {
    const said = 'x\n\x1b[91mERROR: Could not find a version\nERROR: No matching distribution found for no\n';
    const pip = buildError(new Error('returned a non-zero code: 1'), said);
    assert.equal(pip.message, 'pip could not install the packages: No matching distribution found for no');
    assert.match(
      buildError(new Error('pull access denied for no'), '').message,
      /base image can't be pulled/,
    );
    assert.match(buildError(new Error('1'), 'python3: No module named pip').message, /no Python with pip/);
    assert.match(buildError(new Error('write x: no space left on device'), '').message, /disk/);
    assert.match(buildError(new Error('aborted'), '', true).message, /within 60 minutes/);
  });

  it('is put into an executor of the settings, or a new one', () => {
    const others = [{ name: 'a', kind: 'local' }];
    const old = { name: 'd', kind: 'docker', image: 'old', n_workers: 2 };
    assert.deepEqual(imageChange([...others, old], 'd', 'new'), {
      ...{ kind: 'set', index: 1, was: old },
      value: { ...old, image: 'new' },
    });
    const added = { kind: 'add', value: { name: 'd', kind: 'docker', image: 'new' } };
    assert.deepEqual(imageChange(others, 'd', 'new'), added);
  });

  describe('is made from', () => {
    const script = fileURLToPath(new URL('../../../src/python/environment_facts.py', import.meta.url));
    let folder: string;
    const read = () => readSource('python3', folder, script, signal);

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'environment-'));
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));

    it('requirements.txt and what it names, else the project, else what is installed', async () => {
      const installed = await read();
      assert.match(installed.python, /^3\.\d+$/);
      assert.equal(installed.from, 'what is installed');
      const project = '[project]\nname = "x"\ndependencies = ["numpy>=1", "pandas"]\n';
      await writeFile(join(folder, 'pyproject.toml'), project);
      assert.deepEqual((await read()).packages, ['numpy>=1', 'pandas']);
      await mkdir(join(folder, 'more'));
      await writeFile(join(folder, 'requirements.txt'), '-r more/a.txt\n');
      await writeFile(join(folder, 'more', 'a.txt'), '-c b.txt\nnumpy\n');
      await writeFile(join(folder, 'more', 'b.txt'), 'numpy<2\n');
      assert.deepEqual([...(await read()).files.keys()], ['requirements.txt', 'more/a.txt', 'more/b.txt']);
      await writeFile(join(folder, 'requirements.txt'), '-r ../secret.txt\n');
      await assert.rejects(read(), /names \.\.\/secret\.txt/);
    });
  });
});

describe('the kind of processor of an image', () => {
  it('is foreign only if both are known and differ', () => {
    const facts = (architecture: string, engineArchitecture: string) =>
      isForeign({ id: '', entrypoint: [], architecture, engineArchitecture });
    assert.ok(facts('arm64', 'amd64'));
    assert.ok(!facts('amd64', 'amd64'));
    assert.ok(!facts('', 'amd64'));
  });
});

describe('the run’s own image', () => {
  const executor: DockerExecutor = { name: 'd', kind: 'docker', image: runImage };
  const id = 'a1'.repeat(32);
  const mounts = `1 2 8:1 /var/lib/docker/containers/${id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n`;
  const machine = (options: Partial<Machine> = {}): Machine => ({
    ...{ env: {}, hostname: 'box', mounts: async () => '' },
    ...options,
  });
  /** @param containers by what they are asked by */
  const engineOf = (containers: Readonly<Record<string, object>>) =>
    ({
      getContainer: (name: string) => ({
        inspect: async () => {
          const found = containers[name];
          if (!found) throw Object.assign(new Error('no such container'), { statusCode: 404 });
          return found;
        },
      }),
    }) as unknown as Docker;
  const find = (engine: Docker, one: Machine, env: Record<string, string> = {}) =>
    withRunImage(executor, { engine, env, signal, machine: one });

  it('is what Prefect says, else that of the container that this is', async () => {
    const variable = 'PREFECT__CONTEXT__IMAGE';
    const here = machine({ env: { [variable]: 'process:1' } });
    assert.equal((await find(engineOf({}), here, { [variable]: 'run:1' })).image, 'run:1');
    assert.equal((await find(engineOf({}), here)).image, 'process:1');
    const box = { Id: id, Image: 'sha256:1', Config: { Hostname: 'box' } };
    const found = await find(engineOf({ box }), machine());
    assert.deepEqual([found.image, found.pull], ['sha256:1', 'never']);
    const renamed = { Id: id, Image: 'sha256:2', Config: { Hostname: 'other' } };
    const mounted = machine({ mounts: async () => mounts });
    assert.equal((await find(engineOf({ [id]: renamed }), mounted)).image, 'sha256:2');
    assert.equal(containerOf(mounts.replace('/etc/hostname', '/elsewhere')), undefined);
  });

  it('is not that of a container which has this machine’s name by chance', async () => {
    const box = { Id: id, Image: 'sha256:1', Config: { Hostname: 'a1a1a1' } };
    await assert.rejects(find(engineOf({ box }), machine()), (error) => {
      assert.ok(error instanceof UserError && error.hint);
      return error.reason === 'setting';
    });
    const named = { ...executor, image: 'x' };
    assert.equal(await withRunImage(named, { engine: engineOf({}), env: {}, signal }), named);
  });
});
