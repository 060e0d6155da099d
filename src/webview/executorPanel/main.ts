// What is drawn in the editor tab "Executors". It knows nothing of executors: fields come from the extension, entries go
// to it, and what is wrong with them comes back.
import '@vscode-elements/elements/dist/vscode-button/index.js';
import '@vscode-elements/elements/dist/vscode-checkbox/index.js';
import '@vscode-elements/elements/dist/vscode-tab-header/index.js';
import '@vscode-elements/elements/dist/vscode-tab-panel/index.js';
import '@vscode-elements/elements/dist/vscode-tabs/index.js';
import '@vscode-elements/elements/dist/vscode-textarea/index.js';
import '@vscode-elements/elements/dist/vscode-textfield/index.js';
import './style.css';
import type { Draft } from '../../core/executorDraft.ts';
import type { FieldValue, FormField, FormValues, KindForm } from '../../core/executorForm.ts';
import type {
  Entered,
  FromPanel,
  PanelAction,
  PanelState,
  PanelView,
  ToPanel,
} from '../../protocol/executorPanel.ts';
import { argumentsView } from './arguments.ts';
import { CodeView } from './code.ts';
import { element, markdown } from './dom.ts';
import { type FieldView, oneView, partView } from './fields.ts';

declare function acquireVsCodeApi(): {
  postMessage(message: FromPanel): void;
  setState(state: PanelState): void;
  getState(): PanelState | undefined;
};

const vscode = acquireVsCodeApi();
const debounceMs = 150;

/** What is drawn now. */
interface Drawn {
  readonly drawing: number;
  readonly form: KindForm;
  readonly draft: Pick<Draft, 'saved' | 'others' | 'leftOut'>;
  readonly fields: readonly FieldView[];
  view: PanelView;
  /** Save was pressed: fields that are empty and needed are marked. */
  insist: boolean;
}

let drawn: Drawn | undefined;
/** What the extension knows of what stands in the fields. */
let told: FormValues = {};
/** What was asked for while another form is to be drawn: it is not meant for what stands there until then. */
let asked: (() => void)[] | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

function button(text: string, act: () => void, secondary = true): HTMLElementTagNameMap['vscode-button'] {
  const made = document.createElement('vscode-button');
  made.textContent = text;
  made.secondary = secondary;
  made.addEventListener('click', act);
  return made;
}

function disable(of: HTMLElementTagNameMap['vscode-button'], disabled: boolean): void {
  of.disabled = disabled;
  of.ariaDisabled = String(disabled);
}

const act = (action: PanelAction) => {
  if (asked) {
    asked.push(() => act(action));
    return;
  }
  code.insist();
  const entered = current();
  if (entered) send({ type: 'act', action, ...entered });
};

function send(message: Extract<FromPanel, Entered>): void {
  told = message.draft.values;
  vscode.postMessage(message);
}

function keepState(): void {
  if (drawn) vscode.setState({ saved: drawn.draft.saved, ...code.kept });
}

