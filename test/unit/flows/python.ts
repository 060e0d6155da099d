import { createRequire } from 'node:module';
import { createParser, type PythonParser } from '../../../src/flows/parser.ts';

const resolve = createRequire(__filename).resolve;

/** The parser with the WebAssembly files of the installed packages. */
export function testParser(): Promise<PythonParser> {
  return createParser({
    runtime: resolve('web-tree-sitter/web-tree-sitter.wasm'),
    python: resolve('tree-sitter-python/tree-sitter-python.wasm'),
  });
}
