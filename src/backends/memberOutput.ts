import { parseLine } from '../host/lines.ts';
import { type MemberLine, memberMark } from './memberProtocol.ts';

/** What Dask logs of its daily work: the log of the member has it, a run's terminal has not. */
const quietLog = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - distributed\S* - (INFO|DEBUG) - /;
const keptLines = 30;
const mostOfLast = 300;

export interface MemberOutputEvents {
  /** It has said something to us. */
  onLine(line: MemberLine): void;
  /** It has printed something that is of interest to whoever started it, with its newline. */
  onPrint(text: string): void;
}

/** What a member says to us, and what it prints: both come as lines of one stream. */
export class MemberOutput {
  readonly #events: MemberOutputEvents;
  readonly #lines: string[] = [];

  constructor(events: MemberOutputEvents) {
    this.#events = events;
  }

  /** What it printed last. */
  get lastLines(): readonly string[] {
    return this.#lines;
  }

  take(line: string): void {
    const told = line.startsWith(memberMark) && parseLine<MemberLine>(line.slice(memberMark.length));
    if (told) {
      this.#events.onLine(told);
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
    if (!quietLog.test(line)) this.#events.onPrint(`${line}\n`);
  }
}

/** How a member ended, with the last that it printed. */
export function withLastLine(how: string, lines: readonly string[]): string {
  const last = lines.findLast((line) => line.trim() !== '');
  return last === undefined ? how : `${how}; its last line was “${last.trim().slice(0, mostOfLast)}”`;
}
