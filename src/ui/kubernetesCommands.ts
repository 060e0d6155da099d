import * as vscode from 'vscode';
import { checkKubernetes } from '../backends/kubernetes/check.ts';
import type { Cluster } from '../core/cluster.ts';
import type { ClusterManager } from '../core/manager.ts';
import { type ClusterMember, memberLabel } from '../core/members.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { showFindings, summaryOf } from './findings.ts';
import { requireTrust } from './flowCommands.ts';
import { pickCluster, pickKubernetesExecutor } from './picks.ts';
import { withLateProgress } from './progress.ts';
import { TextDocuments } from './textDocuments.ts';

export interface KubernetesCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
}

const checkAgain = { label: 'Check Again', icon: 'refresh' };

/** What is there for Kubernetes alone: the check of an executor, and what Kubernetes knows of a pod. */
export class KubernetesCommands implements vscode.Disposable {
  readonly #options: KubernetesCommandsOptions;
  readonly #pods = new TextDocuments('flow-clusters-pod', '# Describe the pod again.\n');

  constructor(options: KubernetesCommandsOptions) {
    this.#options = options;
  }

  dispose(): void {
    this.#pods.dispose();
  }

  /** Shows whether clusters of an executor can start: the row's, that of a name, or one that the user picks. */
  async check(node?: Pick<TreeNode, 'key'>): Promise<void> {
    requireTrust();
    const title = 'Check Kubernetes for which executor?';
    const executor = await pickKubernetesExecutor(this.#options.store.snapshot, node?.key, title);
    if (!executor) return;
    for (;;) {
      const findings = await withLateProgress(`Check ${executor.name}`, (signal, stage) => {
        stage('asking Kubernetes');
        return checkKubernetes(executor, signal);
      });
      const title = `${executor.name}: ${summaryOf(findings)}`;
      if ((await showFindings(title, findings, [checkAgain])) !== checkAgain) return;
    }
  }

  /** Opens all that Kubernetes knows of a pod: the row's, or one that the user picks. */
  async describe(node?: TreeNode): Promise<void> {
    requireTrust();
    const { store, manager } = this.#options;
    const title = 'Describe a pod of which cluster?';
    const cluster = await pickCluster(store.snapshot, node, title, (one) => podsOf(one).length > 0);
    if (!cluster) return;
    const name = node?.member ?? (await pickPod(cluster))?.name;
    const access = manager.members(cluster.id);
    if (name === undefined || !access?.describe) return;
    const { describe } = access;
    const text = await withLateProgress(`Describe ${name}`, () => describe.call(access, name));
    const uri = this.#pods.put(`/${cluster.id}/${name}.yaml`, text);
    await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri));
  }
}

const podsOf = ({ members = [] }: Cluster): ClusterMember[] => members.filter(({ kind }) => kind === 'pod');

async function pickPod(cluster: Cluster): Promise<ClusterMember | undefined> {
  const items = podsOf(cluster).map((member) => ({
    label: memberLabel(member),
    description: member.name,
    member,
  }));
  return (await vscode.window.showQuickPick(items, { title: 'Describe which pod?' }))?.member;
}
