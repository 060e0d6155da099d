import type { ReadLines, UnreadLines, WrittenExecutor, WrittenType } from '../core/written.ts';
import { FlowDocument } from './document.ts';
import type { PythonParser, SyntaxNode } from './parser.ts';

/** Names as one finds them in documentation, without the lines that import them. */
const imports = [
  'from prefect_dask import DaskTaskRunner',
  'from prefect.executors import DaskExecutor, LocalDaskExecutor, LocalExecutor',
  'from distributed import Client, LocalCluster',
];

/** A client knows the cluster that it is given; Prefect's own classes say most. */
const order: readonly WrittenType[] = [
  ...(['DaskTaskRunner', 'DaskExecutor', 'LocalDaskExecutor', 'LocalExecutor'] as const),
  ...(['Client', 'Cluster'] as const),
];

/**
 * The executor that some lines of Python make, which need not be a whole file: what a flow in them runs on, else the call of
 * one of the classes. Nothing is run. Lines that are no Python, or not whole yet, are not guessed at.
 */
export function pastedExecutor(parser: PythonParser, code: string): ReadLines {
  const text = completed(dedented(code).replace(/,\s*$/, ''));
  const broken = parser.read(text, brokenLine);
  if (broken) return broken;
  for (const before of [[], imports]) {
    const analysis = new FlowDocument(parser, 'pasted.py').analysis(`${[...before, text].join('\n')}\n`);
    const ofFlow = analysis?.flows.flatMap(({ executors }) => executors)[0];
    const found = ofFlow ?? byOrder(analysis?.executors.all() ?? [])[0];
    if (found) return { written: { ...found.written, line: found.written.line - before.length } };
  }
  return {
    problem:
      'There is no DaskTaskRunner, DaskExecutor, LocalDaskExecutor, Client or cluster of Dask in it that can be read.',
  };
}

/** Where a text is no Python; undefined where it is. */
function brokenLine(root: SyntaxNode): UnreadLines | undefined {
  if (!root.hasError) return undefined;
  let node = root;
  for (;;) {
    const inner = node.children.find((child) => child?.hasError || child?.isError || child?.isMissing);
    if (!inner) break;
    node = inner;
  }
  const problem = node.isMissing ? `“${node.type}” is missing` : 'this is no Python, or not whole yet';
  return { problem, line: (secondOnLine(node) ?? node).startPosition.row };
}

const byOrder = <T extends { readonly written: WrittenExecutor }>(found: readonly T[]): T[] =>
  found.toSorted((a, b) => order.indexOf(a.written.type) - order.indexOf(b.written.type));

/** Lines of a function stand farther in than a file's. */
function dedented(code: string): string {
  const lines = code.replaceAll('\r\n', '\n').split('\n');
  const depths = lines.filter((line) => line.trim() !== '').map((line) => line.search(/\S/));
  const depth = Math.min(...depths);
  return Number.isFinite(depth) ? lines.map((line) => line.slice(depth)).join('\n') : '';
}

/** A statement that begins where another one has not ended its line: no node of its own tells of that. */
const secondOnLine = ({ children }: SyntaxNode): SyntaxNode | undefined =>
  children.find((child, i) => {
    const before = children[i - 1];
    return child?.isNamed && before?.isNamed && before.endPosition.row === child.startPosition.row;
  }) ?? undefined;

/** A decorator is copied without its flow. */
const completed = (text: string): string =>
  /^@[^\n]*(?:\n[^\S\n].*|\n\).*)*\s*$/.test(text) ? `${text.trimEnd()}\ndef flow():\n    pass` : text;
