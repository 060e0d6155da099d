import * as vscode from 'vscode';
import { plural } from '../core/executor.ts';
import { isOver } from '../core/run.ts';
import { clusterOf, type Store } from '../core/store.ts';
import { runDescription } from '../core/tree.ts';
import { targetName } from './lenses.ts';

/** Says what runs now, or what the next run would use. A click shows the sidebar. */
export function createStatusBar(store: Store): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('flowClusters.status', vscode.StatusBarAlignment.Left, 0);
  item.name = 'Flow Clusters';
  item.command = 'flowClusters.clusters.focus';
  const draw = () => {
    const { snapshot } = store;
    const live = [...snapshot.runs.values()].filter((run) => !isOver(run));
    const run = live.at(-1);
    if (run) {
      const more = live.length > 1 ? ` (+${live.length - 1})` : '';
      item.text = `$(loading~spin) ${run.flow.name} ${runDescription(run, Date.now(), clusterOf(snapshot, run))}${more}`;
      item.tooltip = `Flow Clusters: ${plural(live.length, 'run')} now. Click to see them.`;
    } else {
      item.text = `$(server-process) ${targetName(snapshot)}`;
      item.tooltip = `Flow Clusters: flows run with ${targetName(snapshot)}. Click to see clusters and runs.`;
    }
    item.accessibilityInformation = { label: `Flow Clusters: ${item.text.replace(/\$\([^)]*\) /, '')}` };
  };
  const follow = () => {
    draw();
    const python = vscode.window.activeTextEditor?.document.languageId === 'python';
    const clusters = [...store.snapshot.clusters.values()];
    if (python || clusters.some(({ ownership }) => ownership !== 'discovered')) item.show();
    else item.hide();
  };
  follow();
  const clock = setInterval(() => {
    if ([...store.snapshot.runs.values()].some((run) => !isOver(run))) draw();
  }, 1_000);
  return vscode.Disposable.from(
    item,
    store.onDidChange(follow),
    vscode.window.onDidChangeActiveTextEditor(follow),
    { dispose: () => clearInterval(clock) },
  );
}
