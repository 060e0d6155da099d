import type { Readable } from 'node:stream';
import type { MemberLogLine } from '../core/members.ts';
import { LineReader } from '../host/lines.ts';
import { memberMark } from './memberProtocol.ts';

const longestLine = 100_000;
/** As engines and nodes put it in front of each line: `2026-08-01T10:41:02.123456789Z `. */
const stamped = /^(\d{4}-\d\d-\d\dT[\d:]+(?:\.\d{1,3}(\d*))?(?:Z|[+-][\d:]+)) (.*)$/s;

/** Hears each line of a text. Resolves at its end, however that comes. */
export async function readLines(text: Readable, onLine: (line: string) => void): Promise<void> {
  const reader = new LineReader(onLine, longestLine);
  text.setEncoding('utf8').on('data', (chunk: string) => reader.push(chunk));
  await new Promise<void>((resolve) => {
    for (const end of ['end', 'close', 'error']) text.once(end, () => resolve());
  });
  text.on('error', () => undefined); // one that is destroyed may still say that it broke
  reader.end();
}

/** Hears of the lines of a log with times what a member has printed, till the signal aborts; what it says to us is left out. */
export function readMemberLog(
  text: Readable,
  signal: AbortSignal,
  onLine: (line: MemberLogLine) => void,
): Promise<void> {
  return readLines(text, (line) => {
    const told = logLine(line);
    if (!signal.aborted && !told.text.startsWith(memberMark)) onLine(told);
  });
}

/** A line with when it was printed, to the part of a millisecond: lines are told apart by it. */
function logLine(line: string): MemberLogLine {
  const [, stamp = '', part = '', text] = stamped.exec(line) ?? [];
  return text === undefined ? { text: line } : { timeMs: Date.parse(stamp) + Number(`0.${part || 0}`), text };
}
