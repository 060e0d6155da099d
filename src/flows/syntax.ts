import type { FlowParameter } from '../core/flow.ts';
import type { PythonParser, SyntaxNode } from './parser.ts';

/** Where something stands: UTF-16 offsets in the statement's text, behind {@link StatementFacts.offset}. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** An expression, as far as flows and what they run on need to know it. */
export type Expression = Span & ExpressionKind;

type ExpressionKind =
  /** `etl`, `prefect.flow`, `self.flow`. */
  | { readonly kind: 'name'; readonly path: string }
  | {
      readonly kind: 'call';
      readonly callee: Expression;
      readonly args: readonly Argument[];
      /** It has arguments that can't be read here: `*args`, `**kwargs`. */
      readonly hasSplat: boolean;
    }
  /** A string without interpolation. */
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'constant'; readonly value: number | boolean | null }
  /** A list or a tuple. */
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly DictEntry[] }
  | { readonly kind: 'lambda'; readonly parameters: readonly FlowParameter[] }
  /** Anything else; `attribute` is the last name of `(…).attribute`. */
  | { readonly kind: 'other'; readonly attribute?: string };

export type CallExpression = Extract<ExpressionKind, { kind: 'call' }> & Span;

/** Without a key: `**others`. */
export interface DictEntry extends Span {
  readonly key?: Expression;
  readonly value: Expression;
}

export interface Argument extends Span {
  readonly keyword?: string;
  readonly value: Expression;
  /** Source text of the value. */
  readonly text: string;
}

/** What a statement does that may matter to flows. */
export type Fact =
  /** `path` is the qualified name that `name` now stands for: `prefect.flow`. `*` imports all names. */
  | { readonly kind: 'import'; readonly name: string; readonly path: string }
  | {
      readonly kind: 'def';
      readonly name: string;
      readonly decorators: readonly Expression[];
      readonly parameters: readonly FlowParameter[];
    }
  | { readonly kind: 'class'; readonly name: string }
  | { readonly kind: 'assign'; readonly targets: readonly string[]; readonly value: Expression }
  | { readonly kind: 'with'; readonly value: Expression; readonly target?: string }
  | { readonly kind: 'return'; readonly value: Expression }
  /** Names bound in another way (`for name in`, `import` from a relative module). */
  | { readonly kind: 'bind'; readonly name: string }
  | { readonly kind: 'expression'; readonly value: Expression };

export interface StatementFacts {
  /** The text is no valid Python; facts are then what could be read from it. */
  readonly hasError: boolean;
  readonly facts: readonly Fact[];
  /** Every call in the statement, outer ones first; none for a definition, whose header computes nothing here. */
  readonly calls: readonly CallExpression[];
  /** What spans count to the start of the statement. */
  readonly offset: number;
}

/** What `elif`, `else`, … need before them to be a statement by themselves. */
const CONTINUATION = /^(?:(el(?:if|se))|except|finally)\b/;

/**
 * Reads the facts of one statement: its header without the block.
 * @param indentation the white space before its first line, which the others have too
 */
export function readStatement(parser: PythonParser, text: string, indentation = ''): StatementFacts {
  const before = `${indentation && 'if 1:\n'}${beforeContinuation(text, indentation)}${indentation}`;
  return parser.read(`${before}${text}\n`, (root) => {
    const facts: Fact[] = [];
    for (const child of root.namedChildren) readFacts(child, facts);
    const isDefinition = facts.some((fact) => fact.kind === 'def' || fact.kind === 'class');
    const calls = isDefinition || !text.includes('(') ? [] : root.descendantsOfType('call').map(readCall);
    return { hasError: root.hasError, facts, calls, offset: before.length };
  });
}

function beforeContinuation(text: string, indentation: string): string {
  const continuation = CONTINUATION.exec(text);
  if (!continuation) return '';
  return `${indentation}${continuation[1] ? 'if 1:' : 'try:'}\n${indentation} pass\n`;
}

