import * as vscode from 'vscode';
import { isOver } from '../core/run.ts';
import type { Store } from '../core/store.ts';
import type { Lenses } from './lenses.ts';

/** Of typing, after which the flows of a file are looked at anew. */
const pauseMs = 300;

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
    tell(
      'flowClusters.hasPods',
      clusters.some(({ members = [] }) => members.some(({ kind }) => kind === 'pod')),
    );
    tell(
      'flowClusters.hasKubernetes',
      store.snapshot.executors.executors.some(({ kind }) => kind === 'kubernetes'),
    );
    tell('flowClusters.hasActiveCluster', store.snapshot.activeClusterId !== undefined);
    tell('flowClusters.hasTarget', store.snapshot.targetClusterId !== undefined);
  };
  const followEditor = async (editor: vscode.TextEditor | undefined) => {
    const python = editor?.document.languageId === 'python';
    const flows = python ? await (await lenses.language()).flows(editor.document.uri.toString()) : [];
    if (vscode.window.activeTextEditor === editor) tell('flowClusters.fileHasFlow', flows.length > 0);
  };
  const followActive = () => void followEditor(vscode.window.activeTextEditor);
  let timer: NodeJS.Timeout | undefined;
  const followTyping = ({ document }: vscode.TextDocumentChangeEvent) => {
    if (document !== vscode.window.activeTextEditor?.document) return;
    clearTimeout(timer);
    timer = setTimeout(followActive, pauseMs);
  };
  followStore();
  followActive();
  return vscode.Disposable.from(
    store.onDidChange(followStore),
    vscode.window.onDidChangeActiveTextEditor(followActive),
    vscode.workspace.onDidChangeTextDocument(followTyping),
    { dispose: () => clearTimeout(timer) },
  );
}
