import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeMessage } from '../../../src/dask/codec.ts';
import { encodeStream, FrameError, StreamFraming } from '../../../src/dask/frames.ts';
import { readIdentity } from '../../../src/dask/identity.ts';
import { chosenSeed, damagedAnswer, random } from '../../support/fuzzing.ts';

/** `npm test -- fuzz` looks longer, and through a connection. */
const rounds = 20_000;

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

describe('fuzzing what arrives', () => {
  it('damaged messages neither crash, hang nor fill the memory', () => {
    const seed = chosenSeed();
    const pick = random(seed);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < rounds; round += 1) {
      const bytes = damagedAnswer(pick);
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
  }).timeout(Math.max(120_000, rounds));

  it('nor does noise, bare or in a whole frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
        feed(pieces);
        feed([encodeStream(pieces)]);
      }),
      { numRuns: Math.ceil(rounds / 20) },
    );
  }).timeout(Math.max(120_000, rounds));
});
