import {
  isUnread,
  type PlainValue,
  type Unread,
  type WrittenClass,
  type WrittenFields,
  type WrittenValue,
} from '../core/written.ts';
import type { Located, Names, NamesContext } from './names.ts';
import type { CallExpression, Span } from './syntax.ts';

/** Values of expressions as far as the file tells them: literals, and names that are bound to them once. */

/** One keyword argument or entry of a dict. */
export interface Field {
  readonly key: string;
  readonly value: Located;
  /** The whole entry, in offsets of the document. */
  readonly span: Span;
}

export interface Fields {
  readonly fields: readonly Field[];
  readonly rest?: Unread;
  /** The literal or call that holds them; undefined where there is none to be seen. */
  readonly holder?: Located;
}

/** Names that lead to names that lead to … */
const DEEPEST = 8;
/** Expressions that are looked into for one value: lists of lists by their names grow without end. */
const MOST = 10_000;
const TOO_MUCH = 'too much to be read here';
const LONGEST_SOURCE = 200;

export class Values {
  private readonly context: NamesContext;
  private readonly names: Names;
  /** How many more expressions may be looked into. */
  private left = MOST;

  constructor(context: NamesContext, names: Names) {
    this.context = context;
    this.names = names;
  }

  /** Where something of a statement stands in the document. */
  spanOf({ expression, statement }: { expression: Span; statement: Located['statement'] }): Span {
    const shift = statement.start - this.context.read(statement).offset;
    return { start: expression.start + shift, end: expression.end + shift };
  }

  /** What a name leads to; anything else as it is. */
  behind(located: Located, depth = 0): Located {
    const { expression, statement } = located;
    if (expression.kind !== 'name' || depth > DEEPEST) return located;
    const meaning = this.names.lookUp(expression.path, statement);
    return meaning.kind === 'value' ? this.behind(meaning, depth + 1) : located;
  }

  textOf(located: Located): string {
    const { start, end } = this.spanOf(located);
    return this.context.text.slice(start, end);
  }

  /** Its value; else its source and why it is not known. */
  read(located: Located): WrittenValue {
    this.left = MOST;
    const { value, reason } = this.plain(located, 0);
    return value === undefined ? this.unread(located, reason) : { value };
  }

  /** True for `None`, by name too. */
  isNone(located: Located): boolean {
    const written = this.read(located);
    return 'value' in written && written.value === null;
  }

  private unread(located: Located, reason = 'computed when it runs'): Unread {
    const text = this.textOf(located);
    return { source: text.length > LONGEST_SOURCE ? `${text.slice(0, LONGEST_SOURCE)}…` : text, reason };
  }

  private plain(located: Located, depth: number): { value?: PlainValue; reason?: string } {
    this.left -= 1;
    if (this.left < 0) return { reason: TOO_MUCH };
    const { expression, statement } = located;
    switch (expression.kind) {
      case 'string':
      case 'constant':
        return { value: expression.value };
      case 'list': {
        const items = expression.items.map((item) => this.plain({ expression: item, statement }, depth + 1));
        const bad = items.find(({ value }) => value === undefined);
        return bad ?? { value: items.flatMap(({ value }) => (value === undefined ? [] : [value])) };
      }
      case 'dict':
        return this.plainDict(located, depth);
      case 'call':
        if (this.isDictOfKeywords(expression, located)) return this.plainDict(located, depth);
        return { reason: this.reasonOfCall(located) };
      case 'name':
        return this.plainName(located, expression.path, depth);
      case 'lambda':
        return { reason: 'a function' };
      default:
        return { reason: reasonOfText(this.textOf(located)) };
    }
  }

  private plainDict(located: Located, depth: number): { value?: PlainValue; reason?: string } {
    const { fields, rest } = this.fieldsBelow(located, depth);
    if (rest) return { reason: rest.reason };
    const values: [string, PlainValue][] = [];
    for (const field of fields) {
      const inner = this.plain(field.value, depth + 1);
      if (inner.value === undefined) return inner;
      values.push([field.key, inner.value]);
    }
    return { value: Object.fromEntries(values) };
  }

  private plainName(
    { statement }: Located,
    path: string,
    depth: number,
  ): { value?: PlainValue; reason?: string } {
    const [root = '', ...members] = path.split('.');
    const meaning = this.names.lookUp(root, statement);
    if (depth > DEEPEST) return { reason: 'defined by itself' };
    if (members.length > 0) {
      const whole = meaning.kind === 'import' ? [meaning.path, ...members].join('.') : path;
      return { reason: reasonOfText(whole) };
    }
    switch (meaning.kind) {
      case 'value':
        return this.plain(meaning, depth + 1);
      case 'import':
        return { reason: `imported from ${meaning.path.replace(/(.)\.[^.]*$/, '$1')}` };
      case 'def':
      case 'class':
        return { reason: `a ${meaning.kind === 'def' ? 'function' : 'class'} of this file` };
      case 'unknown':
        return { reason: meaning.reason };
      default:
        return { reason: 'not set in this file' };
    }
  }

