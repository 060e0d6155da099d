import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterManager, type Watch } from '../../../src/core/manager.ts';
import { Store } from '../../../src/core/store.ts';
import { type Discovered, Discovery } from '../../../src/discover/discovery.ts';
import type { ListeningSocket, Machine, PythonProcess } from '../../../src/discover/machine.ts';
import { DiscoveredRows } from '../../../src/discover/rows.ts';
import { makeHostDirectory } from '../../../src/host/directories.ts';
import { MemoryLog } from '../../support/host.ts';
import { type Behave, type Fake, startFake } from '../../support/schedulerFake.ts';
import { aWorker, infoOf } from '../core/samples.ts';

/** A machine that has what a test says. */
class HandMachine implements Machine {
  readonly listening = new Map<string, { socket: ListeningSocket; process: PythonProcess | undefined }>();
  looks = 0;
  broken = false;

  listen(key: string, port: number, process?: Partial<PythonProcess>): void {
    const python = { pid: 7, argv: ['python', 'etl.py'], folder: '/work', hasDask: true, ...process };
    const socket = { key, host: '127.0.0.1', port };
    this.listening.set(key, { socket, process: process === undefined ? undefined : python });
  }

  async sockets(): Promise<readonly ListeningSocket[]> {
    this.looks += 1;
    if (this.broken) throw new Error('no lsof');
    return [...this.listening.values()].map(({ socket }) => socket);
  }

  async owners(sockets: readonly ListeningSocket[]): Promise<ReadonlyMap<string, PythonProcess>> {
    const known = sockets.map(({ key }) => [key, this.listening.get(key)?.process] as const);
    return new Map(known.flatMap(([key, process]) => (process ? [[key, process]] : [])));
  }
}

const behaves = (type: string, id: string): Behave => {
  return (peer, { op }) =>
    op === 'identity' && peer.send({ type, id, started: 10.5, services: {}, workers: {} });
};
const portOf = (fake: Fake) => Number(fake.address.split(':').at(-1));

describe('discovery', () => {
  let machine: HandMachine;
  let discovery: Discovery;
  let found: readonly Discovered[] | undefined;
  const log = new MemoryLog();
  const fakes: Fake[] = [];

  beforeEach(() => {
    machine = new HandMachine();
    found = undefined;
    discovery = new Discovery({
      ...{ machine, ownPid: process.pid, log, intervalMs: 5 },
      onChange: (now) => {
        found = now;
      },
    });
  });
  afterEach(async () => {
    discovery.stop();
    for (const fake of fakes.splice(0)) await fake.stop();
  });

  async function fake(type = 'Scheduler', id = 'Scheduler-1'): Promise<Fake> {
    const made = await startFake(behaves(type, id));
    fakes.push(made);
    return made;
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await sleep(5);
  }

  async function looks(count: number): Promise<void> {
    const end = machine.looks + count;
    await until(() => machine.looks >= end);
  }

  it('finds schedulers, once each, and sees them go', async () => {
    const scheduler = await fake();
    const worker = await fake('Worker');
    machine.listen('a', portOf(scheduler), {});
    machine.listen('b', portOf(worker), {});
    discovery.start();
    await until(() => found?.length === 1);
    assert.equal(found?.[0]?.address, scheduler.address);
    assert.deepEqual(found?.[0]?.process.argv, ['python', 'etl.py']);
    await until(() => worker.ops.length > 0);
    await looks(5);
    assert.deepEqual([scheduler.ops, worker.ops], [['identity'], ['identity']], 'no socket is asked twice');
    const again = await startFake(behaves('Scheduler', 'Scheduler-1'));
    fakes.push(again);
    machine.listen('c', portOf(again), {});
    await looks(3);
    assert.equal(found?.length, 1, 'a scheduler that listens twice is one');
    machine.listening.clear();
    await until(() => found?.length === 0);
  });

  it('sends nothing to what does not greet as Dask, and does not connect to what is none', async () => {
    const heard: Buffer[] = [];
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections += 1;
      socket.on('data', (bytes) => heard.push(bytes));
      socket.on('error', () => undefined);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    machine.listen('node', port);
    machine.listen('web', port, { hasDask: false });
    discovery.start();
    await looks(4);
    assert.equal(connections, 0);
    machine.listen('dashboard', port, {});
    await until(() => connections === 1);
    await looks(4);
    assert.deepEqual([connections, heard, found], [1, [], []]);
    server.close();
  });

  it('leaves the clusters of this window out, and marks those of others', async () => {
    const [own, other] = [await fake('Scheduler', 'own'), await fake('Scheduler', 'other')];
    const directory = await makeHostDirectory();
    const host = (config: object) => ['python', '-u', '/x/cluster_host.py', JSON.stringify(config)];
    machine.listen('own', portOf(own), { argv: host({ directory }) });
    machine.listen('other', portOf(other), { argv: host({ directory: '/tmp/flow-clusters-gone' }) });
    discovery.start();
    await until(() => found?.length === 1);
    assert.deepEqual([found?.[0]?.identity.id, found?.[0]?.otherWindow], ['other', true]);
    assert.deepEqual(own.ops, []);
    await rm(directory, { recursive: true });
  });

  it('looks only while it is started, and says once that it can’t', async () => {
    machine.broken = true;
    discovery.start();
    await until(() => log.lines.some((line) => line.includes("can't be looked for: no lsof")));
    discovery.stop();
    machine.broken = false;
    const { looks: before } = machine;
    await sleep(30);
    assert.equal(machine.looks, before);
    machine.listen('a', portOf(await fake()), {});
    discovery.start();
    await until(() => found?.length === 1);
  });
});

