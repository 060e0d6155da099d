import type { FieldValue, FormField, FormValues } from '../../core/executorForm.ts';
import type { PanelView } from '../../protocol/executorPanel.ts';
import { element, markdown, plain, setAttribute } from './dom.ts';

/** A field of the form as it is seen. */
export interface FieldView {
  readonly element: HTMLElement;
  /** What stands in it and in the fields of its part, by their paths. */
  read(): [string, FieldValue][];
  write(values: FormValues): void;
  /** @param insist what is needed and was never entered is a problem too */
  show(view: Pick<PanelView, 'problems' | 'usual' | 'about'>, insist: boolean): void;
  /** The first control with a problem, to be given the focus. */
  firstBad(): HTMLElement | undefined;
}

/** How a value is entered. */
export interface Control {
  readonly element: HTMLElement;
  read(): FieldValue;
  write(value: FieldValue): void;
  /** What holds if nothing is entered. */
  usual?: (text: string) => void;
  /** Where the focus goes. */
  readonly focusable: HTMLElement;
  /** Tells the control's name, and what is to be known of it. */
  describe(label: string, description: string, bad: boolean): void;
}

/** A field that is entered by one control. */
export function oneView(field: FormField): FieldView {
  const { path, key, unit, help, required } = field;
  const control = controlOf(field);
  const label = [key, unit, required ? 'needed' : ''].filter(Boolean).join(', ');
  const problem = new Problem(field, (description, bad) => control.describe(label, description, bad));
  const head = element('div', { class: 'head' }, element('span', { class: 'key' }, key));
  if (unit !== undefined) head.append(element('span', { class: 'note' }, unit));
  if (required) head.append(element('span', { class: 'note' }, 'needed'));
  head.addEventListener('click', () => control.focusable.focus());
  let touched = false;
  let isBad = false;
  control.element.addEventListener('input', () => {
    touched = true;
  });
  return {
    element: element(
      'div',
      { class: 'field', 'data-path': path },
      head,
      element('div', { class: 'help', id: `field-${path}-help` }, markdown(help)),
      control.element,
      problem.element,
    ),
    read: () => [[path, control.read()]],
    write: (values) => {
      const value = values[path] ?? '';
      if (JSON.stringify(value) !== JSON.stringify(control.read())) control.write(value);
    },
    show: ({ problems, usual, about }, insist) => {
      control.usual?.(usual[path] ?? '');
      touched ||= insist || control.read().length > 0;
      const wrong = touched ? problems[path] : undefined;
      isBad = wrong !== undefined;
      // That it can't be imported here and now keeps nobody from saving it.
      problem.show(wrong ?? (path === 'cluster_class' ? about?.problem : undefined));
    },
    firstBad: () => (isBad ? control.focusable : undefined),
  };
}

/** An object of options that is there or not, by a checkbox, with its fields under it. */
export function partView(field: FormField, fieldView: (field: FormField) => FieldView): FieldView {
  const { path, key, help } = field;
  const box = document.createElement('vscode-checkbox');
  box.label = key;
  box.setAttribute('data-control', path);
  const problem = new Problem(field, (description, bad) => describeInner(box, description, bad));
  const inner = field.fields.map(fieldView);
  const nested = element(
    'div',
    { class: 'nested', role: 'group', 'aria-label': key, hidden: true },
    ...inner.map((view) => view.element),
  );
  const follow = () => {
    nested.hidden = !box.checked;
  };
  box.addEventListener('change', follow);
  return {
    element: element(
      'div',
      { class: 'field', 'data-path': path },
      box,
      element('div', { class: 'help', id: `field-${path}-help` }, markdown(help)),
      problem.element,
      nested,
    ),
    read: () => [[path, box.checked ? 'true' : ''], ...inner.flatMap((view) => view.read())],
    write: (values) => {
      box.checked = values[path] === 'true';
      follow();
      for (const view of inner) view.write(values);
    },
    show: (view, insist) => {
      for (const one of inner) one.show(view, insist);
      problem.show(view.problems[path]);
    },
    firstBad: () =>
      problem.isShown ? box : inner.map((view) => view.firstBad()).find((one) => one !== undefined),
  };
}

/** What is wrong with a field, under it and for screen readers, to whom it is told with the field's help. */
export class Problem {
  readonly element: HTMLElement;
  readonly #describe: (text: string | undefined) => void;
  #text: string | undefined;

  constructor({ path, help }: FormField, describe: (description: string, bad: boolean) => void) {
    this.element = element('div', { class: 'problem', id: `field-${path}-problem`, hidden: true });
    this.#describe = (text) => describe([text, plain(help)].filter(Boolean).join('. '), text !== undefined);
    this.#describe(undefined);
  }

  get isShown(): boolean {
    return this.#text !== undefined;
  }

