import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { PythonExtension } from '@vscode/python-extension';
import * as vscode from 'vscode';
import { Emitter } from '../core/emitter.ts';
import { expandPath } from '../core/interpreter.ts';
import { within } from '../core/limit.ts';
import { Commands } from '../protocol/commands.ts';

const pythonExtension = 'ms-python.python';
/** It looks for interpreters when it starts, which takes seconds on a slow machine. */
const startTimeoutMs = 15_000;
const resolveTimeoutMs = 5_000;

/** Finds the interpreter that runs flows. */
export class Interpreters implements vscode.Disposable {
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new Emitter<void>();
  readonly #settings: vscode.Disposable;
  #following: vscode.Disposable | undefined;
  #told = false;

  constructor(log: vscode.LogOutputChannel) {
    this.#log = log;
    this.#settings = vscode.workspace.onDidChangeConfiguration((event) => {
      if (
        event.affectsConfiguration('flowClusters.python') ||
        event.affectsConfiguration('python.defaultInterpreterPath')
      ) {
        this.#changed.fire();
      }
    });
  }

  /** Calls `listener` when the user has chosen another interpreter, here or in the Python extension. */
  onDidChange(listener: () => void): { dispose(): void } {
    return this.#changed.on(listener);
  }

  dispose(): void {
    this.#settings.dispose();
    this.#following?.dispose();
    this.#changed.dispose();
  }

  /**
   * The interpreter that runs the flows of this folder: the setting, else the one chosen in the Python extension,
   * else `python.defaultInterpreterPath`, else the workspace's `.venv`, else `python3` from the path.
   */
  async find(folder: vscode.WorkspaceFolder | undefined): Promise<string> {
    const own = fromSetting('flowClusters', 'python', folder);
    if (own) return own;
    const { path, problem } = await this.#fromPythonExtension(folder);
    if (path) return path;
    const configured = fromSetting('python', 'defaultInterpreterPath', folder);
    const found =
      configured && configured !== 'python'
        ? configured
        : ((await fromFolder(folder)) ?? (process.platform === 'win32' ? 'python' : 'python3'));
    if (problem) this.#tell(problem, found);
    return found;
  }

  async #fromPythonExtension(
    folder: vscode.WorkspaceFolder | undefined,
  ): Promise<{ path?: string | undefined; problem?: string }> {
    if (!vscode.extensions.getExtension(pythonExtension)) return {};
    try {
      const late = () => new Error('it did not answer in time');
      // Once it has failed, no run waits that long again.
      const limitMs = this.#told ? 1_000 : startTimeoutMs;
      const { environments } = await within(PythonExtension.api(), limitMs, late);
      this.#following ??= environments.onDidChangeActiveEnvironmentPath(() => this.#changed.fire());
      const active = environments.getActiveEnvironmentPath(folder?.uri);
      const resolving = within(
        environments.resolveEnvironment(active),
        Math.min(limitMs, resolveTimeoutMs),
        late,
      );
      const resolved = await resolving.catch((error: unknown) => {
        // What it calls active is mostly the interpreter's own path already: better than another one.
        if (!isAbsolute(active.path)) throw error;
        this.#log.warn(`the Python extension does not know ${active.path}: ${String(error)}`);
        return undefined;
      });
      const path = resolved?.executable.uri?.fsPath;
      if (path) return { path };
      if (resolved) return { problem: 'the chosen environment has no Python' };
      return { path: isAbsolute(active.path) && (await isFile(active.path)) ? active.path : undefined };
    } catch (error) {
      return { problem: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Said once: flows would run on another interpreter than the one that the user sees chosen. */
  #tell(problem: string, found: string): void {
    this.#log.warn(`the Python extension names no interpreter (${problem}): using ${found}`);
    if (this.#told) return;
    this.#told = true;
    const select = 'Select Interpreter';
    const text = `The Python extension names no interpreter (${problem}): flows run on ${found}.`;
    void vscode.window.showWarningMessage(text, select).then((chosen) => {
      if (chosen === select) void vscode.commands.executeCommand(Commands.selectInterpreter);
    });
  }
}

/** The path that a setting names; undefined where it is not set. */
function fromSetting(
  section: string,
  name: string,
  folder: vscode.WorkspaceFolder | undefined,
): string | undefined {
  const value = vscode.workspace.getConfiguration(section, folder).get<string>(name, '');
  if (value.trim() === '') return undefined;
  return expandPath({ key: `${section}.${name}`, value, home: homedir(), folder: folder?.uri.fsPath });
}

async function fromFolder(folder: vscode.WorkspaceFolder | undefined): Promise<string | undefined> {
  if (!folder) return undefined;
  const binary = process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python'];
  for (const name of ['.venv', 'venv']) {
    const path = join(folder.uri.fsPath, name, ...binary);
    if (await isFile(path)) return path;
  }
  return undefined;
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/**
 * Lets the user choose: with the Python extension's own picker, else by a path. A path in our setting wins over that
 * picker, so it is asked what shall become of it.
 */
export async function selectInterpreter(): Promise<void> {
  const own = vscode.workspace.getConfiguration('flowClusters').get<string>('python', '');
  if (!vscode.extensions.getExtension(pythonExtension)) return askPath(own);
  if (own.trim() !== '') {
    const follow = { label: "Use the Python extension's interpreter" };
    const picked = await vscode.window.showQuickPick(
      [
        { ...follow, detail: 'Removes flowClusters.python from the settings' },
        { label: 'Enter another path…', detail: `Now: ${own}` },
      ],
      { title: 'Python interpreter that runs flows' },
    );
    if (!picked) return;
    if (picked.label !== follow.label) return askPath(own);
    for (const target of targetsOfOwn()) await setOwn(undefined, target);
  }
  await vscode.commands.executeCommand('python.setInterpreter');
}

async function askPath(own: string): Promise<void> {
  const typed = await vscode.window.showInputBox({
    title: 'Python interpreter that runs flows',
    prompt: 'Path of the interpreter, for example ~/venv/bin/python. Empty: found automatically.',
    value: own,
    ignoreFocusOut: true,
  });
  if (typed === undefined) return;
  const fallback = vscode.workspace.workspaceFolders
    ? vscode.ConfigurationTarget.Workspace
    : vscode.ConfigurationTarget.Global;
  await setOwn(typed.trim() || undefined, targetsOfOwn()[0] ?? fallback);
}

function setOwn(value: string | undefined, target: vscode.ConfigurationTarget): Thenable<void> {
  // A folder's own value can only be written through that folder.
  const scope =
    target === vscode.ConfigurationTarget.WorkspaceFolder
      ? vscode.workspace.workspaceFolders?.[0]
      : undefined;
  return vscode.workspace.getConfiguration('flowClusters', scope).update('python', value, target);
}

/** Where `flowClusters.python` is set, the one that wins first. */
function targetsOfOwn(): vscode.ConfigurationTarget[] {
  const folder = vscode.workspace.workspaceFolders?.[0];
  const set = vscode.workspace.getConfiguration('flowClusters', folder).inspect<string>('python');
  const { Global, Workspace, WorkspaceFolder } = vscode.ConfigurationTarget;
  return [
    ...(set?.workspaceFolderValue !== undefined && (vscode.workspace.workspaceFolders?.length ?? 0) > 1
      ? [WorkspaceFolder]
      : []),
    ...(set?.workspaceValue !== undefined ? [Workspace] : []),
    ...(set?.globalValue !== undefined ? [Global] : []),
  ];
}
