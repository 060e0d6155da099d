import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { Deployments } from '../backends/kubernetes/deployment/deployments.ts';
import type { ClassAbout } from '../core/classArguments.ts';
import { UserError } from '../core/errors.ts';
import { type Executor, makesClusters } from '../core/executor.ts';
import {
  type CodeTab,
  checkDraft,
  type Draft,
  type DraftCheck,
  draftOf,
  filledDraft,
  formOf,
  rebased,
  usualName,
  withKind,
} from '../core/executorDraft.ts';
import { type KindForm, kindForms, type Schema } from '../core/executorForm.ts';
import { toFailure } from '../core/failure.ts';
import type { Finding } from '../core/preflight/finding.ts';
import { savedExecutor } from '../core/savedExecutor.ts';
import {
  type CheckedExecutor,
  type EnteredCode,
  type FromPanel,
  type PanelAction,
  type PanelLane,
  type PanelView,
  readDraft,
  readFromPanel,
  readPanelState,
  type ToPanel,
} from '../protocol/executorPanel.ts';
import { type CheckMeans, checkExecutor } from '../runs/executorCheck.ts';
import type { AttachCommands } from './attachCommands.ts';
import { executorForCode } from './certificates.ts';
import { insertIntoEditor } from './clientCommands.ts';
import type { ClusterCommands } from './clusterCommands.ts';
import { CodeSide } from './executorCodeSide.ts';
import {
  changeExecutors,
  editableExecutors,
  executorPlace,
  openExecutorSettings,
} from './executorSettings.ts';
import { summaryOf } from './findings.ts';
import { type FlowCommands, requireTrust } from './flowCommands.ts';
import type { Lenses } from './lenses.ts';
import { buttonLabel, carryOut, showError } from './messages.ts';
import { withLateProgress } from './progress.ts';
import type { FoundWritten } from './saveExecutor.ts';
import { thisMachine } from './settings.ts';

export interface ExecutorPanelOptions {
  readonly flows: FlowCommands;
  readonly lenses: Lenses;
  readonly deployments: Deployments;
  readonly clusters: ClusterCommands;
  readonly attach: AttachCommands;
  /** Of the workspace: drafts that are not saved. */
  readonly memory: vscode.Memento;
  readonly extension: vscode.Extension<unknown>;
  readonly log: vscode.LogOutputChannel;
}

/** What a check has found; nothing yet while it looks. */
interface Checked {
  /** The executor as it was then. */
  readonly profile: string;
  readonly findings?: readonly Finding[];
  /** The file that it was for as well. */
  readonly file?: string;
}

const viewType = 'flowClusters.executorPanel';
/** What clicks of one that is meant as one are apart at most, as systems have it. */
const doubleClickMs = 500;
/** Key of the workspace's memory. */
const draftsKey = 'executorDrafts';
const shownMs = 5_000;
const lanes: Readonly<Partial<Record<PanelAction, PanelLane>>> = {
  ...{ save: 'edit', new: 'edit', duplicate: 'edit', delete: 'edit', discard: 'edit', keep: 'edit' },
  ...{ start: 'start', run: 'run' },
};
/** What uses the executor as it is entered: not done while there is code that can't be read. */
const readers: ReadonlySet<PanelAction> = new Set(['save', 'start', 'run', 'duplicate', 'check']);

/**
 * The editor tab "Executors": a form for one executor at a time, checked as one types, with the same as code beside it.
 * What is entered and not saved is kept, and shown again when its executor is.
 */
