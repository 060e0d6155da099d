import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend, ClusterExit, ClusterHandle, Keepsake } from '../../../src/core/backend.ts';
import { UserError } from '../../../src/core/errors.ts';
import { ClusterManager } from '../../../src/core/manager.ts';
import { Store } from '../../../src/core/store.ts';
import { KeptClusters, keptKey } from '../../../src/runs/keptClusters.ts';
import { MemoryLog } from '../../support/host.ts';

const executor = { name: 'image', kind: 'docker', image: 'mine', idle_timeout: 600 } as const;

/** An engine with clusters that go on when windows close, and what VS Code keeps for all windows. */
class Outside {
  readonly memory = new Map<string, unknown>();
  readonly secrets = new Map<string, string>();
  readonly running = new Set<string>();
  readonly left: string[] = [];
  down = false;

  backend(): Backend {
    return {
      start: async () => this.#handle('made'),
      adopt: async ({ id, secret }: Keepsake) => {
        if (this.down) throw new UserError('unreachable', 'Docker does not answer');
        assert.equal(secret, `key of ${id}`);
        return this.running.has(id) ? this.#handle(id) : undefined;
      },
    };
  }

  #handle(id: string): ClusterHandle {
    this.running.add(id);
    const finished = Promise.withResolvers<ClusterExit>();
    return {
      ...{ address: 'tls://127.0.0.1:1', dashboard: null, finished: finished.promise },
      keepsake: () => ({ kind: 'docker', id, secret: `key of ${id}` }),
      leave: () => void this.left.push(id),
      close: async () => {
        this.running.delete(id);
        finished.resolve({ how: 'closed' });
      },
    };
  }

  window() {
    const store = new Store();
    const log = new MemoryLog();
    const manager = new ClusterManager({ store, log, watch: () => ({ dispose: () => undefined }) });
    const backend = this.backend();
    const kept = new KeptClusters({
      ...{ store, manager, log, backendOf: () => backend },
      memory: {
        get: (key) => this.memory.get(key),
        update: async (key, value) => void this.memory.set(key, value),
      },
      secrets: {
        get: async (key) => this.secrets.get(key),
        store: async (key, value) => void this.secrets.set(key, value),
        delete: async (key) => void this.secrets.delete(key),
      },
      adopt: async (options) => manager.adopt(options),
    });
    const close = async () => {
      const remembered = kept.dispose();
      await manager.dispose();
      await remembered;
    };
    const start = () => manager.start({ executor, backend, name: 'image', lifetime: 'static' });
    const rows = () => [...store.snapshot.clusters.values()];
    return { store, manager, kept, close, start, rows };
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

describe('static clusters that outlive their window', () => {
  it('stay when it closes, and have their row in the next one', async () => {
    const outside = new Outside();
    const first = outside.window();
    await first.start().started;
    await first.close();
    assert.deepEqual(outside.left, ['made']);
    assert.ok(outside.running.has('made'));
    assert.ok(!JSON.stringify(outside.memory.get(keptKey)).includes('key of'), 'keys are secrets');
    const second = outside.window();
    await second.kept.restore();
    const [row] = second.rows();
    assert.equal(row?.state.kind, 'running');
    assert.equal(row?.ownership, 'owned');
    assert.equal(row?.lifetime, 'static');
    assert.equal(row?.name, 'image');
    assert.equal(row?.idleSeconds, 600);
    await second.kept.restore();
    assert.equal(second.rows().length, 1);
  });

  it('have one row in a window that was open before them, however often it looks', async () => {
    const outside = new Outside();
    const open = outside.window();
    await open.kept.restore();
    const other = outside.window();
    await other.start().started;
    await until(() => outside.memory.has(keptKey));
    await Promise.all([open.kept.restore(), open.kept.restore()]);
    assert.deepEqual(
      open.rows().map(({ state }) => state.kind),
      ['running'],
    );
    await open.close();
    await other.close();
  });

  it('may be taken up when another window has started them since', async () => {
    const outside = new Outside();
    const second = outside.window();
    const first = outside.window();
    const taking = [second.kept.isKept('made'), await second.kept.takeUp('made')];
    assert.deepEqual(taking, [false, false]);
    await first.start().started;
    await sleep(1);
    assert.deepEqual([second.kept.isKept('made'), second.kept.isHere('made')], [true, false]);
    assert.ok(await second.kept.takeUp('made'));
    assert.ok(await second.kept.takeUp('made'));
    assert.ok(second.kept.isHere('made'));
    assert.deepEqual(
      second.rows().map(({ state }) => state.kind),
      ['running'],
    );
  });

  it('are forgotten with their secret when they are stopped', async () => {
    const outside = new Outside();
    const first = outside.window();
    const { id, started } = first.start();
    await started;
    await first.manager.stop(id, { force: false });
    await first.close();
    assert.deepEqual([...outside.secrets.keys()], []);
    assert.deepEqual(outside.memory.get(keptKey), []);
  });

  it('are forgotten when they have ended meanwhile', async () => {
    const outside = new Outside();
    const first = outside.window();
    await first.start().started;
    await first.close();
    outside.running.clear();
    const second = outside.window();
    await second.kept.restore();
    assert.deepEqual(second.rows(), []);
    await second.close();
    assert.deepEqual([...outside.secrets.keys()], []);
    assert.deepEqual(outside.memory.get(keptKey), []);
  });

  it('are not forgotten while nobody can tell, and their row says why', async () => {
    const outside = new Outside();
    const first = outside.window();
    await first.start().started;
    await first.close();
    outside.down = true;
    const second = outside.window();
    await second.kept.restore();
    const [row] = second.rows();
    assert.ok(row?.state.kind === 'failed');
    assert.equal(row.state.failure.message, 'Docker does not answer');
    await second.close();
    outside.down = false;
    const third = outside.window();
    await third.kept.restore();
    await sleep(1);
    assert.equal(third.rows()[0]?.state.kind, 'running');
  });
});