  show(text: string | undefined): void {
    if (text === this.#text) return;
    this.#text = text;
    this.element.textContent = text ?? '';
    this.element.hidden = text === undefined;
    this.#describe(text);
  }
}

function controlOf(field: FormField): Control {
  switch (field.type) {
    case 'choice':
      return choiceControl(field);
    case 'map':
      return mapControl(field);
    case 'lines':
    case 'json':
      return areaControl(field);
    default:
      return textControl(field);
  }
}

function textControl({ path, required, type }: FormField): Control {
  const field = document.createElement('vscode-textfield');
  if (type !== 'text') field.classList.add('short');
  return {
    ...entryOf(field, path),
    usual: (text) => {
      field.placeholder = text === '' || required ? '' : `default: ${text}`;
    },
  };
}

const shortArea = 3;

function areaControl({ path, type }: FormField): Control {
  const area = document.createElement('vscode-textarea');
  area.monospace = true;
  area.resize = 'vertical';
  area.rows = shortArea;
  area.placeholder = type === 'lines' ? 'one a line' : 'JSON';
  return entryOf(area, path);
}

function entryOf(
  entry: HTMLElementTagNameMap['vscode-textfield' | 'vscode-textarea'],
  path: string,
): Control {
  entry.setAttribute('data-control', path);
  return {
    element: entry,
    focusable: entry,
    read: () => entry.value,
    write: (value) => {
      entry.value = String(value);
    },
    describe: (label, description, bad) => {
      entry.label = label;
      entry.invalid = bad;
      describeInner(entry, description, bad);
    },
  };
}

function choiceControl({ path, choices }: FormField): Control {
  const none = element('option', { value: '' }, 'default');
  const select = element(
    'select',
    { 'data-control': path },
    none,
    ...choices.map((choice) => element('option', { value: choice }, choice)),
  );
  return {
    element: select,
    focusable: select,
    read: () => select.value,
    write: (value) => {
      // One that is none of the choices is kept in sight, to be corrected.
      if (![...select.options].some((option) => option.value === value))
        select.append(element('option', { value: String(value) }, String(value)));
      select.value = String(value);
    },
    usual: (text) => {
      none.textContent = text === '' ? 'default' : `default: ${text}`;
    },
    describe: (label, _, bad) => {
      select.setAttribute('aria-label', label);
      select.setAttribute('aria-describedby', `field-${path}-problem field-${path}-help`);
      setAttribute(select, 'aria-invalid', bad ? 'true' : undefined);
    },
  };
}

/** Names and values, row by row; JSON where it is something else. */
export function mapControl(field: FormField): Control {
  const { path } = field;
  const rows = element('div', { class: 'rows' });
  const add = document.createElement('vscode-button');
  add.secondary = true;
  add.textContent = 'Add';
  const box = element('div', { role: 'group', 'data-control': path }, rows, add);
  const json = areaControl(field);
  let asJson = false;
  const cell = (label: string, text: string) => {
    const input = document.createElement('vscode-textfield');
    input.label = label;
    input.value = text;
    input.placeholder = label;
    return input;
  };
  const addRow = ([name, value]: readonly [string, string]) => {
    const remove = document.createElement('vscode-button');
    remove.secondary = true;
    remove.textContent = '✕';
    remove.setAttribute('aria-label', `Remove ${name || 'row'}`);
    const first = cell('name', name);
    const row = element('div', { class: 'row' }, first, cell('value', value), remove);
    remove.addEventListener('click', () => {
      const next = row.nextElementSibling ?? row.previousElementSibling;
      row.remove();
      const focused = next?.querySelector('vscode-textfield') ?? add;
      focused.focus();
      box.dispatchEvent(new Event('input', { bubbles: true }));
    });
    rows.append(row);
    return first;
  };
  add.addEventListener('click', () => {
    const first = addRow(['', '']);
    void first.updateComplete.then(() => first.focus());
  });
  const pairs = (): (readonly [string, string])[] =>
    [...rows.children].map((row) => {
      const [name, value] = row.querySelectorAll('vscode-textfield');
      return [name?.value ?? '', value?.value ?? ''];
    });
  return {
    element: box,
    get focusable() {
      return asJson ? json.focusable : (rows.querySelector('vscode-textfield') ?? add);
    },
    read: () => (asJson ? json.read() : pairs().filter(([name, value]) => name !== '' || value !== '')),
    write: (value) => {
      asJson = typeof value === 'string' && value !== '';
      if (asJson) {
        json.write(value);
        box.replaceChildren(json.element);
        return;
      }
      rows.replaceChildren();
      for (const pair of typeof value === 'string' ? [] : value) addRow(pair);
      box.replaceChildren(rows, add);
    },
    describe: (label, description, bad) => {
      json.describe(label, description, bad);
      box.setAttribute('aria-label', label);
      box.setAttribute('aria-describedby', `field-${path}-problem field-${path}-help`);
      box.classList.toggle('bad', bad);
      add.setAttribute('aria-label', `Add to ${label}`);
    },
  };
}

/**
 * Tells screen readers of a control in a shadow tree: ids do not lead out of that, so its description is text.
 */
function describeInner(
  host: HTMLElement & { updateComplete: Promise<boolean> },
  description: string,
  bad: boolean,
): void {
  void host.updateComplete.then(() => {
    const inner = host.shadowRoot?.querySelector('input, textarea');
    if (!inner) return;
    inner.setAttribute('aria-description', description);
    setAttribute(inner, 'aria-invalid', bad ? 'true' : undefined);
  });
}
