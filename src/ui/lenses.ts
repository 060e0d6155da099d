import * as vscode from 'vscode';
import { formatDuration } from '../core/format.ts';
import { isOver, type Run, runDurationMs } from '../core/run.ts';
import type { Snapshot, Store } from '../core/store.ts';
import { flowKey, type LastRun, type LensState } from '../protocol/lsp.ts';
import type { FlowLanguage } from './languageClient.ts';

const marks: Record<Run['state']['kind'], string> = {
  queued: '…',
  running: '…',
  cancelling: '…',
  completed: '✓',
  failed: '✗',
  crashed: '✗',
  cancelled: '⊘',
};

/** What the lenses show, from the store and the settings. */
export function lensState(snapshot: Snapshot): LensState {
  const lastRuns: Record<string, LastRun> = {};
  for (const run of snapshot.runs.values()) {
    const durationMs = isOver(run) ? runDurationMs(run, 0) : undefined;
    const time = durationMs === undefined ? '' : ` · ${formatDuration(durationMs)}`;
    lastRuns[flowKey(run.uri, run.flow)] = {
      runId: run.id,
      label: `${marks[run.state.kind]} ${run.state.kind}${time}`,
    };
  }
  const executor = targetName(snapshot);
  return { executor, enabled: isOn('codeLens'), diagnostics: isOn('diagnostics'), lastRuns };
}

/** What "Run" runs on: the cluster that the user chose, which may have its executor's name, else the default executor. */
export function targetName(snapshot: Snapshot): string {
  const target = snapshot.targetClusterId && snapshot.clusters.get(snapshot.targetClusterId);
  if (!target) return snapshot.executors.defaultName;
  return `${target.name} (${target.ownership === 'owned' ? 'static' : target.ownership})`;
}

function isOn(setting: 'codeLens' | 'diagnostics'): boolean {
  return vscode.workspace.getConfiguration('flowClusters').get<boolean>(setting, true);
}

export interface LensesOptions {
  readonly store: Store;
  /** `dist/server.js` */
  readonly serverModule: string;
  /** A document with at least one flow is open. */
  onFlowSeen(uri: string): void;
  /** The language server does not start. Called once; it is tried again with the next document. */
  onError(error: unknown): void;
}

/** Flows run from files; what is untitled is saved first. Not from a diff's old side or a notebook's cells. */
const schemes = ['file', 'untitled'];

/** Starts the language server with the first Python document and keeps its lenses true. */
export class Lenses implements vscode.Disposable {
  readonly #options: LensesOptions;
  readonly #store: Store;
  readonly #subscriptions: { dispose(): void }[] = [];
  #language: Promise<FlowLanguage> | undefined;
  #toldError = false;
  #sent = '';

  constructor(options: LensesOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#subscriptions.push(
      vscode.workspace.onDidOpenTextDocument((document) => this.#startFor(document)),
      options.store.onDidChange((event) => {
        if (event.type === 'run.state' || event.type === 'run.added' || event.type === 'run.removed')
          this.#send();
        if (event.type === 'executors' || event.type === 'target') this.#send();
      }),
      vscode.workspace.onDidChangeConfiguration((event) => {
        const settings = ['flowClusters.codeLens', 'flowClusters.diagnostics'];
        if (settings.some((each) => event.affectsConfiguration(each))) this.#send();
      }),
    );
    for (const document of vscode.workspace.textDocuments) this.#startFor(document);
  }

  /** The server, started if need be. Rejects if it does not start. */
  language(): Promise<FlowLanguage> {
    this.#language ??= this.#start();
    return this.#language;
  }

  async dispose(): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.dispose();
    // One that did not start has nothing to let go of.
    const language = await this.#language?.catch(() => undefined);
    await language?.dispose();
  }

  #startFor(document: vscode.TextDocument): void {
    if (document.languageId !== 'python' || !schemes.includes(document.uri.scheme)) return;
    this.language().catch((error: unknown) => {
      if (this.#toldError) return;
      this.#toldError = true;
      this.#options.onError(error);
    });
  }

  async #start(): Promise<FlowLanguage> {
    const { serverModule, onFlowSeen } = this.#options;
    try {
      const { startLanguageClient } = await import('./languageClient.ts');
      const state = lensState(this.#store.snapshot);
      this.#sent = JSON.stringify(state);
      return await startLanguageClient({ serverModule, schemes, state, onFlowSeen });
    } catch (error) {
      // The next document, or the next click, tries again.
      this.#language = undefined;
      throw error;
    }
  }

  /** Tells the server only what is new to it: each telling redraws all lenses. */
  #send(): void {
    if (!this.#language) return;
    const state = lensState(this.#store.snapshot);
    const text = JSON.stringify(state);
    if (text === this.#sent) return;
    this.#sent = text;
    this.#language.then(
      (language) => language.setState(state),
      () => undefined, // Whoever asked for the server was told; the next start takes the state of then.
    );
  }
}
