import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AdaptiveOptions, adapt } from '../../../src/backends/adaptive.ts';
import type { ScaleStep } from '../../../src/core/scaling.ts';

/** A pool whose workers come at once, and a scheduler that wants so many and names those to close. */
class Fake {
  readonly plan = new Set(['0']);
  readonly steps: ScaleStep[] = [];
  wanted = 1;
  toClose: string[] = [];
  looks = 0;
  absent = new Set<string>();

  get options(): Omit<AdaptiveOptions, 'limits' | 'signal'> {
    const here = () => [...this.plan].filter((name) => !this.absent.has(name));
    return {
      pool: {
        plan: this.plan,
        scaleUp: async (workers) => {
          for (let n = 0; this.plan.size < workers; n += 1) this.plan.add(String(n));
        },
        scaleDown: async (names) => {
          for (const name of names) this.plan.delete(name);
        },
      },
      client: {
        adaptiveTarget: async () => {
          this.looks += 1;
          return this.wanted;
        },
        workersToClose: async () => this.toClose.map((name) => `tls://${name}`),
        taskPrefixStates: async () => [
          { name: 'load', waiting: 2, processing: 8, memory: 0, erred: 0, released: 0 },
        ],
        identity: async () => ({
          ...{ id: 's', ownAddress: '', dashboardPort: undefined, startedAtMs: 0 },
          workers: here().map((name) => ({
            ...{ address: `tls://${name}`, name, host: '', status: 'running', threads: 1, cpuPercent: 0 },
            ...{ memoryBytes: 0, memoryLimitBytes: 1, executing: 0, ready: 0, inMemory: 0 },
            ...{ nanny: undefined, lastSeenMs: 0 },
          })),
        }),
      },
      leads: async () => true,
      onStep: (step) => this.steps.push(step),
    };
  }

  /** Adapts for so many looks of the scheduler. */
  async adapt(limits: AdaptiveOptions['limits'], looks: number): Promise<void> {
    const abort = new AbortController();
    const until = this.looks + looks;
    const done = adapt({ ...this.options, limits, signal: abort.signal });
    while (this.looks < until) await sleep(5);
    await sleep(20);
    abort.abort();
    await done;
  }
}

describe('adaptive scaling', () => {
  it('goes up at once, to what the scheduler wants or to the limit', async () => {
    const fake = new Fake();
    fake.wanted = 9;
    await fake.adapt({ minimum: 1, maximum: 4 }, 1);
    assert.equal(fake.plan.size, 4);
    assert.deepEqual(fake.steps, [{ from: 1, to: 4, why: 'tasks', waiting: 9 }]);
  });

  it('keeps a minimum that the scheduler does not ask for', async () => {
    const fake = new Fake();
    fake.wanted = 0;
    await fake.adapt({ minimum: 2 }, 1);
    assert.deepEqual(fake.steps, [{ from: 1, to: 2, why: 'minimum' }]);
  });

  it('goes down after a worker was to close three times in a row, and not before', async () => {
    const fake = new Fake();
    for (const name of ['1', '2']) fake.plan.add(name);
    fake.toClose = ['1', '2'];
    await fake.adapt({ minimum: 1 }, 2);
    assert.deepEqual([...fake.plan], ['0', '1', '2']);
    await fake.adapt({ minimum: 1 }, 3);
    assert.deepEqual([...fake.plan], ['0']);
    assert.deepEqual(fake.steps, [{ from: 3, to: 1, why: 'idle' }]);
  });

  it('gives up first those that have not come', async () => {
    const fake = new Fake();
    fake.plan.add('1');
    fake.absent.add('1');
    fake.toClose = ['0'];
    await fake.adapt({ minimum: 1 }, 3);
    assert.deepEqual([...fake.plan], ['0']);
  });
});
