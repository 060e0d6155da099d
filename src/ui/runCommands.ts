import * as vscode from 'vscode';
import { formatParameter } from '../core/parameters.ts';
import { isOver, type Run } from '../core/run.ts';
import { clusterOf, type Store } from '../core/store.ts';
import { runDescription, type TreeNode } from '../core/tree.ts';
import type { RunService } from '../runs/service.ts';
import { carryOut, showError, showFailure } from './messages.ts';
import { RunTerminals } from './terminals.ts';

/** What can be done to runs from the tree, the lenses and the palette, and where they print to. */
export class RunCommands implements vscode.Disposable {
  readonly #store: Store;
  readonly #runs: RunService;
  readonly #log: vscode.LogOutputChannel;
  readonly #terminals: RunTerminals;
  readonly #listening: { dispose(): void };

  constructor(options: { store: Store; runs: RunService; log: vscode.LogOutputChannel }) {
    this.#store = options.store;
    this.#runs = options.runs;
    this.#log = options.log;
    this.#terminals = new RunTerminals({
      input: (id, text) => this.#runs.input(id, text),
      endInput: (id) => this.#runs.endInput(id),
      cancel: (id) => this.#detached(this.cancel({ key: id })),
    });
    this.#listening = options.store.onDidChange((event) => {
      if (event.type === 'run.added') this.#onAdded(event.run);
      if (event.type === 'run.state' && 'endedMs' in event.state) this.#detached(this.#onOver(event.id));
    });
  }

  dispose(): void {
    this.#listening.dispose();
    this.#terminals.dispose();
  }

  /** Cancels a run; a second time, on a cluster that is not the run's own, offers to abandon the runner. */
  async cancel(node?: Pick<TreeNode, 'key'>): Promise<void> {
    const run = await this.#pick(node);
    if (!run || isOver(run)) return;
    if (run.state.kind === 'cancelling') {
      const [text, sure] =
        run.clusterId === undefined
          ? [
              `${run.flow.name} is being cancelled, as by Ctrl-C: it closes what it has made. Kill it? What it has made elsewhere may stay.`,
              'Kill Run',
            ]
          : [
              `${run.flow.name} is being cancelled: active tasks finish first. Abandon the run? The cluster stays.`,
              'Abandon Run',
            ];
      if ((await vscode.window.showWarningMessage(text, { modal: true }, sure)) !== sure) return;
    }
    await this.#runs.cancel(run.id);
  }

  /** Shows what a run printed. */
  async output(node?: Pick<TreeNode, 'key'>, preserveFocus = false): Promise<void> {
    const run = await this.#pick(node);
    if (!run || this.#terminals.show(run.id, preserveFocus)) return;
    const output = this.#runs.output(run.id);
    if (!output) {
      await vscode.window.showInformationMessage(
        `The output of ${run.flow.name} was not kept: it ran in an earlier window.`,
      );
      return;
    }
    this.#terminals.open(run.id, run.flow.name, output, header(run));
    if (isOver(run)) this.#terminals.finish(run.id, runDescription(run, Date.now()));
    this.#terminals.show(run.id, preserveFocus);
  }

  /** Takes the user to where the run failed, or to what it printed. Argument: a run's id or its row. */
  async show(argument?: string | TreeNode): Promise<void> {
    const run = await this.#pick(typeof argument === 'string' ? { key: argument } : argument);
    if (!run) return;
    const action = 'failure' in run.state ? run.state.failure.action : undefined;
    const atLine = action?.kind === 'open-file';
    if (atLine) await carryOut(action);
    await this.output({ key: run.id }, atLine);
  }

  remove(node?: TreeNode): void {
    if (node) this.#runs.remove(node.key);
  }

  /** Removes every run that is over. */
  clearHistory(): void {
    for (const run of this.#store.snapshot.runs.values()) if (isOver(run)) this.#runs.remove(run.id);
  }

  #onAdded(run: Run): void {
    const output = this.#runs.output(run.id);
    // Runs of an earlier window come from the history and have none.
    if (!output) return;
    this.#terminals.open(run.id, run.flow.name, output, header(run));
    if (vscode.workspace.getConfiguration('flowClusters').get('terminal') === 'reveal')
      this.#terminals.show(run.id);
  }

  async #onOver(id: string): Promise<void> {
    const run = this.#store.snapshot.runs.get(id);
    if (!run) return;
    this.#terminals.finish(id, `■ ${runDescription(run, Date.now())}`);
    if (!('failure' in run.state)) return;
    // What it printed is the next place to look, unless there is a better one.
    const failure = { action: { kind: 'show-run', id } as const, ...run.state.failure };
    await showFailure(failure, `${run.flow.name} ${run.state.kind}`);
  }

  /** Nobody waits for it: what goes wrong is shown all the same. */
  #detached(work: Promise<void>): void {
    work.catch((error: unknown) => void showError(error, this.#log));
  }

  async #pick(node: Pick<TreeNode, 'key'> | undefined): Promise<Run | undefined> {
    const { runs } = this.#store.snapshot;
    if (node) return runs.get(node.key);
    const newestFirst = [...runs.values()].reverse();
    const live = newestFirst.filter((run) => !isOver(run));
    const candidates = live.length > 0 ? live : newestFirst;
    if (candidates.length <= 1) return candidates[0];
    const items = candidates.map((run) => ({
      label: run.flow.name,
      description: runDescription(run, Date.now(), clusterOf(this.#store.snapshot, run)),
      run,
    }));
    return (await vscode.window.showQuickPick(items, { title: 'Which run?' }))?.run;
  }
}

function header(run: Run): string {
  const given = Object.entries(run.parameters).map(([name, value]) => `${name}=${formatParameter(value)}`);
  return [`▶ ${run.flow.name} on ${run.executor}`, ...given].join(' · ');
}
