import * as vscode from 'vscode';
import { adviseCluster, type ClusterAdvice, staticClustersOf } from '../core/clusterAdvice.ts';
import { describeExecutor, type Executor, makesClusters } from '../core/executor.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { followAdvice } from '../runs/adviceNews.ts';
import type { ClusterCommands } from './clusterCommands.ts';
import { showError } from './messages.ts';
import { setDefaultExecutor } from './settings.ts';

export interface ClusterAdviceOptions {
  readonly store: Store;
  readonly clusters: ClusterCommands;
  /** Of the workspace. */
  readonly memory: vscode.Memento;
  readonly log: vscode.LogOutputChannel;
}

const startStatic = 'Start Static Cluster';
const useTemporary = 'Use Temporary Clusters';
const canBeAdvised = (executor: Executor) => makesClusters(executor) || executor.kind === 'existing';

/** Tells whether temporary or static clusters suit an executor, and turns it round at the press of a button. */
export class ClusterAdvisor implements vscode.Disposable {
  readonly #options: ClusterAdviceOptions;
  readonly #listening: { dispose(): void };

  constructor(options: ClusterAdviceOptions) {
    this.#options = options;
    this.#listening = followAdvice({
      ...options,
      tell: (executor, advice) => {
        this.#offer(executor, advice).catch((error: unknown) => void showError(error, options.log));
      },
    });
  }

  dispose(): void {
    this.#listening.dispose();
  }

  /** Says it of the executor of a row, or of one that the user picks. */
  async show(node?: Pick<TreeNode, 'key'>): Promise<void> {
    const { snapshot } = this.#options.store;
    const name = node?.key ?? (await this.#pick());
    if (name === undefined) return;
    const advice = adviseCluster(name, snapshot, Date.now());
    if (advice) {
      await this.#offer(name, advice);
      return;
    }
    await vscode.window.showInformationMessage(
      `${name}: what is known of its runs of the last 30 days gives no reason to change between temporary and static clusters.`,
    );
  }

  async #pick(): Promise<string | undefined> {
    const { snapshot } = this.#options.store;
    const items = snapshot.executors.executors.filter(canBeAdvised).map((executor) => {
      const advice = adviseCluster(executor.name, snapshot, Date.now());
      return {
        label: executor.name,
        description: describeExecutor(executor),
        ...(advice && { detail: advice.message }),
      };
    });
    if (items.length === 1) return items[0]?.label;
    return (
      await vscode.window.showQuickPick(items, { title: 'Temporary or static clusters of which executor?' })
    )?.label;
  }

  async #offer(executor: string, { to, message }: ClusterAdvice): Promise<void> {
    const convert = to === 'static' ? startStatic : useTemporary;
    const buttons = this.#canConvert(executor) ? [convert, 'Not Now'] : [];
    const chosen = await vscode.window.showInformationMessage(`${executor}: ${message}.`, ...buttons);
    if (chosen === startStatic) await this.#toStatic(executor);
    if (chosen === useTemporary) await this.#toTemporary(executor);
  }

  async #toStatic(executor: string): Promise<void> {
    const { store, clusters } = this.#options;
    const clusterId = await clusters.start({ key: executor, context: 'executor' });
    // It may have been stopped while it started.
    if (clusterId !== undefined && store.snapshot.clusters.has(clusterId)) {
      store.dispatch({ type: 'target', clusterId });
    }
  }

  /** Of clusters that are not ours there is nothing to turn round where runs do not go there by themselves. */
  #canConvert(name: string): boolean {
    if (this.#executor(name)?.kind !== 'existing') return true;
    const { executors, targetClusterId, clusters } = this.#options.store.snapshot;
    const target = targetClusterId === undefined ? undefined : clusters.get(targetClusterId);
    return this.#local() !== undefined && (target?.name ?? executors.defaultName) === name;
  }

  #executor(name: string): Executor | undefined {
    return this.#options.store.snapshot.executors.executors.find((one) => one.name === name);
  }

  #local(): Executor | undefined {
    return this.#options.store.snapshot.executors.executors.find(({ kind }) => kind === 'local');
  }

  /** What runs on the static clusters goes on, and they stay until the user stops them: data may be kept there. */
  async #toTemporary(executor: string): Promise<void> {
    const { store, clusters } = this.#options;
    const { targetClusterId } = store.snapshot;
    if (this.#executor(executor)?.kind === 'existing') {
      const local = this.#local();
      if (local) await setDefaultExecutor(store, local.name);
      return;
    }
    const left = staticClustersOf(executor, store.snapshot.clusters.values());
    if (left.some(({ id }) => id === targetClusterId)) {
      if (store.snapshot.executors.defaultName === executor) clusters.stopUsing();
      else await setDefaultExecutor(store, executor);
    }
    for (const { id, name } of left) {
      const stop = 'Stop Cluster';
      const text = `${name} is not used for runs now, and still there.`;
      if ((await vscode.window.showInformationMessage(text, stop, 'Keep')) === stop)
        await clusters.stop({ key: id });
    }
  }
}
