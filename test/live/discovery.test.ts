import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../../src/core/cluster.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { Discovery } from '../../src/discover/discovery.ts';
import type { ListeningSocket, Machine } from '../../src/discover/machine.ts';
import { DiscoveredRows } from '../../src/discover/rows.ts';
import { thisMachine } from '../../src/discover/thisMachine.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { MemoryLog } from '../support/host.ts';
import { liveBench, pythonOf } from '../support/hostLive.ts';
import { startBed } from '../support/schedulerBed.ts';

/** Other tests and users of the machine have schedulers too: only sockets of these processes are looked at. */
class Among implements Machine {
  readonly pids = new Set<number>();
  readonly #machine = thisMachine();

  sockets(): Promise<readonly ListeningSocket[]> {
    return this.#machine.sockets();
  }

  async owners(sockets: readonly ListeningSocket[]) {
    const owners = await this.#machine.owners(sockets);
    return new Map([...owners].filter(([, { pid }]) => this.pids.has(pid)));
  }
}

describe('clusters on this machine', function () {
  this.timeout(180_000);
  const closers: (() => unknown)[] = [];
  let store: Store;
  let manager: ClusterManager;
  let machine: Among;

  before(async function () {
    if (process.platform !== 'linux') this.skip();
    this.timeout(600_000);
    await daskEnv('2022');
    await daskEnv('latest');
  });
  beforeEach(() => {
    store = new Store();
    manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
    machine = new Among();
    closers.push(() => manager.dispose());
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  /** Looks from now on. */
  function discover(): void {
    const rows = new DiscoveredRows({ store, manager, user: 'ana' });
    const discovery = new Discovery({
      ...{ machine, ownPid: process.pid, log: new MemoryLog(), intervalMs: 200 },
      onChange: (found) => rows.show(found),
    });
    discovery.start();
    closers.push(
      () => rows.dispose(),
      () => discovery.stop(),
    );
  }

  const clusters = () => [...store.snapshot.clusters.values()];

  async function until<T>(get: () => T | undefined | false): Promise<T> {
    for (let i = 0; i < 1_500; i += 1) {
      const value = get();
      if (value) return value;
      await sleep(20);
    }
    assert.fail(`did not happen: ${get}\n${JSON.stringify(clusters())}`);
  }

  const running = () => clusters().find((cluster): cluster is Cluster => cluster.state.kind === 'running');

  for (const version of ['2022', 'latest'] as const) {
    it(`of Dask ${version} that others have started are found, and go with their process`, async () => {
      const bed = await startBed({ version, nanny: true });
      closers.push(() => bed.stop());
      machine.pids.add(bed.pid);
      discover();
      const cluster = await until(running);
      assert.deepEqual([cluster.name, cluster.ownership], ['scheduler_bed.py', 'discovered']);
      assert.equal(manager.access(cluster.id)?.address, bed.address);
      assert.equal(cluster.origin?.pid, bed.pid);
      assert.ok(Math.abs((cluster.origin?.sinceMs ?? 0) - Date.now()) < 60_000);
      await until(() => running()?.info?.workers.length === 2);
      assert.equal(clusters().length, 1, 'no worker, nanny or dashboard is taken for one');
      const id = manager.attach({ name: 'mine', address: bed.address });
      assert.deepEqual(
        clusters().map(({ name }) => name),
        ['mine'],
      );
      manager.detach(id);
      await until(running);
      bed.signal('SIGKILL');
      await until(() => clusters().length === 0);
    });
  }

  it('of this window are not found, those of another one are said to be that', async () => {
    const bench = await liveBench({ python: await pythonOf('dask-latest') });
    closers.push(() => bench.dispose());
    const id = await bench.startStatic({ n_workers: 1 });
    for (const pid of await descendants(process.pid)) machine.pids.add(pid);
    discover();
    await sleep(1_000);
    assert.deepEqual(clusters(), []);
    await writeFile(join(await hostDirectory(machine.pids), 'owner.json'), JSON.stringify({ pid: 1 }));
    discover();
    const cluster = await until(running);
    assert.deepEqual([cluster.name, cluster.origin?.otherWindow], ['another window', true]);
    const state = bench.cluster(id)?.state;
    assert.equal(manager.access(cluster.id)?.address, state?.kind === 'running' && state.address);
  });

  it('are looked for without a byte to programs that are no schedulers, and without a word to those without Dask', async () => {
    const python = (await daskEnv('latest')).python;
    const [plain, dask] = [await listener(python, 'plain'), await listener(python, 'dask')];
    for (const { child } of [plain, dask]) machine.pids.add(child.pid as number);
    discover();
    assert.deepEqual(await dask.next(), { connected: true });
    assert.deepEqual(await dask.next(), { received: 0 });
    await sleep(500);
    assert.deepEqual([plain.lines, clusters()], [[], []]);
  });

  /** A Python that listens, with or without Dask, and tells who connects and how much it sends. */
  async function listener(python: string, kind: 'plain' | 'dask') {
    const script = [
      kind === 'dask' ? 'import distributed' : '',
      'import json, socket',
      'say = lambda **words: print(json.dumps(words), flush=True)',
      'server = socket.create_server(("127.0.0.1", 0))',
      'say(ready=True)',
      'while True:',
      '    peer, _ = server.accept()',
      '    say(connected=True)',
      '    say(received=len(peer.recv(1000)))',
    ].join('\n');
    const child: ChildProcess = spawn(python, ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    closers.push(async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    });
    const lines: unknown[] = [];
    const waiting: ((line: unknown) => void)[] = [];
    createInterface(child.stdout as NodeJS.ReadableStream).on('line', (line) => {
      const told = waiting.shift();
      if (told) told(JSON.parse(line));
      else lines.push(JSON.parse(line));
    });
    const next = () =>
      new Promise<unknown>((resolve) => (lines.length > 0 ? resolve(lines.shift()) : waiting.push(resolve)));
    assert.deepEqual(await next(), { ready: true });
    return { child, lines, next };
  }
});

/** All processes under one, as `/proc` tells. */
async function descendants(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const texts = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  const children = texts.join(' ').split(' ').filter(Boolean).map(Number);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

/** The folder that a cluster host among these processes was started with. */
async function hostDirectory(pids: Iterable<number>): Promise<string> {
  for (const pid of pids) {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const at = argv.findIndex((argument) => argument.endsWith('cluster_host.py'));
    if (at >= 0) return JSON.parse(argv[at + 1] ?? '').directory;
  }
  throw new Error('no cluster host');
}
