import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlowDef } from '../../../src/core/flow.ts';
import { FlowDocument } from '../../../src/flows/document.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

const FIXTURES = join(__dirname, '../../fixtures/flows');

/** Someone typing into a document: every keystroke is an edit after which the lenses are asked for. */
class Typist {
  text: string;
  private readonly document: FlowDocument;

  constructor(parser: PythonParser, text = '') {
    this.text = text;
    this.document = new FlowDocument(parser, 'typed.py');
  }

  get flows(): readonly FlowDef[] {
    return this.document.flows(this.text);
  }

  get lines(): number[] {
    return this.flows.map((flow) => flow.line);
  }

  replace(start: number, end: number, text: string): void {
    const before = this.text;
    this.text = before.slice(0, start) + text + before.slice(end);
    this.document.edit({ start, end, text }, before);
  }
}

/** Repeatable random numbers: `random(n)` is below n. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function newlines(text: string): number {
  return text.split('\n').length - 1;
}

interface Mark {
  readonly flow: FlowDef;
  /** Offset of the first character of the flow. */
  readonly offset: number;
}

function marksOf(text: string, flows: readonly FlowDef[]): Mark[] {
  const lines = text.split('\n');
  return flows.map((flow) => {
    const before = lines.slice(0, flow.line).join('\n').length + 1;
    return { flow, offset: before + (lines[flow.line]?.search(/\S/) ?? 0) };
  });
}

function withoutParameters(flow: FlowDef): FlowDef {
  return flow.api === 'prefect1' ? { ...flow, parameters: [] } : flow;
}

/** Taking away a flow's first character or what stands right before it makes another program of the text. */
function unmakesFlow(text: string, mark: Mark, start: number, end: number): boolean {
  let blank = mark.offset;
  while (blank > 0 && /\s/.test(text.charAt(blank - 1))) blank--;
  return start <= mark.offset && end > blank;
}

