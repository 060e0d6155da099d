import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalBackend } from '../../../src/backends/local.ts';
import { HostPool, hostEnvironment } from '../../../src/host/pool.ts';
import { clusterClosed, clusterStarted, hello, MemoryLog, type Scenario } from '../../support/host.ts';

const python = fileURLToPath(new URL('../../support/fakeHost.mjs', import.meta.url));
const workspace = process.cwd();

describe('hosts of a window', () => {
  const environment = { ...process.env };
  const log = new MemoryLog();
  let pool: HostPool;

  function make(scenario: Scenario): void {
    process.env.FAKE_HOST = JSON.stringify(scenario);
    pool = new HostPool({ script: 'cluster_host.py', log });
  }

  let folder: string;
  const folders = async () => (await readdir(folder)).filter((name) => name.startsWith('flow-clusters-'));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pool-'));
    process.env.TMPDIR = folder; // others on this machine have folders too
  });

  afterEach(async () => {
    await pool.dispose();
    await rm(folder, { recursive: true, force: true });
    for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
    Object.assign(process.env, environment);
  });

  it('are made once for an interpreter and a folder', async () => {
    make({ start: [hello] });
    const [first, second] = await Promise.all([pool.get(python, workspace), pool.get(python, workspace)]);
    assert.equal(first, second);
    assert.equal(await pool.get(python, workspace), first);
    assert.notEqual(await pool.get(python, '/'), first);
    assert.equal(first.workspace, workspace);
  });

  it('are made again after one has died, by whoever asks first', async () => {
    make({ start: [hello] });
    const first = await pool.get(python, workspace);
    await first.hello;
    process.kill(first.pid ?? 0, 'SIGKILL');
    await first.ended;
    const [second, third] = await Promise.all([pool.get(python, workspace), pool.get(python, workspace)]);
    assert.notEqual(second, first);
    assert.equal(second, third);
    await second.hello;
  });

  it('start anew when told to', async () => {
    make({ start: [hello] });
    const first = await pool.get(python, workspace);
    await first.hello;
    await pool.restart();
    assert.equal(first.usable, false);
    const second = await pool.get(python, workspace);
    assert.notEqual(second, first);
    await second.hello;
  });

  it('leave no folder behind, and none comes after the window closes', async () => {
    const before = await folders();
    make({ start: [hello] });
    const host = await pool.get(python, workspace);
    await host.hello;
    assert.equal((await folders()).length, before.length + 1);
    await pool.dispose();
    await host.ended;
    assert.deepEqual(await folders(), before);
    await assert.rejects(pool.get(python, workspace), /closing/);
  });

  it('are let go when nobody has asked for them for long, unless something runs in them', async () => {
    make({ start: [hello], 'cluster.start': [clusterStarted], 'cluster.close': [clusterClosed] });
    const idle = await pool.get(python, workspace);
    const busy = await pool.get(python, '/');
    const { address } = await new LocalBackend(busy).start(
      { name: 'local', kind: 'local' },
      {
        clusterId: 'c1',
        lifetime: 'temporary' as const,
        signal: new AbortController().signal,
        inherit: {},
        stage: () => undefined,
        worker: () => undefined,
        scaling: () => undefined,
      },
    );
    assert.equal(address, 'tcp://127.0.0.1:1');
    await pool.dropIdle(Date.now() + 29 * 60_000);
    assert.deepEqual([idle.usable, busy.usable], [true, true]);
    await pool.dropIdle(Date.now() + 31 * 60_000);
    assert.deepEqual([idle.usable, busy.usable], [false, true]);
    assert.notEqual(await pool.get(python, workspace), idle);
  });

  it('find the scripts of the interpreter first, however the path is spelt', () => {
    const at = (python: string, env: NodeJS.ProcessEnv, platform: NodeJS.Platform) => {
      const { TERM, COLORTERM, ...rest } = hostEnvironment(python, env, platform);
      assert.deepEqual([TERM, COLORTERM], ['xterm-256color', 'truecolor']);
      return rest;
    };
    assert.deepEqual(at('/env/bin/python', { PATH: '/bin' }, 'linux'), { PATH: '/env/bin:/bin' });
    assert.deepEqual(at('python3', { PATH: '/bin' }, 'linux'), { PATH: '/bin' });
    assert.deepEqual(at('C:\\env\\python.exe', { Path: 'C:\\bin' }, 'win32'), { Path: 'C:\\env;C:\\bin' });
    assert.deepEqual(at('C:\\env\\python.exe', {}, 'win32'), { PATH: 'C:\\env' });
  });

  it('do not see the variables of the editor', async () => {
    process.env.VSCODE_PID = '1';
    process.env.ELECTRON_RUN_AS_NODE = '1';
    process.env.MY_OWN = '1';
    make({ start: [{ showEnvironment: true }, hello] });
    await (await pool.get(python, workspace)).hello;
    const shown = log.lines.find((line) => line.includes('FAKE_HOST')) ?? '';
    assert.match(shown, / MY_OWN /);
    assert.doesNotMatch(shown, /VSCODE_|ELECTRON_/);
  });
});
