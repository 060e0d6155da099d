import { readExecutor } from './executor.ts';
import type { SavedExecutor } from './savedExecutor.ts';
import type { UnreadLines } from './written.ts';
import type * as Yaml from './yaml.ts';

/**
 * Reads an executor as the settings have it, in JSON or YAML.
 * @param name its name where the text says none
 */
export function profileOf(
  text: string,
  name: string,
  { parse }: Pick<typeof Yaml, 'parse'>,
): SavedExecutor | UnreadLines {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    return unread(error);
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    return { problem: 'An executor is an object with "kind" and its options.' };
  const read = readExecutor({ name, ...raw });
  if ('executor' in read) return { profile: read.executor, leftOut: [] };
  const [first] = read.problems;
  const line = lineOf(text, first?.path.at(-1) ?? /unknown option "([^"]*)"/.exec(first?.message ?? '')?.[1]);
  return { problem: first?.message ?? '', ...(line !== undefined && { line }) };
}

/** Where an option stands: the text may have more of its name, in other options. */
function lineOf(text: string, key: string | undefined): number | undefined {
  if (key === undefined) return undefined;
  const lines = text.split('\n').map((line) => line.replace(/^[\s{,-]*/, ''));
  const line = lines.findIndex((one) => [`${key}:`, `"${key}":`].some((start) => one.startsWith(start)));
  return line < 0 ? undefined : line;
}

function unread(error: unknown): UnreadLines {
  if (!(error instanceof Error)) throw error;
  const { message, linePos } = error as Error & { linePos?: readonly { line: number }[] };
  const line = linePos?.[0]?.line;
  // What the library says goes on with the lines themselves.
  const problem = message.replace(/ at line \d+, column \d+:[\s\S]*$/, '');
  return { problem, ...(line !== undefined && { line: line - 1 }) };
}
