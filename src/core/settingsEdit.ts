import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree } from 'jsonc-parser';
import { executorSettings, UserError } from './errors.ts';

/** A change of the list of executors. */
export type ListChange =
  | { readonly kind: 'add'; readonly value: object }
  | { readonly kind: 'set'; readonly index: number; readonly was: unknown; readonly value: object }
  | { readonly kind: 'remove'; readonly index: number; readonly was: unknown };

/** Where settings stand in a file: `settings` in a `.code-workspace`, nothing in a `settings.json`. */
export type SettingsRoot = readonly string[];

type Path = (string | number)[];

/**
 * The text of a file of settings in which one executor is changed. What is not changed stays as it is written, comments
 * too; the comments of what is removed go with it.
 * @param text JSON with comments; empty: a file that is not there yet
 * @throws {UserError} where the text has another executor at that place than the one that is to be changed, or is no JSON
 */
export function editExecutors(text: string, root: SettingsRoot, change: ListChange): string {
  const list: Path = [...root, 'flowClusters.executors'];
  if (change.kind === 'add') {
    const node = nodeAt(text, list);
    return node?.type === 'array' ? inserted(text, node, '', change.value) : put(text, list, [change.value]);
  }
  const path = [...list, change.index];
  const node = nodeAt(text, path);
  const now: unknown = node && getNodeValue(node);
  requireSame(now, change.was);
  return change.kind === 'remove' ? removed(text, path) : merged(text, path, now, change.value);
}

/** @throws {UserError} where an executor is not what it was when its change began */
export function requireSame(now: unknown, was: unknown): void {
  if (JSON.stringify(now) === JSON.stringify(was)) return;
  throw new UserError('setting', 'The executors have been changed in the settings meanwhile', {
    hint: 'See what they are now, and try again.',
    action: executorSettings,
  });
}

/** The same with another default executor. */
export function editDefault(text: string, root: SettingsRoot, name: string): string {
  return put(text, [...root, 'flowClusters.defaultExecutor'], name);
}

/** Only what differs is written. */
function merged(text: string, path: Path, before: unknown, after: unknown): string {
  if (JSON.stringify(before) === JSON.stringify(after)) return text;
  if (after === undefined) return removed(text, path);
  if (!isObject(before) || !isObject(after)) return put(text, path, after);
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].reduce((now, key) => merged(now, [...path, key], before[key], after[key]), text);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws {UserError} where the text is no JSON: nobody knows what an edit would make of it */
function nodeAt(text: string, path: Path): Node | undefined {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
  if (errors.length > 0 || (tree && tree.type !== 'object'))
    throw new UserError(
      'setting',
      'The settings have mistakes in their JSON, so nothing is written to them',
      {
        hint: 'Mend them, and try again.',
        action: executorSettings,
      },
    );
  return tree && findNodeAtLocation(tree, path);
}

