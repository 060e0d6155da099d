import {
  type CodeAction,
  CodeActionKind,
  type Diagnostic,
  DiagnosticSeverity,
  type Range,
} from 'vscode-languageserver';
import { savedExecutor } from '../core/savedExecutor.ts';
import type { Mistake } from '../flows/mistakes/mistake.ts';
import type { PythonParser } from '../flows/parser.ts';
import { Commands } from '../protocol/commands.ts';
import type { FlowRef } from '../protocol/lsp.ts';
import { fileNameOf, type PythonDocument } from './documents.ts';

const DOCS = 'https://github.com/flow-clusters/flow-clusters/blob/main/docs/diagnostics.md';

/** The mistakes of a document as the editor shows them, each with a link to its entry in the docs. */
export function diagnosticsOf(document: PythonDocument, parser: PythonParser): Diagnostic[] {
  return document.mistakes(parser).map((mistake) => diagnosticOf(document, mistake));
}

function diagnosticOf(document: PythonDocument, mistake: Mistake): Diagnostic {
  const { code, message } = mistake;
  return {
    range: document.rangeOf(mistake),
    severity: DiagnosticSeverity.Warning,
    source: 'Flow Clusters',
    code,
    codeDescription: { href: `${DOCS}#${code}` },
    message,
  };
}

/** Ways to mend the mistakes in a range of lines. */
export function fixesOf(document: PythonDocument, parser: PythonParser, range: Range): CodeAction[] {
  return document.mistakes(parser).flatMap((mistake) => {
    if (!touches(document.rangeOf(mistake), range)) return [];
    const diagnostics = [diagnosticOf(document, mistake)];
    return mistake.fixes.map(({ title, edits }): CodeAction => {
      const changes = edits.map((edit) => ({ range: document.rangeOf(edit), newText: edit.text }));
      const edit = { changes: { [document.uri]: changes } };
      // Where there are several, which is meant only the user knows.
      const isPreferred = mistake.fixes.length === 1;
      return { title, kind: CodeActionKind.QuickFix, diagnostics, isPreferred, edit };
    });
  });
}

/** Saves the executor that stands in a range of lines as a profile, if profiles can say what it does. */
export function savesOf(document: PythonDocument, parser: PythonParser, range: Range): CodeAction[] {
  const offered = new Set<string>();
  return document.executors(parser).flatMap(({ flow, executors }) =>
    executors.flatMap((executor, at): CodeAction[] => {
      if (executor.line < range.start.line || executor.line > range.end.line) return [];
      // Several flows may have one; its name is asked for.
      const which = `${executor.line} ${executor.type}`;
      const saved = savedExecutor(executor, executor.type, (local) => `${fileNameOf(document.uri)}:${local}`);
      if (offered.has(which) || 'problem' in saved) return [];
      offered.add(which);
      const ref: FlowRef = { uri: document.uri, flow };
      const title = 'Save as Executor…';
      const command = { title, command: Commands.saveExecutor, arguments: [ref, at] };
      return [{ title, kind: CodeActionKind.RefactorExtract, command }];
    }),
  );
}

function touches(a: Range, b: Range): boolean {
  const before = (one: Range, other: Range) =>
    one.end.line < other.start.line ||
    (one.end.line === other.start.line && one.end.character < other.start.character);
  return !before(a, b) && !before(b, a);
}
