import { join } from 'node:path';
import { Language, type Node, Parser } from 'web-tree-sitter';

export type SyntaxNode = Node;

/** Where the two WebAssembly files lie: tree-sitter itself and its Python grammar. */
export interface WasmFiles {
  readonly runtime: string;
  readonly python: string;
}

/** The WebAssembly files as the bundler lays them: both in one directory, under their packages' own names. */
export function wasmFilesIn(directory: string): WasmFiles {
  return {
    runtime: join(directory, 'web-tree-sitter.wasm'),
    python: join(directory, 'tree-sitter-python.wasm'),
  };
}

/** Python text to syntax. Error tolerant: broken text gives a tree with error nodes, never an exception. */
export interface PythonParser {
  /** Parses `text`, hands the root to `read` and frees the tree: no node may outlive the call. */
  read<T>(text: string, read: (root: SyntaxNode) => T): T;
}

/** Loads tree-sitter and the Python grammar, once a process; rejects when a file is missing. */
export async function createParser(files: WasmFiles): Promise<PythonParser> {
  await Parser.init({ locateFile: () => files.runtime });
  const parser = new Parser().setLanguage(await Language.load(files.python));
  return {
    read(text, read) {
      const tree = parser.parse(text);
      if (!tree) throw new Error('tree-sitter gave no tree');
      try {
        return read(tree.rootNode);
      } finally {
        tree.delete();
      }
    },
  };
}
