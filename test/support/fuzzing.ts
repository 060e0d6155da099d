import { encodeMessage } from '../../src/dask/codec.ts';
import { encodeStream } from '../../src/dask/frames.ts';

const worker = {
  name: 'w0',
  nthreads: 1,
  memory_limit: 2 ** 34,
  metrics: {
    cpu: 2.5,
    memory: 5e7,
    task_counts: { executing: 1 },
    bandwidth: { total: 1e8, workers: {} },
  },
  nanny: null,
};

/** Answers as schedulers give them, by the call; and some that are none. */
export const answers: Readonly<Record<string, unknown>> = {
  greeting: { compression: null, python: [3, 11, 7], 'pickle-protocol': 5 },
  identity: {
    type: 'Scheduler',
    id: 'Scheduler-9f',
    services: { dashboard: 8787 },
    started: 1.5e9,
    workers: { 'tcp://127.0.0.1:1': worker },
  },
  failure: {
    status: 'uncaught-error',
    exception: Uint8Array.of(128, 4),
    exception_text: 'x',
    traceback: { __Pickled__: 1 },
  },
  event: [{ op: 'event', topic: 'all', event: [1.5, { __Set__: true, 'as-list': [1, 2] }] }],
  processing: { 'tcp://127.0.0.1:1': [['x', 0, 1], 'nap-1', 'nap-fcrun.r1-2'] },
  get_task_prefix_states: { nap: { memory: 1, erred: 2, released: 3, processing: 4, waiting: 5 } },
  events: [
    [1.5, { action: 'add-worker', worker: 'tcp://127.0.0.1:1' }],
    [1.6, { action: 'add-client', client: 'Client-a' }],
  ],
  versions: { host: {}, packages: { python: '3.11.7.final.0', distributed: '2024.8.2', numpy: null } },
  call_stack: { 'tcp://127.0.0.1:1': { 'nap-1': ['File "x.py", line 1', 'time.sleep(1)'] } },
  get_logs: [[1.5, 'INFO', 'started']],
};

const recorded = Object.values(answers).map((answer) => encodeMessage(answer));

export type Pick = (below: number) => number;

/** A small generator of its own, so that a seed repeats a failure. */
export function random(seed: number): Pick {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The same each time, so that a test does not fail by chance; `FLOW_CLUSTERS_FUZZ_SEED=random` (or a number) looks for more. */
export function chosenSeed(): number {
  const wanted = process.env.FLOW_CLUSTERS_FUZZ_SEED ?? '1';
  return wanted === 'random' ? Date.now() % 2 ** 32 : Number(wanted);
}

/** A damaged answer as on tcp://; half of them in whole frames, so that more than the framing has to do with them. */
export function damagedAnswer(pick: Pick): Uint8Array {
  const frames = recorded[pick(recorded.length)] as Uint8Array[];
  if (pick(2) === 0) return mutate(encodeStream(frames), pick);
  return encodeStream(frames.map((frame) => mutate(frame, pick)));
}

/** Flips, overwrites, removes, doubles and inserts bytes, a few at a time. */
function mutate(bytes: Uint8Array, pick: Pick): Uint8Array {
  let out = Buffer.from(bytes);
  for (let i = pick(4); i >= 0 && out.length > 0; i -= 1) {
    const at = pick(out.length);
    const end = Math.min(out.length, at + pick(16));
    switch (pick(5)) {
      case 0:
        out[at] = (out[at] ?? 0) ^ (1 << pick(8));
        break;
      case 1:
        out[at] = [0, 0xff, 0x80, 0xdf, 0xdd, 0xc9, 0x7f][pick(7)] ?? 0;
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, at), out.subarray(end)]);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, end), out.subarray(at)]);
        break;
      default:
        out = Buffer.concat([out.subarray(0, at), Buffer.from([pick(256), pick(256)]), out.subarray(at)]);
    }
  }
  return out;
}
