// One file of the lens bench, in a process of its own: argument is its name, result goes to stdout as JSON.
import { FlowDocument } from '../src/flows/document.ts';
import { layOut } from '../src/flows/layout.ts';
import { findMistakes } from '../src/flows/mistakes/find.ts';
import { createParser, type PythonParser, wasmFilesIn } from '../src/flows/parser.ts';
import { warmUp } from '../src/flows/warmUp.ts';

const LINES = 10_000;
const ROUNDS = 30;

/** What was measured of one file. */
export interface LensRow {
  readonly file: string;
  readonly lines: number;
  readonly bytes: number;
  readonly flows: number;
  /** The first document of the process, as a user meets it. */
  readonly firstMs: number;
  /** What the process did before, with nobody waiting. */
  readonly warmUpMs: number;
  readonly coldMs: Spread;
  readonly editMs: Spread;
  /** The mistakes of a document that has been read: what the editor asks for when typing pauses. */
  readonly mistakesMs: Spread;
  /** Of `coldMs`, finding the statements. */
  readonly layoutMs: Spread;
  /** For comparison: tree-sitter's parse of the whole text, without looking at the tree. */
  readonly wholeParseMs: Spread;
}

export interface Spread {
  readonly median: number;
  readonly p95: number;
}

function task(at: number): string {
  return `@task(retries=2)
def transform_${at}(rows: list[dict], factor: float = 1.5) -> list[dict]:
    """Scales the rows of batch ${at} and drops what is empty."""
    kept = []
    for row in rows:
        value = row.get("value", 0) * factor
        if value > 10 and row["kind"] in ("a", "b"):
            kept.append({"key": f"{row['key']}-${at}", "value": round(value, 2)})
        else:
            logger.debug("dropped %s", row)
    return kept

`;
}

function flow(at: number): string {
  return `@flow(name="pipeline ${at}", retries=1)
def pipeline_${at}(day: str, rows: int = ${at}):
    """Runs batch ${at} of the flow."""
    data = extract(day, rows)
    scaled = transform_${at}.map([data], factor=2.0)
    for part in scaled:
        load(part)
    return len(scaled)

`;
}

function script(at: number): string {
  return `def stage_${at}(frame):
    """Stage ${at}."""
    grouped = frame.groupby("key").value.mean()
    return grouped.compute() if ${at} else grouped.persist()

`;
}

function file(head: string, part: (at: number) => string, tail = ''): string {
  let text = head;
  for (let at = 0; text.split('\n').length < LINES; at += 10)
    for (let i = 0; i < 10; i++) text += part(at + i);
  return text + tail;
}

const IMPORTS = 'import logging\nfrom prefect import flow, task\n\nlogger = logging.getLogger(__name__)\n\n';
const FILES: Readonly<Record<string, string>> = {
  'tasks with a flow in every 20': file(IMPORTS, (at) => task(at) + (at % 20 === 0 ? flow(at) : '')),
  'nothing but flows': file(IMPORTS, flow),
  'plain Dask script': file(
    'import dask.dataframe as dd\n',
    script,
    'if __name__ == "__main__":\n    stage_1(dd.read_csv("x.csv"))\n',
  ),
  'flows with task runners of their own': file(
    `${IMPORTS}from prefect_dask import DaskTaskRunner\n\nSIZE = {"n_workers": 4}\n\n`,
    (at) =>
      task(at) +
      flow(at).replace('retries=1', 'retries=1, task_runner=DaskTaskRunner(cluster_kwargs={**SIZE})'),
  ),
  'neither Prefect nor Dask': file('import logging\n', script),
  'one class of 10,000 lines': file(`${IMPORTS}class Pipeline:\n`, (at) =>
    `${task(at)}${at % 20 === 0 ? `@staticmethod\n${flow(at)}` : ''}`.replace(/^(?=.)/gm, '    '),
  ),
};

function spread(timesMs: readonly number[]): Spread {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2));
  return { median: at(0.5), p95: at(0.95) };
}

function timed(action: () => void): number {
  const from = performance.now();
  action();
  return performance.now() - from;
}

/** Types a letter or a line at a random place and asks for the flows, as an editor would. */
function editTimes(parser: PythonParser, text: string): number[] {
  let now = text;
  const document = new FlowDocument(parser, 'bench.py');
  document.flows(now);
  const times: number[] = [];
  let seed = 7;
  for (let round = 0; round < ROUNDS * 4; round++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    const start = seed % now.length;
    const edit = { start, end: start, text: round % 5 === 0 ? '\n' : 'x' };
    const before = now;
    now = before.slice(0, start) + edit.text + before.slice(start);
    times.push(
      timed(() => {
        document.edit(edit, before);
        document.flows(now);
      }),
    );
    const after = now;
    now = before;
    document.edit({ start, end: start + 1, text: '' }, after);
    document.flows(now);
  }
  return times;
}

function mistakesTime(parser: PythonParser, text: string): number {
  const document = new FlowDocument(parser, 'bench.py');
  document.flows(text);
  return timed(() => {
    const analysis = document.analysis(text);
    if (analysis) findMistakes(analysis);
  });
}

async function main(name: string, wasmDirectory: string): Promise<void> {
  const text = FILES[name];
  if (text === undefined) {
    process.stdout.write(JSON.stringify(Object.keys(FILES)));
    return;
  }
  const parser = await createParser(wasmFilesIn(wasmDirectory));
  const warmFrom = performance.now();
  await warmUp(parser);
  const warmUpMs = performance.now() - warmFrom;
  const open = () => new FlowDocument(parser, 'bench.py').flows(text);
  const first = timed(open);
  const row: LensRow = {
    file: name,
    lines: text.split('\n').length,
    bytes: text.length,
    flows: open().length,
    warmUpMs: Number(warmUpMs.toFixed(2)),
    firstMs: Number(first.toFixed(2)),
    coldMs: spread(Array.from({ length: ROUNDS }, () => timed(open))),
    editMs: spread(editTimes(parser, text)),
    mistakesMs: spread(Array.from({ length: ROUNDS }, () => mistakesTime(parser, text))),
    layoutMs: spread(Array.from({ length: ROUNDS }, () => timed(() => layOut(text)))),
    wholeParseMs: spread(Array.from({ length: 9 }, () => timed(() => parser.read(text, () => undefined)))),
  };
  process.stdout.write(JSON.stringify(row));
}

main(process.argv[2] ?? '', __dirname).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