const list = element('select', { id: 'executor', 'aria-label': 'Executor' });
list.addEventListener('change', () => {
  tellChange();
  asked ??= [];
  vscode.postMessage({ type: 'open', key: list.value });
});
const discard = button('Discard Changes', () => act('discard'));
const add = button('New', () => act('new'));
const duplicate = button('Duplicate', () => act('duplicate'));
const remove = button('Delete', () => act('delete'));
const kinds = element('fieldset', { class: 'kinds' }, element('legend', { class: 'hidden' }, 'Kind'));
const kindHelp = element('p', { class: 'help', id: 'kind-help' });
const kindProblem = element('div', { class: 'problem', id: 'kind-problem', hidden: true });
const outdatedText = element('span', {});
const reload = button('Reload', () => act('discard'));
const keepMine = button('Keep Mine', () => act('keep'));
const outdated = element(
  'div',
  { class: 'bar outdated', 'aria-live': 'polite', hidden: true },
  outdatedText,
  ...[reload, keepMine],
);
const fieldArea = element('div', { id: 'fields' });
const code = new CodeView({
  changed: changeSoon,
  left: tellChange,
  done: () => {
    // Its class is imported when its path is whole.
    if (drawn?.form.kind === 'clusterClass') act('describe');
  },
  restore: ({ draft }) => {
    if (!drawn) return;
    told = standing(drawn.fields);
    asked ??= [];
    vscode.postMessage({ type: 'restore', drawing: drawn.drawing, draft });
  },
  give: function give(action, title) {
    if (asked) {
      asked.push(() => give(action, title));
      return;
    }
    const entered = current();
    if (entered) send({ type: 'code', action, title, ...entered });
  },
  kept: keepState,
  form: current,
});
const findings = element('ul', { class: 'findings', 'aria-live': 'polite' });
const status = element('span', { role: 'status', class: 'note' });
const run = button('Run Flow', () => act('run'), false);
const start = button('Start Cluster', () => act('start'));
const check = button('Check', () => act('check'));
const checkTitle = element('h2', { hidden: true }, 'Check');
const checkSummary = element('p', { class: 'help', 'aria-live': 'polite', hidden: true });
const checked = element('ul', { class: 'findings', id: 'checked-findings', hidden: true });
const save = button('Save', saveOrShow);

document.body.append(
  element(
    'main',
    {},
    element('h1', { class: 'hidden' }, 'Executors'),
    element(
      'div',
      { class: 'bar' },
      list,
      ...[add, duplicate],
      remove,
      discard,
      element('span', { class: 'space' }),
      button('Open settings.json', () => act('settings')),
    ),
    outdated,
    kinds,
    kindHelp,
    kindProblem,
    element(
      'div',
      { class: 'columns' },
      element('div', { class: 'form' }, fieldArea),
      element(
        'div',
        { class: 'beside' },
        element('h2', {}, 'The Same as Code'),
        element(
          'p',
          { class: 'help' },
          'Change either side: the form follows the code, and the code the form. Nothing of it is run.',
        ),
        code.element,
        element('h2', {}, 'Findings'),
        findings,
        checkTitle,
        checkSummary,
        checked,
      ),
    ),
    element('div', { class: 'bar foot' }, run, start, check, save, status),
  ),
);

for (const type of ['input', 'change'])
  fieldArea.addEventListener(type, () => {
    code.formEdited();
    changeSoon();
  });
fieldArea.addEventListener('describe', () => act('describe again'));
// The change of a text field stays in its shadow tree.
fieldArea.addEventListener('focusout', ({ target }) => {
  if (target instanceof Element && target.getAttribute('data-control') === 'cluster_class') act('describe');
});

document.addEventListener('keydown', (event) => {
  const isSave = event.key.toLowerCase() === 's' && (event.ctrlKey || event.metaKey) && !event.altKey;
  // A line ends with it in a text area, and buttons are pressed by it.
  const isEnter = event.key === 'Enter' && event.composedPath()[0] instanceof HTMLInputElement;
  if (!isSave && !isEnter) return;
  // It ends a word that an input method composes.
  if (event.isComposing) return;
  event.preventDefault();
  if (!event.repeat) saveOrShow();
});

function saveOrShow(): void {
  clearTimeout(timer);
  if (!drawn) return;
  drawn.insist = true;
  act('save');
}

/** Brings the first field with a problem before the person who wanted to save. */
function showBad(): void {
  if (!drawn) return;
  if (drawn.view.problems.kind !== undefined) kinds.querySelector('input')?.focus();
  const bad = drawn.fields.map((view) => view.firstBad()).find((one) => one !== undefined);
  if (bad) {
    bad.closest('details')?.setAttribute('open', '');
    bad.focus();
  }
}

/** What is entered now. */
function current(): Entered | undefined {
  if (!drawn) return undefined;
  const { drawing, draft, form, fields } = drawn;
  const values = standing(fields);
  const { unread } = code;
  return { drawing, draft: { ...draft, kind: form.kind, values }, ...(unread && { code: unread }) };
}

