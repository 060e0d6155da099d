import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { type ClientTarget, clientCode, clientEnvironment, insertionAt } from '../core/clientCode.ts';
import type { Cluster } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import type { Attachments } from '../runs/attachments.ts';
import { certificatePaths } from '../runs/certificates.ts';
import { pickCluster } from './picks.ts';

export interface ClientCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly attachments: Attachments;
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
  readonly #listening: readonly { dispose(): void }[];

  constructor(options: ClientCommandsOptions) {
    this.#options = options;
    this.#listening = [
      options.store.onDidChange((event) => {
        if (event.type === 'active') this.#tellTerminals(event.clusterId);
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
    handleDrag: (nodes, data) => {
      const code = nodes.flatMap((node) => this.#codeOf(node) ?? []).join('\n');
      if (code === '') return;
      data.set(codeType, new vscode.DataTransferItem(code));
      data.set('text/plain', new vscode.DataTransferItem(`${code}\n`));
    },
  };

  /** Puts the lines that connect to a cluster where the cursor is, or into the clipboard. */
  async insert(node?: TreeNode): Promise<void> {
    const cluster = await this.#pick(node, 'Connect to which cluster?');
    if (!cluster) return;
    const code = clientCode(this.#target(cluster));
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
    const { address, files } = this.#target(cluster);
    const lacks = /^(tls|wss):/.test(address) && !files ? '; Dask has to be told of its certificates' : '';
    vscode.window.setStatusBarMessage(
      `Client() in new terminals connects to ${cluster.name}${lacks}`,
      shownMs,
    );
  }

  clearActive(): void {
    this.#options.store.dispatch({ type: 'active', clusterId: undefined });
  }

  #tellTerminals(clusterId: string | undefined): void {
    const { store, terminals } = this.#options;
    terminals.clear();
    const cluster = clusterId === undefined ? undefined : store.snapshot.clusters.get(clusterId);
    if (!cluster || !hasAddress(cluster)) return;
    // A window that opens anew has its own clusters.
    terminals.persistent = false;
    terminals.description = `Flow Clusters: Dask’s \`Client()\` connects to ${cluster.name}.`;
    for (const [name, value] of Object.entries(clientEnvironment(this.#target(cluster)))) {
      terminals.replace(name, value);
    }
  }

  #codeOf({ key, context }: TreeNode): string | undefined {
    const cluster = this.#options.store.snapshot.clusters.get(key);
    const isPlace = context.startsWith('cluster') || context.startsWith('scheduler');
    return cluster && isPlace && hasAddress(cluster) ? clientCode(this.#target(cluster)) : undefined;
  }

  #target({ id, state }: Cluster): ClientTarget {
    const { manager, attachments, log } = this.#options;
    const address = 'address' in state ? state.address : manager.access(id)?.address;
    if (address === undefined) throw new UserError('unreachable', 'The cluster has no address yet');
    const files = attachments.files(id);
    if (!files) return { address };
    const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file')?.uri.fsPath;
    try {
      return { address, files: certificatePaths(files, { home: homedir(), folder }) };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      // The code is of use without them: it says what to fill in.
      log.warn(error.message);
      return { address };
    }
  }

  #pick(node: TreeNode | undefined, title: string): Promise<Cluster | undefined> {
    return pickCluster(this.#options.store.snapshot, node, title, hasAddress);
  }
}

function hasAddress({ state }: Cluster): boolean {
  return state.kind === 'running' || state.kind === 'lost';
}

/** The name of the file; undefined if there is no editor, or one that can't be written to. */
async function insertIntoEditor(code: string): Promise<string | undefined> {
  const editor = vscode.window.activeTextEditor;
  // The output panel is an editor too.
  if (!editor || editor.document.uri.scheme === 'output') return undefined;
  const { active } = editor.selection;
  const { character, text } = insertionAt(editor.document.lineAt(active.line).text, active.character, code);
  const at = active.with({ character });
  const done = await editor.edit((edit) => edit.insert(at, text));
  if (!done) return undefined;
  const isCell = editor.document.uri.scheme === 'vscode-notebook-cell';
  return isCell ? 'the cell' : (editor.document.uri.path.split('/').at(-1) ?? 'the editor');
}

/** What is dropped into the middle of a line goes to a line of its own. */
async function dropCode(
  document: vscode.TextDocument,
  position: vscode.Position,
  data: vscode.DataTransfer,
): Promise<vscode.DocumentDropEdit | undefined> {
  const code = await data.get(codeType)?.asString();
  if (!code) return undefined;
  const { character, text } = insertionAt(document.lineAt(position.line).text, position.character, code);
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
