import type { CodeTab } from '../../core/executorDraft.ts';
import type { Entered, EnteredCode } from '../../protocol/executorPanel.ts';
import { element, setAttribute } from './dom.ts';

/** What happens to the code. */
export interface CodeEvents {
  /** It was changed by a key. */
  changed(): void;
  /** Whoever changes it goes on to something else. */
  left(): void;
  /** That is so, and the form has followed. */
  done(): void;
  /** The form is to be as it was before. */
  restore(before: Entered): void;
  give(action: 'copy' | 'insert', title: string): void;
  /** What is to be there when the page is loaded anew has changed. */
  kept(): void;
  /** What is entered in the form now. */
  form(): Entered | undefined;
}

/** A tab as it is seen. */
interface Tab {
  readonly title: string;
  readonly area: HTMLTextAreaElement;
  readonly shown: HTMLPreElement;
  readonly why: HTMLElement;
  readonly problem: HTMLElement;
  readonly restore: HTMLElementTagNameMap['vscode-button'];
  readonly buttons: readonly HTMLElementTagNameMap['vscode-button'][];
  readonly bar: HTMLElement;
  /** What the form says, where there is code for that. */
  text: string | undefined;
}

/** Code that is being changed. */
interface Editing {
  readonly tab: Tab;
  /** Its text before. */
  text: string;
  /** The form before. */
  before: Entered | undefined;
  /** The form follows it. */
  isRead: boolean;
  /** Why it does not. */
  problem?: string | undefined;
  /** The person is elsewhere by now. */
  isLeft: boolean;
  /** Something was asked for that takes code that can be read. */
  isAsked?: boolean;
}

/** Half a word is wrong by nature: what is wrong with it is told in a pause. */
const pauseMs = 600;
const mostRows = 24;
const leastRows = 5;

/**
 * The executor as code, which the form follows where it is changed. It is not written anew under the cursor: that is done
 * when one has left it, or changes the form. Code that can't be read stays until then, with the reason.
 */
export class CodeView {
  readonly element = element('div', { id: 'code' });
  readonly #events: CodeEvents;
  #tabs: Tab[] = [];
  #box: HTMLElementTagNameMap['vscode-tabs'] | undefined;
  #editing: Editing | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #isRestoring = false;

  constructor(events: CodeEvents) {
    this.#events = events;
  }

  /** What was changed and the form has not followed yet. */
  get unread(): EnteredCode | undefined {
    const editing = this.#editing;
    if (!editing || editing.isRead || (editing.isLeft && editing.problem !== undefined)) return undefined;
    return entered(editing);
  }

  /** What is to be there when the page is loaded anew. */
  get kept(): { readonly tab?: string | undefined; readonly code?: EnteredCode | undefined } {
    const editing = this.#editing;
    const tab = this.#tabs[this.#box?.selectedIndex ?? 0]?.title;
    return { tab, code: editing && !editing.isRead ? entered(editing) : undefined };
  }

  /** Shows what the form says. */
  show(code: readonly CodeTab[]): void {
    if (this.#tabs.length === 0) this.#draw(code);
    for (const [i, { text, why, language, editable }] of code.entries()) {
      const tab = this.#tabs[i];
      if (!tab) continue;
      tab.text = text;
      tab.area.hidden = !editable;
      tab.shown.hidden = editable || text === undefined;
      if (!editable && tab.shown.textContent !== text) tab.shown.textContent = text ?? '';
      const isEdited = this.#editing?.tab === tab;
      tab.area.placeholder = language === 'python' ? 'DaskTaskRunner(cluster_kwargs={"n_workers": 4})' : '';
      tab.why.textContent = isEdited ? '' : (why ?? '');
      tab.why.hidden = tab.why.textContent === '';
      showButtons(tab);
      if (!isEdited) this.#write(tab);
    }
  }

  /** The form has followed code. */
  read(code: EnteredCode): void {
    const editing = this.#of(code);
    if (!editing) return;
    editing.isRead = true;
    editing.problem = undefined;
    if (editing.isLeft) this.#done();
    else this.#tell();
  }

  /** The form could not follow code. */
  unreadable(code: EnteredCode & { readonly problem: string }): void {
    const editing = this.#of(code);
    if (!editing) return;
    editing.problem = code.problem;
    clearTimeout(this.#pause);
    if (editing.isLeft || editing.isAsked || editing.tab.problem.textContent !== '') this.#tell();
    else this.#pause = setTimeout(() => this.#tell(), pauseMs);
  }

  /** What is asked for now takes code that can be read: what is wrong with it is told at once. */
  insist(): void {
    if (this.#editing) this.#editing.isAsked = true;
  }

  /** The form was changed by hand. */
  formEdited(): void {
    const editing = this.#editing;
    const isAwaited = editing?.isLeft && !editing.isRead && editing.problem === undefined;
    if (!isAwaited) this.reset();
  }

  #done(): void {
    this.reset();
    this.#events.done();
  }

  /** The code is what the form says again. */
  reset(): void {
    clearTimeout(this.#pause);
    const editing = this.#editing;
    if (!editing) return;
    this.#editing = undefined;
    this.#write(editing.tab);
    this.#say(editing.tab);
    this.#events.kept();
  }

  /** The form is another one now, by something else than code. */
  formChanged(form: Entered | undefined): void {
    const editing = this.#editing;
    if (editing) Object.assign(editing, { before: form, text: editing.tab.text ?? '' });
    if (this.unread) this.#events.changed();
  }

  /** Goes on where a page was that is gone. */
  resume(title: string | undefined, code: EnteredCode | undefined): void {
    const at = this.#tabs.findIndex((tab) => tab.title === title);
    if (this.#box && at >= 0) this.#box.selectedIndex = at;
    const tab = code && this.#tabs.find((one) => one.title === code.title && !one.area.hidden);
    if (!tab) return;
    tab.area.value = code.text;
    this.#begin(tab).isLeft = true;
    size(tab.area);
    this.#events.left();
  }

  #of({ title, text }: EnteredCode): Editing | undefined {
    const editing = this.#editing;
    return editing?.tab.title === title && editing.tab.area.value === text ? editing : undefined;
  }

  #begin(tab: Tab): Editing {
    if (this.#editing?.tab !== tab) this.reset();
    this.#editing ??= {
      tab,
      text: tab.text ?? '',
      before: this.#events.form(),
      isRead: false,
      isLeft: false,
    };
    return this.#editing;
  }

  #changed(tab: Tab): void {
    const editing = this.#begin(tab);
    editing.isRead = false;
    editing.isLeft = false;
    editing.problem = undefined;
    editing.isAsked = false;
    clearTimeout(this.#pause);
    size(tab.area);
    this.#events.kept();
    this.#events.changed();
  }

  #left(tab: Tab): void {
    const editing = this.#editing;
    if (editing?.tab !== tab || editing.isLeft) return;
    editing.isLeft = true;
    if (editing.isRead) {
      this.#done();
      return;
    }
    this.#tell();
    this.#events.left();
  }

  /** As it was before it was changed, so that Undo takes that back as well. */
  #restore(): void {
    const editing = this.#editing;
    if (!editing) return;
    const { tab, text, before } = editing;
    clearTimeout(this.#pause);
    // Nothing is read of what is typed here.
    this.#editing = undefined;
    tab.area.focus();
    tab.area.select();
    this.#isRestoring = true;
    document.execCommand('insertText', false, text);
    this.#isRestoring = false;
    tab.text = text;
    this.#write(tab);
    this.#say(tab);
    this.#events.kept();
    if (before) this.#events.restore(before);
  }

  #write(tab: Tab): void {
    const text = tab.text ?? '';
    if (tab.area.value !== text) tab.area.value = text;
    size(tab.area);
  }

