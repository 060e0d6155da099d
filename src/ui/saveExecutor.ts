import { relative, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as vscode from 'vscode';
import { definitionPath } from '../core/clusterClassExecutor.ts';
import { UserError } from '../core/errors.ts';
import { describeExecutor, type Executor } from '../core/executor.ts';
import type { FlowDef } from '../core/flow.ts';
import { savedExecutor } from '../core/savedExecutor.ts';
import type { Store } from '../core/store.ts';
import { isUnread, type WrittenExecutor } from '../core/written.ts';
import { Commands } from '../protocol/commands.ts';
import { type ClusterMakerRef, type FlowRef, flowKey } from '../protocol/lsp.ts';
import { changeExecutors } from './executorSettings.ts';
import type { FlowCommands } from './flowCommands.ts';
import type { Lenses } from './lenses.ts';
import { askExecutorName, setDefaultExecutor } from './settings.ts';

export interface SaveExecutorOptions {
  readonly store: Store;
  readonly flows: FlowCommands;
  readonly lenses: Lenses;
}

/**
 * Puts the executor that a flow's source gives it into the settings, as a profile of its own.
 * @param ref the flow; undefined: that at the cursor
 * @param at which of its executors; undefined: the only one, or the user picks
 */
export async function saveExecutor(options: SaveExecutorOptions, ref?: FlowRef, at?: number): Promise<void> {
  const found = await findWritten(options, ref, at);
  if (!found) return;
  const { written, flow, pathOf } = found;
  await addExecutor(options.store, written, { usual: flow.name, pathOf });
}

/** What the source of a flow gives it to run on. */
export interface FoundWritten {
  readonly written: WrittenExecutor;
  readonly flow: FlowDef;
  /** How settings name what its file defines; undefined where it is no file yet. */
  readonly pathOf: ((local: string) => string) | undefined;
}

/**
 * The executor that a flow's source gives it; undefined if the user leaves the question which.
 * @param ref the flow; undefined: that at the cursor
 * @param at which of its executors; undefined: the only one, or the user picks
 */
export async function findWritten(
  { flows, lenses }: Pick<SaveExecutorOptions, 'flows' | 'lenses'>,
  ref?: FlowRef,
  at?: number,
): Promise<FoundWritten | undefined> {
  const found = await flows.find(ref);
  if (!found) return undefined;
  const { uri, flow } = found;
  const all = await (await lenses.language()).executors(uri);
  const key = flowKey(uri, flow);
  const own = all.find((one) => flowKey(uri, one.flow) === key)?.executors ?? [];
  const pathOf = await pathsIn(uri);
  const written = at === undefined ? await pickWritten(own, pathOf) : own[at];
  if (written) return { written, flow, pathOf };
  if (own.length > 0) return undefined;
  throw new UserError('setting', `The source of ${flow.name} gives it no executor of Dask`);
}

/**
 * Makes an executor of a function or class of the user's file that makes a cluster.
 * @param ref what it is; undefined: the only one of the file that is open, or the user picks
 */
export async function useAsCluster(options: SaveExecutorOptions, ref?: ClusterMakerRef): Promise<void> {
  const found = ref ?? (await pickMaker(options.lenses));
  if (!found) return;
  const { uri, maker } = found;
  const { name, written } = maker;
  const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(uri, true));
  // Its module is imported as it is on the disk.
  if (document.uri.scheme === 'untitled' || (document.isDirty && !(await document.save()))) {
    throw new UserError('setting', `${name} is in a file that is not saved`, {
      hint: 'Save it first: it is imported from there.',
    });
  }
  const given = written.cluster_kwargs?.fields ?? {};
  const needs = maker.needs.filter((one) => !(one in given) || isUnread(given[one] ?? { value: null }));
  await addExecutor(options.store, written, { usual: name, pathOf: await pathsIn(uri), needs });
}

interface Addition {
  /** Name that is offered. */
  readonly usual: string;
  readonly pathOf: ((local: string) => string) | undefined;
  /** Arguments that its class cannot do without, and does not have yet. */
  readonly needs?: readonly string[];
}

