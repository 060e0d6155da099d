import * as vscode from 'vscode';
import {
  type BuildContext,
  buildImage,
  dockerfileOf,
  tagOf,
  usualBase,
} from '../backends/docker/buildImage.ts';
import { findEngine, openEngine } from '../backends/docker/engine.ts';
import { readSource } from '../backends/docker/environment.ts';
import { imageChange } from '../core/dockerExecutor.ts';
import { UserError } from '../core/errors.ts';
import type { Store } from '../core/store.ts';
import { changeExecutors, executorPlace } from './executorSettings.ts';
import { requireTrust } from './flowCommands.ts';
import { withLateProgress } from './progress.ts';
import type { Interpreters } from './python.ts';
import { askExecutorName } from './settings.ts';

export interface ImageCommandsOptions {
  readonly store: Store;
  readonly interpreters: Interpreters;
  readonly memory: vscode.Memento;
  /** `environment_facts.py` */
  readonly script: string;
}

/** The base image that the user has chosen last, if it is not the usual one. */
const baseMemory = 'imageBase';

/** Builds images of workers from the workspace's environment. */
export class ImageCommands implements vscode.Disposable {
  readonly #options: ImageCommandsOptions;
  #channel: vscode.OutputChannel | undefined;

  constructor(options: ImageCommandsOptions) {
    this.#options = options;
  }

  dispose(): void {
    this.#channel?.dispose();
  }

  /** Shows a Dockerfile, builds what the user has made of it, and offers the image to an executor. */
  async build(): Promise<void> {
    requireTrust();
    const folder = await pickFolder();
    if (!folder) return;
    const { interpreters, memory, script } = this.#options;
    const source = await withLateProgress('Build Worker Image', async (signal, stage) => {
      stage('reading the environment');
      return readSource(await interpreters.find(folder), folder.uri.fsPath, script, signal);
    });
    const usual = usualBase(source.python);
    const base = await vscode.window.showInputBox({
      title: 'Base image',
      prompt: `An image with Python ${source.python}, that of the flows’ interpreter, and pip`,
      value: memory.get(baseMemory, usual),
      validateInput: (text) => (/^\S+$/.test(text.trim()) ? undefined : 'The name of an image'),
    });
    if (base === undefined) return;
    await memory.update(baseMemory, base.trim() === usual ? undefined : base.trim());
    const dockerfile = await confirmed(dockerfileOf(source, base.trim()), folder);
    if (dockerfile === undefined) return;
    const context = { dockerfile, files: source.files };
    const tag = tagOf(folder.name, context);
    const built = await this.#build(tag, context);
    const use = 'Use in Executor…';
    const copy = 'Copy Name';
    const text = built
      ? `The image ${tag} is built.`
      : `The image ${tag} is there already: nothing has changed.`;
    const chosen = await vscode.window.showInformationMessage(text, use, copy);
    if (chosen === copy) await vscode.env.clipboard.writeText(tag);
    if (chosen === use) await this.#use(tag);
  }

  #build(tag: string, context: BuildContext): Promise<boolean> {
    this.#channel ??= vscode.window.createOutputChannel('Flow Clusters: Worker Image');
    const channel = this.#channel;
    channel.clear();
    return withLateProgress(`Build ${tag}`, async (signal, stage) => {
      stage('connecting to Docker');
      const engine = await openEngine(await findEngine({}), signal);
      let shown = false;
      const log = (text: string) => {
        channel.append(text);
        if (!shown) channel.show(true);
        shown = true;
      };
      return buildImage(engine, tag, context, { signal, stage, log });
    });
  }

  /** Puts an image into an executor of the user's choice, where the settings have it. */
  async #use(tag: string): Promise<void> {
    const all = this.#options.store.snapshot.executors.executors;
    const docker = all.filter(({ kind }) => kind === 'docker');
    const items = [
      ...docker.map(({ name }) => ({ label: name, name })),
      { label: '$(add) New executor…', name: undefined },
    ];
    const picked = await vscode.window.showQuickPick(items, { title: `Which executor shall use ${tag}?` });
    if (!picked) return;
    const name = picked.name ?? (await askExecutorName(all, 'docker'));
    if (name === undefined) return;
    const change = imageChange(executorPlace().list, name, tag);
    await changeExecutors(change, { before: picked.name, after: name });
  }
}

/** The folder of the active editor, the only one, or the one that the user picks. */
async function pickFolder(): Promise<vscode.WorkspaceFolder | undefined> {
  const folders = vscode.workspace.workspaceFolders?.filter(({ uri }) => uri.scheme === 'file') ?? [];
  if (folders.length === 0) {
    throw new UserError('setting', 'No folder is open', {
      hint: 'The image is made from the environment of a workspace: open its folder.',
    });
  }
  const file = vscode.window.activeTextEditor?.document.uri;
  const here = file && vscode.workspace.getWorkspaceFolder(file);
  if (here?.uri.scheme === 'file') return here;
  if (folders.length === 1) return folders[0];
  const items = folders.map((folder) => ({ label: folder.name, description: folder.uri.fsPath, folder }));
  return (await vscode.window.showQuickPick(items, { title: 'An image for which folder?' }))?.folder;
}

/** Shows the Dockerfile; resolves with its text, perhaps edited, when it is to be built. */
async function confirmed(text: string, folder: vscode.WorkspaceFolder): Promise<string | undefined> {
  const languages = await vscode.languages.getLanguages();
  const language = languages.includes('dockerfile') ? 'dockerfile' : 'plaintext';
  const document = await vscode.workspace.openTextDocument({ content: text, language });
  await vscode.window.showTextDocument(document, { preview: false });
  const build = 'Build';
  const save = 'Save Dockerfile…';
  for (;;) {
    const question = 'Build the worker image by this Dockerfile? It may be edited first.';
    const chosen = await vscode.window.showInformationMessage(question, build, save, 'Cancel');
    if (chosen === build) return document.getText();
    if (chosen !== save) return undefined;
    const defaultUri = vscode.Uri.joinPath(folder.uri, 'Dockerfile');
    const place = await vscode.window.showSaveDialog({ defaultUri, title: 'Save the Dockerfile' });
    if (place) await vscode.workspace.fs.writeFile(place, new TextEncoder().encode(document.getText()));
  }
}
