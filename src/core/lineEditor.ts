/** What a key press means for the program that reads the line. */
export interface Typed {
  /** What the terminal shows for it. */
  readonly echo: string;
  /** What the program gets: whole lines, each with its newline. */
  readonly send: string;
  /** Ctrl-D on an empty line: the input is at its end. */
  readonly end: boolean;
  /** Ctrl-C. */
  readonly cancel: boolean;
}

const escapes: Readonly<Record<string, 'left' | 'right' | 'home' | 'end' | 'delete'>> = {
  '[D': 'left',
  OD: 'left',
  '[C': 'right',
  OC: 'right',
  '[H': 'home',
  OH: 'home',
  '[1~': 'home',
  '[F': 'end',
  OF: 'end',
  '[4~': 'end',
  '[3~': 'delete',
};
const controls: Readonly<Record<string, string>> = {
  '\x01': 'home',
  '\x02': 'left',
  '\x05': 'end',
  '\x06': 'right',
  '\x0b': 'kill',
  '\x15': 'clear',
  '\x17': 'word',
  '\x7f': 'backspace',
  '\b': 'backspace',
};

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminals speak in them.
const token = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[A-Za-z]|.|$)|\r\n|[^\p{Cc}]+|[\s\S]/gu;
const segments = new Intl.Segmenter();

/**
 * Edits a line as a terminal's own line discipline does, for programs whose stdin is no terminal: they get a line
 * when Enter is pressed. Knows nothing of output that comes in between.
 */
export class LineEditor {
  /** Characters as a reader counts them, so that one key takes one away. */
  #line: string[] = [];
  #cursor = 0;

  /** Takes what the terminal sends: a key, or a paste. */
  type(data: string): Typed {
    let echo = '';
    let send = '';
    for (const [key] of data.matchAll(token)) {
      if (key === '\r' || key === '\n' || key === '\r\n') {
        send += `${this.#line.join('')}\n`;
        echo += `${this.#move(this.#line.length)}\r\n`;
        this.#reset();
      } else if (key === '\x03') {
        this.#reset();
        return { echo: `${echo}^C\r\n`, send, end: false, cancel: true };
      } else if (key === '\x04') {
        if (this.#line.length === 0) return { echo, send, end: true, cancel: false };
      } else {
        echo += this.#edit(key);
      }
    }
    return { echo, send, end: false, cancel: false };
  }

  #reset(): void {
    this.#line = [];
    this.#cursor = 0;
  }

  #edit(key: string): string {
    switch (key.startsWith('\x1b') ? escapes[key.slice(1)] : controls[key]) {
      case 'left':
        return this.#move(this.#cursor - 1);
      case 'right':
        return this.#move(this.#cursor + 1);
      case 'home':
        return this.#move(0);
      case 'end':
        return this.#move(this.#line.length);
      case 'backspace':
        return this.#cursor === 0 ? '' : this.#replace(this.#cursor - 1, this.#cursor, '');
      case 'delete':
        return this.#replace(this.#cursor, this.#cursor + 1, '');
      case 'kill':
        return this.#replace(this.#cursor, this.#line.length, '');
      case 'clear':
        return this.#replace(0, this.#cursor, '');
      case 'word':
        return this.#replace(this.#wordStart(), this.#cursor, '');
      default:
        // A tab is kept; other control characters and keys without a meaning here are not.
        return key === '\t' || !/^\p{Cc}/u.test(key) ? this.#replace(this.#cursor, this.#cursor, key) : '';
    }
  }

  #wordStart(): number {
    const before = this.#line.slice(0, this.#cursor).join('');
    return split(before.replace(/\S*\s*$/u, '')).length;
  }

  #move(to: number): string {
    const target = Math.min(Math.max(to, 0), this.#line.length);
    const echo =
      target < this.#cursor
        ? back(this.#line.slice(target, this.#cursor))
        : this.#line.slice(this.#cursor, target).map(shown).join('');
    this.#cursor = target;
    return echo;
  }

  /** Puts text in the place of a part of the line: shows all that follows anew and goes back to the cursor. */
  #replace(from: number, to: number, text: string): string {
    const goFrom = this.#move(from);
    const old = this.#line.slice(from);
    // An accent that is typed after its letter becomes one character with it.
    const before = split(this.#line.slice(0, from).join('') + text);
    const after = this.#line.slice(to);
    const added = text === '' ? '' : shown(text);
    this.#line = [...before, ...after];
    this.#cursor = before.length;
    const tail = after.map(shown).join('');
    const blanks = text === '' ? Math.max(0, width(old) - width(after)) : 0;
    return `${goFrom}${added}${tail}${' '.repeat(blanks)}${'\b'.repeat(blanks)}${back(after)}`;
  }
}

function split(text: string): string[] {
  return Array.from(segments.segment(text), ({ segment }) => segment);
}

/** A tab's width depends on where it stands: shown as one blank, it can be taken back. */
function shown(text: string): string {
  return text === '\t' ? ' ' : text;
}

function back(characters: readonly string[]): string {
  return '\b'.repeat(width(characters));
}

const wide =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hangul}|\p{Script=Hiragana}|\p{Script=Katakana}|[\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]/u;

/** Columns that a terminal shows the characters in: two for emoji and most of East Asia's. */
function width(characters: readonly string[]): number {
  return characters.reduce((sum, character) => sum + (wide.test(character) ? 2 : 1), 0);
}
