import * as vscode from 'vscode';
import { type Cluster, freeName, isLive } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import { describeExecutor, makesClusters, type OwnExecutor, warningDetail } from '../core/executor.ts';
import type { ClusterManager } from '../core/manager.ts';
import { isOver } from '../core/run.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { missingPackage } from '../host/errors.ts';
import type { HostPool } from '../host/pool.ts';
import type { ClusterOutputs } from '../runs/clusterOutputs.ts';
import type { ClusterLogs } from './clusterLogs.ts';
import { type FlowCommands, requireTrust } from './flowCommands.ts';
import { pickCluster } from './picks.ts';
import { type Backends, backendOf } from './targets.ts';

export interface ClusterCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly outputs: ClusterOutputs;
  readonly flows: FlowCommands;
  readonly pool: HostPool;
  readonly logs: ClusterLogs;
  readonly backends: Backends;
}

/** What can be done to clusters from the tree and the palette. */
export class ClusterCommands {
  readonly #options: ClusterCommandsOptions;

  constructor(options: ClusterCommandsOptions) {
    this.#options = options;
  }

  /**
   * Starts a static cluster from an executor: the row's, or one that the user picks. Resolves with its id when it runs,
   * or with undefined if none was picked.
   */
  async start(node?: Pick<TreeNode, 'key' | 'context'>): Promise<string | undefined> {
    requireTrust();
    const executor = await this.#executor(node);
    return executor && this.startFrom(executor);
  }

  /** Starts a static cluster from an executor, which need not be in the settings. Resolves with its id when it runs. */
  async startFrom(executor: OwnExecutor): Promise<string> {
    requireTrust();
    const { store, outputs, flows, backends } = this.#options;
    const host = await flows.host(vscode.window.activeTextEditor?.document.uri);
    await host.hello;
    const { id, started } = await outputs.start({
      executor,
      backend: backendOf(executor, host, backends),
      name: freeName(executor.name, store.snapshot.clusters.values()),
      lifetime: 'static',
    });
    await vscode.window.withProgress({ location: { viewId: 'flowClusters.clusters' } }, () => started);
    return id;
  }

  /** Stops a cluster of ours. One that runs are using asks first. */
  async stop(node?: Pick<TreeNode, 'key'>): Promise<void> {
    const isOurs = (one: Cluster) => one.ownership === 'owned' && isLive(one);
    const cluster = await this.#pick(node, 'Stop which cluster?', isOurs);
    if (!cluster) return;
    const { store, manager } = this.#options;
    const users = [...store.snapshot.runs.values()].filter(
      (run) => run.clusterId === cluster.id && !isOver(run),
    );
    if (users.length > 0) {
      const stop = 'Stop Cluster';
      const names = users.map((run) => run.flow.name).join(', ');
      const chosen = await vscode.window.showWarningMessage(
        `Stop ${cluster.name}? What runs on it ends at once: ${names}.`,
        { modal: true },
        stop,
      );
      if (chosen !== stop) return;
    }
    await manager.stop(cluster.id, { force: users.length > 0 });
  }

