import * as vscode from 'vscode';
import { type Cluster, isLive } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import type { ClusterManager } from '../core/manager.ts';
import { type ClusterMember, type MemberShell, memberLabel, memberNoun } from '../core/members.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { requireTrust } from './flowCommands.ts';
import { showError } from './messages.ts';
import { pickCluster } from './picks.ts';

export interface ShellCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly log: vscode.LogOutputChannel;
}

/** Of a terminal that is not drawn yet. */
const usualSize = { rows: 24, columns: 80 };

/** Shells in the containers and pods of clusters, each in a terminal of the editor. */
export class ShellCommands implements vscode.Disposable {
  readonly #options: ShellCommandsOptions;
  readonly #terminals = new Set<vscode.Terminal>();
  readonly #closed: vscode.Disposable;

  constructor(options: ShellCommandsOptions) {
    this.#options = options;
    this.#closed = vscode.window.onDidCloseTerminal((terminal) => void this.#terminals.delete(terminal));
  }

  /** Opens one in the container of a row, or in one that the user picks. */
  async open(node?: TreeNode): Promise<void> {
    requireTrust();
    const { store, manager, log } = this.#options;
    const candidates = [...store.snapshot.clusters.values()].filter(isLive).flatMap(running);
    const cluster = await pickCluster(
      store.snapshot,
      node,
      `Open a shell in a ${memberNoun(...candidates)} of which cluster?`,
      (one) => isLive(one) && running(one).length > 0,
    );
    const member = cluster && (await pickMember(cluster, node));
    const access = cluster && manager.members(cluster.id);
    if (!member || !access) return;
    const pty = new ShellTerminal(
      (size) => access.shell(member.name, size),
      (error) => void showError(error, log),
    );
    const name = `${cluster.name} › ${memberLabel(member)}`;
    const terminal = vscode.window.createTerminal({
      ...{ name, pty, iconPath: new vscode.ThemeIcon('terminal') },
      isTransient: true,
    });
    this.#terminals.add(terminal);
    terminal.show();
  }

  dispose(): void {
    this.#closed.dispose();
    for (const terminal of this.#terminals) terminal.dispose();
  }
}

const running = ({ members = [] }: Cluster) => members.filter(({ state }) => state === 'running');

async function pickMember(cluster: Cluster, node: TreeNode | undefined): Promise<ClusterMember | undefined> {
  const members = running(cluster);
  if (node?.member !== undefined) {
    const member = members.find(({ name }) => name === node.member);
    if (member) return member;
    const known = cluster.members?.filter(({ name }) => name === node.member) ?? [];
    throw new UserError('unreachable', `The ${memberNoun(...known)} of ${node.label} does not run now`, {
      hint: 'Its row says when it does.',
    });
  }
  const items = members.map((member) => ({ label: memberLabel(member), description: member.name, member }));
  const title = `Open a shell in which ${memberNoun(...members)}?`;
  return (await vscode.window.showQuickPick(items, { title }))?.member;
}

/** A terminal that hands everything on to a shell elsewhere, which has its own terminal. */
class ShellTerminal implements vscode.Pseudoterminal {
  readonly #write = new vscode.EventEmitter<string>();
  readonly onDidWrite = this.#write.event;
  readonly #close = new vscode.EventEmitter<number | undefined>();
  readonly onDidClose = this.#close.event;
  readonly #start: (size: vscode.TerminalDimensions) => Promise<MemberShell>;
  readonly #onError: (error: unknown) => void;
  #shell: MemberShell | undefined;
  /** Typed before the shell was there. */
  #typed = '';
  #size: vscode.TerminalDimensions = usualSize;
  #isClosed = false;

  constructor(
    start: (size: vscode.TerminalDimensions) => Promise<MemberShell>,
    onError: (error: unknown) => void,
  ) {
    this.#start = start;
    this.#onError = onError;
  }

  open(size: vscode.TerminalDimensions | undefined): void {
    if (size) this.#size = size;
    this.#run().catch((error: unknown) => {
      if (!this.#isClosed) this.#close.fire(undefined);
      this.#onError(error);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#shell?.close().catch(this.#onError);
  }

  handleInput(data: string): void {
    if (this.#shell) this.#shell.write(data);
    else this.#typed += data;
  }

  setDimensions(size: vscode.TerminalDimensions): void {
    this.#size = size;
    this.#shell?.resize(size);
  }

  async #run(): Promise<void> {
    const size = this.#size;
    const shell = await this.#start(size);
    this.#shell = shell;
    if (this.#isClosed) return shell.close();
    shell.onData((text) => this.#write.fire(text));
    if (this.#size !== size) shell.resize(this.#size);
    if (this.#typed !== '') shell.write(this.#typed);
    await shell.ended;
    // However the last command ended: that is no failure of the terminal.
    if (!this.#isClosed) this.#close.fire(undefined);
  }
}
