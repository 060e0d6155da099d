import { executorSettings, UserError } from '../core/errors.ts';
import type { MemberLine } from './memberProtocol.ts';

export type FailedLine = Extract<MemberLine, { event: 'failed' }>;

/** A member could not start: what it said of that, or how it ended instead. */
export class MemberFailure extends Error {
  /** What it printed last. */
  readonly lastLines: readonly string[];
  /** Undefined if it has said nothing. */
  readonly line: FailedLine | undefined;

  constructor(failure: FailedLine | string, lastLines: readonly string[]) {
    super(typeof failure === 'string' ? failure : failure.message);
    this.line = typeof failure === 'string' ? undefined : failure;
    this.lastLines = lastLines;
  }
}

/**
 * It as the user can act on it.
 * @param known tells what is known of such a message, if anything is
 */
export function memberError(
  { line, message, lastLines }: MemberFailure,
  executor: { readonly name: string; readonly image: string },
  known: (message: string) => { readonly message: string; readonly hint: string } | undefined = () =>
    undefined,
): UserError {
  const more = { action: executorSettings, ...printedCause(lastLines) };
  if (line?.reason === 'import') {
    return new UserError(
      'package-missing',
      `The image ${executor.image} has no ${line.package ?? 'distributed'}`,
      {
        hint: 'Add "dask[distributed]" to it, in the version that the flow runs with, or choose another image.',
        ...more,
      },
    );
  }
  const problem = known(message);
  if (problem) return new UserError('cluster-failed', problem.message, { hint: problem.hint, ...more });
  return new UserError('cluster-failed', line ? `The scheduler could not start: ${line.message}` : message, {
    hint: `Check the image and the options of the executor "${executor.name}".`,
    ...more,
  });
}

/** What was printed last as a cause, which becomes the detail of the failure; nothing if nothing was. */
export function printedCause(lastLines: readonly string[]): { readonly cause?: Error } {
  const printed = lastLines.join('\n').trim();
  return printed ? { cause: new Error(printed) } : {};
}
