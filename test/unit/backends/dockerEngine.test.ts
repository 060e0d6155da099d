import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  connectionOptions,
  type EngineEnvironment,
  findEngine,
  isLocal,
} from '../../../src/backends/docker/engine.ts';
import { UserError } from '../../../src/core/errors.ts';

describe('the Docker engine', () => {
  let home: string;
  const machine = (env: EngineEnvironment['env'] = {}, platform: NodeJS.Platform = 'linux') => ({
    env,
    home,
    platform,
  });

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'docker-home-'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  async function writeContext(name: string, host: string, tls = false): Promise<void> {
    const id = createHash('sha256').update(name).digest('hex');
    const meta = join(home, '.docker', 'contexts', 'meta', id);
    await mkdir(meta, { recursive: true });
    const text = JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } });
    await writeFile(join(meta, 'meta.json'), text);
    if (!tls) return;
    const folder = join(home, '.docker', 'contexts', 'tls', id, 'docker');
    await mkdir(folder, { recursive: true });
    for (const part of ['ca', 'cert', 'key']) await writeFile(join(folder, `${part}.pem`), part);
  }

  it('is what the executor says, else DOCKER_HOST, else the context, else a socket', async () => {
    await writeContext('dev', 'tcp://10.0.0.5:2376', true);
    await writeFile(join(home, '.docker', 'config.json'), JSON.stringify({ currentContext: 'dev' }));
    const env = { DOCKER_HOST: 'unix:///from/env.sock' };
    const host = async (...args: Parameters<typeof findEngine>) => (await findEngine(...args)).host;
    assert.equal(await host({ docker_host: 'unix:///own.sock' }, machine(env)), 'unix:///own.sock');
    assert.equal(await host({ docker_context: 'dev' }, machine(env)), 'tcp://10.0.0.5:2376');
    assert.equal(await host({}, machine(env)), 'unix:///from/env.sock');
    const current = await findEngine({}, machine());
    assert.deepEqual(current.tls, { ca: 'ca', cert: 'cert', key: 'key' });
    assert.equal(current.by, 'the Docker context "dev"');
    assert.equal(await host({}, machine({}, 'win32')), 'tcp://10.0.0.5:2376');
  });

  it('is the first socket that is there, where nobody has chosen', async () => {
    const runtime = join(home, 'run');
    await mkdir(join(runtime, 'podman'), { recursive: true });
    await writeFile(join(runtime, 'podman', 'podman.sock'), '');
    const { host } = await findEngine({}, machine({ XDG_RUNTIME_DIR: runtime }));
    assert.match(host, /podman\.sock$|^unix:\/\/\/var\/run\/docker\.sock$/);
    assert.equal((await findEngine({}, machine({}, 'win32'))).host, 'npipe:////./pipe/docker_engine');
  });

  it('is refused where it can’t be reached, with what to do', async () => {
    await assert.rejects(findEngine({ docker_context: 'no' }, machine()), (error) => {
      assert.ok(error instanceof UserError && error.hint);
      return error.message === 'There is no Docker context "no"';
    });
    for (const host of ['fd://3', 'ssh://ana:word@build', 'build'])
      assert.throws(() => connectionOptions({ host, by: 'DOCKER_HOST' }), UserError, host);
  });

  it('is asked by its socket, by TCP, by TLS', () => {
    const by = 'DOCKER_HOST';
    assert.deepEqual(connectionOptions({ host: 'unix:///a/b.sock', by }), { socketPath: '/a/b.sock' });
    const pipe = { socketPath: '//./pipe/docker_engine' };
    assert.deepEqual(connectionOptions({ host: 'npipe:////./pipe/docker_engine', by }), pipe);
    const plain = { protocol: 'http', host: 'box', port: 2375 };
    assert.deepEqual(connectionOptions({ host: 'tcp://box', by }), plain);
    const tls = { ca: 'a', cert: 'b', key: 'c' };
    const secure = { protocol: 'https', host: 'box', port: 2376, ...tls };
    assert.deepEqual(connectionOptions({ host: 'tcp://box', tls, by }), secure);
  });

  it('is on this machine if its socket or loopback is', () => {
    for (const host of [
      'unix:///a.sock',
      'npipe:////./pipe/x',
      'tcp://localhost:2375',
      'tcp://127.0.0.1:1',
      'tcp://[::1]:2375',
    ])
      assert.ok(isLocal({ host, by: '' }), host);
    for (const host of [
      'tcp://10.0.0.5:2376',
      'tcp://localhost-build:2375',
      'tcp://127.example.org',
      'ssh://localhost',
    ])
      assert.ok(!isLocal({ host, by: '' }), host);
  });
});