describe('rows of what was found', () => {
  let store: Store;
  let manager: ClusterManager;
  let rows: DiscoveredRows;
  let listener: Parameters<Watch>[1] | undefined;
  let watched: string[];

  beforeEach(() => {
    store = new Store();
    watched = [];
    const watch: Watch = (address, heard, options) => {
      listener = heard;
      watched.push(`${address} ${options?.intervalMs ?? ''}`);
      return { dispose: () => void watched.push(`${address} left`) };
    };
    manager = new ClusterManager({ store, watch, log: new MemoryLog() });
    rows = new DiscoveredRows({ store, manager, user: 'ana' });
  });
  afterEach(() => rows.dispose());

  const one = (id: string, port: number, other: Partial<Discovered> = {}): Discovered => ({
    address: `tcp://127.0.0.1:${port}`,
    identity: { id, ownAddress: '', dashboardPort: undefined, startedAtMs: 5, workers: [] },
    process: { pid: 7, argv: ['python', 'etl.py'], folder: '/work', hasDask: true },
    otherWindow: false,
    ...other,
  });
  const read = () =>
    [...store.snapshot.clusters.values()].map(({ name, ownership }) => `${name} ${ownership}`);

  it('come and go with it, say whose they are, and are looked at seldom', () => {
    rows.show([one('a', 1), one('b', 2), one('c', 3, { otherWindow: true })]);
    assert.deepEqual(read(), ['etl.py discovered', 'etl.py 2 discovered', 'another window discovered']);
    assert.deepEqual(watched, ['tcp://127.0.0.1:1 5000', 'tcp://127.0.0.1:2 5000', 'tcp://127.0.0.1:3 5000']);
    assert.deepEqual(store.snapshot.clusters.get('found-a')?.origin, {
      ...{ pid: 7, what: 'etl.py', folder: '/work', user: 'ana', sinceMs: 5, otherWindow: false },
    });
    rows.show([one('b', 2)]);
    assert.deepEqual(read(), ['etl.py 2 discovered']);
    rows.show([]);
    assert.deepEqual(read(), []);
    assert.equal(watched.filter((line) => line.endsWith('left')).length, 3);
  });

  it('make room for a cluster that the user attaches to, and come back when it is let go', () => {
    rows.show([one('a', 8786)]);
    const id = manager.attach({ name: 'mine', address: 'tcp://localhost:8786' });
    assert.deepEqual(read(), ['mine attached']);
    manager.detach(id);
    assert.deepEqual(read(), ['etl.py discovered']);
  });

  it('are not of schedulers that are known by another address', () => {
    manager.attach({ name: 'mine', address: 'tcp://10.0.0.5:8786' });
    const attached = listener;
    rows.show([one('a', 8786)]);
    assert.deepEqual(read(), ['mine attached', 'etl.py discovered']);
    attached?.onInfo({ ...infoOf(aWorker(0)), id: 'a' });
    assert.deepEqual(read(), ['mine attached']);
  });

  it('are never stopped', async () => {
    rows.show([one('a', 1)]);
    await manager.stop('found-a', { force: true });
    assert.deepEqual(read(), ['etl.py discovered']);
  });
});