function changeSoon(): void {
  clearTimeout(timer);
  // What is typed while another thing is saved has to be there when the form is drawn anew.
  timer = setTimeout(tellChange, drawn?.view.busy.includes('edit') ? 0 : debounceMs);
}

function tellChange(): void {
  clearTimeout(timer);
  if (asked) return;
  const entered = current();
  if (entered) send({ type: 'changed', ...entered });
}

window.addEventListener('message', ({ data }: MessageEvent<ToPanel>) => {
  if (data.type === 'draw') {
    draw(data);
    return;
  }
  show(data.view);
  if (data.unread) code.unreadable(data.unread);
  if (data.answers === 'save') showBad();
});
vscode.postMessage({ type: 'ready' });

function draw({ drawing, form, kinds: names, draft, view, read }: Extract<ToPanel, { type: 'draw' }>): void {
  const before = drawn;
  const then = before?.drawing === drawing ? undefined : asked;
  // Of code that was changed back meanwhile.
  if (asked && !then) return;
  asked = undefined;
  const isSame = before?.form.kind === form.kind && before.draft.saved === draft.saved;
  // What was entered since the extension knew of it stays.
  const typed = isSame ? untold(before.fields, draft.values) : [];
  if (typed.length === 0 && !read) clearTimeout(timer);
  // It is told what that was entered into: the settings may have changed the same.
  if (typed.length > 0 && before?.drawing !== drawing) tellChange();
  const fields = isSame ? before.fields : drawFields(form);
  const { saved, others, leftOut } = draft;
  const isOther = before?.draft.saved !== saved || (saved === undefined && before?.drawing !== drawing);
  drawn = { drawing, form, draft: { saved, others, leftOut }, fields, view, insist: false };
  drawKinds(names, form.kind);
  kindHelp.replaceChildren(markdown(form.help));
  for (const field of fields) field.write({ ...draft.values, ...Object.fromEntries(typed) });
  told = {
    ...standing(fields),
    ...Object.fromEntries(typed.map(([path]) => [path, draft.values[path] ?? ''])),
  };
  if (typed.length > 0) changeSoon();
  if (isOther) code.reset();
  if (read) code.read(read);
  show(view);
  if (!before) {
    const state = vscode.getState();
    if (state?.saved === saved) code.resume(state?.tab, state?.code);
  } else if (!read) code.formChanged(current());
  keepState();
  for (const one of then ?? []) one();
}

const standing = (fields: readonly FieldView[]): FormValues =>
  Object.fromEntries(fields.flatMap((view) => view.read()));

/** What stands in fields, is not what is to be drawn there, and is not known to the extension yet. */
function untold(fields: readonly FieldView[], drawing: FormValues): [string, FieldValue][] {
  const differs = (a: FieldValue, b: FieldValue = '') => JSON.stringify(a) !== JSON.stringify(b);
  return Object.entries(standing(fields)).filter(
    ([path, value]) => differs(value, told[path]) && differs(value, drawing[path]),
  );
}

function fieldView(field: FormField): FieldView {
  if (field.type === 'part') return partView(field, fieldView);
  return field.type === 'arguments' ? argumentsView(field) : oneView(field);
}

function drawFields(form: KindForm): FieldView[] {
  const groups = form.groups.map((group) => ({ group, fields: group.fields.map(fieldView) }));
  fieldArea.dataset.kind = form.kind;
  fieldArea.replaceChildren(
    ...groups.map(({ group: { title, folded }, fields }) => {
      const heading = element('h2', {}, title);
      const elements = fields.map((field) => field.element);
      if (!folded) return element('section', {}, heading, ...elements);
      return element('details', {}, element('summary', {}, heading), ...elements);
    }),
  );
  return groups.flatMap(({ fields }) => fields);
}

