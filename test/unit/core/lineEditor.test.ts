import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LineEditor } from '../../../src/core/lineEditor.ts';

const left = '\x1b[D';

/** What a program gets, and what one line of a terminal shows, after these keys. */
function typed(...keys: string[]): { sent: string; screen: string } {
  const editor = new LineEditor();
  let sent = '';
  let echo = '';
  for (const key of keys) {
    const step = editor.type(key);
    sent += step.send;
    echo += step.echo;
  }
  return { sent, screen: screenOf(echo) };
}

/** A terminal with one line: letters overwrite, `\b` goes back. */
function screenOf(echo: string): string {
  const cells: string[] = [];
  let at = 0;
  for (const character of echo.replaceAll('\r\n', '')) {
    if (character === '\b') at -= 1;
    else {
      cells[at] = character;
      at += 1;
    }
  }
  return cells.join('').trimEnd();
}

describe('the line editor', () => {
  it('sends a line when Enter is pressed, and not before', () => {
    assert.equal(typed('a', 'b').sent, '');
    assert.deepEqual(typed('a', 'b', '\r'), { sent: 'ab\n', screen: 'ab' });
    assert.equal(typed('one\r\ntwo\rthree').sent, 'one\ntwo\n');
  });

  it('takes characters back', () => {
    assert.deepEqual(typed('a', 'b', '\x7f', 'c', '\r'), { sent: 'ac\n', screen: 'ac' });
    assert.deepEqual(typed('\x7f', 'a', '\x7f', '\x7f', '\r'), { sent: '\n', screen: '' });
    assert.deepEqual(typed('née', '\x7f', '\x7f', '\r').sent, 'n\n');
    assert.deepEqual(typed('a👩‍🔬', '\x7f', '\r').sent, 'a\n');
    assert.deepEqual(typed('e', '\u0301', '\x7f', '\r').sent, '\n');
  });

  it('edits in the middle', () => {
    assert.deepEqual(typed('held', left, left, 'l', '\x1b[3~', 'l', '\r'), {
      sent: 'helld\n',
      screen: 'helld',
    });
    assert.deepEqual(typed('orld', '\x01', 'w', '\x05', '!', '\r'), { sent: 'world!\n', screen: 'world!' });
    assert.deepEqual(typed('ab', left, '\x7f', '\r'), { sent: 'b\n', screen: 'b' });
    assert.deepEqual(typed('abc', left, left, '\x0b', '\r'), { sent: 'a\n', screen: 'a' });
  });

  it('takes words and lines back', () => {
    assert.deepEqual(typed('one two ', '\x17', '\r'), { sent: 'one \n', screen: 'one' });
    assert.deepEqual(typed('one two', '\x15', 'x', '\r'), { sent: 'x\n', screen: 'x' });
  });

  it('knows wide characters', () => {
    assert.equal(new LineEditor().type(`日本${left}`).echo, '日本\b\b');
  });

  it('ends the input with Ctrl-D on an empty line only', () => {
    assert.equal(new LineEditor().type('\x04').end, true);
    assert.deepEqual(new LineEditor().type('a\x04'), { echo: 'a', send: '', end: false, cancel: false });
    const after = new LineEditor().type('a\r\x04');
    assert.deepEqual([after.send, after.end], ['a\n', true]);
  });

  it('gives up the line with Ctrl-C', () => {
    const editor = new LineEditor();
    editor.type('abc');
    const step = editor.type('\x03');
    assert.deepEqual([step.cancel, step.send], [true, '']);
    assert.equal(editor.type('x\r').send, 'x\n');
  });

  it('never sends a key that has no meaning, whole or in parts', () => {
    assert.equal(typed('\x1b[A', '\x1b[1;5C', '\x1bOP', '\x1b', '\x00', 'a', '\r').sent, 'a\n');
  });

  it('shows what it will send, whatever is typed', () => {
    const key = fc.constantFrom(
      'a',
      'b',
      ' ',
      'c',
      '\x7f',
      left,
      '\x1b[C',
      '\x01',
      '\x05',
      '\x0b',
      '\x17',
      '\x1b[3~',
    );
    fc.assert(
      fc.property(fc.array(key, { maxLength: 40 }), (keys) => {
        const { sent, screen } = typed(...keys, '\r');
        assert.equal(screen, sent.trimEnd());
      }),
    );
  });
});
