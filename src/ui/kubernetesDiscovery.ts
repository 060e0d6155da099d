import * as vscode from 'vscode';
import { PodDiscovery } from '../backends/kubernetes/discovery.ts';
import { type FoundPod, othersOf } from '../backends/kubernetes/foundPods.ts';
import { type ApiChoice, readContexts } from '../backends/kubernetes/kubernetesApi.ts';
import { UserError } from '../core/errors.ts';
import type { Store } from '../core/store.ts';
import { PodRows } from '../discover/podRows.ts';
import type { KeptClusters } from '../runs/keptClusters.ts';
import { requireTrust } from './flowCommands.ts';

export interface KubernetesDiscoveryOptions {
  readonly store: Store;
  /** Of the workspace. */
  readonly memory: vscode.Memento;
  readonly kept: KeptClusters;
  /** Of this window. */
  readonly owner: { readonly machine: string; readonly pid: number };
  readonly log: vscode.LogOutputChannel;
}

/** Key in the workspace's memory: the contexts that the user wants to be looked into. */
const contextsKey = 'kubernetesContexts';

/**
 * Looks for clusters on Kubernetes while the view of clusters is to be seen. Only where executors are configured, or the
 * user has asked for it: the login of an API server may run a program that opens a browser.
 */
export class KubernetesDiscoverer implements vscode.Disposable {
  readonly #options: KubernetesDiscoveryOptions;
  readonly #listening: vscode.Disposable;
  readonly #rows: PodRows;
  readonly #discovery: PodDiscovery;
  #found: readonly FoundPod[] = [];
  #visible = false;

  constructor(options: KubernetesDiscoveryOptions) {
    const { store, log } = options;
    this.#options = options;
    this.#rows = new PodRows(store);
    this.#discovery = new PodDiscovery({
      log,
      onChange: (found) => {
        this.#found = found;
        this.#draw();
      },
    });
    this.#listening = vscode.Disposable.from(
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#follow()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('flowClusters.discover')) this.#follow();
      }),
      store.onDidChange((event) => {
        if (event.type === 'executors') this.#follow();
        // One that was found may turn out to be one that was taken up.
        if (event.type === 'cluster.state' && event.state.kind === 'running') this.#draw();
      }),
    );
  }

  dispose(): void {
    this.#listening.dispose();
    this.#discovery.rest();
    this.#rows.dispose();
  }

  /** The view has come to be seen, or is hidden now: what was found stays, and nothing is looked for. */
  set visible(visible: boolean) {
    this.#visible = visible;
    this.#follow();
  }

  /** Asks which contexts are to be looked into, from now on and in later windows. */
  async choose(): Promise<void> {
    requireTrust();
    if (!isWanted()) {
      throw new UserError('setting', 'Clusters of others are not looked for: the settings say so', {
        hint: 'Switch it on.',
        action: { kind: 'open-settings', key: 'flowClusters.discover' },
      });
    }
    const { names, current } = await readContexts();
    const before = this.#contexts();
    const items = names.map((label) => ({
      label,
      ...(label === current && { description: 'current' }),
      picked: before.includes(label) || (before.length === 0 && label === current),
    }));
    const title = 'Look for Dask clusters by which contexts?';
    const placeHolder = 'Nothing is done to what is found. Logging in may take a browser';
    const chosen = await vscode.window.showQuickPick(items, { canPickMany: true, title, placeHolder });
    if (!chosen) return;
    await this.#options.memory.update(
      contextsKey,
      chosen.map(({ label }) => label),
    );
    this.#follow();
  }

  #follow(): void {
    const isAllowed = vscode.workspace.isTrusted && isWanted();
    if (!isAllowed || !this.#visible) this.#discovery.rest();
    else this.#discovery.look(this.#choices());
    if (isAllowed) return;
    this.#found = [];
    this.#rows.show([]);
  }

  #draw(): void {
    const { kept, owner } = this.#options;
    const looker = {
      ...owner,
      isHere: (cluster: string) => kept.isHere(cluster),
      isKept: (cluster: string) => kept.isKept(cluster),
    };
    if (this.#found.length > 0 || this.#rows.any) this.#rows.show(othersOf(this.#found, looker));
  }

  #choices(): ApiChoice[] {
    const { executors } = this.#options.store.snapshot.executors;
    const configured = executors.flatMap((one) => {
      if (one.kind !== 'kubernetes') return [];
      const { context, kubeconfig, namespace } = one;
      return [{ context, kubeconfig, namespace }];
    });
    return [...configured, ...this.#contexts().map((context) => ({ context }))];
  }

  #contexts(): readonly string[] {
    const stored: unknown = this.#options.memory.get(contextsKey);
    return Array.isArray(stored) ? stored.filter((one) => typeof one === 'string') : [];
  }
}

const isWanted = (): boolean => vscode.workspace.getConfiguration('flowClusters').get('discover') === true;
