import type { FlowDef } from '../core/flow.ts';
import { findDaskScript } from './dask.ts';
import type { FoundFlow } from './found.ts';
import { type Layout, layOut, lineAt, type Statement } from './layout.ts';
import { ModuleWalk, type WalkContext } from './module.ts';
import type { PythonParser } from './parser.ts';
import { readStatement, type StatementFacts } from './syntax.ts';

/** One change of a text: what stood from `start` to `end` (UTF-16 offsets before the change) is now `text`. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A flow of the last analysis, kept at its place while the text around and in it changes. */
interface Anchor {
  readonly flow: FlowDef;
  /** Offset of the first character of the line that the lens stands above. */
  start: number;
  /** Offset behind the header; nothing is left of the flow when it meets `start`. */
  end: number;
}

interface Span {
  start: number;
  end: number;
}

/** A text without any of these holds no flow and costs nothing. */
const MENTION = /prefect|dask|distributed/;

/**
 * The flows of one document through its edits. A flow that can't be read because someone is typing in it stays
 * as it was last read, at its place; one whose text is deleted, or is valid Python but no flow, goes.
 */
export class FlowDocument {
  private readonly parser: PythonParser;
  private readonly fileName: string;
  private anchors: Anchor[] = [];
  private current: readonly FlowDef[] | undefined;
  /** What changed since the last analysis, in offsets of the text as it is now. */
  private edited: Span | undefined;
  private removedLines = false;
  /** Where typing made a Dask script stop computing. */
  private typing: Span | undefined;
  private names = new Set<string>();
  private facts = new Map<string, StatementFacts>();

  /** @param fileName last part of the document's path: the name of a plain script */
  constructor(parser: PythonParser, fileName: string) {
    this.parser = parser;
    this.fileName = fileName;
  }

  /** Tells of a change. @param before the text before it */
  edit(edit: TextEdit, before: string): void {
    this.current = undefined;
    this.removedLines ||= edit.end - edit.start > 2 && /[\r\n]/.test(before.slice(edit.start, edit.end));
    for (const anchor of this.anchors) moveAnchor(anchor, edit);
    this.anchors = this.anchors.filter((anchor) => anchor.end > anchor.start);
    if (this.typing) moveSpan(this.typing, edit);
    const changed = { start: edit.start, end: edit.start + edit.text.length };
    if (!this.edited) this.edited = changed;
    else {
      moveSpan(this.edited, edit);
      this.edited.start = Math.min(this.edited.start, changed.start);
      this.edited.end = Math.max(this.edited.end, changed.end);
    }
  }

  /** The flows of `text`, in the order of their lines; `text` is the document after all edits told. */
  flows(text: string): readonly FlowDef[] {
    this.current ??= this.analyse(text);
    return this.current;
  }

  private analyse(text: string): readonly FlowDef[] {
    const { edited } = this;
    this.edited = undefined;
    const removedLines = this.removedLines;
    this.removedLines = false;
    if (this.anchors.length === 0) {
      this.names = new Set(['prefect']);
      this.facts = new Map();
      if (!MENTION.test(text)) return [];
    }
    const layout = layOut(text);
    // Code and strings have changed places: nothing new can be trusted.
    if (layout.unterminated && this.anchors.length > 0)
      return this.anchors.map(({ flow, start }) => atLine(flow, lineAt(layout.lineStarts, start)));
    const found = this.find(text, layout, edited, removedLines);
    this.anchors = found.map(({ flow, start, end }) => ({ flow, start, end }));
    return found.map((each) => each.flow);
  }

  private find(text: string, layout: Layout, edited: Span | undefined, removedLines: boolean): Anchor[] {
    const facts = new Map<string, StatementFacts>();
    const read = (statement: Statement): StatementFacts => {
      const header = text.slice(statement.start, statement.end);
      const source = statement.indent > 0 ? header.replace(/\n[ \t]+/g, '\n') : header;
      const known = this.facts.get(source) ?? readStatement(this.parser, source);
      facts.set(source, known);
      return known;
    };
    const walk = new ModuleWalk(this.walkContext(text, read, edited));
    const found = walk.run(layout.statements);
    // A statement is doubtful only if nothing was found in it.
    const kept = this.anchors.filter(
      (anchor) => anchor.flow.api !== 'dask' && walk.doubtful.some((statement) => holds(statement, anchor)),
    );
    const flows = [
      ...found.map((each) => toAnchor(each, text, layout)),
      ...kept.map((anchor) => ({
        ...anchor,
        flow: atLine(anchor.flow, lineAt(layout.lineStarts, anchor.start)),
      })),
    ].sort((a, b) => a.start - b.start);
    if (flows.length === 0) flows.push(...this.findDask(text, layout, read, edited, removedLines));
    this.facts = facts;
    return flows;
  }