  private reasonOfCall(located: Located): string {
    const { expression, statement } = located;
    const callee = expression.kind === 'call' ? expression.callee : expression;
    return reasonOfText(this.names.pathOf(callee, statement) ?? this.textOf(located));
  }

  /** `dict(a=1)`: all that it holds stands there. */
  private isDictOfKeywords({ callee, args, hasSplat }: CallExpression, { statement }: Located): boolean {
    return (
      !hasSplat &&
      args.every(({ keyword }) => keyword) &&
      callee.kind === 'name' &&
      callee.path === 'dict' &&
      this.names.lookUp('dict', statement).kind === 'unbound'
    );
  }

  /** The entries of a dict, or the keyword arguments of a call. */
  fieldsOf(located: Located): Fields {
    this.left = MOST;
    return this.fieldsBelow(located, 0);
  }

  private fieldsBelow(located: Located, depth: number): Fields {
    this.left -= 1;
    if (this.left < 0) return { fields: [], rest: this.unread(located, TOO_MUCH) };
    const { expression, statement } = located;
    if (expression.kind === 'dict') return this.fieldsOfDict(located, depth);
    if (expression.kind === 'call' && this.isDictOfKeywords(expression, located))
      return this.fieldsOfCall(located);
    if (expression.kind === 'name' && depth <= DEEPEST) {
      const meaning = this.names.lookUp(expression.path, statement);
      if (meaning.kind === 'value') return this.fieldsBelow(meaning, depth + 1);
    }
    return { fields: [], rest: this.unread(located, this.plain(located, depth).reason) };
  }

  private fieldsOfDict(located: Located, depth: number): Fields {
    const { expression, statement } = located;
    const fields: Field[] = [];
    let rest: Unread | undefined;
    for (const entry of expression.kind === 'dict' ? expression.entries : []) {
      const value: Located = { expression: entry.value, statement };
      if (entry.key?.kind === 'string')
        fields.push({ key: entry.key.value, value, span: this.spanOf({ expression: entry, statement }) });
      else if (entry.key) rest ??= this.unread(located, 'has keys that are no plain text');
      else {
        const inner = this.fieldsBelow(value, depth + 1);
        fields.push(...inner.fields);
        rest ??= inner.rest;
      }
    }
    // Of two with one key, the last counts.
    const last = new Map(fields.map((field) => [field.key, field]));
    return { fields: [...last.values()], ...(rest && { rest }), holder: located };
  }

  /** Keyword arguments of a call; positional ones are left to the caller. */
  fieldsOfCall(located: Located): Fields {
    const { expression, statement } = located;
    if (expression.kind !== 'call') return { fields: [] };
    const fields = expression.args.flatMap(({ keyword, value, start, end }): Field[] =>
      keyword === undefined
        ? []
        : [
            {
              key: keyword,
              value: { expression: value, statement },
              span: this.spanOf({ expression: { start, end }, statement }),
            },
          ],
    );
    const rest = expression.hasSplat ? { source: '**…', reason: 'handed on from elsewhere' } : undefined;
    return { fields, ...(rest && { rest }), holder: located };
  }

  /** As plain data. */
  written({ fields, rest }: Fields): WrittenFields {
    return {
      fields: Object.fromEntries(fields.map(({ key, value }) => [key, this.read(value)])),
      ...(rest && { rest }),
    };
  }

  /** The keyword arguments of a call as plain data. */
  writtenArguments(call: Located): WrittenFields {
    const { expression, statement } = call;
    const [positional] =
      expression.kind === 'call' ? expression.args.filter(({ keyword }) => keyword === undefined) : [];
    const { fields, rest } = this.written(this.fieldsOfCall(call));
    const first = positional && this.unread({ expression: positional.value, statement }, 'given by position');
    const unread = rest ?? first;
    return { fields, ...(unread && { rest: unread }) };
  }

  /** What a `cluster_class` is. */
  classOf(located: Located, depth = 0): WrittenClass {
    const { expression, statement } = located;
    const written = this.read(located);
    if (!isUnread(written)) {
      if (typeof written.value === 'string') return { path: written.value };
      return this.unread(located, 'no class');
    }
    const path = this.names.pathOf(expression, statement);
    if (path !== undefined) return { path };
    if (expression.kind === 'name' && !expression.path.includes('.') && depth <= DEEPEST) {
      const meaning = this.names.lookUp(expression.path, statement);
      if (meaning.kind === 'def' || meaning.kind === 'class')
        return {
          local: meaning.name,
          ...(!this.names.isImportable(meaning.statement) && { importable: false }),
        };
      if (meaning.kind === 'value') return this.classOf(meaning, depth + 1);
    }
    return written;
  }
}

function reasonOfText(text: string): string {
  if (/\benviron\b|\bgetenv\b/.test(text)) return 'read from the environment when it runs';
  if (/^[rR]?[fF][rR]?['"]/.test(text)) return 'put together when it runs';
  if (/^[A-Za-z_][\w.]*$/.test(text)) return `read from ${text} when it runs`;
  return 'computed when it runs';
}
