import * as vscode from 'vscode';
import type { Cluster } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import { toFailure } from '../core/failure.ts';
import type { FlowDef } from '../core/flow.ts';
import { flowAt } from '../core/flowAt.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { Finding } from '../core/preflight/finding.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import { preflight, preflightSeconds } from '../runs/preflight.ts';
import type { RunRequest } from '../runs/request.ts';
import { suitableHost } from '../runs/requirements.ts';
import { showFindings, summaryOf } from './findings.ts';
import { requireTrust } from './flowCommands.ts';
import type { Lenses } from './lenses.ts';
import { withLateProgress } from './progress.ts';

export interface PreflightOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly lenses: Lenses;
  readonly log: vscode.LogOutputChannel;
  /** The warm host for a file. */
  host(uri: vscode.Uri | undefined): Promise<PythonHost>;
}

/** A run that is about to start on a cluster that is there. */
export interface PlannedRun {
  readonly clusterId: string;
  readonly flow: FlowDef;
  readonly file: vscode.Uri;
  readonly host: PythonHost;
  readonly signal: AbortSignal;
  stage(text: string): void;
}

const runAnyway = { label: 'Run Anyway', icon: 'play' };
const checkAgain = { label: 'Check Again', icon: 'refresh' };

/** Looks at clusters that are there, before runs and when asked to, and shows what was found. */
export class Preflight {
  readonly #options: PreflightOptions;
  /** Problems that the user has decided to run with, in this window. */
  readonly #accepted = new Set<string>();

  constructor(options: PreflightOptions) {
    this.#options = options;
  }

  /**
   * Looks at the cluster of a run. Asks the user if the run would fail there; resolves with what the run is to keep of
   * it, nothing if all is well. Rejects with `cancelled` if the user decides not to run. A cluster that cannot be looked at in time is
   * no reason not to run on it: then the note says so.
   */
  async beforeRun(run: PlannedRun): Promise<Pick<RunRequest, 'notes' | 'missing'>> {
    for (;;) {
      const { clusterId, flow, file, host, signal } = run;
      const cluster = this.#cluster(clusterId);
      // A run on a cluster that has gone is refused, with its reason, where it starts.
      if (cluster?.state.kind !== 'running') return {};
      run.stage(`checking ${cluster.name} (at most ${preflightSeconds} s)`);
      const options = { flow: { file: file.fsPath, api: flow.api }, brief: true, host, signal };
      const findings = await this.#look(cluster, options).catch((error: unknown) => {
        if (signal.aborted || (error instanceof UserError && error.reason === 'cancelled')) throw error;
        const { message } = toFailure(error);
        this.#options.log.warn(`${cluster.name} was not checked: ${message}`);
        return `${cluster.name} was not checked before the run: ${message}`;
      });
      if (typeof findings === 'string') return { notes: [findings] };
      const notes = findings.filter(({ severity }) => severity === 'error' || severity === 'warning');
      const problems = notes.filter(({ severity }) => severity === 'error').map(({ message }) => message);
      const key = JSON.stringify([clusterId, file.fsPath, flow.name, ...problems]);
      if (problems.length > 0 && !this.#accepted.has(key)) {
        run.stage('waiting for your answer');
        const title = `${flow.name} on ${cluster.name}: ${summaryOf(notes)}`;
        const choice = await showFindings(title, notes, [runAnyway, checkAgain], signal);
        if (choice === checkAgain) continue;
        if (choice !== runAnyway) throw new UserError('cancelled', 'Not run, for what was found');
        this.#accepted.add(key);
      }
      return {
        notes: notes.map(({ message }) => message),
        missing: notes.flatMap(({ missing = [] }) => missing),
      };
    }
  }

  /** Shows all that is found about a cluster: the row's, or one that the user picks. */
  async check(node?: Pick<TreeNode, 'key'>): Promise<void> {
    requireTrust();
    const cluster = await this.#pick(node);
    if (!cluster) return;
    const target = await this.#flow();
    if (!target) return;
    const { flow, uri } = target;
    const forWhat = flow ? ` for ${flow.name}` : '';
    for (;;) {
      const findings = await withLateProgress(`Check ${cluster.name}${forWhat}`, async (signal, stage) => {
        stage('starting Python');
        const known = await this.#options.host(uri);
        const host = flow ? await suitableHost(known, () => this.#options.host(uri), flow.api) : known;
        await host.whenReady();
        stage(`asking the scheduler and its workers (at most ${preflightSeconds} s)`);
        const about = flow && uri && { file: uri.fsPath, api: flow.api };
        return this.#look(cluster, { ...(about && { flow: about }), brief: false, host, signal });
      });
      const title = `${cluster.name}${forWhat}: ${summaryOf(findings)}`;
      if ((await showFindings(title, findings, [checkAgain])) !== checkAgain) return;
    }
  }

  async #look(
    cluster: Cluster,
    options: Omit<Parameters<typeof preflight>[0], 'cluster' | 'handle'>,
  ): Promise<Finding[]> {
    const { store, manager } = this.#options;
    const findings = await preflight({ ...options, cluster, handle: manager.handle(cluster.id) });
    const worth = findings.filter(({ severity }) => severity === 'error' || severity === 'warning');
    const checked = { atMs: Date.now(), messages: worth.map(({ message }) => message) };
    // It may have gone meanwhile.
    if (this.#cluster(cluster.id)) store.dispatch({ type: 'cluster.checked', id: cluster.id, checked });
    return findings;
  }

  #cluster(id: string): Cluster | undefined {
    return this.#options.store.snapshot.clusters.get(id);
  }

  async #pick(node: Pick<TreeNode, 'key'> | undefined): Promise<Cluster | undefined> {
    if (node) return this.#cluster(node.key);
    const running = [...this.#options.store.snapshot.clusters.values()].filter(
      ({ lifetime, state }) => lifetime === 'static' && state.kind === 'running',
    );
    if (running.length === 0) throw new UserError('unreachable', 'There is no such cluster now');
    if (running.length === 1) return running[0];
    const items = running.map((cluster) => ({
      label: cluster.name,
      description: cluster.ownership,
      cluster,
    }));
    return (await vscode.window.showQuickPick(items, { title: 'Check which cluster?' }))?.cluster;
  }

  /** A flow of the active editor, or none; undefined if the user leaves the question. */
  async #flow(): Promise<{ flow?: FlowDef; uri?: vscode.Uri } | undefined> {
    const editor = vscode.window.activeTextEditor;
    const uri = editor?.document.uri;
    if (editor?.document.languageId !== 'python' || uri?.scheme !== 'file') return {};
    const flows = await (await this.#options.lenses.language()).flows(uri.toString());
    if (flows.length === 0) return { uri };
    const here = flowAt(flows, editor.selection.active.line);
    const sorted = here ? [here, ...flows.filter((flow) => flow !== here)] : flows;
    const items: (vscode.QuickPickItem & { flow?: FlowDef })[] = sorted.map((flow) => ({
      label: flow.name,
      description: `line ${flow.line + 1}`,
      flow,
    }));
    items.push({ label: 'Without a flow', description: 'versions, workers and threads' });
    const picked = await vscode.window.showQuickPick(items, { title: 'Check for which flow?' });
    return picked && { uri, ...(picked.flow && { flow: picked.flow }) };
  }
}