export class ExecutorPanel implements vscode.Disposable, vscode.WebviewPanelSerializer {
  readonly #options: ExecutorPanelOptions;
  readonly #forms: readonly KindForm[];
  readonly #listening: vscode.Disposable;
  #panel: vscode.WebviewPanel | undefined;
  #draft: Draft;
  #drawing = 0;
  /** What was drawn before the settings were changed by hand: what was being entered then is not lost. */
  #before: { readonly drawing: number; readonly base: Draft['base'] } | undefined;
  /** The end of what was entered last: one after the other is taken. */
  #entered: Promise<unknown> = Promise.resolve();
  /** The class that was read last. */
  #about: ClassAbout | undefined;
  /** Of the class that is read now, or was. */
  #stopReading = new AbortController();
  /** What was found of the executor that was checked last; undefined while it is looked at. */
  #checked: Checked | undefined;
  readonly #code: CodeSide;
  /** What is being done. */
  readonly #busy = new Set<PanelLane>();
  /** The end of the edit that goes on. */
  #edited: Promise<void> = Promise.resolve();
  /** The settings were changed during it, by it or by hand. */
  #isBehind = false;
  /** The file that flows were last edited in. */
  #file: vscode.Uri | undefined;

  constructor(options: ExecutorPanelOptions) {
    this.#options = options;
    this.#forms = kindForms(executorSchema(options.extension));
    this.#draft = draftOf(this.#forms, undefined);
    this.#code = new CodeSide({
      deployments: options.deployments,
      pasted: async (code) => (await options.lenses.language()).pasted(code),
      forCode: (executor) => executorForCode(executor, options.log),
      written: () => this.#tell({ type: 'check', view: this.#view() }),
    });
    const follow = (editor: vscode.TextEditor | undefined) => {
      if (editor?.document.languageId === 'python') this.#file = editor.document.uri;
    };
    follow(vscode.window.activeTextEditor);
    this.#listening = vscode.Disposable.from(
      vscode.window.registerWebviewPanelSerializer(viewType, this),
      vscode.window.onDidChangeActiveTextEditor(follow),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (this.#panel && event.affectsConfiguration('flowClusters.executors')) this.#settingsChanged();
      }),
    );
  }

  dispose(): void {
    this.#listening.dispose();
    this.#stopReading.abort();
    this.#panel?.dispose();
  }

  /**
   * Shows the panel with an executor.
   * @param key its name, or its place in the list; undefined: the one shown last. Of what is wrong with the list itself:
   * settings.json is shown
   */
  async open(key?: string): Promise<void> {
    const executors = editableExecutors();
    if (key !== undefined && !executors.some((one) => one.key === key)) return openExecutorSettings();
    const [first] = executors;
    const wanted = key ?? (this.#panel ? undefined : first?.key);
    if (this.#panel) {
      this.#panel.reveal();
      if (wanted !== undefined) this.#show(this.#draftFor(wanted));
      return;
    }
    if (wanted !== undefined) this.#draft = this.#draftFor(wanted);
    this.#take(
      vscode.window.createWebviewPanel(viewType, 'Executors', vscode.ViewColumn.Active, {
        enableFindWidget: true,
      }),
    );
  }

  /** A window that opens anew has its panel again. @param state what the panel last had in it */
  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    this.#draft = this.#draftFor(readPanelState(state).saved ?? '');
    this.#panel?.dispose();
    this.#take(panel);
    return Promise.resolve();
  }

  #take(panel: vscode.WebviewPanel): void {
    this.#panel = panel;
    const dist = vscode.Uri.joinPath(this.#options.extension.extensionUri, 'dist');
    panel.webview.options = { enableScripts: true, localResourceRoots: [dist] };
    panel.onDidDispose(() => {
      if (this.#panel === panel) this.#panel = undefined;
    });
    panel.webview.onDidReceiveMessage((message: unknown) => {
      const read = readFromPanel(message);
      if (!read) return;
      this.#hear(read).catch((error: unknown) => void showError(error, this.#options.log));
    });
    panel.webview.html = page(panel.webview, dist);
  }

  async #hear(message: FromPanel): Promise<void> {
    const entered = this.#entered.then(() => this.#enter(message));
    this.#entered = entered.catch(() => undefined);
    if (!(await entered)) return;
    if (message.type === 'kind' || message.type === 'open' || message.type === 'restore') {
      await this.#edited;
      if ('drawing' in message && message.drawing !== this.#drawing) return;
    }
    switch (message.type) {
      case 'ready':
        this.#show(this.#draft);
        return;
      case 'changed':
        return;
      case 'kind':
        this.#show(withKind(this.#draft, this.#forms, message.kind));
        return;
      case 'restore':
        this.#show({ ...message.draft, base: this.#draft.base });
        return;
      case 'open':
        this.#show(this.#draftFor(message.key));
        return;
      case 'act':
        await this.#actAlone(message.action);
        return;
      case 'mend': {
        const mending = this.#checked?.findings?.[message.finding]?.actions?.[message.action];
        if (mending) await carryOut(mending);
        return;
      }
      case 'code':
        await this.#give(message.action, message.title);
        return;
      default:
        message satisfies never;
    }
  }

  /** Takes what is entered at the moment of a message. @returns whether what the message asks for is to be done */
  async #enter(message: FromPanel): Promise<boolean> {
    if (!('draft' in message)) return true;
    const { drawing, draft, code } = message;
    if (drawing !== this.#drawing) {
      // What was entered before another executor was drawn is not meant for that.
      if (message.type === 'changed' && drawing === this.#before?.drawing)
        this.#enterLate(draft, this.#before.base);
      // These are about none of them.
      return message.type === 'act' && (message.action === 'new' || message.action === 'settings');
    }
    this.#keep({ ...draft, base: this.#draft.base });
    const problem = code && (await this.#fillFrom(code));
    if (drawing !== this.#drawing) return false;
    const isRefused =
      problem !== undefined &&
      (message.type === 'code' || (message.type === 'act' && readers.has(message.action)));
    this.#tell({
      ...{ type: 'check', view: this.#view() },
      ...(message.type === 'act' && !isRefused && { answers: message.action }),
      ...(code && problem !== undefined && { unread: { ...code, problem } }),
    });
    return !isRefused;
  }

  /** What was entered when the settings had changed and the panel did not show that yet. */
  #enterLate(draft: Omit<Draft, 'base'>, base: Draft['base']): void {
    if (draft.saved === undefined || draft.saved !== this.#draft.saved) return;
    const shown = { drawing: this.#drawing, base: this.#draft.base };
    this.#keep({ ...draft, base });
    this.#show(this.#draftFor(draft.saved));
    this.#before = shown;
  }

  /** Does one at a time of the actions that would otherwise be done twice by a double click. */
  async #actAlone(action: PanelAction): Promise<void> {
    const lane = lanes[action];
    if (lane === undefined) return this.#act(action);
    if (this.#busy.has(lane)) return;
    this.#busy.add(lane);
    // A start may be quicker than a double click.
    const rest = lane === 'edit' ? Promise.resolve() : sleep(doubleClickMs);
    const act = async () => {
      try {
        await this.#act(action);
      } finally {
        await rest;
        this.#busy.delete(lane);
        if (lane === 'edit' && this.#isBehind) this.#settingsChanged();
        else this.#tell({ type: 'check', view: this.#view() });
      }
    };
    const done = act();
    if (lane === 'edit') this.#edited = done.catch(() => undefined);
    this.#tell({ type: 'check', view: this.#view() });
    await done;
  }

  async #act(action: PanelAction): Promise<void> {
    const check = this.#check();
    switch (action) {
      case 'save':
        if (check.savable) await this.#save(check);
        return;
      case 'start':
        await this.#start(usable(check));
        return;
      case 'run':
        await this.#options.flows.runOn(usable(check), this.#flowFile());
        return;
      case 'new':
        this.#show(this.#draftFor(''));
        return;
      case 'duplicate':
        await this.#duplicate(check);
        return;
      case 'delete':
        await this.#delete();
        return;
      case 'discard':
        this.#forget(this.#draft.saved);
        this.#show(this.#draftFor(this.#isRemoved() ? undefined : this.#draft.saved));
        return;
      case 'keep': {
        const now = editableExecutors().find(({ key }) => key === this.#draft.saved);
        this.#show(rebased(this.#draft, this.#forms, now, true));
        return;
      }
      case 'settings':
        await openExecutorSettings();
        return;
      case 'check':
        await this.#look(check);
        return;
      case 'describe':
      case 'describe again':
        await this.#describe(check, action === 'describe again');
        return;
      default:
        action satisfies never;
    }
  }

  async #save({ profile }: DraftCheck): Promise<void> {
    const draft = this.#draft;
    const { saved: key } = draft;
    const before = editableExecutors().find((one) => one.key === key);
    const name = String(profile.name);
    const { list } = executorPlace();
    await changeExecutors(
      before?.index === undefined
        ? { kind: 'add', value: profile }
        : { kind: 'set', index: before.index, was: list[before.index], value: profile },
      { before: before?.index === undefined ? undefined : String(before.profile.name), after: name },
    );
    this.#forget(key);
    const isShown = this.#draft.saved === key;
    // Typed while the settings were written: it is not lost.
    if (isShown && JSON.stringify(this.#draft.values) !== JSON.stringify(draft.values))
      this.#keep({ ...this.#draft, saved: name, base: profile });
    if (isShown) this.#show(this.#draftFor(name));
    vscode.window.setStatusBarMessage(`${name} is saved in the ${executorPlace().name}`, shownMs);
  }

  async #start(executor: Executor): Promise<void> {
    if (executor.kind === 'existing') await this.#options.attach.attachTo(executor);
    else if (makesClusters(executor)) await this.#options.clusters.startFrom(executor);
  }

  /**
   * Reads what the class of the draft takes, which imports it: when its path is there to be seen and not while it is typed.
   * @param again what is known of it may be old
   */
  async #describe({ profile, problems }: DraftCheck, again = false): Promise<void> {
    const { kind, cluster_class: path } = profile;
    if (kind !== 'clusterClass' || typeof path !== 'string' || problems.cluster_class !== undefined) return;
    if (this.#about?.path === path && this.#about.problem === undefined && !again) return;
    const { isTrusted } = vscode.workspace;
    const untrusted = 'In a workspace that is not trusted nothing is imported: what it takes is not known.';
    this.#about = { path, ...(!isTrusted && { problem: untrusted }) };
    const reading = this.#about;
    // What a gateway takes depends on which one it is.
    const given = profile.cluster_kwargs;
    const kwargs = typeof given === 'object' && given !== null ? { ...given } : undefined;
    this.#stopReading.abort();
    const stop = new AbortController();
    this.#stopReading = stop;
    this.#tell({ type: 'check', view: this.#view() });
    if (!isTrusted) return;
    const about = await this.#options.flows
      .host(this.#file)
      .then((host) => host.describeClass(path, stop.signal, kwargs))
      .then(
        (description): ClassAbout => ({ path, description }),
        (error: unknown): ClassAbout => {
          const { message, hint } = toFailure(error);
          return { path, problem: [message, hint].filter(Boolean).join(' ') };
        },
      );
    // Another one is read meanwhile.
    if (this.#about !== reading) return;
    this.#about = about;
    this.#tell({ type: 'check', view: this.#view() });
  }

  /** Looks whether runs on the executor can begin, and says so in the panel. */
  async #look(check: DraftCheck): Promise<void> {
    requireTrust();
    const executor = usable(check);
    const { flows, attach } = this.#options;
    const file = executor.kind === 'existing' ? this.#file : undefined;
    const flow = file && (await this.#flowOf(file));
    const looking: Checked = {
      profile: JSON.stringify(check.profile),
      ...(flow && { file: basename(flow.file) }),
    };
    const done = (checked: Checked | undefined) => {
      if (this.#checked !== looking) return;
      this.#checked = checked;
      this.#tell({ type: 'check', view: this.#view() });
    };
    this.#checked = looking;
    this.#tell({ type: 'check', view: this.#view() });
    try {
      const findings = await withLateProgress(`Check ${executor.name}`, (signal, stage) =>
        checkExecutor(executor, {
          ...{ signal, stage },
          host: () => flows.host(this.#file),
          ...(flow && { flow }),
          security: async (one) => (await attach.certificates(one, signal))?.security,
        }),
      );
      done({ ...looking, findings });
    } catch (error) {
      done(undefined);
      throw error;
    }
  }

  /** What is known of the flow of a file, as far as checks ask. */
  async #flowOf(file: vscode.Uri): Promise<CheckMeans['flow']> {
    if (file.scheme !== 'file') return undefined;
    const [first] = await (await this.#options.lenses.language()).flows(file.toString());
    return first && { file: file.fsPath, api: first.api };
  }

  async #duplicate({ profile }: DraftCheck): Promise<void> {
    const name = freeExecutorName(`${profile.name ?? usualName} copy`);
    const { values, base, ...draft } = this.#draft;
    const copy = { ...draft, base: { ...base, name }, values: { ...values, name } };
    await this.#showNew({ ...copy, saved: undefined });
  }

  /** Shows a draft of a new executor, of which there is one at a time: what is in that is not lost unasked. */
  async #showNew(draft: Draft): Promise<void> {
    const kept = readDraft(this.#kept()['']);
    if (kept) {
      const [replace, show] = ['Replace', 'Show It'];
      const chosen = await vscode.window.showWarningMessage(
        `The new executor ${String(kept.values.name || 'without a name')} is not saved. Replace it?`,
        { modal: true, detail: 'What was entered for it would be lost.' },
        ...[replace, show],
      );
      if (chosen === show) this.#show(this.#draftFor(''));
      if (chosen !== replace) return;
    }
    this.#show(draft);
  }

  async #delete(): Promise<void> {
    const { list, name: place } = executorPlace();
    const saved = editableExecutors().find(({ key }) => key === this.#draft.saved);
    if (saved?.index === undefined) return;
    const remove = 'Delete';
    const chosen = await vscode.window.showWarningMessage(
      `Delete the executor ${saved.key} from the ${place}?`,
      { modal: true, detail: 'Clusters that were started from it stay.' },
      remove,
    );
    if (chosen !== remove) return;
    await changeExecutors(
      { kind: 'remove', index: saved.index, was: list[saved.index] },
      { before: saved.key },
    );
    this.#forget(saved.key);
    this.#show(this.#draftFor(undefined));
  }

  /** Code for somewhere else. */
  async #give(action: 'copy' | 'insert', title: string): Promise<void> {
    const tab = this.#code.tabs(this.#check()).find((one) => one.title === title);
    if (tab?.text === undefined) return;
    const editor = action === 'insert' ? await this.#editorFor(tab) : undefined;
    const where = editor && (await insertIntoEditor(tab.text, editor));
    if (!where) await vscode.env.clipboard.writeText(`${tab.text}\n`);
    const copied = `${title} code is in the clipboard`;
    const without = action === 'insert' ? `No editor to insert into: ${copied}` : copied;
    vscode.window.setStatusBarMessage(where ? `${title} code inserted into ${where}` : without, shownMs);
  }

  /** Fills the form from code that was changed by hand. @returns why it can't be */
  async #fillFrom(code: EnteredCode): Promise<string | undefined> {
    const drawing = this.#drawing;
    const { name } = this.#draft.values;
    const read = (text: string) =>
      this.#code.read({ ...code, text }, typeof name === 'string' && name !== '' ? name : usualName);
    const check = this.#check();
    const tab = this.#code.tabs(check).find(({ title }) => title === code.title);
    const saved = await read(code.text);
    if ('problem' in saved) return saved.problem;
    // YAML may be written a moment later than the form is changed.
    const text = tab?.language === 'yaml' ? JSON.stringify(check.profile) : tab?.text;
    const was = text === undefined ? undefined : await read(text);
    // Another executor was opened meanwhile.
    if (this.#drawing !== drawing) return undefined;
    const { values, ...filled } = filledDraft(
      ...([this.#forms, saved, this.#draft] as const),
      was && 'profile' in was ? was : undefined,
    );
    // Python has no name of it.
    const named = tab?.language === 'python' ? { ...values, name: name ?? '' } : values;
    this.#keep({ ...filled, values: named });
    this.#draw(code);
    return undefined;
  }

  /**
   * Shows the panel with a new executor that does what one in the source does.
   * @throws {UserError} where settings can't say that
   */
  async openFilled({ written, flow, pathOf }: FoundWritten): Promise<void> {
    const saved = savedExecutor(written, freeExecutorName(flow.name), pathOf);
    if ('problem' in saved)
      throw new UserError('setting', `This ${written.type} can’t be an executor: ${saved.problem}`);
    await this.#edited;
    await this.open();
    await this.#showNew(filledDraft(this.#forms, saved, draftOf(this.#forms, undefined)));
  }

  /** The settings were changed, by the panel or by hand. What is not saved stays. */
  #settingsChanged(): void {
    this.#isBehind = this.#busy.has('edit');
    if (this.#isBehind) return;
    const { saved, base } = this.#draft;
    const now = editableExecutors().find(({ key }) => key === saved);
    const draft = now && this.#draftFor(now.key);
    // What a check tells is enough where nothing else is to stand in the fields.
    if (!draft || JSON.stringify(draft) === JSON.stringify(this.#draft)) {
      this.#tell({ type: 'check', view: this.#view() });
      return;
    }
    const shown = { drawing: this.#drawing, base };
    this.#show(draft);
    this.#before = shown;
  }

  /**
   * What was entered for an executor and not saved, else the executor as it is.
   * @param key its name in the settings; empty: a new one; undefined, or one that is not there: the first one
   */
  #draftFor(key: string | undefined): Draft {
    const all = editableExecutors();
    const saved = all.find((one) => one.key === key);
    const kept = key === undefined ? undefined : readDraft(this.#kept()[key]);
    if (kept) return rebased(kept, this.#forms, saved);
    return saved || key === '' ? draftOf(this.#forms, saved) : this.#draftFor(all[0]?.key ?? '');
  }

  /** The settings do not have the executor any more that is shown. */
  #isRemoved(): boolean {
    const { saved } = this.#draft;
    return saved !== undefined && !editableExecutors().some(({ key }) => key === saved);
  }

  #show(draft: Draft): void {
    this.#keep(draft);
    this.#drawing += 1;
    this.#before = undefined;
    this.#draw();
    void this.#describe(this.#check());
  }

  /** @param read the code that the draft was filled from */
  #draw(read?: EnteredCode): void {
    const draft = this.#draft;
    const kinds = this.#forms.map(({ kind }) => kind);
    const form = formOf(this.#forms, draft.kind);
    this.#tell({
      ...{ type: 'draw', drawing: this.#drawing, form, kinds, draft, view: this.#view() },
      ...(read && { read }),
    });
  }

  #tell(message: ToPanel): void {
    // A panel that is not drawn asks when it is.
    void this.#panel?.webview.postMessage(message);
  }

  #check(): DraftCheck {
    return checkDraft(this.#draft, {
      forms: this.#forms,
      saved: editableExecutors(),
      machine: thisMachine(),
      about: this.#about,
    });
  }

  #view(): PanelView {
    const check = this.#check();
    const { profile, problems, findings, usual, changed, savable, outdated, executor } = check;
    const saved = editableExecutors();
    const kept = this.#kept();
    // What is being written may have another name in a moment.
    const isWriting = this.#busy.has('edit');
    const drafts = isWriting ? [] : [...new Set([...Object.keys(kept), this.#draft.saved ?? ''])];
    const removed = drafts.filter((key) => key !== '' && !saved.some((one) => one.key === key));
    const startable = this.#draft.kind !== 'localDask';
    return {
      ...{ problems, findings, usual, changed, savable, busy: [...this.#busy] },
      // What is being written differs from what the draft was made from.
      ...(outdated !== undefined && !isWriting && { outdated }),
      ...(this.#about?.path === profile.cluster_class && { about: this.#about }),
      executors: [
        ...saved.map(({ key }) => ({ key, changed: key in kept })),
        ...removed.map((key) => ({ key, changed: true, removed: true })),
      ],
      ...(this.#isRemoved() && !isWriting && { removed: true }),
      code: this.#code.tabs(check),
      ...(this.#checked?.profile === JSON.stringify(profile) && { checked: checkedView(this.#checked) }),
      usable: executor !== undefined,
      ...(startable && { start: this.#draft.kind === 'existing' ? 'Attach' : 'Start Cluster' }),
      deletable: saved.some(({ key, index }) => key === this.#draft.saved && index !== undefined),
      place: executorPlace().name,
    };
  }

  #kept(): Readonly<Record<string, unknown>> {
    return this.#options.memory.get<Record<string, unknown>>(draftsKey, {});
  }

  #keep(draft: Draft): void {
    this.#draft = draft;
    const { [draft.saved ?? '']: before, ...others } = this.#kept();
    const { changed } = this.#check();
    if (!changed && before === undefined) return;
    void this.#options.memory.update(draftsKey, changed ? { ...others, [draft.saved ?? '']: draft } : others);
  }

  #forget(key: string | undefined): void {
    const { [key ?? '']: _, ...others } = this.#kept();
    void this.#options.memory.update(draftsKey, others);
  }

  /** The editor that code goes to: brought to the front if the panel hides it. YAML may go to a file that is not there yet. */
  async #editorFor({ language }: CodeTab): Promise<vscode.TextEditor | undefined> {
    if (language === 'yaml') {
      const isYaml = ({ document }: vscode.TextEditor) => document.languageId === language;
      return (
        vscode.window.visibleTextEditors.find(isYaml) ??
        vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language }))
      );
    }
    return this.#lastEditor() ?? (this.#file && (await vscode.window.showTextDocument(this.#file)));
  }

  /** The editor that the panel has taken the focus from, if it is still to be seen. */
  #lastEditor(): vscode.TextEditor | undefined {
    const python = vscode.window.visibleTextEditors.filter(
      ({ document }) => document.languageId === 'python',
    );
    return python.find(({ document }) => document.uri.toString() === this.#file?.toString()) ?? python[0];
  }

  #flowFile(): vscode.Uri {
    const file = this.#file ?? this.#lastEditor()?.document.uri;
    if (file) return file;
    throw new UserError('flow-not-found', 'No Python file is open', {
      hint: 'Open a file with a flow, and come back to this panel.',
    });
  }
}

function freeExecutorName(wanted: string): string {
  const taken = new Set(editableExecutors().map(({ key }) => key));
  let name = wanted;
  for (let i = 2; taken.has(name); i += 1) name = `${wanted} ${i}`;
  return name;
}

function checkedView({ findings, file }: Checked): CheckedExecutor {
  const forFile = file === undefined ? '' : `For ${file}: `;
  return {
    summary: `${forFile}${findings ? summaryOf(findings) : 'looking…'}`,
    findings: (findings ?? []).map(({ severity, message, hint, actions = [] }) => ({
      ...{ severity, message, actions: actions.map(buttonLabel) },
      ...(hint && { hint }),
    })),
  };
}

/** What package.json says of one executor, in the user's language. */
function executorSchema({ packageJSON }: vscode.Extension<unknown>): Schema {
  const { contributes } = packageJSON as {
    contributes: { configuration: { properties: Record<string, { items?: Schema }> } };
  };
  return contributes.configuration.properties['flowClusters.executors']?.items ?? {};
}

/** @throws {UserError} while something is wrong with it */
function usable({ executor }: DraftCheck): Executor {
  if (executor) return executor;
  throw new UserError('setting', 'The executor has problems', { hint: 'They stand at its fields.' });
}

function page(webview: vscode.Webview, dist: vscode.Uri): string {
  const nonce = randomBytes(16).toString('base64');
  const asset = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
  const policy = [
    "default-src 'none'",
    `style-src ${webview.cspSource}`,
    `script-src 'nonce-${nonce}'`,
    // The corner of a text area that is drawn by.
    'img-src data:',
  ].join('; ');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Executors</title>
<link rel="stylesheet" href="${asset('executorPanel.css')}">
</head>
<body>
<script nonce="${nonce}" src="${asset('executorPanel.js')}"></script>
</body>
</html>`;
}