function drawKinds(names: readonly string[], chosen: string): void {
  const inputs = [...kinds.querySelectorAll('input')];
  if (inputs.map(({ value }) => value).join() !== names.join()) {
    for (const label of kinds.querySelectorAll('label')) label.remove();
    for (const name of names) {
      const input = element('input', {
        type: 'radio',
        name: 'kind',
        value: name,
        'aria-describedby': 'kind-problem kind-help',
      });
      input.addEventListener('change', () => {
        const entered = current();
        code.formEdited();
        if (entered) send({ type: 'kind', kind: name, ...entered });
      });
      kinds.append(element('label', {}, input, element('span', {}, name)));
    }
  }
  for (const input of kinds.querySelectorAll('input')) input.checked = input.value === chosen;
}

const marks = { error: 'Error', warning: 'Warning', info: 'Note', good: 'Good' } as const;

function show(view: PanelView): void {
  if (!drawn) return;
  drawn.view = view;
  for (const field of drawn.fields) field.show(view, drawn.insist);
  const { saved } = drawn.draft;
  const isNew = !view.executors.some(({ key }) => key === saved);
  list.replaceChildren(
    ...(isNew ? [element('option', { value: '' }, 'New executor')] : []),
    ...view.executors.map(({ key, changed, removed }) =>
      element('option', { value: key }, removed ? `${key} (removed)` : changed ? `${key} (not saved)` : key),
    ),
  );
  list.value = isNew ? '' : (saved ?? '');
  code.show(view.code);
  kindProblem.textContent = view.problems.kind ?? '';
  kindProblem.hidden = view.problems.kind === undefined;
  const gone = view.removed
    ? `${saved} was removed from the settings. Save puts it back, Discard removes it here too.`
    : undefined;
  outdated.hidden = (gone ?? view.outdated) === undefined;
  outdatedText.textContent = gone ?? view.outdated ?? '';
  for (const one of [reload, keepMine]) one.hidden = gone !== undefined;
  discard.textContent = gone === undefined ? 'Discard Changes' : 'Discard';
  const wrong = Object.values(view.problems).map((message) => ({ severity: 'error' as const, message }));
  const notes = [...wrong, ...view.findings].map(({ severity, message }) =>
    element('li', { class: severity }, element('strong', {}, `${marks[severity]}: `), message),
  );
  const told = notes.map(({ textContent }) => textContent).join('\n');
  // Said aloud when it changes, and not with every key.
  if (findings.dataset.told !== told)
    findings.replaceChildren(...(notes.length > 0 ? notes : [element('li', {}, 'Nothing to note.')]));
  findings.dataset.told = told;
  const problems = Object.keys(view.problems).length;
  status.textContent =
    problems > 0
      ? `${problems} ${problems === 1 ? 'problem' : 'problems'}`
      : view.changed
        ? `Not saved yet${view.outdated === undefined ? `; Save writes to the ${view.place}` : ''}`
        : view.deletable
          ? `In the ${view.place}`
          : '';
  showChecked(view.checked);
  const isEditing = view.busy.includes('edit');
  for (const one of [add, duplicate, discard, reload, keepMine]) disable(one, isEditing);
  disable(run, !view.usable || view.busy.includes('run'));
  disable(check, !view.usable);
  start.hidden = view.start === undefined;
  start.textContent = view.start ?? '';
  disable(start, !view.usable || view.busy.includes('start'));
  disable(save, isEditing || (!view.savable && problems === 0));
  disable(remove, isEditing || !view.deletable);
  discard.hidden = !view.changed;
}

function showChecked(found: PanelView['checked']): void {
  checkTitle.hidden = found === undefined;
  checkSummary.hidden = found === undefined;
  const key = JSON.stringify(found ?? {});
  if (checked.dataset.shown === key) return;
  checked.dataset.shown = key;
  checkSummary.textContent = found?.summary ?? '';
  const rows = (found?.findings ?? []).map(({ severity, message, hint, actions }, finding) =>
    element(
      'li',
      { class: severity },
      ...[element('strong', {}, `${marks[severity]}: `), message],
      hint === undefined ? undefined : element('div', { class: 'help' }, hint),
      ...actions.map((label, action) =>
        button(label, () => vscode.postMessage({ type: 'mend', finding, action })),
      ),
    ),
  );
  checked.replaceChildren(...rows);
  checked.hidden = rows.length === 0;
}
