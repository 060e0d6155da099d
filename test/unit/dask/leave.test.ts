import assert from 'node:assert/strict';
import { type Evidence, explainLeave, unexplainedLeave } from '../../../src/dask/leave.ts';
import type { ServerKind, TailLine } from '../../../src/dask/logTail.ts';
import { aWorker } from '../core/samples.ts';

const address = 'tcp://127.0.0.1:33135';
const nanny = 'tcp://127.0.0.1:38891';
const worker = aWorker(0, { address, nanny, name: 'w0', memoryLimitBytes: 2 ** 32 });
const atMs = 1_795_594_895_766;

const event = (message: Record<string, unknown>, timeMs = atMs) => ({ timeMs, message });
const came = event({ action: 'add-worker' }, atMs - 9_000);
const removed = event({ action: 'remove-worker', 'processing-tasks': ['nap-1', ['load-x', 0], 'nap-2'] });
const line = (kind: ServerKind, text: string, timeMs = atMs, of = nanny): TailLine => ({
  kind,
  text,
  timeMs,
  level: 'INFO',
  past: false,
  servers: [{ address: kind === 'nanny' ? of : '', name: 'w0' }],
});
const nannySaid = (text: string, timeMs?: number) =>
  line('nanny', `2026-11-25 08:21:35,767 - distributed.nanny - INFO - ${text}`, timeMs);

const why = (evidence: Partial<Evidence>) =>
  explainLeave({ worker, missedMs: atMs + 800, events: [came, removed], lines: [], ...evidence });

describe('why a worker has left', () => {
  it('is told by its nanny in the words of the system', () => {
    const told = [
      ['was killed by signal 9', 'was killed (signal 9)'],
      ['was killed by signal 11', 'crashed (signal 11, segmentation fault)'],
      ['was killed by signal 15', 'was ended (signal 15, terminated)'],
      ['was killed by unknown signal', 'was ended by an unknown signal'],
      ['exited with status 3', 'ended by itself (exit code 3)'],
    ];
    for (const [end, words] of told) {
      const leave = why({ lines: [nannySaid(`Worker process 4357 ${end}`)] });
      assert.equal(leave?.message, `worker w0 ${words} while working on load-x, nap, says its nanny`);
      assert.deepEqual([leave?.asked, leave?.atMs], [false, atMs]);
    }
  });

  it('is the memory limit, where the nanny says so', () => {
    const lines = [
      nannySaid(`Worker ${address} (pid=6390) exceeded 95% memory budget. Restarting...`),
      nannySaid('Worker process 77 was killed by signal 9'),
      nannySaid('Worker process 6390 was killed by signal 15'),
    ];
    const leave = why({ lines, events: [came] });
    assert.equal(
      leave?.message,
      'worker w0 exceeded 95 % of its memory limit (4 GiB) and was ended, says its nanny',
    );
    assert.equal(leave?.told, lines[2]);
  });

  it('is most likely the memory limit, where an old nanny does not', () => {
    const paused = event(
      { action: 'worker-status-change', 'prev-status': 'running', status: 'paused' },
      atMs - 9,
    );
    const old = event({ action: 'remove-worker', 'processing-tasks': { 'eat-1': 0.5, '["part",0]': 0.5 } });
    const lines = [nannySaid('Worker process 5299 was killed by signal 15')];
    assert.equal(
      why({ events: [came, paused, old], lines })?.message,
      'worker w0 was ended (signal 15, terminated) while paused for its memory, so most likely over its limit ' +
        'while working on eat, part, says its nanny',
    );
  });

  it('is a heartbeat that did not come, of this worker and no other', () => {
    const silent = (text: string) => line('scheduler', `… - distributed.scheduler - WARNING - ${text}`);
    for (const [text, time] of [
      [
        `Worker failed to heartbeat within 300 seconds. Closing: <WorkerState '${address}', name: w0>`,
        '300 s',
      ],
      [`Worker failed to heartbeat for 312s; attempting restart: <WorkerState '${address}'>`, '312 s'],
    ] as const) {
      const message = `worker w0 was not heard of for ${time} and was removed while working on load-x, nap, says the scheduler`;
      assert.equal(why({ lines: [silent(text)] })?.message, message);
      assert.equal(why({ lines: [silent(text.replace(address, `${address}7`))] }), undefined);
    }
  });

  it('is no death when somebody wanted it to go', () => {
    const status = (text: string) => event({ action: 'worker-status-change', status: text }, atMs - 1);
    const expected = event({ action: 'remove-worker', 'processing-tasks': [], expected: true });
    const empty = event({ action: 'remove-worker', 'processing-tasks': {} });
    const closing = event({ action: 'closing-worker', reason: 'client-restart-1795594914.78' }, atMs - 2);
    const asked: [Evidence['events'], string][] = [
      [[came, expected], 'was retired'],
      [[came, empty, event({ action: 'retired' })], 'was retired'],
      [[came, status('closing'), empty], 'closed in order'],
      [[came, closing, status('closing'), empty], 'was restarted by a client'],
    ];
    for (const [events, message] of asked) {
      const leave = why({ events });
      assert.deepEqual([leave?.message, leave?.asked], [`worker w0 ${message}`, true]);
    }
    const restart = line('scheduler', 'Restarting all workers (stimulus_id=…)', atMs - 4_000);
    const killed = nannySaid('Worker process 4389 was killed by signal 9');
    assert.equal(
      why({ events: [came, empty], lines: [restart, killed] })?.message,
      'worker w0 was restarted by a client',
    );
    assert.match(
      why({ lines: [restart, killed] })?.message ?? '',
      /was killed/,
      'tasks were not forgotten before',
    );
  });

  it('is not what happened to others: to an earlier worker of that address, to one of another nanny', () => {
    const earlier = [
      came,
      event({ action: 'retired' }, atMs - 5_000),
      { ...came, timeMs: atMs - 4_000 },
      removed,
    ];
    assert.equal(why({ events: earlier }), undefined);
    const other = line('nanny', 'Worker process 1 was killed by signal 9', atMs, 'tcp://127.0.0.1:1');
    assert.equal(why({ lines: [other] }), undefined);
    const near = nannySaid('Worker process 2 exited with status 2', atMs + 10);
    const far = nannySaid('Worker process 1 was killed by signal 9', atMs - 3_000);
    assert.equal(why({ lines: [near, far] })?.told, near, 'nannies of one process: the nearest in time');
  });

  it('may stay unknown, and that is said', () => {
    const leave = unexplainedLeave({
      worker: aWorker(1, { name: address, address }),
      missedMs: 5,
      events: [],
      lines: [],
    });
    assert.deepEqual(leave, {
      atMs: 5,
      asked: false,
      message: `worker ${address} lost its connection to the scheduler; nothing tells why`,
    });
  });
});
