import type { TextDocumentContentChangeEvent } from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { FlowDef } from '../core/flow.ts';
import { FlowDocument } from '../flows/document.ts';
import type { PythonParser } from '../flows/parser.ts';

/** An open document and its flows. Knows the editor's text only: nothing is read from disk. */
export class PythonDocument {
  readonly uri: string;
  private document: TextDocument;
  private flowDocument: FlowDocument | undefined;

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
    this.flowDocument ??= new FlowDocument(parser, fileNameOf(this.uri));
    return this.flowDocument.flows(this.document.getText());
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
