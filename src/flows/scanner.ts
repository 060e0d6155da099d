/** One logical line: a line of text, or several joined by brackets, strings or backslashes. */
export interface LogicalLine {
  readonly start: number;
  readonly end: number;
  readonly line: number;
  readonly indent: number;
  readonly opensBlock: boolean;
  readonly broken: boolean;
}

/** What can't stand at the start of a line inside brackets: here a new statement begins, whatever is open. */
const STATEMENT_START =
  /@[\w.]|(?:async\s+)?def\b|class\b|(?:async\s+)?with\b|import\b|from\s+[\w.]+\s+import\b|return\b|try\s*:|while\b|raise\b|if\s+__name__\b/y;
const TAB = 9;
const NEWLINE = 10;
const FORM_FEED = 12;
const RETURN = 13;
const SPACE = 32;
const DOUBLE_QUOTE = 34;
const HASH = 35;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const COLON = 58;

/** 0 for the characters that shape a line, 1 for other ASCII. */
const PLAIN = Uint8Array.from({ length: 128 }, (_, code) =>
  ' \t\f\n\r#"\'()[]{}\\'.includes(String.fromCharCode(code)) ? 0 : 1,
);

function isOpening(code: number): boolean {
  return code === 40 || code === 91 || code === 123; // ( [ {
}

/** Cuts a text into logical lines. */
export class Scanner {
  readonly lineStarts: number[] = [0];
  unterminated = false;
  private position = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The next logical line that holds more than blanks or a comment. */
  next(): LogicalLine | undefined {
    const { text } = this;
    while (this.position < text.length) {
      const indent = this.readIndent();
      const code = text.charCodeAt(this.position);
      if (code === NEWLINE || code === RETURN) this.newline();
      else if (code === HASH) this.skipComment();
      else if (this.position < text.length) return this.readLine(indent);
    }
    return undefined;
  }

  private readIndent(): number {
    let indent = 0;
    for (; ; this.position++) {
      const code = this.text.charCodeAt(this.position);
      if (code === SPACE) indent++;
      else if (code === TAB) indent += 8 - (indent % 8);
      else if (code === FORM_FEED) indent = 0;
      else return indent;
    }
  }

  /** Steps over `\n`, `\r\n` or `\r` at the position. */
  private newline(): void {
    if (this.text.charCodeAt(this.position) === RETURN && this.text.charCodeAt(this.position + 1) === NEWLINE)
      this.position++;
    this.position++;
    this.lineStarts.push(this.position);
  }

  private skipComment(): void {
    const { text } = this;
    for (; this.position < text.length; this.position++) {
      const code = text.charCodeAt(this.position);
      if (code === NEWLINE || code === RETURN) return;
    }
  }

  private readLine(indent: number): LogicalLine {
    const { text } = this;
    const { length } = text;
    const start = this.position;
    const line = this.lineStarts.length - 1;
    let depth = 0;
    let broken = false;
    let last = 0;
    let end = start;
    // A local position: this loop sees every character of the file.
    let at = start;
    while (at < length) {
      const code = text.charCodeAt(at);
      if (PLAIN[code] ?? 1) {
        last = code;
        end = ++at;
        continue;
      }
      if (code === SPACE || code === TAB || code === FORM_FEED) {
        at++;
        continue;
      }
      this.position = at;
      if (code === NEWLINE || code === RETURN) {
        this.newline();
        if (depth === 0 || this.statementStarts(indent)) break;
      } else if (code === HASH) this.skipComment();
      else if (code === BACKSLASH) {
        end = ++this.position;
        if (this.atNewline()) this.newline();
      } else {
        if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) broken = !this.readString(code) || broken;
        else {
          this.position++;
          if (isOpening(code)) depth++;
          else if (depth > 0) depth--;
          else broken = true;
        }
        last = code;
        end = this.position;
      }
      at = this.position;
    }
    this.position = Math.max(at, this.position);
    return { start, end, line, indent, opensBlock: last === COLON, broken: broken || depth > 0 };
  }

  private atNewline(): boolean {
    const code = this.text.charCodeAt(this.position);
    return code === NEWLINE || code === RETURN;
  }

  /** Inside brackets at the start of a line: does a statement begin that no bracket can hold? */
  private statementStarts(indent: number): boolean {
    const from = this.position;
    const here = this.readIndent();
    STATEMENT_START.lastIndex = this.position;
    this.position = from;
    return here <= indent && STATEMENT_START.test(this.text);
  }

  /** Steps over a string; false when it is open at the end of its line (or of the text, if triple-quoted). */
  private readString(quote: number): boolean {
    const { text } = this;
    const isQuote = (at: number) => text.charCodeAt(at) === quote;
    const triple = isQuote(this.position + 1) && isQuote(this.position + 2);
    this.position += triple ? 3 : 1;
    while (this.position < text.length) {
      const code = text.charCodeAt(this.position);
      if (code === NEWLINE || code === RETURN) {
        if (!triple) return false;
        this.newline();
      } else if (code === BACKSLASH) {
        this.position++;
        if (this.atNewline()) this.newline();
        else this.position++;
      } else if (code !== quote) this.position++;
      else if (!triple || (isQuote(this.position + 1) && isQuote(this.position + 2))) {
        this.position += triple ? 3 : 1;
        return true;
      } else this.position++;
    }
    this.position = text.length;
    if (triple) this.unterminated = true;
    return false;
  }
}
