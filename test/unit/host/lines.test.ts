import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LineReader, parseLine } from '../../../src/host/lines.ts';

function linesOf(chunks: readonly string[], maxLength?: number): string[] {
  const lines: string[] = [];
  const reader = new LineReader((line) => lines.push(line), maxLength);
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return lines;
}

describe('line reader', () => {
  it('gives the same lines, however the text is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'é', '\n', '{"b": 1}', '\r')), (parts) => {
        const text = parts.join('');
        const expected = text.split('\n');
        if (expected.at(-1) === '') expected.pop();
        assert.deepEqual(linesOf([text]), expected);
        assert.deepEqual(linesOf([...text]), expected);
        assert.deepEqual(linesOf(parts), expected);
      }),
    );
  });

  it('gives the last line at the end, once', () => {
    const lines: string[] = [];
    const reader = new LineReader((line) => lines.push(line));
    reader.push('a\nb');
    assert.deepEqual(lines, ['a']);
    reader.end();
    reader.end();
    assert.deepEqual(lines, ['a', 'b']);
  });

  it('does not let a line that never ends fill the memory', () => {
    assert.deepEqual(linesOf(['aaaa', 'aaaa', 'aaaa', '\nb\n'], 6), ['aaaaaaaa', 'aaaa', 'b']);
  });
});

describe('a line of the protocol', () => {
  it('is a JSON object that names its event; anything else is not', () => {
    assert.deepEqual(parseLine('{"event": "ready", "seconds": 1}'), { event: 'ready', seconds: 1 });
    for (const other of ['', 'hello', 'null', '3', '"event"', '[]', '{}', '{"event": 3}', '{"event"']) {
      assert.equal(parseLine(other), undefined, other);
    }
    fc.assert(fc.property(fc.string(), (text) => void parseLine(text)));
  });
});
