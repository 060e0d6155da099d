import { homedir } from 'node:os';
import { dirname } from 'node:path';
import * as vscode from 'vscode';
import { UserError } from '../core/errors.ts';
import type { Executor } from '../core/executor.ts';
import type { Store } from '../core/store.ts';
import type { HostPool } from '../host/pool.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import { type FlowRef, flowKey } from '../protocol/lsp.ts';
import { suitableHost } from '../runs/requirements.ts';
import type { RunService } from '../runs/service.ts';
import type { AttachCommands } from './attachCommands.ts';
import type { Lenses } from './lenses.ts';
import { askParameters } from './parameters.ts';
import { type Choice, defaultChoice, pickFlow, pickTarget } from './picks.ts';
import type { Preflight } from './preflight.ts';
import { withLateProgress } from './progress.ts';
import type { Interpreters } from './python.ts';
import { type Backends, targetOf } from './targets.ts';

export interface FlowCommandsOptions {
  readonly store: Store;
  readonly pool: HostPool;
  readonly runs: RunService;
  readonly lenses: Lenses;
  readonly interpreters: Interpreters;
  readonly attach: AttachCommands;
  readonly backends: Backends;
  readonly preflight: Preflight;
  readonly memory: vscode.Memento;
  readonly log: vscode.LogOutputChannel;
}

/** What commands are given: a lens's flow, the file of the editor's run menu, nothing by the palette. */
type Argument = FlowRef | vscode.Uri | undefined;

/** Set in the workspace's memory once a Prefect flow of it has been run by us. */
const prefectUsed = 'prefectUsed';

/** Runs flows from lenses, the palette and the editor's run menu. */
export class FlowCommands implements vscode.Disposable {
  readonly #options: FlowCommandsOptions;
  readonly #listening: { dispose(): void }[];
  /** Flows (by {@link flowKey}) between a click and their run. */
  readonly #preparing = new Set<string>();
  #lastSeen: string | undefined;

