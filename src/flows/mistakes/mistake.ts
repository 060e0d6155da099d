import type { Analysis, TextEdit } from '../document.ts';
import type { FoundExecutor } from '../executors.ts';
import type { Located } from '../names.ts';
import type { Span } from '../syntax.ts';
import type { Field } from '../values.ts';

/** Each has an entry in `docs/diagnostics.md`. */
export type MistakeCode =
  | 'address-with-cluster'
  | 'asynchronous-set'
  | 'client-without-guard'
  | 'cluster-object'
  | 'dashboard-address'
  | 'image-too-early'
  | 'tasks-not-submitted'
  | 'unknown-argument'
  | 'with-options-unused';

/** A way to mend a mistake. Its edits don't overlap. */
export interface Fix {
  readonly title: string;
  readonly edits: readonly TextEdit[];
}

/** Something in the source that Prefect or Dask refuse, ignore, or take otherwise than it looks. */
export interface Mistake extends Span {
  readonly code: MistakeCode;
  readonly message: string;
  readonly fixes: readonly Fix[];
}

/** Finds the mistakes of one kind. */
export type Rule = (analysis: Analysis) => Mistake[];

/** An argument's value, with the statement it stands in. */
export function argumentValue({ args, at }: FoundExecutor, name: string): Located | undefined {
  const value = args.get(name)?.value;
  return value && { expression: value, statement: at.statement };
}

/** Where arguments of an executor's call stand in the document, in their order. */
export function argumentSpans({ executors }: Analysis, { args, at }: FoundExecutor): Map<string, Span> {
  const { statement } = at;
  const spans = [...args].map(
    ([name, arg]) => [name, executors.values.spanOf({ expression: arg, statement })] as const,
  );
  return new Map(spans);
}

/** Removes some of the items of a list between brackets, with their commas. @param items all, in their order */
export function removal(text: string, items: readonly Span[], gone: (item: Span) => boolean): TextEdit[] {
  const edits: TextEdit[] = [];
  for (let at = 0; at < items.length; at++) {
    const first = items[at];
    if (!first || !gone(first)) continue;
    let last = first;
    for (let next = items[at + 1]; next && gone(next); next = items[++at + 1]) last = next;
    const before = items[items.indexOf(first) - 1];
    const after = items[at + 1];
    if (after) edits.push({ start: first.start, end: after.start, text: '' });
    else if (before) edits.push({ start: before.end, end: last.end, text: '' });
    else {
      const comma = /^\s*,/.exec(text.slice(last.end))?.[0].length ?? 0;
      edits.push({ start: first.start, end: last.end + comma, text: '' });
    }
  }
  return edits;
}

/**
 * As {@link removal}, with all comments left where they are. Commas behind what is left stay: calls and dicts take them.
 * Undefined where a comment stands before the comma of what is removed.
 */
export function removalBesideComments(
  text: string,
  items: readonly Span[],
  gone: (item: Span) => boolean,
): TextEdit[] | undefined {
  const edits: TextEdit[] = [];
  for (const item of items) {
    if (!gone(item)) continue;
    const after = /^(?:\s*,)?[ \t]*/.exec(text.slice(item.end))?.[0] ?? '';
    if (!after.includes(',') && items.indexOf(item) < items.length - 1) return undefined;
    let { start } = item;
    let end = item.end + after.length;
    const before = /\n[ \t]*$/.exec(text.slice(0, start))?.[0];
    // A line that would be empty goes as a whole.
    const isLine = before !== undefined && /^\r?\n/.test(text.slice(end));
    if (isLine) {
      start -= before.length - 1;
      end = text.indexOf('\n', end) + 1;
    }
    edits.push({ start, end, text: '' });
  }
  return edits;
}

/** As {@link removal}, of a dict's entries or a call's keywords; nothing where they stand in several places. */
export function fieldRemoval({ executors }: Analysis, holder: Located, field: Field): TextEdit[] {
  const { expression, statement } = holder;
  const items =
    expression.kind === 'dict' ? expression.entries : expression.kind === 'call' ? expression.args : [];
  const spans = items.map((item) => executors.values.spanOf({ expression: item, statement }));
  return removal(executors.context.text, spans, ({ start }) => start === field.span.start);
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? '';
  return names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`;
}