  async dashboard(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'Open the dashboard of which cluster?', hasAddress);
    if (cluster?.state.kind !== 'running') return;
    if (!cluster.state.dashboard) {
      if (cluster.ownership !== 'owned') {
        throw new UserError('not-permitted', `${cluster.name} has no dashboard`, {
          hint: 'Its scheduler was started without one',
        });
      }
      const host = await this.#options.flows.host(vscode.window.activeTextEditor?.document.uri);
      const { executable } = await host.hello;
      throw missingPackage(executable, 'bokeh', `${cluster.name} has no dashboard: bokeh is not installed`);
    }
    // In a remote window the port is on the other machine: this makes the address that the browser can reach.
    const uri = await vscode.env.asExternalUri(vscode.Uri.parse(cluster.state.dashboard));
    // A built-in extension of most editors, but one that can be disabled.
    if (!vscode.extensions.getExtension('vscode.simple-browser')) {
      await vscode.env.openExternal(uri);
      return;
    }
    await vscode.commands.executeCommand('simpleBrowser.api.open', uri, {
      viewColumn: vscode.ViewColumn.Beside,
    });
  }

  async copyAddress(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'Copy the address of which cluster?', hasAddress);
    if (!cluster || !('address' in cluster.state)) return;
    await vscode.env.clipboard.writeText(cluster.state.address);
    vscode.window.setStatusBarMessage(`Copied ${cluster.state.address}`, 3000);
  }

  /** Shows the log of a cluster, or of the scheduler or worker whose row it is. */
  async logs(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'Show the logs of which cluster?', hasLog);
    if (cluster) this.#options.logs.show(cluster, node);
  }

  /** Makes a static cluster the one that lenses run on. */
  async useForRuns(node?: TreeNode): Promise<void> {
    const fits = (cluster: Cluster) =>
      cluster.lifetime === 'static' && cluster.ownership !== 'discovered' && hasAddress(cluster);
    const cluster = await this.#pick(node, 'Use which cluster for runs?', fits);
    if (!cluster) return;
    this.#options.store.dispatch({ type: 'target', clusterId: cluster.id });
  }

  /** Lenses run on the default executor again. */
  stopUsing(): void {
    this.#options.store.dispatch({ type: 'target', clusterId: undefined });
  }

  /** Ends the warm Python processes, to be made anew. Asks first if something would end with them. */
  async restartHost(): Promise<void> {
    const { store, manager, pool } = this.#options;
    const runs = [...store.snapshot.runs.values()].filter((run) => !isOver(run)).map(({ flow }) => flow.name);
    const owned = [...store.snapshot.clusters.values()].filter(
      // One that outlives the window does not need the host either.
      (cluster) => isLive(cluster) && cluster.ownership === 'owned' && cluster.idleSeconds === undefined,
    );
    const clusters = owned.filter(({ lifetime }) => lifetime === 'static').map(({ name }) => name);
    if (runs.length + clusters.length > 0) {
      const restart = 'Restart';
      const ending = [
        runs.length > 0 ? `Runs: ${runs.join(', ')}` : '',
        clusters.length > 0 ? `Clusters: ${clusters.join(', ')}` : '',
      ];
      const chosen = await vscode.window.showWarningMessage(
        'Restart the cluster host? What runs in it ends at once.',
        { modal: true, detail: ending.filter(Boolean).join('\n') },
        restart,
      );
      if (chosen !== restart) return;
    }
    await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Window, title: 'Restarting the cluster host' },
      async () => {
        // Stopped first: what the user has ended is no failure.
        await Promise.allSettled(owned.map(({ id }) => manager.stop(id, { force: true })));
        await pool.restart();
      },
    );
  }

  dismiss(node?: TreeNode): void {
    if (node) this.#options.manager.dismiss(node.key);
  }

  /** One that can be started: what is there already is attached to. */
  async #executor(node: Pick<TreeNode, 'key' | 'context'> | undefined): Promise<OwnExecutor | undefined> {
    const all = this.#options.store.snapshot.executors.executors;
    const executors = all.filter(makesClusters);
    if (node?.context.startsWith('executor')) return executors.find(({ name }) => name === node.key);
    if (executors.length === 1) return executors[0];
    const items = executors.map((executor) => ({
      label: executor.name,
      description: describeExecutor(executor),
      ...warningDetail(this.#options.store.snapshot.executors, executor.name),
      executor,
    }));
    const picked = await vscode.window.showQuickPick(items, {
      title: 'Start a cluster from which executor?',
    });
    return picked?.executor;
  }

  #pick(
    node: Pick<TreeNode, 'key'> | undefined,
    title: string,
    fits: (cluster: Cluster) => boolean,
  ): Promise<Cluster | undefined> {
    return pickCluster(this.#options.store.snapshot, node, title, fits);
  }
}

/** One that died has a log too: what is known of its end. */
function hasLog(cluster: Cluster): boolean {
  return hasAddress(cluster) || cluster.state.kind === 'failed';
}

/** A lost scheduler still has one: it may come back. */
function hasAddress(cluster: Cluster): boolean {
  return cluster.state.kind === 'running' || cluster.state.kind === 'lost';
}
