import * as vscode from 'vscode';
import { type ClientTarget, clientCode, clientEnvironment, insertionAt } from '../core/clientCode.ts';
import type { Cluster } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { Security } from '../core/security.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import type { Attachments } from '../runs/attachments.ts';
import type { ClientFiles } from '../runs/clientFiles.ts';
import { filesForCode } from './certificates.ts';
import { showError } from './messages.ts';
import { pickCluster } from './picks.ts';

export interface ClientCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly attachments: Attachments;
  /** Where certificates of clusters of ours are written to, for code that is asked for. */
  readonly files: ClientFiles;
  /** What VS Code adds to the environment of new terminals. */
  readonly terminals: vscode.EnvironmentVariableCollection;
  readonly log: vscode.LogOutputChannel;
}

const shownMs = 5_000;
/** Of the code that a dragged row stands for, for editors that can place it; others take it as text. */
const codeType = 'application/vnd.flow-clusters.client';

/** Leads the user's own code to a cluster: lines that connect, and a variable for new terminals. */
export class ClientCommands implements vscode.Disposable {
  readonly #options: ClientCommandsOptions;
  /** By cluster. */
  readonly #written = new Map<string, Security>();
  readonly #listening: readonly { dispose(): void }[];

  constructor(options: ClientCommandsOptions) {
    this.#options = options;
    this.#listening = [
      options.store.onDidChange((event) => {
        if (event.type === 'active')
          this.#tellTerminals(event.clusterId).catch((error: unknown) => void showError(error, options.log));
        if (event.type === 'cluster.removed') this.#forget(event.id);
      }),
      vscode.languages.registerDocumentDropEditProvider(
        { language: 'python' },
        { provideDocumentDropEdits: dropCode },
        { dropMimeTypes: [codeType], providedDropEditKinds: [] },
      ),
    ];
  }

  dispose(): void {
    for (const listening of this.#listening) listening.dispose();
    this.#options.terminals.clear();
  }

  /** Rows of clusters that are dragged into an editor become the lines that connect to them. */
  readonly drag: vscode.TreeDragAndDropController<TreeNode> = {
    dragMimeTypes: [codeType, 'text/plain'],
    dropMimeTypes: [],
    handleDrag: async (nodes, data) => {
      const parts = await Promise.all(nodes.map((node) => this.#codeOf(node)));
      const code = parts.filter((part) => part !== undefined).join('\n');
      if (code === '') return;
      data.set(codeType, new vscode.DataTransferItem(code));
      data.set('text/plain', new vscode.DataTransferItem(`${code}\n`));
    },
  };

  /** Puts the lines that connect to a cluster where the cursor is, or into the clipboard. */
  async insert(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'Connect to which cluster?');
    if (!cluster) return;
    const code = clientCode(await this.#target(cluster));
    const where = (await insertIntoEditor(code)) ?? (await insertIntoNotebook(code));
    if (!where) await vscode.env.clipboard.writeText(code);
    vscode.window.setStatusBarMessage(
      where
        ? `Client code for ${cluster.name} inserted into ${where}`
        : `No editor to insert into: client code for ${cluster.name} is in the clipboard`,
      shownMs,
    );
  }

  /** From now on `Client()` in new terminals connects to this cluster. */
  async makeActive(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'New terminals should connect to which cluster?');
    if (!cluster) return;
    this.#options.store.dispatch({ type: 'active', clusterId: cluster.id });
    const { address, files } = await this.#target(cluster);
    const lacks =
      /^(tls|wss|gateway):/.test(address) && !files ? '; Dask has to be told of its certificates' : '';
    vscode.window.setStatusBarMessage(
      `Client() in new terminals connects to ${cluster.name}${lacks}`,
      shownMs,
    );
  }

  clearActive(): void {
    this.#options.store.dispatch({ type: 'active', clusterId: undefined });
  }

  async #tellTerminals(clusterId: string | undefined): Promise<void> {
    const { store, terminals } = this.#options;
    terminals.clear();
    const cluster = clusterId === undefined ? undefined : store.snapshot.clusters.get(clusterId);
    if (!cluster || !hasAddress(cluster)) return;
    const target = await this.#target(cluster);
    if (store.snapshot.activeClusterId !== clusterId) return;
    // A window that opens anew has its own clusters.
    terminals.persistent = false;
    terminals.description = `Flow Clusters: Dask’s \`Client()\` connects to ${cluster.name}.`;
    for (const [name, value] of Object.entries(clientEnvironment(target))) {
      terminals.replace(name, value);
    }
  }

  async #codeOf({ key, context }: TreeNode): Promise<string | undefined> {
    const cluster = this.#options.store.snapshot.clusters.get(key);
    const isPlace = context.startsWith('cluster') || context.startsWith('scheduler');
    return cluster && isPlace && hasAddress(cluster) ? clientCode(await this.#target(cluster)) : undefined;
  }

  async #target({ id, state, ownership }: Cluster): Promise<ClientTarget> {
    const { manager, attachments, log, files: ours } = this.#options;
    const access = manager.access(id);
    const address = 'address' in state ? state.address : access?.address;
    if (address === undefined) throw new UserError('unreachable', 'The cluster has no address yet');
    if (ownership === 'owned' && access?.security) {
      const files = await ours.put(access.security);
      this.#written.set(id, access.security);
      return { address, files };
    }
    const files = attachments.files(id);
    if (!files) return { address };
    return { address, files: filesForCode(files, log) };
  }

  #forget(clusterId: string): void {
    const security = this.#written.get(clusterId);
    if (!security) return;
    this.#written.delete(clusterId);
    this.#options.files
      .remove(security)
      .catch((error: Error) => this.#options.log.warn(`certificates were not removed: ${error.message}`));
  }

  #pick(node: TreeNode | undefined, title: string): Promise<Cluster | undefined> {
    return pickCluster(this.#options.store.snapshot, node, title, hasAddress);
  }
}