function put(text: string, path: Path, value: unknown): string {
  const node = nodeAt(text, path);
  if (node) {
    const old = text.slice(node.offset, endOf(node));
    const isOnOneLine =
      !hasBreak(sliceOf(text, node.parent?.parent ?? node)) || (/^[[{]/.test(old) && !hasBreak(old));
    return splice(text, node.offset, endOf(node), render(text, value, node.offset, isOnOneLine));
  }
  const [key, above] = [path.at(-1), path.slice(0, -1)];
  const parent = nodeAt(text, above);
  if (parent?.type === 'object') return inserted(text, parent, `${JSON.stringify(key)}: `, value);
  if (above.length > 0) return put(text, above, { [String(key)]: value });
  // Nothing but comments.
  return put(`${text}${text === '' || text.endsWith('\n') ? '' : eolOf(text)}{}`, path, value);
}

/** Adds an item as the last one. @param key with its colon, in an object */
function inserted(text: string, parent: Node, key: string, value: unknown): string {
  const close = endOf(parent) - 1;
  const eol = eolOf(text);
  const last = parent.children?.at(-1);
  if (!last) {
    const start = parent.offset + 1;
    const comment = gapOf(text, start, close).findLast(({ kind }) => kind === 'comment')?.end ?? start;
    const outer = indentAt(text, parent.offset);
    const item = `${outer}${unitOf(text)}${key}${render(text, value, parent.offset, false, unitOf(text))}`;
    const end = hasBreak(text.slice(comment, close)) && comment > start ? '' : `${eol}${outer}`;
    return splice(text, comment, end === '' ? comment : close, `${eol}${item}${end}`);
  }
  const { end, comma } = itemEnd(text, endOf(last), close, true);
  const isOnOneLine = !hasBreak(sliceOf(text, parent));
  const item = `${key}${render(text, value, last.offset, isOnOneLine)}`;
  if (!hasBreak(text.slice(end, close)))
    return splice(text, end, end, comma === undefined ? `, ${item}` : ` ${item},`);
  const next = `${eol}${indentAt(text, last.offset)}${item}`;
  if (comma !== undefined) return splice(text, end, end, `${next},`);
  return splice(splice(text, end, end, next), endOf(last), endOf(last), ',');
}

/** Takes an item out: from the end of the one before to its own, with the comments above it and beside it. */
function removed(text: string, path: Path): string {
  const node = nodeAt(text, path);
  const item = node?.parent?.type === 'property' ? node.parent : node;
  const { parent } = item ?? {};
  if (!item || !parent?.children) return text;
  const [open, close] = [parent.offset + 1, endOf(parent) - 1];
  const at = parent.children.indexOf(item);
  const [before, after] = [parent.children[at - 1], parent.children[at + 1]];
  const previous = itemEnd(text, before ? endOf(before) : open, item.offset, false);
  const own = itemEnd(text, endOf(item), after?.offset ?? close, after === undefined);
  let [start, end] = [ownStart(text, previous.end, item.offset), own.end];
  if (!hasBreak(text.slice(end, after?.offset ?? close))) {
    // What comes next takes its place in the line, and never that of a comment that the line ends with.
    const last = gapOf(text, before ? endOf(before) : open, start).at(-1);
    if (after || (last && text.startsWith('//', last.start))) start += spaceAt(text, start);
    if (after) end += spaceAt(text, end);
  }
  const without = splice(text, start, end, '');
  if (after) return without;
  if (!before) {
    const rest = close - (end - start);
    return without.slice(open, rest).trim() === '' ? splice(without, open, rest, '') : without;
  }
  // The last one has a comma where it had one before.
  const { comma } = previous;
  return comma === undefined || own.comma !== undefined ? without : splice(without, comma, comma + 1, '');
}

/** Blanks, comments and the comma between two items. */
interface Gap {
  readonly kind: 'comment' | 'break' | 'comma' | 'blanks';
  readonly start: number;
  readonly end: number;
}

function gapOf(text: string, from: number, to: number): Gap[] {
  const tokens = text.slice(from, to).matchAll(/\/\/[^\r\n]*|\/\*[\s\S]*?\*\/|\r\n?|\n|,|[^\S\r\n]+/g);
  return [...tokens].map(({ 0: token, index }) => ({
    kind: token.startsWith('/') ? 'comment' : token === ',' ? 'comma' : hasBreak(token) ? 'break' : 'blanks',
    start: from + index,
    end: from + index + token.length,
  }));
}

/**
 * Where an item, or the bracket before the first one, ends with its comma and the comments beside it. A comment that
 * another item follows on its line is that item's.
 * @param to where the next item begins, or the list ends
 */
function itemEnd(
  text: string,
  from: number,
  to: number,
  isLast: boolean,
): { readonly end: number; readonly comma?: number } {
  const gap = gapOf(text, from, to);
  const at = gap.findIndex(({ kind }) => kind === 'comma');
  const comma = gap[at];
  const after = gap.slice(at + 1);
  const lineEnd = after.findIndex(({ kind }) => kind === 'break');
  const beside = lineEnd < 0 ? (isLast ? after : []) : after.slice(0, lineEnd);
  const end = beside.findLast(({ kind }) => kind === 'comment')?.end ?? comma?.end ?? from;
  return { end, ...(comma && { comma: comma.start }) };
}

/** Where an item begins with the comments above it: an empty line parts others from it. */
function ownStart(text: string, from: number, to: number): number {
  let [start, comment, breaks] = [from, from, 0];
  const end = { kind: 'comment', start: to, end: to } as const;
  for (const token of [...gapOf(text, from, to), end]) {
    if (token.kind === 'break') breaks += 1;
    if (token.kind !== 'comment') continue;
    if (breaks > 1 && comment > from) start = comment;
    [comment, breaks] = [token.end, 0];
  }
  return start;
}

const endOf = ({ offset, length }: Node): number => offset + length;
const sliceOf = (text: string, node: Node): string => text.slice(node.offset, endOf(node));
const hasBreak = (text: string): boolean => /[\r\n]/.test(text);
const spaceAt = (text: string, at: number): number => /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
const splice = (text: string, from: number, to: number, by: string): string =>
  `${text.slice(0, from)}${by}${text.slice(to)}`;
const eolOf = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n');
const unitOf = (text: string): string => /^(\t| +)\S/m.exec(text)?.[1] ?? '  ';
/** What the line of a place begins with. */
const indentAt = (text: string, at: number): string =>
  /(?:^|[\r\n])([^\S\r\n]*)[^\r\n]*$/.exec(text.slice(0, at))?.[1] ?? '';

/** A value as it is written. @param at a place in the line that it begins on, or with `more` before that line's indent */
function render(text: string, value: unknown, at: number, isOnOneLine: boolean, more = ''): string {
  if (isOnOneLine) {
    const spaced = JSON.stringify(value, undefined, 1).replaceAll(/(?<=\[)\n\s*|\n\s*(?=\])/g, '');
    return spaced.replaceAll(/\n\s*/g, ' ');
  }
  const indent = `${eolOf(text)}${indentAt(text, at)}${more}`;
  return JSON.stringify(value, undefined, unitOf(text)).replaceAll('\n', indent);
}
