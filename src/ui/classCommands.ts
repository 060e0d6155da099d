import * as vscode from 'vscode';
import type { ClusterClassExecutor } from '../core/clusterClassExecutor.ts';
import { describeExecutor } from '../core/executor.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { classText } from '../protocol/classText.ts';
import { type FlowCommands, requireTrust } from './flowCommands.ts';
import { withLateProgress } from './progress.ts';

export interface ClassCommandsOptions {
  readonly store: Store;
  readonly flows: FlowCommands;
}

/** What is there for cluster classes alone. */
export class ClassCommands {
  readonly #options: ClassCommandsOptions;

  constructor(options: ClassCommandsOptions) {
    this.#options = options;
  }

  /** Shows what a cluster class takes: that of the row's executor, or of an import path that the user types or picks. */
  async describe(node?: TreeNode): Promise<void> {
    requireTrust();
    const executors = this.#options.store.snapshot.executors.executors.filter(
      (one) => one.kind === 'clusterClass',
    );
    const own = executors.find(({ name }) => name === node?.key);
    const path = own?.cluster_class ?? (await pickPath(executors));
    if (!path) return;
    const { cluster_kwargs } = own ?? executors.find(({ cluster_class }) => cluster_class === path) ?? {};
    const description = await withLateProgress(`Describe ${path}`, async (signal, stage) => {
      stage('importing it');
      const host = await this.#options.flows.host(vscode.window.activeTextEditor?.document.uri);
      return host.describeClass(path, signal, cluster_kwargs);
    });
    const content = classText(path, description);
    await vscode.window.showTextDocument(
      await vscode.workspace.openTextDocument({ content, language: 'markdown' }),
    );
  }
}

/** Asks for an import path; those of the executors are offered. */
async function pickPath(executors: readonly ClusterClassExecutor[]): Promise<string | undefined> {
  const known = executors.map((one) => ({ label: one.cluster_class, description: describeExecutor(one) }));
  const usual = ['distributed.LocalCluster', 'distributed.SSHCluster', 'dask_jobqueue.SLURMCluster'];
  const others = usual.filter((path) => known.every(({ label }) => label !== path));
  const pick = vscode.window.createQuickPick();
  pick.title = 'Describe which cluster class?';
  pick.placeholder = 'Import path of a class, or of a function that makes a cluster';
  const items = [...known, ...others.map((label) => ({ label }))];
  pick.items = items;
  pick.onDidChangeValue((value) => {
    const typed = value.trim();
    pick.items = typed && items.every(({ label }) => label !== typed) ? [{ label: typed }, ...items] : items;
  });
  try {
    return await new Promise((resolve) => {
      pick.onDidAccept(() => resolve(pick.selectedItems[0]?.label));
      pick.onDidHide(() => resolve(undefined));
      pick.show();
    });
  } finally {
    pick.dispose();
  }
}
