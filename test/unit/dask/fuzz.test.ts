import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeMessage, encodeMessage } from '../../../src/dask/codec.ts';
import { encodeStream, FrameError, StreamFraming } from '../../../src/dask/frames.ts';
import { readIdentity } from '../../../src/dask/identity.ts';

/** `FLOW_CLUSTERS_FUZZ=1000000` looks longer. */
const rounds = Number(process.env.FLOW_CLUSTERS_FUZZ ?? 20_000);

const samples: unknown[] = [
  { compression: null, python: [3, 11, 7], 'pickle-protocol': 5 },
  {
    type: 'Scheduler',
    id: 'Scheduler-9f',
    services: { dashboard: 8787 },
    started: 1.5e9,
    workers: {
      'tcp://127.0.0.1:1': {
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
      },
    },
  },
  {
    status: 'uncaught-error',
    exception: Uint8Array.of(128, 4),
    exception_text: 'x',
    traceback: { __Pickled__: 1 },
  },
  [{ op: 'event', topic: 'all', event: [1.5, { __Set__: true, 'as-list': [1, 2] }] }],
  { 'tcp://127.0.0.1:1': [['x', 0, 1], 'nap-1'] },
];
const recorded = samples.map((sample) => encodeStream(encodeMessage(sample)));

/** What a Comm does with bytes, without the network. Gives how many bytes it holds. */
function feed(pieces: readonly Uint8Array[]): number {
  const framing = new StreamFraming();
  try {
    for (const piece of pieces) {
      framing.append(piece);
      for (let frames = framing.read(); frames !== undefined; frames = framing.read()) {
        try {
          readIdentity(decodeMessage(frames));
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError), String(error));
        }
      }
    }
  } catch (error) {
    assert.ok(error instanceof FrameError, String(error));
  }
  return framing.heldBytes;
}

/** A small generator of its own, so that a seed repeats a failure. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Flips, overwrites, removes, doubles and inserts bytes, a few at a time. */
function mutate(bytes: Uint8Array, pick: (below: number) => number): Uint8Array {
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

describe('fuzzing what arrives', () => {
  it('damaged messages neither crash, hang nor fill the memory', () => {
    const seed = Number(process.env.FLOW_CLUSTERS_FUZZ_SEED ?? Date.now() % 2 ** 32);
    const pick = random(seed);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < rounds; round += 1) {
      const bytes = mutate(recorded[pick(recorded.length)] as Uint8Array, pick);
      const cut = pick(bytes.length + 1);
      try {
        const held = feed([bytes.subarray(0, cut), bytes.subarray(cut)]);
        assert.ok(held <= bytes.length);
      } catch (error) {
        throw new Error(`round ${round} of seed ${seed}: ${bytes.toString()}`, { cause: error });
      }
    }
    const grownBytes = process.memoryUsage().rss - before;
    assert.ok(grownBytes < 300 * 2 ** 20, `grew by ${grownBytes}`);
  }).timeout(Math.max(10_000, rounds));

  it('nor does noise, bare or in a whole frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
        feed(pieces);
        feed([encodeStream(pieces)]);
      }),
      { numRuns: Math.ceil(rounds / 20) },
    );
  }).timeout(Math.max(10_000, rounds));
});
