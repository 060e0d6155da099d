import * as vscode from 'vscode';
import { isOver } from '../core/run.ts';
import type { Store } from '../core/store.ts';
import type { Lenses } from './lenses.ts';

/** The keys that menus and the palette go by: whether there is something to cancel, to stop, to run, to clear. */
export function followContext(store: Store, lenses: Lenses): vscode.Disposable {
  const told = new Map<string, boolean>();
  const tell = (key: string, value: boolean) => {
    if (told.get(key) === value) return;
    told.set(key, value);
    void vscode.commands.executeCommand('setContext', key, value);
  };
  const followStore = () => {
    const runs = [...store.snapshot.runs.values()];
    tell(
      'flowClusters.hasLiveRuns',
      runs.some((run) => !isOver(run)),
    );
    tell('flowClusters.hasFinishedRuns', runs.some(isOver));
    const clusters = [...store.snapshot.clusters.values()];
    tell('flowClusters.hasClusters', clusters.length > 0);
    tell(
      'flowClusters.hasStaticClusters',
      clusters.some(({ lifetime, ownership }) => lifetime === 'static' && ownership !== 'discovered'),
    );
    tell(
      'flowClusters.hasOwnedClusters',
      clusters.some(({ ownership }) => ownership === 'owned'),
    );
    tell(
      'flowClusters.hasAttachedClusters',
      clusters.some(({ ownership }) => ownership === 'attached'),
    );
    tell(
      'flowClusters.hasDrains',
      clusters.some(({ drains = [] }) => drains.length > 0),
    );
    tell(
      'flowClusters.hasContainers',
      clusters.some(({ members = [] }) => members.some(({ state }) => state === 'running')),
    );
    tell('flowClusters.hasActiveCluster', store.snapshot.activeClusterId !== undefined);
    tell('flowClusters.hasTarget', store.snapshot.targetClusterId !== undefined);
  };
  const followEditor = async (editor: vscode.TextEditor | undefined) => {
    const python = editor?.document.languageId === 'python';
    const flows = python ? await (await lenses.language()).flows(editor.document.uri.toString()) : [];
    if (vscode.window.activeTextEditor === editor) tell('flowClusters.fileHasFlow', flows.length > 0);
  };
  followStore();
  void followEditor(vscode.window.activeTextEditor);
  return vscode.Disposable.from(
    store.onDidChange(followStore),
    vscode.window.onDidChangeActiveTextEditor((editor) => void followEditor(editor)),
    vscode.workspace.onDidSaveTextDocument(() => void followEditor(vscode.window.activeTextEditor)),
  );
}
