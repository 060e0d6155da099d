import { stripVTControlCharacters } from 'node:util';

/** A line of `distributed`'s own logging, as workers print it too. */
const loggedLine = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - distributed\S* - [A-Z]+ - /;
/** Its worker's log has been read within this time, if it will be. */
const holdMs = 5000;
const heldBlocks = 1000;
const longestLine = 10_000;

interface Block {
  readonly lines: readonly string[];
  readonly untilMs: number;
}

/**
 * What workers print, without the lines of their log: these come from their log as well, with the worker's name. One
 * that does not come from there in time, as its worker has died, is passed on after all.
 */
export class PrintedLog {
  readonly #say: (lines: readonly string[]) => void;
  #held: Block[] = [];
  #partial = '';

  constructor(say: (lines: readonly string[]) => void) {
    this.#say = say;
  }

  /** Takes in what was printed, in pieces of any size. */
  write(text: string, nowMs: number): void {
    const lines = (this.#partial + stripVTControlCharacters(text)).split(/\r?\n/).map(asShown);
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > longestLine) lines.push(this.#partial);
    if (this.#partial.length > longestLine) this.#partial = '';
    let block: string[] | undefined;
    const free: string[] = [];
    for (const line of lines) {
      if (loggedLine.test(line)) {
        block = [line];
        this.#held.push({ lines: block, untilMs: nowMs + holdMs });
      } else if (block) block.push(line);
      else free.push(line);
    }
    if (free.length > 0) this.#say(free);
    this.release(nowMs);
  }

  /** These lines of workers' logs are known now. */
  logged(texts: readonly string[], nowMs: number): void {
    if (this.#held.length === 0) return;
    const known = new Set(texts);
    const rest: Block[] = [];
    const free: string[] = [];
    for (const block of this.#held) {
      const count = matching(block.lines, known);
      // What follows a log line in the same piece may be its traceback, or the next thing printed.
      if (count > 0) free.push(...block.lines.slice(count));
      else rest.push(block);
    }
    this.#held = rest;
    if (free.length > 0) this.#say(free);
    this.release(nowMs);
  }

  /** Passes on what has waited long enough; to be called now and then. */
  release(nowMs: number): void {
    const due = this.#held.findIndex(({ untilMs }) => untilMs > nowMs);
    const count = Math.max(due < 0 ? this.#held.length : due, this.#held.length - heldBlocks);
    const free = this.#held.splice(0, count).flatMap(({ lines }) => lines);
    if (free.length > 0) this.#say(free);
  }
}

/** A progress bar writes over itself: the last state of it counts. */
const asShown = (line: string): string => line.slice(line.lastIndexOf('\r', line.length - 2) + 1);

/** How many lines of a block are one line of a log, which may hold line breaks. */
function matching(lines: readonly string[], known: ReadonlySet<string>): number {
  for (let count = lines.length; count > 0; count -= 1) {
    if (known.has(lines.slice(0, count).join('\n'))) return count;
  }
  return 0;
}
