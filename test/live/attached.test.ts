import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from '../../src/core/address.ts';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { clusterNodes } from '../../src/core/tree.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { makeCertificates } from '../support/certificates.ts';
import { daskFlow, MemoryLog, patienceMs } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf, removeFolder } from '../support/hostLive.ts';
import { TcpProxy } from '../support/network.ts';
import { type Bed, type BedOptions, startBed } from '../support/schedulerBed.ts';

const slowScript = `
import time
from distributed import Client

def slow(x):
    time.sleep(0.4)
    return x

if __name__ == "__main__":
    client = Client()
    print("sum", sum(client.gather(client.map(slow, range(10), pure=False))))
`;

async function until(condition: () => Promise<boolean>, timeoutMs = patienceMs): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'waited in vain');
    await sleep(20);
  }
}

/** A window that is attached to one cluster, as far as it can be seen without an editor. */
class AttachedWindow {
  readonly store = new Store();
  readonly #manager = new ClusterManager({ store: this.store, watch: watchScheduler, log: new MemoryLog() });
  readonly id: string;

  constructor(address: string, bed: Bed) {
    this.id = this.#manager.attach({
      name: 'prod',
      address,
      ...(bed.security && { security: bed.security }),
    });
  }

  get row(): string {
    return clusterNodes(this.store.snapshot, Date.now())[0]?.description ?? '';
  }

  /** The scheduler's own id, new with each start of it. */
  get schedulerId(): string {
    return this.store.snapshot.clusters.get(this.id)?.info?.id ?? '';
  }

  /** Resolves when the row reads so. */
  async reads(pattern: RegExp, timeoutMs = patienceMs): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (!pattern.test(this.row)) {
      assert.ok(performance.now() < end, `the row still reads: ${this.row}`);
      await sleep(20);
    }
  }

  close(): Promise<void> {
    return this.#manager.dispose();
  }
}

/** How much of a core this process has used, from 0 to 1, while something was waited for. */
async function cpuDuring(waiting: Promise<unknown>): Promise<number> {
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  await waiting;
  const { user, system } = process.cpuUsage(cpu);
  return (user + system) / 1000 / (performance.now() - began);
}

/** `FLOW_CLUSTERS_HANG=60` for a minute. */
const hangSeconds = Number(process.env.FLOW_CLUSTERS_HANG ?? 12);

describe('an attached cluster', function () {
  this.timeout(240_000);
  const stops: (() => unknown)[] = [];

  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  });

  async function start(options: Partial<BedOptions> = {}): Promise<Bed> {
    const bed = await startBed({ version: 'latest', ...options });
    stops.push(bed.stop);
    return bed;
  }

  function attach(bed: Bed, address = bed.address): AttachedWindow {
    const window = new AttachedWindow(address, bed);
    stops.push(() => window.close());
    return window;
  }

  /** A network between the window and the scheduler. */
  async function between(bed: Bed): Promise<{ proxy: TcpProxy; address: string }> {
    const { scheme, host, port } = parseAddress(bed.address);
    const proxy = await TcpProxy.start({ host, port });
    stops.push(() => proxy.cut());
    return { proxy, address: `${scheme}://127.0.0.1:${proxy.port}` };
  }

  const running = /^running · 2 workers · 2 threads · attached\b/;

  for (const [version, protocol] of [
    ['2022', 'tcp'],
    ['latest', 'tcp'],
    ['latest', 'tls'],
  ] as const) {
    it(`is lost when it is killed, and back when it is restarted (${version}, ${protocol})`, async () => {
      const tls = protocol === 'tls' ? await makeCertificates() : undefined;
      if (tls) stops.push(() => removeFolder(tls.directory));
      const options = { version, protocol, ...(tls && { certificates: tls }) };
      const bed = await start(options);
      const window = attach(bed);
      await window.reads(running);
      const first = window.schedulerId;
      await bed.stop();
      await window.reads(/^lost since \d\d:\d\d \(nothing listens there\) · attached\b/);
      await start({ ...options, port: parseAddress(bed.address).port });
      await window.reads(running);
      assert.ok(first && window.schedulerId !== first, 'it is another one now');
    });
  }

  it(`is lost while it hangs (for ${hangSeconds} s), and nothing piles up meanwhile`, async function () {
    this.timeout((hangSeconds + 60) * 1000);
    const bed = await start();
    const { proxy, address } = await between(bed);
    const window = attach(bed, address);
    await window.reads(running);
    const [id, before] = [window.schedulerId, proxy.count];
    bed.signal('SIGSTOP');
    const cpu = await cpuDuring(sleep(hangSeconds * 1000));
    assert.match(window.row, /^lost since .*(No answer within 5 s|did not greet within 4 s)/);
    assert.ok(cpu < 0.25, `${Math.round(cpu * 100)} % of a core`);
    assert.ok(proxy.count - before <= hangSeconds / 4, `${proxy.count - before} connections were tried`);
    bed.signal('SIGCONT');
    await window.reads(running);
    assert.equal(window.schedulerId, id, 'it is the same one still');
    assert.equal(proxy.most, 1, 'one connection at a time');
  });

  it('is lost when the network is cut, whether somebody says so or not, and back when it is mended', async () => {
    const bed = await start();
    const { proxy, address } = await between(bed);
    const window = attach(bed, address);
    await window.reads(running);
    const id = window.schedulerId;
    await proxy.cut();
    await window.reads(/^lost since .*nothing listens there/);
    await proxy.restore();
    await window.reads(running);
    const before = proxy.count;
    proxy.freeze();
    await window.reads(/^lost since .*No answer within 5 s/);
    await window.reads(/^lost since .*did not greet within 4 s/);
    await proxy.restore();
    await window.reads(running);
    assert.equal(window.schedulerId, id);
    assert.ok(proxy.count - before <= 4, `${proxy.count - before} connections were tried`);
    assert.ok(proxy.most <= 2, `${proxy.most} connections at once`);
  });

  it('runs a flow, is let go while another runs, and is left as it was', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'attached-'));
    stops.push(() => removeFolder(folder));
    const bed = await start();
    const bench = await liveBench({ python: await pythonOf('dask-latest') });
    stops.push(() => bench.dispose());
    const clusterId = bench.manager.attach({ name: 'prod', address: bed.address });
    await bench.until(() => bench.cluster(clusterId)?.state.kind === 'running');
    const file = (name: string) => join(flowsDirectory, name);
    const plain = await bench.start({ flow: daskFlow, file: file('plain.py'), clusterId });
    const run = await bench.over(plain);
    assert.equal(run.state.kind, 'completed', bench.runs.output(plain)?.text());
    assert.equal(run.executor, 'prod');
    assert.match(await bench.printed(plain), /workers 2.*total 10/s);

    const script = join(folder, 'slow.py');
    await writeFile(script, slowScript);
    const slow = await bench.start({ flow: daskFlow, file: script, clusterId });
    const client = new SchedulerClient(bed.address);
    stops.push(() => client.close());
    // Its tasks are at work.
    await until(async () => (await client.taskPrefixStates()).some(({ processing }) => processing > 0));
    bench.manager.detach(clusterId);
    assert.equal(bench.cluster(clusterId), undefined);
    assert.equal(bench.run(slow).state.kind, 'running');
    assert.equal((await bench.over(slow)).state.kind, 'completed');
    assert.match(await bench.printed(slow), /sum 45/);
    assert.equal((await client.identity()).workers.length, 2);
  });
});
