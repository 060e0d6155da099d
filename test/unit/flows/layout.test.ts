import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FlowDocument } from '../../../src/flows/document.ts';
import { layOut, lineAt, type Statement } from '../../../src/flows/layout.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

/** Statements as an outline: their first words, nested, `!` on broken ones. */
function outline(text: string): unknown[] {
  const show = ({ start, end, body, broken }: Statement): unknown => {
    const header = `${text.slice(start, end).replace(/\s+/g, ' ')}${broken ? ' !' : ''}`;
    return body.length === 0 ? header : [header, ...body.map(show)];
  };
  return layOut(text).statements.map(show);
}

/** Pieces of Python that, put together in any order, break layout in every way. */
const PIECES = [
  'from prefect import flow, Flow\n',
  'import dask\n',
  '@flow',
  '@flow\n',
  '(',
  ')',
  '[',
  '"""',
  "'''",
  '"',
  "'",
  '\\',
  '\n',
  '\r\n',
  '\r',
  '    ',
  '\t',
  'def f(a=1):',
  'class A:',
  'if x:',
  'with Flow("x") as flow:',
  'return 1',
  '# c',
  ':',
  '=',
  'x',
  '😀',
  '\f',
  'if __name__ == "__main__":',
  'x.compute()',
  'else:',
  'async ',
  '\u0000',
  ',',
];

describe('layout of statements', () => {
  it('nests blocks, and joins decorators with their definition', () => {
    const text = '@a\n@b(1,\n2)\ndef f():\n    if x:\n        y\n    else: z\nw = 1; v\n';
    assert.deepEqual(outline(text), [['@a @b(1, 2) def f():', ['if x:', 'y'], 'else: z'], 'w = 1; v']);
  });

  it('keeps to one line a string that is open, and to its statement a bracket that is open', () => {
    assert.deepEqual(outline('x = "abc\ny = f(1,\n  z\ndef g(:\n    pass\nclass B: pass\n'), [
      'x = "abc !',
      'y = f(1, z !',
      'def g(: pass !',
      'class B: pass',
    ]);
  });

  it('goes on with a block behind a line that stands too far left', () => {
    assert.deepEqual(outline('class A:\n    x = 1\ny\n    def f(self):\n        pass\n'), [
      ['class A:', 'x = 1', ['def f(self):', 'pass']],
      'y',
    ]);
  });

  it('knows strings, comments and continued lines', () => {
    const text = 'x = """\n@flow\n""" + \'\'\'a"""\'\'\' # (\ny = 1 + \\\n  2\nz = "\\"(" + r\'\\\'\n';
    assert.deepEqual(outline(text), [
      'x = """ @flow """ + \'\'\'a"""\'\'\'',
      'y = 1 + \\ 2',
      'z = "\\"(" + r\'\\\' !',
    ]);
    assert.equal(layOut('x = """\n').unterminated, true);
  });

  it('counts lines as editors do', () => {
    const { lineStarts } = layOut('a\r\nb\rc\n"""\r\n\n"""\n');
    assert.deepEqual(lineStarts, [0, 3, 5, 7, 12, 13, 17]);
    assert.deepEqual(
      [0, 2, 3, 12, 99].map((offset) => lineAt(lineStarts, offset)),
      [0, 0, 1, 4, 6],
    );
  });

  it('holds every statement once, in order, whatever the text', () => {
    const text = fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, (source) => {
        const { statements, lineStarts } = layOut(source);
        let lines = 1;
        for (const _ of source.matchAll(/\r\n|\r|\n/g)) lines++;
        assert.equal(lineStarts.length, lines);
        const check = (list: readonly Statement[]) => {
          let last = 0;
          for (const statement of list) {
            assert.ok(statement.start >= last && statement.end > statement.start);
            assert.ok(statement.bodyEnd >= statement.end && statement.bodyEnd <= source.length);
            last = statement.end;
            check(statement.body);
          }
        };
        check(statements);
      }),
    );
  });
});

describe('a document under random edits', () => {
  let parser: PythonParser;
  before(async () => {
    parser = await testParser();
  });

  it('never fails, and reports flows on lines that exist, at most one kept for each place', () => {
    const edit = fc.tuple(fc.nat(), fc.nat(20), fc.constantFrom(...PIECES));
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 40 }), (edits) => {
        let text = 'from prefect import flow\n\n@flow\ndef a(x):\n    return 1\n\n@flow\ndef b(): pass\n';
        const document = new FlowDocument(parser, 'x.py');
        document.flows(text);
        for (const [position, length, piece] of edits) {
          const start = position % (text.length + 1);
          const end = Math.min(text.length, start + (length < 15 ? 0 : length));
          document.edit({ start, end, text: piece }, text);
          text = text.slice(0, start) + piece + text.slice(end);
          const lineCount = layOut(text).lineStarts.length;
          for (const flow of document.flows(text)) assert.ok(flow.line >= 0 && flow.line < lineCount);
        }
      }),
      { numRuns: 60 },
    );
  });
});
