import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Cluster } from '../../src/core/cluster.ts';
import type { FlowApiId } from '../../src/core/flow.ts';
import type { Finding } from '../../src/core/preflight/finding.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import type { PythonHost } from '../../src/host/pythonHost.ts';
import { preflight } from '../../src/runs/preflight.ts';
import { type ClusterBed, startClusterBed, type WorkerPart } from '../support/clusterBed.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { type EnvironmentName, liveHost, pythonOf, removeFolder } from '../support/hostLive.ts';
import { startBed } from '../support/schedulerBed.ts';

const attached: Cluster = {
  id: 'c1',
  name: 'prod',
  executor: 'prod',
  lifetime: 'static',
  ownership: 'attached',
  state: { kind: 'running', sinceMs: 0, address: '', dashboard: null },
};

interface Source {
  readonly api: FlowApiId;
  readonly text: string;
}

const script: Source = {
  api: 'dask',
  text: 'import dask\n\n@dask.delayed\ndef f(x):\n    return x\n\nf(1).compute()\n',
};
const flow: Source = {
  api: 'prefect',
  text: 'from prefect import flow, task\n\n@task\ndef t(x):\n    return x\n\n@flow\ndef etl():\n    t.submit(1)\n',
};

describe('preflight of clusters that are there', function () {
  this.timeout(180_000);
  let folder: string;
  const hosts = new Map<string, PythonHost>();
  let bed: ClusterBed | undefined;
  /** The interpreter with the newest Dask, and its versions. */
  let latest: string;
  let version: string;
  let distributed: string;

  before(async function () {
    this.timeout(600_000);
    folder = await mkdtemp(join(tmpdir(), 'preflight-'));
    await mkdir(join(folder, 'lib'));
    await writeFile(join(folder, 'lib', 'tables.py'), '');
    await mkdir(join(folder, 'ws'));
    latest = await pythonOf('dask-latest');
    const hello = await (await hostOf('dask-latest')).hello;
    version = hello.python;
    distributed = hello.packages.distributed ?? '';
  });

  afterEach(async () => {
    await bed?.stop();
    bed = undefined;
  });

  after(async () => {
    await Promise.all([...hosts.values()].map((host) => host.dispose()));
    await removeFolder(folder);
  });

  async function hostOf(name: EnvironmentName, more: Record<string, string> = {}): Promise<PythonHost> {
    const key = JSON.stringify([name, more]);
    const known = hosts.get(key);
    if (known) return known;
    const env = { PREFECT_HOME: join(folder, 'home'), PYTHONPATH: join(folder, 'lib'), ...more };
    const host = await liveHost({ python: await pythonOf(name), workspace: join(folder, 'ws'), env });
    hosts.set(key, host);
    return host;
  }

  async function start(
    scheduler: string,
    workers: readonly Omit<WorkerPart, 'name'>[],
    other: { env?: Record<string, string>; tls?: boolean } = {},
  ): Promise<ClusterBed> {
    const { env, tls } = other;
    bed = await startClusterBed({
      scheduler: { python: scheduler, ...(env && { env }) },
      workers: workers.map((worker, i) => ({ ...worker, name: `w${i}` })),
      ...(tls && { tls }),
    });
    return bed;
  }

  /** What is found about the bed, or another place, from an environment. */
  async function look(
    host: PythonHost,
    source?: Source,
    options: { access?: Pick<ClusterBed, 'address' | 'security'>; signal?: AbortSignal } = {},
  ): Promise<Finding[]> {
    const { access = bed, signal = new AbortController().signal } = options;
    assert.ok(access);
    const file = join(folder, 'ws', 'flow.py');
    if (source) await writeFile(file, source.text);
    const { address, security } = access;
    return preflight({
      host,
      cluster: attached,
      handle: { address, ...(security && { security }) },
      ...(source && { flow: { file, api: source.api } }),
      brief: true,
      signal,
    });
  }

  const texts = (findings: readonly Finding[]) =>
    findings.map(({ severity, message }) => `${severity}: ${message}`);
  const worth = (findings: readonly Finding[]) =>
    texts(findings.filter(({ severity }) => severity === 'error' || severity === 'warning'));
  const withLib = () => ({ PYTHONPATH: join(folder, 'lib') });

  it('finds one well, and leaves no trace in it', async () => {
    const { address } = await start(latest, [{ python: latest, threads: 2 }, { python: latest }]);
    assert.deepEqual(texts(await look(await hostOf('dask-latest'), script)), [
      `good: The versions fit: Python ${version}, distributed ${distributed}`,
      'good: All that tasks import is there: dask',
      'good: All 3 threads are free',
    ]);
    const client = new SchedulerClient(address);
    const events = (await client.events('all')).map(({ message }) => (message as { action: string }).action);
    client.close();
    assert.deepEqual([...new Set(events)].sort(), ['add-worker', 'run-function']);
  });

  it('over TLS, with the certificates that are given', async () => {
    const { address } = await start(latest, [{ python: latest }], { tls: true });
    const host = await hostOf('dask-latest');
    assert.deepEqual(worth(await look(host, script)), []);
    const [finding] = await look(host, script, { access: { address, security: undefined } });
    assert.match(finding?.message ?? '', /could not be asked: /);
  });

  it('finds versions that do not understand each other', async () => {
    const old = await pythonOf('dask-2023');
    await start(old, [{ python: old }]);
    const [error, ...rest] = await look(await hostOf('dask-latest'), script);
    assert.equal(error?.severity, 'error');
    assert.equal(error?.message, `distributed ${distributed} here, but 2023.1.0 at the scheduler`);
    const [action] = error?.actions ?? [];
    assert.ok(action?.kind === 'copy');
    assert.equal(action.text, `"${latest}" -m pip install "distributed==2023.1.0" "dask==2023.1.0"`);
    assert.deepEqual(worth(rest), []);
    assert.deepEqual(worth(await look(await hostOf('dask-2023'), script)), [], 'from its own environment');
  });

  it('finds a worker of another version than its scheduler', async () => {
    const { python } = await daskEnv('2024');
    await start(latest, [{ python: latest }, { python }]);
    assert.deepEqual(worth(await look(await hostOf('dask-latest'), script)), [
      `error: distributed ${distributed} at the scheduler, but 2024.8.2 on 1 of 2 workers (w1)`,
    ]);
  });

  it('finds a worker with another Python', async () => {
    const minor = version.split('.').slice(0, 2).join('.');
    const other = findOtherPython(minor);
    // Nothing to compare with on this machine.
    if (!other) return;
    const site = join(dirname(dirname(latest)), 'lib', `python${minor}`, 'site-packages');
    const env = { PYTHONPATH: site, PYTHONDONTWRITEBYTECODE: '1' };
    await start(latest, [{ python: latest }, { python: other.python, env }]);
    assert.deepEqual(worth(await look(await hostOf('dask-latest'), script)), [
      `error: Python ${minor} here, but ${other.minor} on 1 of 2 workers (w1)`,
    ]);
  });

  it('finds modules that a worker or the scheduler lacks', async () => {
    const host = await hostOf('dask-latest');
    const uses = {
      api: 'dask',
      text: `import tables\n${script.text.replace('return x', 'tables.read(x)')}`,
    } as const;
    await start(latest, [{ python: latest, env: withLib() }, { python: latest }]);
    const [error] = await look(host, uses);
    assert.equal(error?.severity, 'error');
    assert.equal(error?.message, 'tables is missing on the scheduler and 1 of 2 workers (w1)');
    assert.deepEqual(error?.missing, ['tables']);
    const path = join(folder, 'ws', 'flow.py');
    assert.deepEqual(error?.actions, [
      { kind: 'open-file', path, line: 1 },
      { kind: 'copy', label: 'Copy Command', text: `"${latest}" -m pip install "tables"` },
    ]);
    const unused = { ...uses, text: `import tables\n${script.text}` };
    assert.deepEqual(worth(await look(host, unused)), [], 'nothing that travels needs it');
  });

  it('finds workers of a Prefect flow without Prefect', async () => {
    const prefect = await pythonOf('prefect3');
    await start(prefect, [{ python: prefect }, { python: latest }]);
    const findings = await look(await hostOf('prefect3'), flow);
    assert.deepEqual(worth(findings), ['error: prefect and prefect_dask are missing on 1 of 2 workers (w1)']);
    assert.match(findings[0]?.hint ?? '', /pip install "prefect==3\.\S+" "prefect-dask==\S+"$/);
    assert.ok(
      texts(findings).includes('good: The Prefect API server on this machine is reached by both workers'),
      'as it will be once it has started',
    );
  });

  it('finds workers that do not reach the Prefect API', async () => {
    const prefect = await pythonOf('prefect3');
    // All that the second worker asks for goes to a proxy that is not there.
    const env = { http_proxy: 'http://127.0.0.1:1' };
    await start(prefect, [{ python: prefect }, { python: prefect, env }]);
    const without = '1 of 2 workers (w1) does not reach';
    const ours = await look(await hostOf('prefect3'), flow);
    assert.deepEqual(worth(ours), [
      `error: ${without} the Prefect API server on this machine: connection refused`,
    ]);
    assert.match(ours[0]?.hint ?? '', /loopback/);
    // Whatever answers by HTTP is reached.
    const server = createServer((_, response) => response.end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const api = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`;
    const named = await hostOf('prefect3', { PREFECT_API_URL: api });
    assert.deepEqual(worth(await look(named, flow)), [
      `error: ${without} the Prefect API at ${api}: connection refused`,
    ]);
    server.close();
    server.closeAllConnections();
    assert.deepEqual(worth(await look(named, flow)), [
      `error: The Prefect API at ${api} does not answer: connection refused`,
    ]);
  });

  it('says what it could not check where that is forbidden', async () => {
    const blocked = (who: string, ...ops: string[]) => ({
      [`DASK_DISTRIBUTED__${who}__BLOCKED_HANDLERS`]: JSON.stringify(ops),
    });
    const env = blocked('SCHEDULER', 'run_function');
    await start(latest, [{ python: latest, env: blocked('WORKER', 'run') }, { python: latest }], { env });
    assert.deepEqual(texts(await look(await hostOf('dask-latest'), script)), [
      'info: Who else uses the cluster, and what the scheduler has installed, could not be looked at: it forbids that',
      'info: Modules and the Prefect API could not be checked on 1 of 2 workers (w0)',
      `good: The versions fit: Python ${version}, distributed ${distributed}`,
      'good: All that tasks import is there: dask',
      'good: Both threads are free',
    ]);
  });

  it('finds a worker that hangs, and those that do not are looked at all the same', async () => {
    const { signal } = await start(latest, [{ python: latest }, { python: latest }, { python: latest }]);
    signal('w2', 'SIGSTOP');
    const host = await hostOf('dask-latest');
    const began = performance.now();
    const findings = texts(await look(host, script));
    assert.ok(findings.includes('warning: No answer in time from 1 of 3 workers (w2)'), findings.join('\n'));
    assert.ok(findings.includes('good: All that tasks import is there: dask'));
    assert.ok(performance.now() - began < 60_000, 'within its limit, generously');
    const abort = new AbortController();
    const looking = look(host, script, { signal: abort.signal });
    abort.abort(new Error('by the user'));
    await assert.rejects(looking, { message: 'by the user' });
  });

  it('finds that resources are not offered', async () => {
    await start(latest, [{ python: latest, resources: 'GPU=1' }]);
    const asks = (n: number) => ({
      ...script,
      text: `${script.text}\nc.submit(f, 1, resources={"GPU": ${n}})\n`,
    });
    const host = await hostOf('dask-latest');
    assert.ok(texts(await look(host, asks(1))).includes('good: GPU=1 is offered by the only worker'));
    assert.deepEqual(worth(await look(host, asks(2))), [
      'error: No worker offers GPU=2: tasks that ask for it wait for ever',
    ]);
  });

  it('finds threads that others use', async () => {
    const busy = await startBed({ version: 'latest', workers: 2 });
    try {
      await busy.call('submit', 'nap', 6, 60);
      const findings = await look(await hostOf('dask-latest'), undefined, { access: busy });
      assert.match(worth(findings).join(), /^warning: Both threads are busy: the run waits for its turn \(/);
      assert.match(worth(findings).join(), /1 other client connected\)$/);
    } finally {
      await busy.stop();
    }
  });

  it('says that nothing is there, or no worker', async () => {
    const host = await hostOf('dask-latest');
    const access = { address: 'tcp://127.0.0.1:1', security: undefined };
    assert.match(
      worth(await look(host, script, { access })).join(),
      /^error: The scheduler at tcp:\/\/127.0.0.1:1 could/,
    );
    const { signal, address } = await start(latest, []);
    assert.deepEqual(worth(await look(host, script)), [
      'warning: There are no workers: the run waits until some come',
    ]);
    signal('scheduler', 'SIGSTOP');
    assert.deepEqual(worth(await look(host, script)), [
      `error: The scheduler at ${address} could not be asked: it does not answer`,
    ]);
  });
});

/** A Python of another minor version on which Dask's pure Python runs, if the machine has one. */
function findOtherPython(than: string): { python: string; minor: string } | undefined {
  const versions = join(homedir(), '.pyenv', 'versions');
  for (const name of existsSync(versions) ? readdirSync(versions) : []) {
    const minor = /^3\.1[0-4](?=\.)/.exec(name)?.[0];
    if (minor && minor !== than) return { python: join(versions, name, 'bin', 'python'), minor };
  }
  return undefined;
}
