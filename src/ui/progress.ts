import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';

/** Warm starts are quicker: a notification that flashes by would only disturb. */
const quietMs = 400;

/**
 * Does work, and shows a notification with its stages and a Cancel button as soon as it is not quick. Rejects with
 * a {@link UserError} `cancelled` at once when the user cancels; `signal` tells the work.
 */
export async function withLateProgress<T>(
  title: string,
  work: (signal: AbortSignal, stage: (text: string) => void) => Promise<T>,
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
  return vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title, cancellable: true },
    (progress, token) => {
      show = (message) => progress.report({ message });
      show(last);
      return Promise.race([working, cancelled(token, abort)]);
    },
  );
}

function cancelled(token: vscode.CancellationToken, abort: AbortController): Promise<never> {
  return new Promise((_resolve, reject) => {
    token.onCancellationRequested(() => {
      abort.abort();
      reject(new UserError('cancelled', 'Cancelled by the user'));
    });
  });
}
