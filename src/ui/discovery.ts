import { userInfo } from 'node:os';
import * as vscode from 'vscode';
import type { ClusterManager } from '../core/manager.ts';
import type { Store } from '../core/store.ts';
import type { Discovery } from '../discover/discovery.ts';
import type { DiscoveredRows } from '../discover/rows.ts';
import { showError } from './messages.ts';

export interface DiscoverOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly log: vscode.LogOutputChannel;
}

interface Parts {
  readonly discovery: Discovery;
  readonly rows: DiscoveredRows;
}

/** Looks for clusters of this user on this machine while the view of clusters is to be seen, if the settings allow it. */
export class Discoverer implements vscode.Disposable {
  readonly #options: DiscoverOptions;
  readonly #listening: vscode.Disposable;
  #visible = false;
  #parts: Promise<Parts> | undefined;

  constructor(options: DiscoverOptions) {
    this.#options = options;
    this.#listening = vscode.Disposable.from(
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#follow()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('flowClusters.discover')) this.#follow();
      }),
    );
  }

  dispose(): void {
    this.#listening.dispose();
    this.#visible = false;
    void this.#parts?.then(({ discovery, rows }) => {
      discovery.stop();
      rows.dispose();
    });
  }

  /** The view has come to be seen, or is hidden now: what was found stays, and nothing is looked for. */
  set visible(visible: boolean) {
    this.#visible = visible;
    this.#follow();
  }

  #follow(): void {
    this.#apply().catch((error: unknown) => void showError(error, this.#options.log));
  }

  async #apply(): Promise<void> {
    const isAllowed = () =>
      vscode.workspace.isTrusted &&
      vscode.workspace.getConfiguration('flowClusters').get('discover') === true;
    if (!this.#parts && !(this.#visible && isAllowed())) return;
    this.#parts ??= makeParts(this.#options);
    const { discovery, rows } = await this.#parts;
    if (this.#visible && isAllowed()) discovery.start();
    else discovery.stop();
    if (!isAllowed()) rows.show([]);
  }
}

/** Loaded when first used. */
async function makeParts({ store, manager, log }: DiscoverOptions): Promise<Parts> {
  const [{ Discovery }, { DiscoveredRows }, { thisMachine }] = await Promise.all([
    import('../discover/discovery.ts'),
    import('../discover/rows.ts'),
    import('../discover/thisMachine.ts'),
  ]);
  const rows = new DiscoveredRows({ store, manager, user: userInfo().username });
  const discovery = new Discovery({
    ...{ machine: thisMachine(), ownPid: process.pid, log },
    onChange: (found) => rows.show(found),
  });
  return { discovery, rows };
}
