import { type LogicalLine, Scanner } from './scanner.ts';

/**
 * The layout of a Python file: its statements and which block each stands in, by lines, brackets, strings and
 * indentation alone. It comes before the parser for two reasons. A half-typed statement stays one broken
 * statement and can't take the rest of the file with it, as it does in a parse of the whole text. And parsing
 * 10,000 lines takes tree-sitter some 50 ms where this takes 2, so only the statements that matter are parsed.
 */

/** One logical line with its decorators and the block under it. Offsets are UTF-16 units of the document. */
export interface Statement {
  /** Offset of the first character, that of the first decorator if it has any. */
  readonly start: number;
  /** Offset behind the logical line (behind the `:` of a compound statement and what follows it there). */
  readonly end: number;
  /** Zero-based line of the first decorator that stands right above, without blank lines; else of the text. */
  readonly line: number;
  readonly indent: number;
  /** It can't be whole: an open bracket or string, a decorator without a definition, text in a wrong column. */
  broken: boolean;
  readonly body: Statement[];
  /** Offset behind the last statement of the body; `end` without a body. */
  bodyEnd: number;
}

export interface Layout {
  readonly statements: readonly Statement[];
  /** A triple-quoted string is open at the end of the file: code and strings may have changed places. */
  readonly unterminated: boolean;
  /** Offset of the start of each line. */
  readonly lineStarts: readonly number[];
}

const BLOCK_START = /(?:async\s+)?(?:def|class|with|for|while|if|elif|else|try|except|finally|match|case)\b/y;
const DEFINITION = /(?:async\s+)?def\b|class\b/y;

/** Lays out a whole text. Never throws; linear in the length of the text. */
export function layOut(text: string): Layout {
  const scanner = new Scanner(text);
  const builder = new Builder(text);
  for (let line = scanner.next(); line; line = scanner.next()) builder.add(line);
  return { statements: builder.finish(), unterminated: scanner.unterminated, lineStarts: scanner.lineStarts };
}

