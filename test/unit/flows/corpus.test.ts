import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FlowDef } from '../../../src/core/flow.ts';
import { FlowDocument } from '../../../src/flows/document.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

// A comment above each flow of the corpus says what must be found there:
// `#> <api> <import path | script qualname> "<name>" <parameters as in a signature, with ;>`
const CORPUS = join(__dirname, '../../fixtures/flows/corpus');
const EXPECTATION = /^\s*#> (.*?)\s*$/;

function expectedIn(text: string): string[] {
  const lines = text.split(/\r?\n/);
  return lines.flatMap((line, at) => {
    const expectation = EXPECTATION.exec(line)?.[1];
    if (expectation === undefined) return [];
    const below = lines.findIndex((next, index) => index > at && !EXPECTATION.test(next));
    return [`${below}: ${expectation}`];
  });
}

function describeFlow({ api, name, entry, line, parameters }: FlowDef): string {
  const path = entry.how === 'import' ? entry.path : (entry.qualname ?? '');
  const signature = parameters
    .map((each) => {
      const annotation = each.annotation === undefined ? '' : `: ${each.annotation}`;
      return `${each.name}${annotation}${each.default === undefined ? '' : ` = ${each.default}`}`;
    })
    .join('; ');
  return `${line}: ${api} ${entry.how} ${path} "${name}" ${signature}`.trimEnd();
}

describe('flows in the corpus', () => {
  let parser: PythonParser;
  const totals = { expected: 0, found: 0, right: 0, files: 0 };
  before(async () => {
    parser = await testParser();
  });
  after(() => {
    const share = (part: number, of: number) => (of === 0 ? 1 : part / of).toFixed(3);
    console.log(
      `      ${totals.files} files, ${totals.expected} flows: precision ${share(totals.right, totals.found)}, recall ${share(totals.right, totals.expected)}`,
    );
  });

  for (const file of readdirSync(CORPUS).sort())
    it(file, () => {
      const text = readFileSync(join(CORPUS, file), 'utf8');
      const expected = expectedIn(text);
      const found = new FlowDocument(parser, file).flows(text).map(describeFlow);
      totals.files++;
      totals.expected += expected.length;
      totals.found += found.length;
      totals.right += found.filter((flow) => expected.includes(flow)).length;
      assert.deepEqual(found, expected);
    });

  it('holds at least 25 files, look-alikes among them', () => {
    assert.ok(totals.files >= 25);
  });
});
