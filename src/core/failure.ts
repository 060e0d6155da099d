import { type ErrorAction, UserError } from './errors.ts';

/** Why a cluster or run ended badly, as plain data: shown in the tree, in messages and in the history. */
export interface Failure {
  /** One sentence: what failed and where. */
  readonly message: string;
  /** What to do next. */
  readonly hint?: string;
  /** Traceback or log lines. */
  readonly detail?: string;
  readonly action?: ErrorAction;
}

/** What the user is shown for any thrown value. */
export function toFailure(error: unknown): Failure {
  if (error instanceof UserError) {
    const { hint, action, cause } = error;
    const detail =
      cause instanceof Error && !error.message.includes(cause.message) ? cause.message : undefined;
    return {
      message: error.message,
      ...(hint && { hint }),
      ...(detail && { detail }),
      ...(action && { action }),
    };
  }
  if (error instanceof Error) return { message: error.message, ...(error.stack && { detail: error.stack }) };
  return { message: String(error) };
}