function readFacts(node: SyntaxNode, facts: Fact[]): void {
  switch (node.type) {
    case 'import_statement':
    case 'import_from_statement':
      readImport(node, facts);
      return;
    case 'decorated_definition':
    case 'function_definition':
    case 'class_definition':
      readDefinition(node, facts);
      return;
    case 'expression_statement':
      for (const child of node.namedChildren) readExpressionStatement(child, facts);
      return;
    case 'return_statement':
      facts.push({ kind: 'return', value: readExpression(node.firstNamedChild) });
      return;
    case 'with_statement':
      for (const item of node.descendantsOfType('with_item')) readWithItem(item, facts);
      break;
    case 'for_statement':
      for (const name of namesIn(node.childForFieldName('left'))) facts.push({ kind: 'bind', name });
      break;
  }
  // What follows on the line of a compound statement: `if x: from prefect import flow`.
  for (const child of node.namedChildren)
    if (child.type === 'block' || child.type.endsWith('_clause'))
      for (const inner of child.type === 'block' ? child.namedChildren : [child]) readFacts(inner, facts);
}

function readImport(node: SyntaxNode, facts: Fact[]): void {
  const module = node.childForFieldName('module_name');
  for (const imported of node.childrenForFieldName('name')) {
    const aliased = imported.type === 'aliased_import';
    const path = (aliased ? imported.childForFieldName('name') : imported)?.text ?? '';
    const alias = aliased ? imported.childForFieldName('alias')?.text : undefined;
    if (module) facts.push({ kind: 'import', name: alias ?? path, path: `${module.text}.${path}` });
    else if (alias) facts.push({ kind: 'import', name: alias, path });
    else {
      const [root = path] = path.split('.');
      facts.push({ kind: 'import', name: root, path: root });
    }
  }
  if (module && node.namedChildren.some((child) => child.type === 'wildcard_import'))
    facts.push({ kind: 'import', name: '*', path: module.text });
}

function readDefinition(node: SyntaxNode, facts: Fact[]): void {
  const definition = node.type === 'decorated_definition' ? node.childForFieldName('definition') : node;
  const name = definition?.childForFieldName('name')?.text;
  if (!definition || !name) return;
  if (definition.type === 'class_definition') {
    facts.push({ kind: 'class', name });
    return;
  }
  const decorators = node.namedChildren
    .filter((child) => child.type === 'decorator')
    .map((child) => readExpression(child.firstNamedChild));
  facts.push({
    kind: 'def',
    name,
    decorators,
    parameters: readParameters(definition.childForFieldName('parameters')),
  });
}

function readExpressionStatement(node: SyntaxNode, facts: Fact[]): void {
  if (node.type !== 'assignment') {
    facts.push({ kind: 'expression', value: readExpression(node) });
    return;
  }
  const targets: string[] = [];
  let value: SyntaxNode | null = node;
  while (value?.type === 'assignment') {
    targets.push(...namesIn(value.childForFieldName('left')));
    value = value.childForFieldName('right');
  }
  // `flow: Flow` binds nothing.
  if (value) facts.push({ kind: 'assign', targets, value: readExpression(value) });
}

function readWithItem(item: SyntaxNode, facts: Fact[]): void {
  let value = item.childForFieldName('value');
  if (value?.type === 'parenthesized_expression') value = value.firstNamedChild;
  const bound = value?.type === 'as_pattern' ? value : undefined;
  const target = bound?.childForFieldName('alias')?.text;
  const expression = readExpression(bound ? bound.firstNamedChild : value);
  facts.push({ kind: 'with', value: expression, ...(target && { target }) });
}

/** The plain names and dotted paths in an assignment target: `a`, `a, b`, `self.a`. */
function namesIn(node: SyntaxNode | null): string[] {
  if (!node) return [];
  if (node.type === 'identifier' || node.type === 'attribute') return [node.text];
  return ['pattern_list', 'tuple_pattern', 'list_pattern'].includes(node.type)
    ? node.namedChildren.flatMap(namesIn)
    : [];
}

function readExpression(node: SyntaxNode | null): Expression {
  if (!node) return { kind: 'other', start: 0, end: 0 };
  const inner =
    node.type === 'await' || node.type === 'parenthesized_expression' ? node.firstNamedChild : null;
  return inner ? readExpression(inner) : { ...readKind(node), ...spanOf(node) };
}