/** Lines whose words decide what the flows of other lines are. */
const DECISIVE = /import|class|def |@|with |__name__|Parameter|= flow|Flow\(|compute|Client|persist|,$/m;

describe('lenses while someone types', () => {
  let parser: PythonParser;
  before(async () => {
    parser = await testParser();
  });

  function retype(text: string, start: number, end: number): void {
    const typist = new Typist(parser, text);
    const original = typist.flows;
    const marks = marksOf(text, original);
    const span = text.slice(start, end);
    const firstLine = text.lastIndexOf('\n', start - 1) + 1;
    const lastLine = text.indexOf('\n', end) < 0 ? text.length : text.indexOf('\n', end);
    const decisive = DECISIVE.test(text.slice(firstLine, lastLine)) || span.includes('"');
    const check = (removed: string, what: string) => {
      const expected = original.map((flow, at) => {
        const behind = (marks[at]?.offset ?? 0) >= end;
        return { ...flow, line: behind ? flow.line - newlines(removed) : flow.line };
      });
      const message = `${what} of ${JSON.stringify(span)} at ${start}\n${typist.text.slice(Math.max(0, start - 80), start + 80)}`;
      if (decisive)
        assert.deepEqual(
          typist.lines,
          expected.map((flow) => flow.line),
          message,
        );
      // What stands in a Prefect 1 block decides its parameters.
      else assert.deepEqual(typist.flows.map(withoutParameters), expected.map(withoutParameters), message);
    };
    for (let at = end; at > start; at--) {
      typist.replace(at - 1, at, '');
      check(text.slice(at - 1, end), `backspace ${end - at + 1}`);
    }
    for (let at = start; at < end; at++) {
      typist.replace(at, at, text.charAt(at));
      check(text.slice(at + 1, end), `key ${at - start + 1}`);
    }
    assert.deepEqual(typist.flows, original, `after retyping ${JSON.stringify(span)}`);
  }

  for (const name of ['typing_session.py', 'typing_prefect1.py', 'typing_dask.py'])
    it(`neither vanish nor jump while parts of ${name} are retyped`, () => {
      const text = readFileSync(join(FIXTURES, name), 'utf8');
      const marks = marksOf(text, new Typist(parser, text).flows);
      const random = randomFrom(Number(process.env.TYPING_SEED ?? 11));
      let trials = Number(process.env.TYPING_TRIALS ?? 120);
      while (trials > 0) {
        const start = random(text.length);
        const end = Math.min(text.length, start + 1 + random(30));
        if (marks.some((mark) => unmakesFlow(text, mark, start, end))) continue;
        retype(text, start, end);
        trials--;
      }
    });

  it('appear once as a file is typed from its first character to its last, and stay', () => {
    for (const name of ['typing_session.py', 'typing_prefect1.py', 'typing_dask.py']) {
      const text = readFileSync(join(FIXTURES, name), 'utf8');
      const goal = new Typist(parser, text).lines;
      const typist = new Typist(parser);
      let seen: number[] = [];
      for (let at = 0; at < text.length; at++) {
        typist.replace(at, at, text.charAt(at));
        const { lines } = typist;
        const lost = seen.filter((line) => !lines.includes(line));
        assert.deepEqual(lost, [], `lost at ${JSON.stringify(text.slice(Math.max(0, at - 60), at + 1))}`);
        seen = lines;
      }
      assert.deepEqual(seen, goal);
    }
  });

  const FLOW =
    'from prefect import flow, task\n\n\n@flow\ndef etl(day: str):\n    return day\n\n\n@flow\ndef other():\n    pass\n';

  it('go with a flow that is deleted, and come back with undo', () => {
    const typist = new Typist(parser, FLOW);
    assert.deepEqual(typist.lines, [3, 8]);
    const start = FLOW.indexOf('@flow');
    const end = FLOW.indexOf('@flow', start + 1);
    typist.replace(start, end, '');
    assert.deepEqual(
      typist.flows.map((flow) => flow.name),
      ['other'],
    );
    typist.replace(start, start, FLOW.slice(start, end));
    assert.deepEqual(typist.lines, [3, 8]);
  });

  it('go with a flow that is deleted while something else is broken', () => {
    const broken = FLOW.replace('def other(', 'def other(x=');
    const typist = new Typist(parser, FLOW);
    assert.equal(typist.flows.length, 2);
    typist.replace(FLOW.indexOf('other(') + 6, FLOW.indexOf('other(') + 6, 'x=');
    assert.equal(typist.text, broken);
    assert.deepEqual(typist.lines, [3, 8]);
    typist.replace(broken.indexOf('@flow'), broken.lastIndexOf('@flow'), '');
    assert.deepEqual(typist.lines, [3]);
    assert.deepEqual(
      typist.flows.map((flow) => flow.name),
      ['other'],
    );
  });

  it('go when the decorator is removed, commented out or becomes another', () => {
    const start = FLOW.indexOf('@flow');
    for (const [length, text] of [
      [6, ''],
      [0, '# '],
      [5, '@task'],
      [5, '@flow.other'],
    ] as const) {
      const typist = new Typist(parser, FLOW);
      assert.equal(typist.flows.length, 2);
      typist.replace(start, start + length, text);
      assert.deepEqual(
        typist.flows.map((flow) => flow.name),
        ['other'],
        text,
      );
    }
  });

  it('follow a renamed flow at once', () => {
    const typist = new Typist(parser, FLOW);
    assert.equal(typist.flows.length, 2);
    const at = FLOW.indexOf('etl') + 3;
    typist.replace(at, at, '2');
    assert.deepEqual(
      typist.flows.map((flow) => [flow.name, flow.line]),
      [
        ['etl2', 3],
        ['other', 8],
      ],
    );
  });

  it('stay when a new flow is typed above and copies are pasted below', () => {
    const typist = new Typist(parser, FLOW);
    assert.deepEqual(typist.lines, [3, 8]);
    let at = FLOW.indexOf('@flow');
    typist.replace(at, at, '\n\n\n');
    for (const key of '@flow\ndef early():\n    pass') {
      typist.replace(at, at, key);
      at++;
      const shift = newlines(typist.text) - newlines(FLOW);
      assert.deepEqual(typist.lines.slice(-2), [3 + shift, 8 + shift], JSON.stringify(typist.text));
    }
    assert.deepEqual(typist.lines, [3, 8, 13]);
    typist.replace(typist.text.length, typist.text.length, '\n\n@flow\ndef other():\n    pass\n');
    assert.deepEqual(typist.lines, [3, 8, 13, 18]);
  });

  it('stay while an import is being changed, and go when it is another library for good', () => {
    const typist = new Typist(parser, FLOW);
    assert.equal(typist.flows.length, 2);
    let at = FLOW.indexOf('prefect');
    typist.replace(at, at + 7, '');
    for (const key of 'metaflow') {
      assert.deepEqual(typist.lines, [3, 8], typist.text.split('\n')[0]);
      typist.replace(at, at, key);
      at++;
    }
    assert.deepEqual(typist.lines, [3, 8]);
    typist.replace(typist.text.length, typist.text.length, '#');
    assert.deepEqual(typist.lines, []);
  });
});