/** Zero-based line of an offset. */
export function lineAt(lineStarts: readonly number[], offset: number): number {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The statements that an offset stands in, outermost first: the last one is that of the very line. */
export function statementsAt(statements: readonly Statement[], offset: number): Statement[] {
  const found: Statement[] = [];
  let block = statements;
  for (;;) {
    const next = inBlock(block, offset);
    if (!next) return found;
    found.push(next);
    if (offset <= next.end) return found;
    block = next.body;
  }
}

const LATER_CLAUSE = /(?:elif|else|except|finally)\b/y;

/**
 * The clauses of one compound statement (`if`, `elif`, `else`; `try`, `except`) up to this one: each is a statement of its
 * own here, and only the first can have something put before it. Empty where the first is missing.
 * @param block the statements that it is one of
 */
export function clausesUpTo(text: string, block: readonly Statement[], statement: Statement): Statement[] {
  const clauses: Statement[] = [];
  for (let at = block.indexOf(statement); at >= 0; at -= 1) {
    const each = block[at];
    BLOCK_START.lastIndex = each?.start ?? 0;
    if (!each || (clauses.length > 0 && !BLOCK_START.test(text))) return [];
    clauses.unshift(each);
    LATER_CLAUSE.lastIndex = each.start;
    if (!LATER_CLAUSE.test(text)) return clauses;
  }
  return [];
}

function inBlock(block: readonly Statement[], offset: number): Statement | undefined {
  let low = 0;
  let high = block.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((block[middle]?.start ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  const found = block[low];
  return found && found.start <= offset && offset <= Math.max(found.end, found.bodyEnd) ? found : undefined;
}

const NONE: readonly LogicalLine[] = [];

interface OpenBlock {
  /** Column of the block's statements; undefined until the first of them. */
  indent: number | undefined;
  readonly statements: Statement[];
  readonly owner: Statement | undefined;
}

/** Puts logical lines into blocks. */
class Builder {
  private readonly text: string;
  private readonly root: OpenBlock = { indent: undefined, statements: [], owner: undefined };
  private open: OpenBlock[] = [this.root];
  /** The blocks with statements that were closed last, outermost first. */
  private closed: OpenBlock[] = [];
  private lastOpensBlock = false;
  /** Decorators that wait for their definition. */
  private decorators: LogicalLine[] = [];

  constructor(text: string) {
    this.text = text;
  }

  add(line: LogicalLine): void {
    const first = this.decorators[0];
    if (first && first.indent !== line.indent) this.flush();
    if (this.text.charCodeAt(line.start) === 64 /* @ */) {
      this.decorators.push(line);
      return;
    }
    if (this.decorators.length === 0) {
      this.place(line, NONE, false);
      return;
    }
    const decorators = this.decorators;
    this.decorators = [];
    DEFINITION.lastIndex = line.start;
    this.place(line, decorators, !DEFINITION.test(this.text));
  }

  finish(): Statement[] {
    this.flush();
    while (this.open.length > 1) this.close();
    return this.root.statements;
  }

  /** Decorators that nothing follows: a statement of their own. */
  private flush(): void {
    const [last, ...above] = this.decorators.toReversed();
    this.decorators = [];
    if (last) this.place(last, above.reverse(), true);
  }

  private place(line: LogicalLine, decorators: readonly LogicalLine[], misplaced: boolean): void {
    const { block, unexpected } = this.blockFor(line.indent);
    const statement: Statement = {
      start: decorators[0]?.start ?? line.start,
      end: line.end,
      line: firstLine(line, decorators, this.text),
      indent: line.indent,
      broken: line.broken || misplaced || unexpected || decorators.some((decorator) => decorator.broken),
      body: [],
      bodyEnd: line.end,
    };
    block.statements.push(statement);
    this.open.push({ indent: undefined, statements: statement.body, owner: statement });
    BLOCK_START.lastIndex = line.start;
    // Its colon may not be typed yet.
    this.lastOpensBlock = line.opensBlock || BLOCK_START.test(this.text);
  }

  /** The block that a line in this column belongs to. */
  private blockFor(indent: number): { block: OpenBlock; unexpected: boolean } {
    const top = this.open.at(-1) ?? this.root;
    const parent = this.open.at(-2);
    if (parent?.indent !== undefined && indent > parent.indent) {
      const resumed = this.lastOpensBlock ? undefined : this.resume(indent);
      top.indent ??= indent;
      return { block: resumed ?? top, unexpected: !this.lastOpensBlock && !resumed };
    }
    const closed: OpenBlock[] = [];
    while (this.open.length > 1 && !((this.open.at(-1)?.indent ?? Number.POSITIVE_INFINITY) <= indent))
      closed.unshift(this.close());
    if (closed.some((each) => each.indent !== undefined)) this.closed = closed;
    const block = this.open.at(-1) ?? this.root;
    block.indent ??= indent;
    return { block, unexpected: block.indent !== indent };
  }

  /**
   * An indented line under a statement that opens no block. If a block in this column was closed by that very
   * statement, the statement is an intruder (being typed, not yet indented) and the block goes on behind it.
   */
  private resume(indent: number): OpenBlock | undefined {
    const at = this.closed.findIndex((block) => block.indent === indent);
    if (at < 0) return undefined;
    this.close();
    this.open.push(...this.closed.slice(0, at + 1));
    return this.open.at(-1);
  }

  private close(): OpenBlock {
    const block = this.open.pop() ?? this.root;
    const last = block.statements.at(-1);
    if (block.owner && last) block.owner.bodyEnd = last.bodyEnd;
    return block;
  }
}

/** The line above which a lens stands: a decorator typed further up must not pull it away. */
function firstLine(line: LogicalLine, decorators: readonly LogicalLine[], text: string): number {
  let top = line;
  for (const decorator of decorators.toReversed()) {
    if (/\n[ \t\r]*\n/.test(text.slice(decorator.end, top.start))) break;
    top = decorator;
  }
  return top.line;
}
