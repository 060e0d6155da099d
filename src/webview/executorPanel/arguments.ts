import {
  argumentText,
  argumentTypes,
  type ClassAbout,
  type ClassDescription,
  type ClassParameter,
  readArgument,
  readText,
} from '../../core/classArguments.ts';
import type { FieldValue, FormField } from '../../core/executorForm.ts';
import { element, markdown } from './dom.ts';
import { type FieldView, mapControl, oneView, Problem } from './fields.ts';

/** An argument of a class, in a field by its type. */
interface ArgumentView {
  readonly parameter: ClassParameter;
  readonly view: FieldView;
  /** As a row has it. */
  read(): string;
  write(row: string): void;
}

/**
 * What a cluster class is called with: a field for each argument that it is known to take, and rows of names and values for
 * all else. What stands there is the same either way.
 */
export function argumentsView(field: FormField): FieldView {
  const { path, key, help } = field;
  const rest = mapControl(field);
  const problem = new Problem(field, (description, bad) => rest.describe(key, description, bad));
  const note = element('p', { class: 'help', 'aria-live': 'polite' });
  const again = document.createElement('vscode-button');
  again.secondary = true;
  again.textContent = 'Read Again';
  again.addEventListener('click', () => again.dispatchEvent(new Event('describe', { bubbles: true })));
  const known = element('div', {});
  const restTitle = element('div', { class: 'key' });
  let views: ArgumentView[] = [];
  let about: ClassAbout | undefined;
  /** Names as they stood in the settings. */
  let order: string[] = [];

  const read = (): FieldValue => {
    const others = rest.read();
    if (typeof others === 'string') return others;
    const all = [
      ...views.map(({ parameter, read: row }) => [parameter.name, row()] as const),
      ...others,
    ].filter(([name, text]) => name === '' || text !== '' || !isKnown(name));
    const rank = ([name]: readonly [string, string]) => {
      const at = order.indexOf(name);
      return at < 0 ? order.length : at;
    };
    return all.sort((a, b) => rank(a) - rank(b));
  };
  const isKnown = (name: string) => views.some(({ parameter }) => parameter.name === name);
  const write = (value: FieldValue) => {
    const rows = typeof value === 'string' ? [] : value;
    order = rows.map(([name]) => name);
    // The first of a name: a second one stays in sight as a row.
    const first = new Map(rows.toReversed());
    for (const view of views) view.write(first.get(view.parameter.name) ?? '');
    const taken = new Set<string>();
    const others = rows.filter(([name]) => {
      const isFirst = isKnown(name) && !taken.has(name);
      taken.add(name);
      return !isFirst;
    });
    rest.write(typeof value === 'string' && value !== '' ? value : others);
  };
  const draw = (description: ClassDescription | undefined) => {
    const value = read();
    // A list that is JSON of another form has no arguments.
    views =
      typeof value === 'string' ? [] : (description?.parameters ?? []).map((one) => argumentView(path, one));
    write(value);
    const [main, more] = [views.filter(isMain), views.filter((view) => !isMain(view))];
    const folded = element(
      'details',
      {},
      element('summary', {}, element('span', { class: 'key' }, `More arguments (${more.length})`)),
      ...more.map(({ view }) => view.element),
    );
    known.replaceChildren(...main.map(({ view }) => view.element), ...(more.length > 0 ? [folded] : []));
    restTitle.textContent = views.length > 0 ? 'Other arguments' : '';
    restTitle.hidden = views.length === 0;
  };
  const isMain = ({ parameter: { required, of }, read: row }: ArgumentView) =>
    required || row() !== '' || of === about?.description?.name;
  return {
    element: element(
      'div',
      { class: 'field', 'data-path': path },
      element('div', { class: 'head' }, element('span', { class: 'key' }, key)),
      element('div', { class: 'help', id: `field-${path}-help` }, markdown(help)),
      note,
      again,
      element('div', { class: 'nested' }, known, restTitle, rest.element),
      problem.element,
    ),
    read: () => [[path, read()]],
    write: (values) => {
      const value = values[path] ?? [];
      if (JSON.stringify(value) !== JSON.stringify(read())) write(value);
    },
    show: (view, insist) => {
      if (JSON.stringify(view.about?.description) !== JSON.stringify(about?.description)) {
        about = view.about;
        draw(about?.description);
      }
      about = view.about;
      note.textContent = noteOf(about);
      note.hidden = note.textContent === '';
      again.hidden = about?.description === undefined && about?.problem === undefined;
      const usual = Object.fromEntries(views.map((one) => [`${path}.${one.parameter.name}`, usualOf(one)]));
      for (const { view: one } of views) one.show({ ...view, usual }, insist);
      const own = Object.entries(view.problems).filter(
        ([at]) => at === path || (at.startsWith(`${path}.`) && !isKnown(at.slice(path.length + 1))),
      );
      problem.show(own.length > 0 ? own.map(([, message]) => message).join('; ') : undefined);
    },
    firstBad: () =>
      views.map(({ view }) => view.firstBad()).find((one) => one !== undefined) ??
      (problem.isShown ? rest.focusable : undefined),
  };
}

function noteOf(about: ClassAbout | undefined): string {
  if (!about) return '';
  const { path, description, problem } = about;
  if (problem !== undefined) return 'What it takes is not known.';
  if (!description) return `Reading what ${path} takes…`;
  const doc = description.doc.replaceAll(/\s+/g, ' ').replace(/\w$/, '$&.');
  const more = description.open ? 'It takes more than is listed here: see its documentation.' : '';
  return [doc, more].filter(Boolean).join(' ');
}

const usualOf = ({ parameter }: ArgumentView): string => parameter.default ?? '';

function argumentView(path: string, parameter: ClassParameter): ArgumentView {
  const { name, required, annotation, doc = '', choices } = parameter;
  const types = argumentTypes(parameter);
  const isChoice = choices !== undefined || (types.length === 1 && types[0] === 'bool');
  const isArea = types.length > 0 && types.every((type) => type === 'list' || type === 'dict');
  const isText = types.length === 1 && types[0] === 'str';
  const at = `${path}.${name}`;
  const view = oneView({
    ...{ path: at, key: name, help: doc, required, fields: [], schema: {} },
    type: isChoice
      ? 'choice'
      : isArea
        ? 'json'
        : types.length > 0 && !types.includes('str')
          ? 'number'
          : 'text',
    choices: choices ?? ['true', 'false'],
    ...(annotation !== undefined && { unit: annotation }),
  });
  const entered = () => String(view.read()[0]?.[1] ?? '');
  // What was not touched stays as it was written.
  let [row, shown] = ['', ''];
  return {
    parameter,
    view,
    read: () => {
      const now = entered();
      if (now === shown) return row;
      return isText ? asText(now) : now;
    },
    write: (text) => {
      row = text;
      view.write({ [at]: isText ? textOf(text) : text });
      shown = entered();
    },
  };
}

/** A row's text as it stands in a field for texts, where digits need no quotes. */
function textOf(row: string): string {
  try {
    const value = readArgument(row);
    return typeof value === 'string' && asText(value) === row ? value : row;
  } catch {
    return row;
  }
}

/** What stands in a field for texts as a row's text. */
function asText(entered: string): string {
  if (entered.trim() === '') return '';
  try {
    return argumentText(readText(entered));
  } catch {
    return entered;
  }
}