/** Puts an executor into the settings, under a name that is asked for. */
async function addExecutor(
  store: Store,
  written: WrittenExecutor,
  { usual, pathOf, needs = [] }: Addition,
): Promise<void> {
  const { executors } = store.snapshot.executors;
  const problem = refusal(written, pathOf);
  if (problem) throw problem;
  const known = executors.find((one) => isSame(one, savedExecutor(written, one.name, pathOf)));
  const name = known?.name ?? (await askExecutorName(executors, usual));
  if (name === undefined) return;
  const saved = savedExecutor(written, name, pathOf);
  if ('problem' in saved) throw new UserError('setting', `It can’t be saved: ${saved.problem}`);
  if (!known) await changeExecutors({ kind: 'add', value: saved.profile }, { after: name });
  const lost = saved.leftOut.length > 0 ? ` Not kept: ${saved.leftOut.join(', ')}.` : '';
  const needed =
    needs.length > 0 ? ` Its cluster_kwargs lack ${needs.join(', ')}, which ${usual} needs.` : '';
  const use = 'Use by Default';
  const edit = 'Edit';
  const state = known ? 'is there already' : 'is saved';
  const text = `The executor ${name} ${state}: ${describeExecutor(saved.profile)}.${lost}${needed}`;
  const chosen = await vscode.window.showInformationMessage(text, use, edit);
  if (chosen === use) await setDefaultExecutor(store, name);
  if (chosen === edit) await vscode.commands.executeCommand(Commands.configureExecutors, { key: name });
}

const isSame = (one: Executor, saved: ReturnType<typeof savedExecutor>): boolean =>
  'profile' in saved && isDeepStrictEqual(one, saved.profile);

/** How settings name what a file defines; undefined where it is no file yet. */
async function pathsIn(uri: string): Promise<((local: string) => string) | undefined> {
  const file = vscode.Uri.parse(uri, true);
  if (file.scheme === 'untitled') return undefined;
  const folder = vscode.workspace.getWorkspaceFolder(file)?.uri;
  const inside = folder && relative(folder.fsPath, file.fsPath);
  const path = (inside ?? file.fsPath).split(sep).join('/');
  const packages = new Set<string>();
  const parts = inside === undefined ? [] : path.split('/').slice(0, -1);
  for (const [i] of parts.entries()) {
    const name = parts.slice(0, i + 1).join('/');
    if (folder && (await exists(vscode.Uri.joinPath(folder, name, '__init__.py')))) packages.add(name);
  }
  return (local) => definitionPath(path, local, packages);
}

const exists = (uri: vscode.Uri): Promise<boolean> =>
  Promise.resolve(vscode.workspace.fs.stat(uri)).then(
    () => true,
    () => false,
  );

async function pickMaker(lenses: Lenses): Promise<ClusterMakerRef | undefined> {
  const document = vscode.window.activeTextEditor?.document;
  if (document?.languageId !== 'python') {
    throw new UserError('setting', 'No Python file is open', {
      hint: 'Open one with a function that returns a cluster.',
    });
  }
  const uri = document.uri.toString();
  const makers = await (await lenses.language()).clusterMakers(uri);
  if (makers.length === 0) {
    throw new UserError('setting', 'There is no function that returns a cluster in this file', {
      hint: 'It is known by its return, as of LocalCluster(…), or by its annotation, as -> SSHCluster.',
    });
  }
  const items = makers.map((maker) => ({
    label: maker.name,
    description: `line ${maker.line + 1}`,
    maker,
  }));
  const picked =
    items.length === 1 ? items[0] : await vscode.window.showQuickPick(items, { title: 'Which one?' });
  return picked && { uri, maker: picked.maker };
}

function refusal(written: WrittenExecutor, pathOf: Addition['pathOf']): UserError | undefined {
  const saved = savedExecutor(written, written.type, pathOf);
  if (!('problem' in saved)) return undefined;
  return new UserError('setting', `This ${written.type} can’t be saved as an executor: ${saved.problem}`);
}

async function pickWritten(
  own: readonly WrittenExecutor[],
  pathOf: Addition['pathOf'],
): Promise<WrittenExecutor | undefined> {
  if (own.length < 2) return own[0];
  const items = own.map((written) => {
    const saved = savedExecutor(written, written.type, pathOf);
    const detail = 'problem' in saved ? saved.problem : describeExecutor(saved.profile);
    return { label: written.type, description: `line ${written.line + 1}`, detail, written };
  });
  return (await vscode.window.showQuickPick(items, { title: 'Which executor?' }))?.written;
}
