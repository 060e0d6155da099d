import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  isUnread,
  type WrittenClass,
  type WrittenExecutor,
  type WrittenFields,
  type WrittenValue,
} from '../../../src/core/written.ts';
import { FlowDocument } from '../../../src/flows/document.ts';
import type { PythonParser } from '../../../src/flows/parser.ts';
import { testParser } from './python.ts';

// The last lines of each file of the corpus say what must be read in it, a fact a line:
// `#> <flow>: <class> <from>`, `#> <flow>: <field> = <JSON>`, `… ~ <source>` for what can't be known,
// `… = local <name>` for a function or class of the file.
const CORPUS = join(__dirname, '../../fixtures/flows/executors');
/** Of all facts, what has to be found, and what has to be right of what is found. */
const AIM = 0.95;

function expectedIn(text: string): string[] {
  return text.split('\n').flatMap((line) => /^#> (.*)$/.exec(line)?.[1] ?? []);
}

function valueFact(name: string, value: WrittenValue | WrittenClass): string {
  if (isUnread(value)) return `${name} ~ ${value.source}`;
  if ('local' in value) return `${name} = local ${value.local}`;
  return `${name} = ${JSON.stringify('path' in value ? value.path : value.value)}`;
}

function fieldFacts(name: string, { fields, rest }: WrittenFields): string[] {
  return [
    ...(rest ? [valueFact(name, rest)] : []),
    ...Object.entries(fields).map(([key, value]) => valueFact(`${name}.${key}`, value)),
  ];
}

function factsOf(executor: WrittenExecutor): string[] {
  const { type, from, address, cluster_class } = executor;
  return [
    `${type} ${from}`,
    ...(address ? [valueFact('address', address)] : []),
    ...(cluster_class ? [valueFact('cluster_class', cluster_class)] : []),
    ...(['cluster_kwargs', 'adapt_kwargs', 'client_kwargs', 'others'] as const).flatMap((name) => {
      const fields = executor[name];
      return fields ? fieldFacts(name, fields) : [];
    }),
  ];
}

describe('executors as written, in the corpus', () => {
  let parser: PythonParser;
  const totals = { expected: 0, found: 0, right: 0, files: 0 };
  before(async () => {
    parser = await testParser();
  });

  for (const file of readdirSync(CORPUS).sort())
    it(file, () => {
      const text = readFileSync(join(CORPUS, file), 'utf8');
      const expected = expectedIn(text);
      const found = new FlowDocument(parser, file)
        .executors(text)
        .flatMap(({ flow, executors }) => executors.flatMap(factsOf).map((fact) => `${flow.name}: ${fact}`));
      totals.files++;
      totals.expected += expected.length;
      totals.found += found.length;
      totals.right += found.filter((fact) => expected.includes(fact)).length;
      assert.deepEqual(found, expected);
    });

  it(`has precision and recall of ${AIM} or more over all facts`, () => {
    const precision = totals.right / totals.found;
    const recall = totals.right / totals.expected;
    const { files, expected } = totals;
    process.stdout.write(
      `      ${files} files, ${expected} facts: precision ${precision.toFixed(3)}, recall ${recall.toFixed(3)}\n`,
    );
    assert.ok(files >= 30);
    assert.ok(precision >= AIM && recall >= AIM);
  });
});

describe('what can not be known of an executor', () => {
  let parser: PythonParser;
  before(async () => {
    parser = await testParser();
  });

  /** Why `value` is not known as `address` of a task runner, in a file with these lines before. */
  function reasonOf(value: string, lines = ''): string | undefined {
    const text = `from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n${lines}\n\n@flow(task_runner=DaskTaskRunner(address=${value}))\ndef etl():\n    pass\n`;
    const [found] = new FlowDocument(parser, 'etl.py').executors(text);
    const address = found?.executors[0]?.address;
    assert.ok(address, text);
    return isUnread(address) ? address.reason : undefined;
  }

  it('has a reason to read', () => {
    const reasons: [value: string, reason: string | undefined, lines?: string][] = [
      ['"tcp://a:1"', undefined],
      ['A', undefined, 'A = "tcp://a:1"'],
      ['A', undefined, 'B = "tcp://a:1"\nA = B'],
      ['A', undefined, 'A: str = "tcp://a:1"'],
      ['A', undefined, 'A = "tcp://" "a:1"'],
      ['os.environ["A"]', 'read from the environment when it runs', 'import os'],
      ['A', 'read from the environment when it runs', 'import os\nA = os.getenv("A")'],
      ['f"tcp://{HOST}:1"', 'put together when it runs'],
      ['"tcp://" + HOST', 'computed when it runs'],
      ['A', 'imported from settings', 'from settings import A'],
      ['settings.A', 'read from settings.A when it runs', 'import settings'],
      ['A', 'set in 2 places', 'A = "a"\nif x:\n    A = "b"'],
      ['A', 'changed later on', 'A = "a"\ndef f():\n    global A\n    A = "b"'],
      ['A', 'set together with others', 'A, B = "a", "b"'],
      ['A', 'set together with others', 'for A in addresses:\n    pass'],
      ['A', 'set in 2 places', 'A = "a"\nA += "b"'],
      ['A', 'not set in this file'],
      ['find()', 'computed when it runs', 'def find():\n    return "a"'],
      ['A', 'defined by itself', 'A = A'],
      ['lambda: 1', 'a function'],
      ['A', undefined, 'CODE = """\ndef A():\n    pass\n"""\nA = "tcp://a:1"'],
    ];
    for (const [value, reason, lines] of reasons)
      assert.equal(reasonOf(value, lines), reason, `${value} ${lines ?? ''}`);
  });

  it('is cut where it is long', () => {
    const text = `from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n\n@flow(task_runner=DaskTaskRunner(address=make(${'x, '.repeat(200)})))\ndef etl():\n    pass\n`;
    const address = new FlowDocument(parser, 'etl.py').executors(text)[0]?.executors[0]?.address;
    assert.ok(address && isUnread(address) && address.source.length === 201);
  });

  it('keeps strings of several lines as they are, wherever they stand', () => {
    const text = `from prefect import flow
from prefect_dask import DaskTaskRunner

def make():
    @flow(
        task_runner=DaskTaskRunner(cluster_kwargs={"script": """one
      two\\n"""}),
    )
    def etl():
        pass
`;
    const kwargs = new FlowDocument(parser, 'etl.py').executors(text)[0]?.executors[0]?.cluster_kwargs;
    assert.deepEqual(kwargs?.fields.script, { value: 'one\n      two\n' });
  });

  it('goes and comes with what is typed', () => {
    const document = new FlowDocument(parser, 'etl.py');
    const before =
      'from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n\n@flow(task_runner=DaskTaskRunner())\ndef etl():\n    pass\n';
    assert.deepEqual(document.flows(before)[0]?.written, { type: 'DaskTaskRunner', from: 'flow' });
    const at = before.indexOf('Runner())') + 'Runner('.length;
    const broken = `${before.slice(0, at)}address="${before.slice(at)}`;
    document.edit({ start: at, end: at, text: 'address="' }, before);
    assert.deepEqual(document.flows(broken)[0]?.written, { type: 'DaskTaskRunner', from: 'flow' });
    const whole = broken.replace('address="', 'address="a:1"');
    document.edit({ start: at + 9, end: at + 9, text: 'a:1"' }, broken);
    assert.deepEqual(document.executors(whole)[0]?.executors[0]?.address, { value: 'a:1' });
  });
});