function readKind(node: SyntaxNode): ExpressionKind {
  switch (node.type) {
    case 'identifier':
      return { kind: 'name', path: node.text };
    case 'attribute': {
      const object = readExpression(node.childForFieldName('object'));
      const attribute = node.childForFieldName('attribute')?.text ?? '';
      return object.kind === 'name'
        ? { kind: 'name', path: `${object.path}.${attribute}` }
        : { kind: 'other', attribute };
    }
    case 'call':
      return readCall(node);
    case 'string':
    case 'concatenated_string': {
      const parts = node.type === 'string' ? [literal(node)] : node.namedChildren.map(literal);
      return parts.includes(undefined) ? { kind: 'other' } : { kind: 'string', value: parts.join('') };
    }
    case 'lambda':
      return { kind: 'lambda', parameters: readParameters(node.childForFieldName('parameters')) };
    case 'list':
    case 'tuple':
      return { kind: 'list', items: withoutComments(node).map(readExpression) };
    case 'dictionary':
      return { kind: 'dict', entries: withoutComments(node).map(readEntry) };
    default: {
      const value = constant(node);
      return value === undefined ? { kind: 'other' } : { kind: 'constant', value };
    }
  }
}

function spanOf(node: SyntaxNode): Span {
  return { start: node.startIndex, end: node.endIndex };
}

function withoutComments(node: SyntaxNode): SyntaxNode[] {
  return node.namedChildren.filter((child) => child.type !== 'comment');
}

function readEntry(node: SyntaxNode): DictEntry {
  const key = node.childForFieldName('key');
  const value = node.childForFieldName('value') ?? node.firstNamedChild;
  return { ...(key && { key: readExpression(key) }), value: readExpression(value), ...spanOf(node) };
}

/** Numbers that JavaScript holds exactly as Python does, `True`, `False` and `None`. */
function constant(node: SyntaxNode): number | boolean | null | undefined {
  if (node.type === 'none') return null;
  if (node.type === 'true' || node.type === 'false') return node.type === 'true';
  if (!['integer', 'float', 'unary_operator'].includes(node.type)) return undefined;
  const number = /^-?\s*(?:0[xob][\da-f_]+|[\d_]*\.?[\d_]*(?:e[-+]?\d+)?)$/i.exec(node.text)?.[0];
  if (number === undefined) return undefined;
  const digits = number.replace(/^-|[\s_]/g, '');
  const value = digits === '' ? Number.NaN : Number(digits) * (number.startsWith('-') ? -1 : 1);
  const exact = Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value));
  return exact || (Number.isFinite(value) && /[.e]/i.test(digits)) ? value : undefined;
}

function readCall(node: SyntaxNode): CallExpression {
  const args: Argument[] = [];
  let hasSplat = false;
  for (const child of node.childForFieldName('arguments')?.namedChildren ?? []) {
    if (child.type === 'list_splat' || child.type === 'dictionary_splat') hasSplat = true;
    if (child.type === 'comment' || child.type === 'list_splat' || child.type === 'dictionary_splat')
      continue;
    const keyword = child.type === 'keyword_argument' ? child.childForFieldName('name')?.text : undefined;
    const value = keyword === undefined ? child : child.childForFieldName('value');
    if (value)
      args.push({
        ...(keyword && { keyword }),
        value: readExpression(value),
        text: value.text,
        ...spanOf(child),
      });
  }
  const callee = readExpression(node.childForFieldName('function'));
  return { kind: 'call', callee, args, hasSplat, ...spanOf(node) };
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\n': '' };

/** Value of a string without interpolation or bytes; rare escapes (octal, by name) stay as written. */
function literal(node: SyntaxNode): string | undefined {
  const parts = node.namedChildren;
  const prefix = parts[0]?.text ?? '';
  if (/b/i.test(prefix) || parts.some((part) => part.type === 'interpolation')) return undefined;
  const content = parts.filter((part) => part.type === 'string_content').map((part) => part.text);
  if (/r/i.test(prefix)) return content.join('');
  return content
    .join('')
    .replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|\r?(['"\\nrt\n]))/g, (_, x, u, plain) =>
      plain === undefined ? String.fromCharCode(Number.parseInt(x ?? u, 16)) : (ESCAPES[plain] ?? plain),
    );
}

function readParameters(node: SyntaxNode | null): FlowParameter[] {
  const parameters: FlowParameter[] = [];
  for (const child of node?.namedChildren ?? []) {
    const name =
      child.type === 'identifier' ? child : (child.childForFieldName('name') ?? child.firstNamedChild);
    // `*args`, `**kwargs`, `*`, `/` and comments are no parameters.
    if (name?.type !== 'identifier') continue;
    const annotation = child.childForFieldName('type')?.text;
    const value = child.childForFieldName('value')?.text;
    if (child.type === 'identifier' || child.type.endsWith('parameter'))
      parameters.push({
        name: name.text,
        ...(annotation && { annotation }),
        ...(value && { default: value }),
      });
  }
  return parameters;
}
