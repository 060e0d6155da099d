import * as vscode from 'vscode';
import { DrawnRows } from '../core/drawnRows.ts';
import { isOver } from '../core/run.ts';
import type { Store, StoreEvent } from '../core/store.ts';
import { clusterNodes, executorNodes, runNodes, type TreeNode } from '../core/tree.ts';
import { type CommandId, Commands } from '../protocol/commands.ts';

const refreshMs = 250;
const clockMs = 1_000;
/** Key of the workspace's memory: the sidebar has shown itself there. */
const revealedKey = 'flowClusters.sidebarRevealed';

/** One view of the sidebar: rows come from the core as plain data, and are asked for only while it is visible. */
class NodeView implements vscode.TreeDataProvider<TreeNode>, vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<TreeNode[] | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #view: vscode.TreeView<TreeNode>;
  readonly #drawn: DrawnRows;
  #timer: NodeJS.Timeout | undefined;

  constructor(id: string, nodes: () => TreeNode[], drag?: vscode.TreeDragAndDropController<TreeNode>) {
    this.#drawn = new DrawnRows(nodes);
    this.#view = vscode.window.createTreeView(id, {
      treeDataProvider: this,
      showCollapseAll: false,
      ...(drag && { dragAndDropController: drag }),
    });
    this.#view.onDidChangeVisibility(() => this.refresh());
    this.#view.onDidCollapseElement(({ element }) => this.#drawn.close(element));
    this.#view.onDidExpandElement(({ element }) => {
      // VS Code shows what it had under it, and does not ask again.
      if (!this.#drawn.isOpen(element)) this.#changed.fire([element]);
    });
  }

  /** Merges the changes of a quarter second into one redraw of the rows that differ. */
  refresh(): void {
    if (!this.#view.visible || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const changed = this.#drawn.changed();
      const rows = changed.filter((row) => row !== undefined);
      if (rows.length < changed.length) this.#changed.fire(undefined);
      else if (rows.length > 0) this.#changed.fire(rows);
    }, refreshMs);
  }

  followVisibility(listener: (visible: boolean) => void): void {
    listener(this.#view.visible);
    this.#view.onDidChangeVisibility(({ visible }) => listener(visible));
  }

  /** Brings the view with this row into sight; the focus stays where it is. */
  async reveal(node: TreeNode): Promise<void> {
    await this.#view.reveal(node, { select: false, focus: false });
  }

  set badge(badge: vscode.ViewBadge | undefined) {
    this.#view.badge = badge;
  }

  getChildren(node?: TreeNode): TreeNode[] {
    return [...this.#drawn.children(node)];
  }

  /** Only rows of the first level are ever revealed. */
  getParent(): undefined {
    return undefined;
  }

  getTreeItem(node: TreeNode): vscode.TreeItem {
    return treeItem(this.#drawn.latest(node));
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#view.dispose();
    this.#changed.dispose();
  }
}

const openers: Readonly<Record<NonNullable<TreeNode['opens']>, { command: CommandId; title: string }>> = {
  run: { command: Commands.showRun, title: 'Show Run' },
  clusterAdvice: { command: Commands.adviseExecutor, title: 'Temporary or Static?' },
  executors: { command: Commands.configureExecutors, title: 'Configure Executors' },
};

function treeItem(node: TreeNode): vscode.TreeItem {
  const { None, Expanded, Collapsed } = vscode.TreeItemCollapsibleState;
  const state = !('children' in node) ? None : node.expanded ? Expanded : Collapsed;
  const item = new vscode.TreeItem(node.label, state);
  item.id = node.id;
  item.contextValue = node.context;
  item.iconPath = new vscode.ThemeIcon(node.icon, node.color ? new vscode.ThemeColor(node.color) : undefined);
  if (node.description) item.description = node.description;
  if (node.opens) item.command = { ...openers[node.opens], arguments: [node] };
  item.tooltip = node.tooltip ?? [node.label, node.description].filter(Boolean).join(' · ');
  item.accessibilityInformation = { label: [node.label, node.description].filter(Boolean).join(', ') };
  return item;
}

/** Runs and clusters are the record by which executors are advised on. */
const drawsExecutors: ReadonlySet<StoreEvent['type']> = new Set([
  'executors',
  'target',
  'run.added',
  'run.state',
  'run.removed',
  'cluster.state',
  'cluster.removed',
]);

export interface ViewsOptions {
  readonly store: Store;
  /** Of the workspace: what has been shown there. */
  readonly memory: vscode.Memento;
  readonly log: vscode.LogOutputChannel;
  /** What becomes of rows of clusters that are dragged elsewhere. */
  readonly drag: vscode.TreeDragAndDropController<TreeNode>;
  /** Hears whether the clusters are to be seen, from the start. */
  onClustersVisible(visible: boolean): void;
}

/** The three views, redrawn from the store. While something is live, its clock ticks. */
export function createViews({
  store,
  memory,
  log,
  drag,
  onClustersVisible,
}: ViewsOptions): vscode.Disposable {
  const clusters = new NodeView(
    'flowClusters.clusters',
    () => clusterNodes(store.snapshot, Date.now()),
    drag,
  );
  const executors = new NodeView('flowClusters.executors', () => executorNodes(store.snapshot, Date.now()));
  const runs = new NodeView('flowClusters.runs', () => runNodes(store.snapshot, Date.now()));
  clusters.followVisibility(onClustersVisible);
  const showBadge = () => {
    const value = [...store.snapshot.clusters.values()].filter(
      ({ state, ownership }) => state.kind !== 'failed' && ownership !== 'discovered',
    ).length;
    clusters.badge =
      value > 0 ? { value, tooltip: `${value} ${value === 1 ? 'cluster' : 'clusters'}` } : undefined;
  };
  /** The first run of a workspace shows where to watch it; from then on the sidebar is the user's to place. */
  const introduce = async (runId: string) => {
    const node = runNodes(store.snapshot, Date.now()).find(({ key }) => key === runId);
    if (!node || memory.get(revealedKey)) return;
    await memory.update(revealedKey, true);
    await runs.reveal(node);
  };
  const listening = store.onDidChange((event) => {
    clusters.refresh();
    if (event.type.startsWith('run.') || event.type === 'cluster.state') runs.refresh();
    if (drawsExecutors.has(event.type)) executors.refresh();
    if (event.type === 'cluster.added' || event.type === 'cluster.removed' || event.type === 'cluster.state')
      showBadge();
    if (event.type === 'run.added' && !isOver(event.run))
      introduce(event.run.id).catch((error: unknown) => log.warn(`sidebar: ${String(error)}`));
  });
  const clock = setInterval(() => {
    const { snapshot } = store;
    const live = [...snapshot.runs.values()].some((run) => !isOver(run));
    if (live) runs.refresh();
    if (live || [...snapshot.clusters.values()].some((cluster) => cluster.state.kind === 'starting'))
      clusters.refresh();
  }, clockMs);
  return vscode.Disposable.from(clusters, executors, runs, listening, {
    dispose: () => clearInterval(clock),
  });
}
