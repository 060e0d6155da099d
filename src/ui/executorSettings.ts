import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';
import type { Saved } from '../core/executorDraft.ts';
import { savedExecutors } from '../core/executorDraft.ts';
import {
  editDefault,
  editExecutors,
  type ListChange,
  requireSame,
  type SettingsRoot,
} from '../core/settingsEdit.ts';

const reloadLimitMs = 5_000;

/** The settings that executors are written to. */
export interface ExecutorPlace {
  readonly target: vscode.ConfigurationTarget;
  /** As text goes on with it: `workspace settings`. */
  readonly name: string;
  /** What the list has there now. */
  readonly list: readonly unknown[];
}

/**
 * Where executors are changed and added: a list in the workspace hides the user's, so whichever counts now is the one. What
 * the workspace of a folder that is not trusted has can't be read, and so is not written to either.
 */
export function executorPlace(): ExecutorPlace {
  const { Global, Workspace } = vscode.ConfigurationTarget;
  const { workspaceValue, globalValue } = settings().inspect<unknown>('executors') ?? {};
  const { workspaceFolders, isTrusted } = vscode.workspace;
  const hasFolder = (workspaceFolders?.length ?? 0) > 0;
  const isInWorkspace =
    isTrusted && (workspaceValue !== undefined || (globalValue === undefined && hasFolder));
  const value = isInWorkspace ? workspaceValue : globalValue;
  return {
    target: isInWorkspace ? Workspace : Global,
    name: isInWorkspace ? 'workspace settings' : 'user settings',
    list: Array.isArray(value) ? value : [],
  };
}

/** All executors that can be edited. */
export const editableExecutors = (): Saved[] => savedExecutors(settings().get('executors'));

/**
 * Changes one executor in the settings. The default executor stays the default under its new name, and there is none after
 * the one that it was.
 * @param name of the executor before, where it had one, and after, where it is still there
 * @throws {UserError} where the settings cannot be written to
 */
export async function changeExecutors(
  change: ListChange,
  name: { readonly before?: string | undefined; readonly after?: string | undefined },
): Promise<void> {
  const place = executorPlace();
  // What the file has is looked at again before it is written.
  if (change.kind !== 'add') requireSame(place.list[change.index], change.was);
  const renamed = name.before !== name.after ? defaultPlaces(name.before) : [];
  const reloaded = nextReload();
  const file = place.target === vscode.ConfigurationTarget.Workspace ? workspaceFile() : undefined;
  if (file) {
    const here = name.after !== undefined && renamed.includes(place.target) ? name.after : undefined;
    await writeFile(file.uri, (text) => {
      const edited = editExecutors(text, file.root, change);
      return here === undefined ? edited : editDefault(edited, file.root, here);
    });
    await reloaded;
    for (const target of renamed)
      if (here === undefined || target !== place.target) await setDefault(name.after, target);
    return;
  }
  // Both names are there until the default has changed: a default without an executor is told as a problem.
  if (change.kind === 'set' && renamed.length > 0)
    await settings().update('executors', [...place.list, change.value], place.target);
  for (const target of renamed) await setDefault(name.after, target);
  await settings().update('executors', changed(place.list, change), place.target);
}

/** Shows the list in the JSON that it stands in. */
export async function openExecutorSettings(): Promise<void> {
  const { target } = executorPlace();
  const where =
    target === vscode.ConfigurationTarget.Workspace ? 'openWorkspaceSettingsFile' : 'openSettingsJson';
  await vscode.commands.executeCommand(`workbench.action.${where}`, {
    revealSetting: { key: 'flowClusters.executors', edit: false },
  });
}

const settings = () => vscode.workspace.getConfiguration('flowClusters');

function changed(list: readonly unknown[], change: ListChange): unknown[] {
  if (change.kind === 'add') return [...list, change.value];
  if (change.kind === 'remove') return list.filter((_, i) => i !== change.index);
  return list.map((one, i) => (i === change.index ? change.value : one));
}

/** Where an executor is named as the default. The files of a folder that is not trusted are left alone. */
function defaultPlaces(name: string | undefined): vscode.ConfigurationTarget[] {
  if (name === undefined) return [];
  const { workspaceValue, globalValue } = settings().inspect<string>('defaultExecutor') ?? {};
  const { Global, Workspace } = vscode.ConfigurationTarget;
  const isInWorkspace = vscode.workspace.isTrusted && workspaceValue === name;
  return [...(isInWorkspace ? [Workspace] : []), ...(globalValue === name ? [Global] : [])];
}

const setDefault = (name: string | undefined, target: vscode.ConfigurationTarget) =>
  settings().update('defaultExecutor', name, target);

/** The file that settings of the workspace stand in, unless it has none on a disk. */
function workspaceFile(): { readonly uri: vscode.Uri; readonly root: SettingsRoot } | undefined {
  const { workspaceFile: file, workspaceFolders } = vscode.workspace;
  if (file) return file.scheme === 'untitled' ? undefined : { uri: file, root: ['settings'] };
  const [folder] = workspaceFolders ?? [];
  return folder && { uri: vscode.Uri.joinPath(folder.uri, '.vscode', 'settings.json'), root: [] };
}

/** VS Code itself would write the list anew, without the comments in it. */
async function writeFile(uri: vscode.Uri, edit: (text: string) => string): Promise<void> {
  const exists = await vscode.workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
  if (!exists) {
    await vscode.workspace.fs.writeFile(uri, new TextEncoder().encode(`${edit('').trim()}\n`));
    return;
  }
  const document = await vscode.workspace.openTextDocument(uri);
  const name = vscode.workspace.asRelativePath(uri);
  if (document.isDirty) {
    throw new UserError('setting', `${name} has changes that are not saved`, {
      hint: 'Save it first: what is written there now would be saved with the executor.',
      action: { kind: 'open-file', path: uri.fsPath },
    });
  }
  const text = document.getText();
  const edits = new vscode.WorkspaceEdit();
  edits.replace(uri, new vscode.Range(document.positionAt(0), document.positionAt(text.length)), edit(text));
  const applied = await vscode.workspace.applyEdit(edits);
  // What the editor has saved by itself meanwhile can't be saved again.
  if (applied && ((await document.save()) || !document.isDirty)) return;
  throw new UserError('setting', `${name} could not be written`, {
    hint: 'See whether the file can be changed.',
    action: { kind: 'open-file', path: uri.fsPath },
  });
}

/** Resolves when VS Code has read the list again, or has had time enough to. */
function nextReload(): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      listening.dispose();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, reloadLimitMs);
    const listening = vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('flowClusters.executors')) done();
    });
  });
}
