import assert from 'node:assert/strict';
import { SpdyForward } from '../../../src/backends/kubernetes/spdy.ts';

/** What a peer makes one hear, byte by byte. */
function heard(...frames: readonly Buffer[]): string[] {
  const events: string[] = [];
  const forward = new SpdyForward({
    onReady: () => events.push('ready'),
    onData: (data) => events.push(data.toString()),
    onEnd: () => events.push('end'),
  });
  for (const byte of Buffer.concat(frames)) forward.take(Buffer.of(byte));
  return events;
}

function frame(first: number, flags: number, content: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(first, 0);
  head.writeUInt32BE(flags * 2 ** 24 + content.length, 4);
  return Buffer.concat([head, Buffer.from(content)]);
}

const control = (type: number, content = 'whatever') => frame(0x8003_0000 + type, 0, content);
const [errors, data, fin] = [1, 3, 1];

describe('a forwarded port in SPDY', () => {
  it('is ready once both of its streams are answered, and skips what it does not know', () => {
    assert.deepEqual(heard(control(4), control(2), control(6, ''), frame(data, 0, '')), []);
    assert.deepEqual(heard(control(2), control(2), frame(data, 0, 'ab')), ['ready', 'a', 'b']);
  });

  it('ends with its data, with an error, and with its connection', () => {
    assert.deepEqual(heard(frame(data, fin, 'a')), ['a', 'end']);
    assert.deepEqual(heard(frame(errors, fin, '')), []);
    assert.deepEqual(heard(frame(errors, 0, '!')), ['end']);
    assert.deepEqual([heard(control(3)), heard(control(7))], [['end'], ['end']]);
  });

  it('sends parts as one frame, and nothing as the end', () => {
    const none = () => undefined;
    const forward = new SpdyForward({ onReady: none, onData: none, onEnd: none });
    const parts = [Buffer.from('ab'), Buffer.from('c')];
    assert.deepEqual(forward.frame(parts), frame(data, 0, 'abc'));
    assert.deepEqual(forward.frame([]), frame(data, fin, ''));
  });
});
