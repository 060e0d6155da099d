import assert from 'node:assert/strict';
import { UserError } from '../../../src/core/errors.ts';
import type { WorkerInfo } from '../../../src/core/schedulerInfo.ts';
import { type DrainOptions, drainWorker } from '../../../src/dask/drain.ts';
import { RemoteError } from '../../../src/dask/rpc.ts';
import { aWorker } from '../core/samples.ts';

const { address } = aWorker(0);

interface Bed {
  /** What the scheduler is asked, in order. */
  readonly asked: string[];
  readonly phases: string[];
  readonly options: DrainOptions;
  readonly abort: AbortController;
}

/**
 * A scheduler that answers as a test wants.
 * @param looks what is heard of the worker, one look after the other; the last one stays
 */
function bed(
  looks: readonly (Partial<WorkerInfo> | undefined)[],
  answers: {
    readonly retire?: (close: boolean) => readonly string[];
    readonly busy?: () => number;
    readonly here?: () => boolean;
    readonly status?: string;
    readonly limitMs?: number;
    readonly wait?: boolean;
  } = {},
): Bed {
  const asked: string[] = [];
  const phases: string[] = [];
  const abort = new AbortController();
  let look = 0;
  const { retire = () => [address], busy = () => 0, here = () => true, status = 'running' } = answers;
  const options: DrainOptions = {
    client: {
      identity: async () => {
        const workers = here() ? [aWorker(0, { status, executing: 1 })] : [];
        return { id: 's', ownAddress: '', dashboardPort: undefined, startedAtMs: 0, workers };
      },
      retireWorkers: async (workers, { close = true } = {}, limit) => {
        asked.push(close ? 'close' : 'empty');
        if (limit?.signal?.aborted) throw new UserError('cancelled', 'cancelled');
        const retired = retire(close);
        return { retired, kept: workers.filter((one) => !retired.includes(one)) };
      },
      threadsBusyOn: async () => {
        asked.push('busy?');
        return busy();
      },
    },
    nextLook: async (signal) => {
      await new Promise(setImmediate);
      signal.throwIfAborted();
      const found = looks[Math.min(look, looks.length - 1)];
      look += 1;
      return found && aWorker(0, { lastSeenMs: look, ...found });
    },
    limitMs: answers.limitMs ?? 5_000,
    ...(answers.wait !== undefined && { wait: answers.wait }),
    signal: abort.signal,
    onProgress: ({ phase, executing }) => phases.push(`${phase} ${executing}`),
  };
  return { asked, phases, options, abort };
}

describe('draining a worker', () => {
  it('empties it, waits until nothing executes twice in a row, then closes it', async () => {
    const looks = [{ executing: 1 }, { executing: 0 }, { executing: 1 }, { executing: 0 }, { executing: 0 }];
    const { asked, phases, options } = bed(looks);
    assert.deepEqual(await drainWorker(address, options), { how: 'retired' });
    assert.deepEqual(asked, ['empty', 'busy?', 'close']);
    const waiting = ['finishing 1', 'finishing 0', 'finishing 1', 'finishing 0', 'finishing 0'];
    assert.deepEqual(phases, ['moving 1', ...waiting, 'closing 0']);
  });

  it('takes the same metrics, seen twice, for one', async () => {
    const looks = [
      { executing: 0, lastSeenMs: 7 },
      { executing: 0, lastSeenMs: 7 },
      { executing: 0, lastSeenMs: 8 },
    ];
    const { phases, options } = bed(looks);
    await drainWorker(address, options);
    assert.equal(phases.filter((phase) => phase.startsWith('finishing')).length, 3);
  });

  it('asks the worker itself before it closes it, and again when it cannot tell', async () => {
    const answers = [
      () => 1,
      () => {
        throw new RemoteError('call_stack', { exception_text: "KeyError('x')" });
      },
      () => {
        throw new UserError('scheduler-lost', 'gone for a moment');
      },
      () => 0,
    ];
    let n = -1;
    const busy = () => {
      n += 1;
      return answers[n]?.() ?? 0;
    };
    const { asked, options } = bed([{ executing: 0 }], { busy });
    assert.deepEqual(await drainWorker(address, options), { how: 'retired' });
    assert.deepEqual(asked, ['empty', 'busy?', 'busy?', 'busy?', 'busy?', 'close']);
  });

  it('leaves one alone whose results fit nowhere else', async () => {
    const { asked, options } = bed([{}], { retire: () => [] });
    assert.deepEqual(await drainWorker(address, options), { how: 'kept', open: true });
    assert.deepEqual(asked, ['empty']);
    const closed = bed([{}], { retire: () => [], status: 'closing_gracefully' });
    assert.deepEqual(await drainWorker(address, closed.options), { how: 'kept', open: false });
  });

  it('says of one that got results meanwhile which fit nowhere that it stays closed', async () => {
    const { options } = bed([{ executing: 0 }], { retire: (close) => (close ? [] : [address]) });
    assert.deepEqual(await drainWorker(address, options), { how: 'kept', open: false });
  });

  it('notices that it has left by itself, at any time', async () => {
    const before = bed([], { here: () => false });
    assert.deepEqual(await drainWorker(address, before.options), { how: 'gone' });
    assert.deepEqual(before.asked, []);
    const meanwhile = bed([{ executing: 1 }, undefined]);
    assert.deepEqual(await drainWorker(address, meanwhile.options), { how: 'gone' });
    let looks = 0;
    const last = bed([{ executing: 0 }], {
      here: () => {
        looks += 1;
        return looks === 1;
      },
      retire: (close) => (close ? [] : [address]),
    });
    assert.deepEqual(await drainWorker(address, last.options), { how: 'gone' });
  });

  it('is given up on cancel and after its time limit', async () => {
    const { asked, options, abort } = bed([{ executing: 2 }]);
    const cancelled = drainWorker(address, options);
    setTimeout(() => abort.abort(), 20);
    assert.deepEqual(await cancelled, { how: 'stopped', why: 'cancelled', executing: 2 });
    assert.deepEqual(asked, ['empty']);
    const late = bed([{ executing: 1 }], { limitMs: 20 });
    assert.deepEqual(await drainWorker(address, late.options), { how: 'stopped', why: 'late', executing: 1 });
  });

  it('does not wait for tasks when told so', async () => {
    const { asked, options } = bed([{ executing: 1 }], { wait: false });
    assert.deepEqual(await drainWorker(address, options), { how: 'retired' });
    assert.deepEqual(asked, ['close']);
    const kept = bed([{}], { wait: false, retire: () => [] });
    assert.deepEqual(await drainWorker(address, kept.options), { how: 'kept', open: true });
  });

  it('throws what the scheduler forbids', async () => {
    const retire = () => {
      throw new RemoteError('retire_workers', { exception_text: 'explicitly disallowed' });
    };
    await assert.rejects(drainWorker(address, bed([{}], { retire }).options), { reason: 'not-permitted' });
  });
});