function hasAddress({ state }: Cluster): boolean {
  return state.kind === 'running' || state.kind === 'lost';
}

/**
 * Puts lines of code where the cursor of an editor is: the active one unless told.
 * @returns the name of its file; undefined if there is no editor, or one that can't be written to
 */
export async function insertIntoEditor(
  code: string,
  editor = vscode.window.activeTextEditor,
): Promise<string | undefined> {
  // The output panel is an editor too.
  if (!editor || editor.document.uri.scheme === 'output') return undefined;
  const { active } = editor.selection;
  const { character, text } = insertion(editor.document, active, code);
  const at = active.with({ character });
  const done = await editor.edit((edit) => edit.insert(at, text));
  if (!done) return undefined;
  const isCell = editor.document.uri.scheme === 'vscode-notebook-cell';
  return isCell ? 'the cell' : (editor.document.uri.path.split('/').at(-1) ?? 'the editor');
}

function insertion(document: vscode.TextDocument, { line, character }: vscode.Position, code: string) {
  let next = line + 1;
  while (next < document.lineCount && document.lineAt(next).isEmptyOrWhitespace) next += 1;
  const below = next < document.lineCount ? document.lineAt(next).text : '';
  return insertionAt(document.lineAt(line).text, character, code, below);
}

/** What is dropped into the middle of a line goes to a line of its own. */
async function dropCode(
  document: vscode.TextDocument,
  position: vscode.Position,
  data: vscode.DataTransfer,
): Promise<vscode.DocumentDropEdit | undefined> {
  const code = await data.get(codeType)?.asString();
  if (!code) return undefined;
  const { character, text } = insertion(document, position, code);
  const drop = new vscode.DocumentDropEdit('', 'Insert Client Code');
  drop.additionalEdit = new vscode.WorkspaceEdit();
  drop.additionalEdit.insert(document.uri, position.with({ character }), text);
  return drop;
}

/** As a cell of its own under the one that is selected. */
async function insertIntoNotebook(code: string): Promise<string | undefined> {
  const editor = vscode.window.activeNotebookEditor;
  if (!editor) return undefined;
  const cell = new vscode.NotebookCellData(vscode.NotebookCellKind.Code, code, 'python');
  const edit = new vscode.WorkspaceEdit();
  edit.set(editor.notebook.uri, [vscode.NotebookEdit.insertCells(editor.selection.end, [cell])]);
  return (await vscode.workspace.applyEdit(edit)) ? 'a cell of its own' : undefined;
}
