import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  encodeStream,
  encodeWebSocket,
  FrameError,
  StreamFraming,
  WebSocketFraming,
} from '../../../src/dask/frames.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);
const plain = (frames: Uint8Array[] | undefined) => frames?.map((frame) => [...frame]);
const head = (...numbers: (number | bigint)[]) => {
  const buffer = Buffer.alloc(8 * numbers.length);
  for (const [i, number] of numbers.entries()) buffer.writeBigUInt64LE(BigInt(number), 8 * i);
  return buffer;
};
const isKind = (kind: FrameError['kind']) => (error: unknown) =>
  error instanceof FrameError && error.kind === kind;

const messages = [[bytes(1, 2, 3)], [], [bytes(), bytes(4), bytes()], [bytes(5, 6)]];
const stream = Buffer.concat(messages.map(encodeStream));

function readAll(pieces: Iterable<Uint8Array>): (number[][] | undefined)[] {
  const framing = new StreamFraming();
  const out: (number[][] | undefined)[] = [];
  for (const piece of pieces) {
    framing.append(piece);
    for (let frames = framing.read(); frames; frames = framing.read()) out.push(plain(frames));
  }
  assert.equal(framing.heldBytes, 0);
  return out;
}

describe('framing of tcp and tls', () => {
  it('reads messages that arrive one byte at a time', () => {
    assert.deepEqual(readAll(Array.from(stream, (byte) => bytes(byte))), messages.map(plain));
  });

  it('reads messages wherever they are split', () => {
    for (let i = 0; i <= stream.length; i += 1) {
      assert.deepEqual(readAll([stream.subarray(0, i), stream.subarray(i)]), messages.map(plain));
    }
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: stream.length })), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
        const pieces = at.slice(1).map((end, i) => stream.subarray(at[i], end));
        assert.deepEqual(readAll(pieces), messages.map(plain));
      }),
    );
  });

  it('gives what was written, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.uint8Array())), (all) => {
        assert.deepEqual(
          readAll([Buffer.concat(all.map(encodeStream))]),
          all.map((frames) => plain(frames)),
        );
      }),
    );
  });

  it('does not use the length prefix, which newer Dask counts differently', () => {
    const framing = new StreamFraming();
    framing.append(Buffer.concat([head(3, 1, 2), bytes(7, 8)]));
    assert.deepEqual(plain(framing.read()), [[7, 8]]);
  });

  it('refuses a count or a length that can’t be, before anything of it arrives', () => {
    const refuses = (kind: FrameError['kind'], start: Uint8Array | string) =>
      assert.throws(() => new StreamFraming().append(Buffer.from(start)), isKind(kind));
    refuses('http', 'HTTP/1.1 400 Bad Request\r\n\r\n');
    refuses('garbage', 'SSH-2.0-OpenSSH_9.2p1 Debian\r\n');
    refuses('garbage', head(0, 2n ** 60n));
    refuses('garbage', head(0, 2 ** 16 + 1));
    refuses('too-large', head(0, 1, 2n ** 60n));
    refuses('too-large', head(0, 2, 2 ** 25, 2 ** 25 + 1));
  });

  it('makes room for what has arrived, not for what is announced', () => {
    const before = process.memoryUsage().arrayBuffers;
    const framings = Array.from({ length: 50 }, () => {
      const framing = new StreamFraming();
      framing.append(head(0, 1, 60 * 2 ** 20));
      framing.append(bytes(1));
      return framing;
    });
    assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
    assert.equal(framings[0]?.heldBytes, 1);
  });

  it('takes a large message in tiny pieces in time that grows with its size alone', () => {
    const framing = new StreamFraming();
    const size = 2 ** 22;
    framing.append(head(0, 1, size));
    const piece = bytes(1, 2);
    // Copying all that is held at each piece would be 4 TB here: it would not end.
    for (let i = 0; i < size; i += 2) framing.append(piece);
    assert.equal(framing.read()?.[0]?.length, size);
  });
});

describe('framing of ws and wss', () => {
  it('reads what is written', () => {
    const framing = new WebSocketFraming();
    const out = messages.flatMap((message) =>
      encodeWebSocket(message).flatMap((part) => {
        framing.append(part);
        return [framing.read()].filter((frames) => frames !== undefined);
      }),
    );
    assert.deepEqual(out.map(plain), messages.map(plain));
  });

  it('refuses what can’t be', () => {
    assert.throws(() => new WebSocketFraming().append(bytes(1)), isKind('garbage'));
    assert.throws(() => new WebSocketFraming().append(head(2n ** 60n)), isKind('garbage'));
    const small = new WebSocketFraming({ maxFrames: 2, maxMessageBytes: 3 });
    small.append(head(2));
    small.append(bytes(1, 2));
    assert.throws(() => small.append(bytes(3, 4)), isKind('too-large'));
  });
});
