import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';

/** Warm starts are quicker: a notification that flashes by would only disturb. */
const quietMs = 400;

export interface ProgressOptions {
  /** A cancel is over only when the work is: it takes back what it did, and says what it can't. */
  readonly takesBack?: boolean;
}

/**
 * Does work, and shows a notification with its stages and a Cancel button as soon as it is not quick. Rejects with
 * a {@link UserError} `cancelled` when the user cancels, at once unless the work takes back what it did; `signal` tells the
 * work.
 */
export async function withLateProgress<T>(
  title: string,
  work: (signal: AbortSignal, stage: (text: string) => void) => Promise<T>,
  { takesBack = false }: ProgressOptions = {},
): Promise<T> {
  const abort = new AbortController();
  let last = '';
  let show = (_text: string): void => undefined;
  const working = work(abort.signal, (text) => {
    last = text;
    show(text);
  });
  const settled = working.then(
    () => true,
    () => true,
  );
  const quiet = new Promise<boolean>((resolve) => setTimeout(resolve, quietMs, false));
  if (await Promise.race([settled, quiet])) return working;
  const location = vscode.ProgressLocation.Notification;
  const first = await vscode.window.withProgress(
    { location, title, cancellable: true },
    async (progress, token) => {
      show = (message) => progress.report({ message });
      show(last);
      return Promise.race([settled, cancelled(token, abort)]);
    },
  );
  if (first) return working;
  if (!takesBack) throw abort.signal.reason;
  // A notification goes away with its Cancel; another one tells what is still being done.
  await vscode.window.withProgress({ location, title: `${title} (cancelled)` }, async (progress) => {
    show = (message) => progress.report({ message });
    show(last);
    await settled;
  });
  return working;
}

/** Resolves with false. */
function cancelled(token: vscode.CancellationToken, abort: AbortController): Promise<boolean> {
  return new Promise((resolve) => {
    token.onCancellationRequested(() => {
      abort.abort(new UserError('cancelled', 'Cancelled by the user'));
      resolve(false);
    });
  });
}
