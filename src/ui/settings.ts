import { availableParallelism, totalmem } from 'node:os';
import * as vscode from 'vscode';
import { type Executor, longestName, readExecutors } from '../core/executor.ts';
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
    const price = settings.get('workerHourPrice');
    const executors = {
      ...readExecutors(settings.get('executors'), settings.get('defaultExecutor'), thisMachine()),
      ...(typeof price === 'number' && price > 0 && { workerHourPrice: price }),
    };
    store.dispatch({ type: 'executors', executors });
    const problems = executors.problems.map(({ where, message }) => `${where}: ${message}`).join('; ');
    if (problems && problems !== told) void warn(problems, executors.problems[0]?.where);
    told = problems;
  };
  read();
  return vscode.workspace.onDidChangeConfiguration((event) => {
    if (
      event.affectsConfiguration('flowClusters.executors') ||
      event.affectsConfiguration('flowClusters.defaultExecutor') ||
      event.affectsConfiguration('flowClusters.workerHourPrice')
    ) {
      read();
    }
  });
}

async function warn(problems: string, where: string | undefined): Promise<void> {
  const open = 'Configure Executors';
  const chosen = await vscode.window.showWarningMessage(`Flow Clusters settings: ${problems}`, open);
  if (chosen === open) await vscode.commands.executeCommand(Commands.configureExecutors, { key: where });
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

/** Asks for a name that no executor has; undefined if the user gives none. @param usual offered while it is free */
export async function askExecutorName(
  executors: readonly Executor[],
  usual: string,
): Promise<string | undefined> {
  const taken = new Set(executors.map(({ name }) => name));
  const name = await vscode.window.showInputBox({
    title: 'Name of the new executor',
    value: taken.has(usual) ? '' : usual,
    validateInput: (text) => {
      const name = text.trim();
      if (name === '') return 'A name';
      if (name.length > longestName) return `At most ${longestName} characters`;
      return taken.has(name) ? 'There is one of that name' : undefined;
    },
  });
  return name?.trim();
}
