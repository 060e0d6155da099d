import type { WrittenExecutor, WrittenType } from '../core/written.ts';
import { FlowDocument } from './document.ts';
import type { PythonParser } from './parser.ts';

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
 * one of the classes. Nothing is run. Undefined if there is none to be read.
 */
export function pastedExecutor(parser: PythonParser, code: string): WrittenExecutor | undefined {
  const text = dedented(code).replace(/,\s*$/, '');
  for (const whole of [text, [...imports, text].join('\n')]) {
    const analysis = new FlowDocument(parser, 'pasted.py').analysis(`${whole}\n`);
    const ofFlow = analysis?.flows.flatMap(({ executors }) => executors)[0];
    const found = ofFlow ?? byOrder(analysis?.executors.all() ?? [])[0];
    if (found) return found.written;
  }
  return undefined;
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
