import type { FlowDef, FlowExecutors } from '../core/flow.ts';
import type { ClusterMaker } from '../core/written.ts';
import { clusterMakers } from './clusterMakers.ts';
import { findDaskScript } from './dask.ts';
import { Executors, type FoundExecutor } from './executors.ts';
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

/** What a document's text says, as it is now. */
export interface Analysis {
  readonly executors: Executors;
  readonly flows: readonly FlowAnalysis[];
}

export interface FlowAnalysis extends FoundFlow {
  readonly executors: readonly FoundExecutor[];
}

/** A text without any of these holds neither a flow nor a cluster, and costs nothing. */
const MENTION = /prefect|dask|distributed|Cluster\b/;

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
  /** What the last analysis leaves to be asked; undefined where it could not trust the text. */
  private last: Analysis | undefined;
  /** What has failed in reading what the flows run on. */
  private trouble: unknown;
  private makers: readonly ClusterMaker[] = [];
  /** The analysis that these are of. */
  private makersOf: Analysis | undefined;

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

  /** What the flows of `text` run on by themselves; `text` as for {@link flows}. */
  executors(text: string): FlowExecutors[] {
    return (this.analysis(text)?.flows ?? []).flatMap(({ flow, executors }) =>
      executors.length > 0 ? [{ flow, executors: executors.map(({ written }) => written) }] : [],
    );
  }

  /** What makes clusters in `text`; where that can't be trusted, what did before. */
  clusterMakers(text: string): readonly ClusterMaker[] {
    const analysis = this.analysis(text);
    if (!analysis) {
      const { makers } = this;
      this.makers = MENTION.test(text) ? makers.flatMap((maker) => stillThere(maker, text)) : [];
    } else if (analysis !== this.makersOf) {
      const before = new Set(this.makers.map(({ name }) => name));
      this.makers = clusterMakers(analysis.executors, analysis.flows, before);
    }
    this.makersOf = analysis;
    return this.makers;
  }

  /**
   * All that was read of `text`; undefined if it can't be trusted, or holds nothing of Prefect or Dask.
   * @throws what has failed in reading what the flows run on; the flows are there all the same
   */
  analysis(text: string): Analysis | undefined {
    this.flows(text);
    if (this.trouble !== undefined) throw this.trouble;
    return this.last;
  }

  private analyse(text: string): readonly FlowDef[] {
    const { edited } = this;
    this.edited = undefined;
    this.last = undefined;
    this.trouble = undefined;
    const removedLines = this.removedLines;
    this.removedLines = false;
    if (this.anchors.length === 0) {
      this.names = new Set(['prefect']);
      this.facts = new Map();
      if (!MENTION.test(text)) return [];
    }
    const layout = layOut(text);
    // Code and strings have changed places: nothing new can be trusted.
    if (layout.unterminated && this.anchors.length + this.makers.length > 0)
      return this.anchors.map(({ flow, start }) => atLine(flow, lineAt(layout.lineStarts, start)));
    const found = this.find(text, layout, edited, removedLines);
    this.anchors = found.map(({ flow, start, end }) => ({ flow, start, end }));
    return found.map((each) => each.flow);
  }

  private find(text: string, layout: Layout, edited: Span | undefined, removedLines: boolean): Anchor[] {
    const former = this.facts;
    const facts = new Map<string, StatementFacts>();
    const byStatement = new Map<Statement, StatementFacts>();
    const read = (statement: Statement): StatementFacts => {
      const again = byStatement.get(statement);
      if (again) return again;
      const before = text.slice(text.lastIndexOf('\n', statement.start - 1) + 1, statement.start);
      const indentation = before.trim() === '' ? before : '';
      const header = text.slice(statement.start, statement.end);
      const key = indentation + header;
      const known = former.get(key) ?? readStatement(this.parser, header, indentation);
      facts.set(key, known);
      byStatement.set(statement, known);
      return known;
    };
    const executors = new Executors({ text, ...layout, read });
    const walk = new ModuleWalk(this.walkContext(text, read, edited));
    const found = this.withExecutors(walk.run(layout.statements), executors);
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
    this.facts = facts;
    return flows.length > 0 ? flows : this.findDask(text, layout, executors, edited, removedLines);
  }

  private withExecutors(flows: readonly FoundFlow[], executors: Executors): readonly FlowAnalysis[] {
    try {
      const found = executors.of(flows);
      const read = flows.map((each) => {
        const own = found.get(each) ?? [];
        const first = own.find(({ written }) => written.type !== 'LocalExecutor');
        const written = first && { type: first.written.type, from: first.written.from };
        const flow = written ? { ...each.flow, written } : each.flow;
        return { ...each, flow, executors: own };
      });
      this.last = { executors, flows: read };
      return read;
    } catch (error) {
      // Flows can be run without.
      this.trouble = error;
      return flows.map((each) => ({ ...each, executors: [] }));
    }
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
    executors: Executors,
    edited: Span | undefined,
    removedLines: boolean,
  ): Anchor[] {
    const { read } = executors.context;
    const script = findDaskScript({ text, fileName: this.fileName, read }, layout.statements);
    const before = this.anchors.find(({ flow }) => flow.api === 'dask');
    if (script) {
      this.typing = undefined;
      return this.withExecutors([script], executors).map((each) => toAnchor(each, text, layout));
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

/** At the line where its name is defined now, if it is. */
function stillThere(maker: ClusterMaker, text: string): ClusterMaker[] {
  const found = new RegExp(`^(?:(?:async[ \\t]+)?def|class)[ \\t]+${maker.name}\\b`, 'm').exec(text);
  return found ? [{ ...maker, line: text.slice(0, found.index).split(/\r\n|\r|\n/).length - 1 }] : [];
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
