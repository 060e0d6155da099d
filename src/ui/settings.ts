import { availableParallelism, totalmem } from 'node:os';
import * as vscode from 'vscode';
import { readExecutors } from '../core/executor.ts';
import type { Machine } from '../core/scaling.ts';
import type { Store } from '../core/store.ts';
import { Commands } from '../protocol/commands.ts';

/** Where local clusters are started. */
export function thisMachine(): Machine {
  return { cores: availableParallelism(), memoryBytes: totalmem() };
}

/** Keeps the store's executors as the settings say. What is wrong with them is told once, when it comes up. */
export function followSettings(store: Store): vscode.Disposable {
  let told = '';
  const read = () => {
    const settings = vscode.workspace.getConfiguration('flowClusters');
    const executors = readExecutors(
      settings.get('executors'),
      settings.get('defaultExecutor'),
      thisMachine(),
    );
    store.dispatch({ type: 'executors', executors });
    const problems = executors.problems.map(({ where, message }) => `${where}: ${message}`).join('; ');
    if (problems && problems !== told) void warn(problems);
    told = problems;
  };
  read();
  return vscode.workspace.onDidChangeConfiguration((event) => {
    if (
      event.affectsConfiguration('flowClusters.executors') ||
      event.affectsConfiguration('flowClusters.defaultExecutor')
    ) {
      read();
    }
  });
}

async function warn(problems: string): Promise<void> {
  const open = 'Open Settings';
  const chosen = await vscode.window.showWarningMessage(`Flow Clusters settings: ${problems}`, open);
  if (chosen === open) await vscode.commands.executeCommand(Commands.configureExecutors);
}

/** Makes an executor the default: for this workspace if there is one, and runs use it again. */
export async function setDefaultExecutor(store: Store, chosen?: string): Promise<void> {
  const names = store.snapshot.executors.executors.map((executor) => executor.name);
  const title = 'Which executor should lenses run on?';
  const name = chosen ?? (await vscode.window.showQuickPick(names, { title }));
  if (name === undefined) return;
  const target = vscode.workspace.workspaceFolders
    ? vscode.ConfigurationTarget.Workspace
    : vscode.ConfigurationTarget.Global;
  store.dispatch({ type: 'target', clusterId: undefined });
  await vscode.workspace.getConfiguration('flowClusters').update('defaultExecutor', name, target);
}
