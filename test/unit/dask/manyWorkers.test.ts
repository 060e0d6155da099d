import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DrawnRows } from '../../../src/core/drawnRows.ts';
import { ClusterManager } from '../../../src/core/manager.ts';
import { Store } from '../../../src/core/store.ts';
import { clusterNodes } from '../../../src/core/tree.ts';
import { encodeMessage } from '../../../src/dask/codec.ts';
import { encodeStream } from '../../../src/dask/frames.ts';
import { SchedulerClient } from '../../../src/dask/scheduler.ts';
import { watchScheduler } from '../../../src/dask/watch.ts';
import { MemoryLog } from '../../support/host.ts';
import { manyWorkers } from '../../support/manyWorkers.ts';
import { type Fake, startFake } from '../../support/schedulerFake.ts';

const count = 1000;

/** What is in use after all that is not has been collected. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('a cluster of a thousand workers', () => {
  let fake: Fake;
  let manager: ClusterManager;
  const store = new Store();
  let looks = 0;
  let beganMs = 0;

  before(async () => {
    // Encoded once: the time of this test is for the client.
    const answers = new Map(
      Object.entries(manyWorkers(count)).map(([op, answer]) => [op, encodeStream(encodeMessage(answer))]),
    );
    fake = await startFake((peer, { op }) => peer.sendRaw(answers.get(String(op)) ?? ''));
    store.onDidChange((event) => {
      if (event.type === 'cluster.info') looks += 1;
    });
    const watch: typeof watchScheduler = (address, listener) =>
      watchScheduler(address, listener, { intervalMs: 10 });
    manager = new ClusterManager({ store, watch, log: new MemoryLog() });
    beganMs = performance.now();
    manager.attach({ name: 'many', address: fake.address });
    await until(1);
  });

  after(async () => {
    await manager.dispose();
    await fake.stop();
  });

  async function until(number: number) {
    while (looks < number) await sleep(10);
  }

  it('is shown whole, a hundred workers under a row', () => {
    const [cluster] = clusterNodes(store.snapshot, Date.now());
    assert.equal(cluster?.description, 'running · 1,000 workers · 2,000 threads · attached · others');
    const workers = cluster?.children?.find(({ context }) => context === 'workers');
    assert.equal(workers?.children?.length, 10);
    const rows = workers?.children?.flatMap(({ children = [] }) => children) ?? [];
    assert.equal(new Set(rows.map(({ id }) => id)).size, count);
    assert.equal(rows[999]?.description, '2 threads · 6 % · 48 MiB of 4 GiB · nap');
    const others = cluster?.children?.find(({ context }) => context === 'others');
    assert.equal(others?.description, '1,000 of 2,000 threads · nap');
  });

  it('is compared by what is open of it: nothing is drawn anew when nothing of that has changed', async () => {
    const drawn = new DrawnRows(() => clusterNodes(store.snapshot, 0));
    const [cluster] = drawn.children();
    const workers = drawn.children(cluster).find(({ context }) => context === 'workers');
    const [page] = drawn.children(workers);
    assert.equal(drawn.children(page).length, 100);
    await until(looks + 2);
    assert.deepEqual(drawn.changed(), []);
  });

  it('is asked for its workers no more often than they report, and for its tasks at each look', async () => {
    await until(looks + 10);
    const asked = (op: string) => fake.ops.filter((one) => one === op).length;
    // Each of them reports to its scheduler every 5 s.
    assert.ok(asked('identity') <= 1 + (performance.now() - beganMs) / 5_000, `${asked('identity')} times`);
    assert.ok(asked('processing') >= 10);
    assert.equal(fake.open.size, 1);
  });

  it('is looked at again and again, and memory does not grow', async () => {
    const client = new SchedulerClient(fake.address);
    const look = async (times: number) => {
      for (let i = 0; i < times; i += 1) assert.equal((await client.identity()).workers.length, count);
    };
    await look(5);
    const before = usedBytes();
    await look(20);
    const grown = usedBytes() - before;
    client.close();
    assert.ok(grown < 10 * 2 ** 20, `grew by ${grown}`);
  });
});
