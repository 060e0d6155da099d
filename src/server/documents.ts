import type { Range, TextDocumentContentChangeEvent } from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { FlowDef, FlowExecutors } from '../core/flow.ts';
import type { ClusterMaker } from '../core/written.ts';
import { type Analysis, FlowDocument } from '../flows/document.ts';
import { findMistakes } from '../flows/mistakes/find.ts';
import type { Mistake } from '../flows/mistakes/mistake.ts';
import type { PythonParser } from '../flows/parser.ts';

/** An open document and its flows. Knows the editor's text only: nothing is read from disk. */
export class PythonDocument {
  readonly uri: string;
  private document: TextDocument;
  private flowDocument: FlowDocument | undefined;
  private judged: { readonly analysis: Analysis; readonly mistakes: readonly Mistake[] } | undefined;

  constructor(uri: string, languageId: string, version: number, content: string) {
    this.uri = uri;
    this.document = TextDocument.create(uri, languageId, version, content);
  }

  /** Applies the editor's changes in their order. */
  update(changes: readonly TextDocumentContentChangeEvent[], version: number): this {
    for (const change of changes) {
      const before = this.document.getText();
      const edit =
        'range' in change
          ? {
              start: this.document.offsetAt(change.range.start),
              end: this.document.offsetAt(change.range.end),
              text: change.text,
            }
          : difference(before, change.text);
      this.flowDocument?.edit(edit, before);
      this.document = TextDocument.update(this.document, [change], version);
    }
    return this;
  }

  /** The document's flows as its text is now. */
  flows(parser: PythonParser): readonly FlowDef[] {
    return this.read(parser).flows(this.document.getText());
  }

  /** What these flows run on by themselves. */
  executors(parser: PythonParser): readonly FlowExecutors[] {
    return this.read(parser).executors(this.document.getText());
  }

  /** Functions and classes that settings may name as a `cluster_class`. */
  clusterMakers(parser: PythonParser): readonly ClusterMaker[] {
    return this.read(parser).clusterMakers(this.document.getText());
  }

  mistakes(parser: PythonParser): readonly Mistake[] {
    const analysis = this.read(parser).analysis(this.document.getText());
    if (!analysis) return [];
    // They are asked for at each move of the cursor.
    if (this.judged?.analysis !== analysis) this.judged = { analysis, mistakes: findMistakes(analysis) };
    return this.judged.mistakes;
  }

  /** Of offsets of the text as it is now. */
  rangeOf({ start, end }: { readonly start: number; readonly end: number }): Range {
    return { start: this.document.positionAt(start), end: this.document.positionAt(end) };
  }

  private read(parser: PythonParser): FlowDocument {
    this.flowDocument ??= new FlowDocument(parser, fileNameOf(this.uri));
    return this.flowDocument;
  }
}

/** Last part of a URI's path, decoded: `etl.py`, `Untitled-1`. */
export function fileNameOf(uri: string): string {
  const path = uri.replace(/[?#].*$/, '').replace(/^[\w+.-]+:/, '');
  const name = path.split('/').at(-1) || path;
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a stray `%`: show it as it is
  }
}

/** The one edit that makes `after` of `before`: without what they share at both ends. */
function difference(before: string, after: string): { start: number; end: number; text: string } {
  const shortest = Math.min(before.length, after.length);
  let start = 0;
  while (start < shortest && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  let tail = 0;
  while (
    tail < shortest - start &&
    before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)
  )
    tail++;
  return { start, end: before.length - tail, text: after.slice(start, after.length - tail) };
}
