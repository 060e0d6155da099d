import * as vscode from 'vscode';
import { type ErrorAction, UserError } from '../core/errors.ts';
import { type Failure, toFailure } from '../core/failure.ts';
import type { Store } from '../core/store.ts';
import { Commands } from '../protocol/commands.ts';

/**
 * Logs an error and shows it once, with the button that does what comes next. A cancel by the user is no error.
 * Never rejects.
 */
export async function showError(error: unknown, log: vscode.LogOutputChannel): Promise<void> {
  if (error instanceof UserError && error.reason === 'cancelled') return;
  const failure = toFailure(error);
  logFailure(log, failure);
  // What nobody has foreseen is explained by its stack alone.
  await showFailure(error instanceof UserError ? failure : { ...failure, action: { kind: 'show-output' } });
}

/** Shows a failure that is known as data; one without a next step has no button. Never rejects. */
export async function showFailure(failure: Failure, title?: string): Promise<void> {
  const text = [title, failure.message].filter(Boolean).join(': ');
  const message = [text.replace(/\.$/, ''), failure.hint].filter(Boolean).join('. ');
  const { action } = failure;
  if (!action) {
    await vscode.window.showErrorMessage(message);
    return;
  }
  const button = buttonLabel(action);
  if ((await vscode.window.showErrorMessage(message, button)) !== button) return;
  try {
    await carryOut(action);
  } catch (error) {
    // The file of an "open" may have gone since.
    await vscode.window.showErrorMessage(`${button}: ${toFailure(error).message}`);
  }
}

/** Keeps in the log why runs and clusters ended badly, with the traceback or log lines that no message has room for. */
export function logFailures(store: Store, log: vscode.LogOutputChannel): { dispose(): void } {
  return store.onDidChange((event) => {
    if (event.type === 'run.state' && 'failure' in event.state) {
      const name = store.snapshot.runs.get(event.id)?.flow.name ?? event.id;
      logFailure(log, event.state.failure, `run ${name} ${event.state.kind}`);
    }
    if (event.type === 'cluster.state' && event.state.kind === 'failed') {
      const name = store.snapshot.clusters.get(event.id)?.name ?? event.id;
      logFailure(log, event.state.failure, `cluster ${name} failed`);
    }
  });
}

function logFailure(log: vscode.LogOutputChannel, { message, hint, detail }: Failure, title?: string): void {
  const text = [title, message].filter(Boolean).join(': ');
  log.error([text, hint, detail].filter(Boolean).join('\n'));
}

/** What an error's button says. */
export function buttonLabel(action: ErrorAction): string {
  switch (action.kind) {
    case 'select-interpreter':
      return 'Select Interpreter';
    case 'copy':
    case 'open-text':
      return action.label;
    case 'open-file':
      return action.line === undefined ? 'Open File' : 'Go to Line';
    case 'open-settings':
      return 'Open Settings';
    case 'show-output':
      return 'Show Output';
    case 'show-run':
      return 'Show Run Output';
    case 'manage-trust':
      return 'Manage Trust';
    case 'check-kubernetes':
      return 'Check Kubernetes';
    case 'undeploy':
      return `Delete ${action.pods.name}…`;
    default:
      return action satisfies never;
  }
}

/** Does what an error's button promises. */
export async function carryOut(action: ErrorAction): Promise<void> {
  switch (action.kind) {
    case 'select-interpreter':
      await vscode.commands.executeCommand(Commands.selectInterpreter);
      return;
    case 'copy':
      await vscode.env.clipboard.writeText(action.text);
      return;
    case 'open-file': {
      const position = new vscode.Position(Math.max(0, (action.line ?? 1) - 1), 0);
      const selection = new vscode.Range(position, position);
      await vscode.window.showTextDocument(vscode.Uri.file(action.path), { selection });
      return;
    }
    case 'open-settings':
      await vscode.commands.executeCommand('workbench.action.openSettings', action.key);
      return;
    case 'show-output':
      await vscode.commands.executeCommand(Commands.showOutput);
      return;
    case 'show-run':
      await vscode.commands.executeCommand(Commands.showRunLogs, { key: action.id });
      return;
    case 'manage-trust':
      await vscode.commands.executeCommand('workbench.trust.manage');
      return;
    case 'open-text': {
      const { text: content, language } = action;
      await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content, language }));
      return;
    }
    case 'check-kubernetes':
      await vscode.commands.executeCommand(Commands.checkKubernetes, { key: action.executor });
      return;
    case 'undeploy':
      await vscode.commands.executeCommand(Commands.undeployCluster, { pods: action.pods });
      return;
    default:
      action satisfies never;
  }
}