  /** Says what is wrong with what is being changed, if anything. */
  #tell(): void {
    const editing = this.#editing;
    if (!editing) return;
    const { tab, problem, isLeft } = editing;
    this.#say(tab, problem && `${problem}${isLeft ? ' The form stays as it is.' : ''}`);
  }

  #say(tab: Tab, text = ''): void {
    const { area, problem } = tab;
    if (problem.textContent !== text) problem.textContent = text;
    problem.hidden = text === '';
    setAttribute(area, 'aria-invalid', text === '' ? undefined : 'true');
    showButtons(tab);
  }

  #draw(code: readonly CodeTab[]): void {
    const box = document.createElement('vscode-tabs');
    this.#tabs = code.map(({ title, language }) => {
      const tab = this.#tab(title, language);
      const header = document.createElement('vscode-tab-header');
      header.slot = 'header';
      header.textContent = title;
      const body = document.createElement('vscode-tab-panel');
      body.append(tab.area, tab.shown, tab.live, tab.why, tab.bar);
      box.append(header, body);
      return tab;
    });
    box.addEventListener('vsc-tabs-select', () => this.#events.kept());
    this.#box = box;
    this.element.replaceChildren(box);
  }

  #tab(title: string, language: CodeTab['language']): Tab & { readonly live: HTMLElement } {
    const id = `code-${title.replaceAll(/\W+/g, '-')}`;
    const area = element('textarea', {
      ...{ 'aria-label': `${title} code`, 'aria-describedby': `${id}-problem ${id}-why` },
      ...{ spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', class: 'code' },
    });
    const shown = element('pre', {
      tabindex: '0',
      role: 'region',
      'aria-label': `${title} code`,
      hidden: true,
    });
    const problem = element('div', { class: 'problem', id: `${id}-problem`, hidden: true });
    const live = element('div', { 'aria-live': 'polite' }, problem);
    const why = element('p', { class: 'help', id: `${id}-why` });
    const button = (text: string, act: () => void) => {
      const made = document.createElement('vscode-button');
      made.textContent = text;
      made.secondary = true;
      made.addEventListener('click', act);
      return made;
    };
    const restore = button('Restore', () => this.#restore());
    restore.title = 'The code and the form as they were before (Escape)';
    restore.hidden = true;
    const copy = button('Copy', () => this.#events.give('copy', title));
    const insert = button('Insert', () => this.#events.give('insert', title));
    // Settings go nowhere but into settings.
    const buttons = language === 'json' ? [copy] : [copy, insert];
    const bar = element('div', { class: 'bar' }, restore, ...buttons);
    const tab = { title, area, shown, why, problem, live, restore, buttons, bar, text: undefined };
    area.addEventListener('input', () => {
      if (!this.#isRestoring) this.#changed(tab);
    });
    area.addEventListener('blur', () => this.#left(tab));
    area.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || event.isComposing || this.#editing?.tab !== tab) return;
      event.preventDefault();
      event.stopPropagation();
      this.#restore();
    });
    return tab;
  }
}

const entered = ({ tab: { title, area } }: Editing): EnteredCode => ({ title, text: area.value });

/** What would be copied is what the form says. */
function showButtons({ text, problem, restore, buttons, bar }: Tab): void {
  const isWrong = !problem.hidden;
  restore.hidden = !isWrong;
  for (const one of buttons) one.hidden = isWrong || text === undefined;
  bar.hidden = !isWrong && text === undefined;
}

/** As high as its text, within limits, where the browser does not see to that. */
function size(area: HTMLTextAreaElement): void {
  area.rows = Math.min(Math.max(area.value.split('\n').length, leastRows), mostRows);
}