  private walkContext(
    text: string,
    read: (statement: Statement) => StatementFacts,
    edited: Span | undefined,
  ): WalkContext {
    const starts = this.anchors.map((anchor) => anchor.start).sort((a, b) => a - b);
    return {
      text,
      names: this.names,
      read,
      isAnchored: ({ start, end, bodyEnd }, deep) => {
        const next = starts[firstNotBelow(starts, start)];
        return next !== undefined && next <= (deep ? Math.max(end, bodyEnd) : end);
      },
      isEdited: ({ start, end }) => {
        const line = text.indexOf('\n', end);
        return edited !== undefined && edited.start <= (line < 0 ? text.length : line) && edited.end >= start;
      },
    };
  }

  private findDask(
    text: string,
    layout: Layout,
    read: (statement: Statement) => StatementFacts,
    edited: Span | undefined,
    removedLines: boolean,
  ): Anchor[] {
    const found = findDaskScript({ text, fileName: this.fileName, read }, layout.statements);
    const before = this.anchors.find(({ flow }) => flow.api === 'dask');
    if (found) {
      this.typing = undefined;
      return [toAnchor(found, text, layout)];
    }
    if (!before || !edited || !this.isTypingOn(text, layout, edited, removedLines)) return [];
    return [{ ...before, flow: atLine(before.flow, lineAt(layout.lineStarts, before.start)) }];
  }

  /**
   * A script stops computing while its one `.compute()` is being retyped. Its lens stays as long as the edits
   * stay where that began, or something is broken.
   */
  private isTypingOn(
    text: string,
    { lineStarts, statements }: Layout,
    edited: Span,
    removedLines: boolean,
  ): boolean {
    if (anyBroken(text, statements)) {
      this.typing ??= { ...edited };
      return true;
    }
    if (removedLines) return false;
    this.typing ??= { ...edited };
    const near =
      lineAt(lineStarts, edited.start) <= lineAt(lineStarts, this.typing.end) + 1 &&
      lineAt(lineStarts, edited.end) >= lineAt(lineStarts, this.typing.start) - 1;
    this.typing.start = Math.min(this.typing.start, edited.start);
    this.typing.end = Math.max(this.typing.end, edited.end);
    return near;
  }
}

/** Index of the first of some sorted numbers that is not below `value`. */
function firstNotBelow(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Is some statement broken, or a block still without its statements? */
function anyBroken(text: string, statements: readonly Statement[]): boolean {
  return statements.some(
    ({ broken, body, end }) =>
      broken || (body.length === 0 && text.charAt(end - 1) === ':') || anyBroken(text, body),
  );
}

function holds({ start, end }: Statement, anchor: Anchor): boolean {
  return start <= anchor.start && anchor.start <= end;
}

function atLine(flow: FlowDef, line: number): FlowDef {
  return flow.line === line ? flow : { ...flow, line };
}

function toAnchor({ flow, statement }: FoundFlow, text: string, { lineStarts }: Layout): Anchor {
  let start = lineStarts[flow.line] ?? statement.start;
  while (start < statement.end && /\s/.test(text.charAt(start))) start++;
  return { flow, start: Math.max(start, statement.start), end: statement.end };
}

function moveAnchor(anchor: Anchor, edit: TextEdit): void {
  const removedWhole = edit.end > edit.start && edit.start <= anchor.start && edit.end >= anchor.end;
  moveSpan(anchor, edit);
  if (removedWhole) anchor.end = anchor.start;
}

/** Moves a span with an edit: text inserted at its start goes before it, at its end into it. */
function moveSpan(span: Span, { start, end, text }: TextEdit): void {
  const growth = text.length - (end - start);
  if (end <= span.start) span.start += growth;
  else if (start < span.start) span.start = start + text.length;
  if (end <= span.end) span.end += growth;
  else if (start < span.end) span.end = start + text.length;
  span.end = Math.max(span.end, span.start);
}