  constructor(options: FlowCommandsOptions) {
    this.#options = options;
    const again = () => this.#lastSeen !== undefined && this.flowSeen(this.#lastSeen);
    this.#listening = [
      options.interpreters.onDidChange(again),
      vscode.workspace.onDidGrantWorkspaceTrust(again),
    ];
  }

  dispose(): void {
    for (const listening of this.#listening) listening.dispose();
  }

  /** Runs on the default executor, or the cluster chosen for runs. Resolves when the run has started. */
  async run(argument?: Argument): Promise<string | undefined> {
    const found = await this.find(argument);
    if (!found) return undefined;
    return this.#start(found, defaultChoice(this.#options.store.snapshot), false);
  }

  /** Runs with the executor, task runner or cluster that the source itself gives it, and none of ours. */
  async runAsWritten(argument?: Argument): Promise<string | undefined> {
    const found = await this.find(argument);
    if (!found) return undefined;
    if (!found.flow.written) {
      throw new UserError('setting', `The source of ${found.flow.name} gives it no executor of Dask`, {
        hint: 'Run it with one of yours.',
      });
    }
    return this.#start(found, { asWritten: true }, false);
  }

  /** Runs a flow of a file on an executor, which need not be in the settings. */
  async runOn(executor: Executor, file: vscode.Uri): Promise<string | undefined> {
    const found = await this.find(file);
    return found && this.#start(found, { executor }, false);
  }

  /** Asks what to run on; the pencil of a row asks for the parameters as well. */
  async runWith(argument?: Argument): Promise<string | undefined> {
    const found = await this.find(argument);
    if (!found) return undefined;
    const picked = await pickTarget(this.#options.store.snapshot, found.flow);
    return picked && this.#start(found, picked.choice, picked.parameters);
  }

  /** A document with a flow is open: starts a host ahead of the first run, if the user wants that. */
  flowSeen(uri: string): void {
    this.#lastSeen = uri;
    // A courtesy: what is wrong with the interpreter is shown when something is run.
    this.#warm(uri).catch((error: unknown) => this.#options.log.warn(`no warm host: ${String(error)}`));
  }

  async #warm(uri: string): Promise<void> {
    if (!vscode.workspace.isTrusted) return;
    if (vscode.workspace.getConfiguration('flowClusters').get('warmUp') !== 'onFlow') return;
    const parsed = vscode.Uri.parse(uri);
    if (parsed.scheme !== 'file') return;
    const host = await this.host(parsed);
    const { packages } = await host.hello;
    // The server works on the user's own Prefect home: not before a run here has asked for it.
    if (!this.#options.memory.get<boolean>(prefectUsed, false)) return;
    const flows = await (await this.#options.lenses.language()).flows(uri);
    if (!flows.some(({ api }) => api === 'prefect') || !(Number.parseInt(packages.prefect ?? '', 10) >= 2))
      return;
    // After the imports: both at once would make each slower.
    await host.whenReady();
    await host.prefectApi(() => undefined);
  }

  /** The warm host for a file on disk: its folder's interpreter. Without one, that of the first folder. */
  async host(uri: vscode.Uri | undefined): Promise<PythonHost> {
    const file = uri?.scheme === 'file' ? uri : undefined;
    const folder =
      (file && vscode.workspace.getWorkspaceFolder(file)) ??
      vscode.workspace.workspaceFolders?.find((candidate) => candidate.uri.scheme === 'file');
    const python = await this.#options.interpreters.find(folder);
    const workspace = folder?.uri.fsPath ?? (file ? dirname(file.fsPath) : homedir());
    return this.#options.pool.get(python, workspace);
  }

  async #start(ref: FlowRef, choice: Choice, allParameters: boolean): Promise<string | undefined> {
    requireTrust();
    const key = flowKey(ref.uri, ref.flow);
    if (this.#preparing.has(key)) {
      vscode.window.setStatusBarMessage(`${ref.flow.name} is starting already`, 3000);
      return undefined;
    }
    this.#preparing.add(key);
    try {
      const file = await saved(ref.uri);
      const now = await this.#afterSave(ref, file);
      const parameters = await askParameters(now.flow, now.uri, this.#options.memory, allParameters);
      return parameters && (await this.#launch(now, file, parameters, choice));
    } finally {
      this.#preparing.delete(key);
    }
  }

  async #launch(
    { uri, flow }: FlowRef,
    file: vscode.Uri,
    parameters: Record<string, unknown>,
    choice: Choice,
  ): Promise<string> {
    const title = `Run ${flow.name}`;
    const id = await withLateProgress(title, async (signal, stage) => {
      stage('finding the interpreter');
      const known = await this.host(file);
      stage(`starting ${known.python}`);
      const host = await suitableHost(known, () => this.host(file), flow.api);
      signal.throwIfAborted();
      const { attach, backends, preflight } = this.#options;
      const target = await targetOf(choice, { host, attach, backends, signal, stage });
      const found =
        target.kind === 'cluster'
          ? await preflight.beforeRun({ clusterId: target.clusterId, flow, file, host, signal, stage })
          : {};
      stage('checking the file');
      const started = await this.#options.runs.start({
        uri,
        file: file.fsPath,
        workspace: host.workspace,
        flow,
        parameters,
        host,
        target,
        ...found,
        signal,
      });
      // The click on Cancel may have come with the run's very start.
      if (signal.aborted) await this.#options.runs.cancel(started);
      return started;
    });
    if (flow.api === 'prefect') await this.#options.memory.update(prefectUsed, true);
    return id;
  }

  /** The lens's flow, or the one that the user picks in the given file or in the active editor. */
  async find(argument: Argument): Promise<FlowRef | undefined> {
    if (argument && 'flow' in argument) return argument;
    const editor = vscode.window.activeTextEditor;
    const document =
      argument instanceof vscode.Uri ? await vscode.workspace.openTextDocument(argument) : editor?.document;
    if (document?.languageId !== 'python') {
      throw new UserError('flow-not-found', 'No Python file is open', { hint: 'Open a file with a flow.' });
    }
    const uri = document.uri.toString();
    const flows = await (await this.#options.lenses.language()).flows(uri);
    if (flows.length === 0) {
      throw new UserError('flow-not-found', 'There is no Prefect flow or Dask script in this file');
    }
    if (flows.length === 1 && flows[0]) return { uri, flow: flows[0] };
    const cursorLine = editor?.document === document ? editor.selection.active.line : undefined;
    const flow = await pickFlow(flows, cursorLine);
    return flow && { uri, flow };
  }

  /** The flow as it stands in the saved file: formatters edit it then, and an untitled one gets its name. */
  async #afterSave({ flow }: FlowRef, file: vscode.Uri): Promise<FlowRef> {
    const uri = file.toString();
    const flows = await (await this.#options.lenses.language()).flows(uri);
    const key = flowKey(uri, flow);
    const found = flows.find((candidate) => flowKey(uri, candidate) === key);
    if (found) return { uri, flow: found };
    throw new UserError('flow-not-found', `${flow.name} is no longer in ${file.fsPath}`, {
      action: { kind: 'open-file', path: file.fsPath },
    });
  }
}

/** The runner reads the file from disk: what is in the editor is saved first, as "Run Python File" does. */
async function saved(uri: string): Promise<vscode.Uri> {
  let document = await vscode.workspace.openTextDocument(vscode.Uri.parse(uri));
  if (document.isUntitled) {
    const placed = await vscode.workspace.save(document.uri);
    if (!placed) throw new UserError('cancelled', 'The file was not saved');
    document = await vscode.workspace.openTextDocument(placed);
  }
  if (document.isDirty && !(await document.save())) {
    throw new UserError('flow-not-found', `${document.fileName} could not be saved`, {
      hint: 'The run uses the file on disk.',
    });
  }
  if (document.uri.scheme !== 'file') {
    throw new UserError('flow-not-found', `Flows run from files on disk, not from ${document.uri.scheme}:`);
  }
  return document.uri;
}

/** Throws unless the workspace is trusted: its code would run. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new UserError('untrusted', 'This workspace is not trusted', {
    hint: 'Flows run and clusters start only in a trusted workspace.',
    action: { kind: 'manage-trust' },
  });
}
