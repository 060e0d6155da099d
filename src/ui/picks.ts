import * as vscode from 'vscode';
import type { Cluster } from '../core/cluster.ts';
import { adviseCluster } from '../core/clusterAdvice.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import { describeExecutor, type Executor, makesClusters, warningDetail } from '../core/executor.ts';
import type { FlowDef } from '../core/flow.ts';
import { flowAt } from '../core/flowAt.ts';
import type { KubernetesExecutor } from '../core/kubernetesExecutor.ts';
import type { Snapshot } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';

/** What the user chose to run on, before a host is known. */
export type Choice =
  | { readonly executor: Executor }
  | { readonly clusterId: string }
  /** What the flow's source gives it. */
  | { readonly asWritten: true };

/** What "Run" runs on: the cluster chosen for runs, else the default executor. */
export function defaultChoice(snapshot: Snapshot): Choice {
  if (snapshot.targetClusterId) return { clusterId: snapshot.targetClusterId };
  const { executors, defaultName } = snapshot.executors;
  const executor = executors.find(({ name }) => name === defaultName);
  if (!executor) throw new UserError('setting', `No executor is called "${defaultName}"`);
  return { executor };
}

/** Asks which flow of a file; the one at the cursor's line (zero-based) is marked from the start. */
export async function pickFlow(
  flows: readonly FlowDef[],
  cursorLine: number | undefined,
): Promise<FlowDef | undefined> {
  const items = flows.map((flow) => ({ label: flow.name, description: `line ${flow.line + 1}`, flow }));
  const here = cursorLine === undefined ? undefined : flowAt(flows, cursorLine);
  const pick = vscode.window.createQuickPick<(typeof items)[number]>();
  pick.title = 'Which flow?';
  pick.items = items;
  pick.activeItems = items.filter(({ flow }) => flow === here);
  return (await picked(pick))?.item.flow;
}

interface TargetItem extends vscode.QuickPickItem {
  readonly choice?: Choice;
}

/** Asks what to run on; `parameters` is true if the user pressed a row's pencil. */
export async function pickTarget(
  snapshot: Snapshot,
  flow: FlowDef,
): Promise<{ choice: Choice; parameters: boolean } | undefined> {
  const pencil = {
    iconPath: new vscode.ThemeIcon('edit'),
    tooltip: 'Set parameters, then run',
  };
  const buttons = flow.parameters.length > 0 ? [pencil] : [];
  const executorItem = (executor: Executor): TargetItem => ({
    label: executor.name,
    description: describeExecutor(executor),
    ...detailOf(snapshot, executor),
    iconPath: new vscode.ThemeIcon(executor.kind === 'existing' ? 'plug' : 'gear'),
    buttons,
    choice: { executor },
  });
  const { executors } = snapshot.executors;
  const temporary = executors.filter(makesClusters).map(executorItem);
  const alone = executors
    .filter(({ kind }) => kind === 'localDask' && flow.api === 'prefect1')
    .map(executorItem);
  const existing = executors.filter(({ kind }) => kind === 'existing');
  const staying = [...snapshot.clusters.values()]
    .filter(({ lifetime, ownership, state }) => {
      return lifetime === 'static' && ownership !== 'discovered' && state.kind === 'running';
    })
    // An executor's own cluster is offered once, by the executor.
    .filter(
      ({ ownership, executor }) =>
        ownership !== 'attached' || !existing.some(({ name }) => name === executor),
    )
    .map(
      ({ id, name, ownership }): TargetItem => ({
        label: name,
        description: `${ownership === 'owned' ? 'static' : ownership} cluster that is running`,
        iconPath: new vscode.ThemeIcon(ownership === 'owned' ? 'server' : 'plug'),
        buttons,
        choice: { clusterId: id },
      }),
    )
    .concat(existing.map(executorItem));
  const written = (type: string): TargetItem => ({
    label: 'as written',
    description: `by its own ${type}`,
    iconPath: new vscode.ThemeIcon('run'),
    buttons,
    choice: { asWritten: true },
  });
  const separator = (label: string): TargetItem => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const pick = vscode.window.createQuickPick<TargetItem>();
  pick.title = `Run ${flow.name} with…`;
  pick.matchOnDescription = true;
  pick.items = [
    separator('a temporary cluster for this run'),
    ...temporary,
    ...(staying.length > 0 ? [separator('a cluster that stays'), ...staying] : []),
    ...(flow.written ? [separator('no cluster of ours'), written(flow.written.type)] : []),
    ...(alone.length > 0 ? [separator('no cluster'), ...alone] : []),
  ];
  const answer = await picked(pick);
  return answer?.item.choice && { choice: answer.item.choice, parameters: answer.byButton };
}

/** What is to be known of an executor before a run on a temporary cluster of it. */
function detailOf(snapshot: Snapshot, { name }: Executor): { readonly detail?: string } {
  const warning = warningDetail(snapshot.executors, name).detail;
  const detail = [warning, adviseCluster(name, snapshot, Date.now())?.message].filter(Boolean).join(' ');
  return detail ? { detail } : {};
}

/** The cluster of a row, or the one that fits, or which of them the user picks. Throws if there is none. */
export async function pickCluster(
  { clusters }: Snapshot,
  node: Pick<TreeNode, 'key'> | undefined,
  title: string,
  fits: (cluster: Cluster) => boolean,
): Promise<Cluster | undefined> {
  if (node) return clusters.get(node.key);
  const candidates = [...clusters.values()].filter(fits);
  if (candidates.length === 0) throw new UserError('unreachable', 'There is no such cluster now');
  if (candidates.length === 1) return candidates[0];
  const items = candidates.map((cluster) => ({
    label: cluster.name,
    description: cluster.state.kind,
    cluster,
  }));
  return (await vscode.window.showQuickPick(items, { title }))?.cluster;
}

/**
 * The executor of that name, the only one, or the one that the user picks.
 * @throws UserError `setting` if there is none of kind `kubernetes`
 */
export async function pickKubernetesExecutor(
  snapshot: Snapshot,
  name: string | undefined,
  title: string,
): Promise<KubernetesExecutor | undefined> {
  const executors = snapshot.executors.executors.filter((one) => one.kind === 'kubernetes');
  const [only] = executors;
  if (!only || (name !== undefined && !executors.some((one) => one.name === name))) {
    const what = name === undefined ? 'No executor' : `The executor "${name}" is not there, or not`;
    throw new UserError('setting', `${what} of kind "kubernetes"`, {
      hint: 'Add one to the settings: its image and its namespace are what this is about.',
      action: executorSettings,
    });
  }
  if (name !== undefined) return executors.find((one) => one.name === name);
  if (executors.length === 1) return only;
  const items = executors.map((executor) => ({
    label: executor.name,
    description: describeExecutor(executor),
    executor,
  }));
  return (await vscode.window.showQuickPick(items, { title }))?.executor;
}

/** Shows a pick and resolves with the row that was taken, by itself or by its button; undefined if none was. */
async function picked<T extends vscode.QuickPickItem>(
  pick: vscode.QuickPick<T>,
): Promise<{ item: T; byButton: boolean } | undefined> {
  try {
    return await new Promise((resolve) => {
      const done = (item: T | undefined, byButton: boolean) => resolve(item && { item, byButton });
      pick.onDidAccept(() => done(pick.selectedItems[0], false));
      pick.onDidTriggerItemButton(({ item }) => done(item, true));
      pick.onDidHide(() => done(undefined, false));
      pick.show();
    });
  } finally {
    pick.dispose();
  }
}
