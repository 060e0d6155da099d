import { argumentText, isNumber, readArgument } from './classArguments.ts';

/** The part of JSON Schema that the setting `flowClusters.executors` is described with. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
  readonly markdownDescription?: string;
}

/**
 * How an option is entered. `scalar`: a number or text. `choice`: one of a few, or what there is without it. `part`: an
 * object of options, there or not. `map`: an object of scalars, row by row. `arguments`: of a cluster class, row by row, each
 * as {@link argumentText} has it. `lines`: texts, one a line. `json`: anything.
 */
export type FieldType =
  | 'text'
  | 'number'
  | 'scalar'
  | 'choice'
  | 'part'
  | 'map'
  | 'arguments'
  | 'lines'
  | 'json';

/** One option of a kind of executors. */
export interface FormField {
  /** Its keys from the executor on: `adapt_kwargs.minimum`. */
  readonly path: string;
  /** The last of them. */
  readonly key: string;
  readonly type: FieldType;
  /** In the Markdown of the setting's description. */
  readonly help: string;
  readonly unit?: string;
  readonly required: boolean;
  /** Of a `choice`. */
  readonly choices: readonly string[];
  /** Of a `part`. */
  readonly fields: readonly FormField[];
  readonly schema: Schema;
}

/** Fields that belong together. */
export interface FormGroup {
  readonly title: string;
  /** Seldom needed: closed at first. */
  readonly folded: boolean;
  readonly fields: readonly FormField[];
}

/** All that can be said of executors of one kind. */
export interface KindForm {
  readonly kind: string;
  readonly help: string;
  readonly groups: readonly FormGroup[];
}

/** What stands in a field; rows of a `map` or of `arguments`. Empty: the option is left out. A `part` that is there is `true`. */
export type FieldValue = string | readonly (readonly [string, string])[];
/** By the fields' paths. */
export type FormValues = Readonly<Record<string, FieldValue>>;
/** An executor as it stands in the settings, right or wrong. */
export type Profile = Readonly<Record<string, unknown>>;

/** The order of the form; what is not named here comes last. */
const groups: readonly (readonly [title: string, keys: readonly string[]])[] = [
  ['Executor', ['name', 'address', 'cluster_class', 'cluster_kwargs']],
  ['Image', ['image', 'pull', 'image_pull_policy', 'image_pull_secrets']],
  ['Place', ['context', 'namespace', 'kubeconfig', 'docker_context', 'docker_host']],
  [
    'Workers',
    [
      ...[
        'n_workers',
        'threads_per_worker',
        'processes',
        'memory_limit',
        'cpus',
        'gpus',
        'requests',
        'limits',
      ],
      ...['scheduler', 'num_workers'],
    ],
  ],
  ['Scaling', ['adapt_kwargs']],
  ['Environment', ['env', 'volumes', 'volume_mounts', 'network', 'resources']],
  ['Security', ['security']],
  ['Lifetime', ['idle_timeout', 'start_timeout']],
];
const lastGroup = 'Advanced';

const units: Readonly<Record<string, string>> = {
  idle_timeout: 'seconds',
  start_timeout: 'seconds',
  cpus: 'cores',
};

/** Forms of all kinds, in the schema's order. @param items the schema of one executor, with its texts */
export function kindForms(items: Schema): KindForm[] {
  return (items.oneOf ?? []).map(({ properties = {}, required = [] }) => {
    const { kind, ...options } = properties;
    const fields = Object.entries(options).map(([key, schema]) => fieldOf(key, key, schema, required));
    const titleOf = ({ key }: FormField) => groups.find(([, keys]) => keys.includes(key))?.[0] ?? lastGroup;
    const titles = [...groups.map(([title]) => title), lastGroup];
    const rank = (title: string, { key }: FormField) =>
      groups.find((group) => group[0] === title)?.[1].indexOf(key) ?? 0;
    return {
      kind: String(kind?.enum?.[0] ?? kind?.const),
      help: kind?.markdownDescription ?? '',
      groups: titles
        .map((title) => ({
          title,
          folded: title === lastGroup,
          fields: fields
            .filter((field) => titleOf(field) === title)
            .sort((a, b) => rank(title, a) - rank(title, b)),
        }))
        .filter((group) => group.fields.length > 0),
    };
  });
}

function fieldOf(path: string, key: string, schema: Schema, required: readonly string[]): FormField {
  const type = key === 'cluster_kwargs' ? 'arguments' : typeOf(schema);
  const unit = units[key];
  const inner = type === 'part' ? Object.entries(schema.properties ?? {}) : [];
  return {
    ...{ path, key, type, schema },
    help: schema.markdownDescription ?? '',
    ...(unit !== undefined && { unit }),
    required: required.includes(key),
    choices: schema.type === 'boolean' ? ['true', 'false'] : (schema.enum ?? []).map(String),
    fields: inner.map(([name, of]) => fieldOf(`${path}.${name}`, name, of, schema.required ?? [])),
  };
}

function typeOf(schema: Schema): FieldType {
  const types = typesOf(schema);
  const only = (...allowed: string[]) => types.length > 0 && types.every((type) => allowed.includes(type));
  if (schema.enum || only('boolean')) return 'choice';
  if (only('integer', 'number', 'null')) return 'number';
  if (only('string')) return 'text';
  if (only('string', 'integer', 'number')) return 'scalar';
  if (only('object')) {
    if (schema.properties) return 'part';
    const { additionalProperties: of } = schema;
    const scalars = ['text', 'number', 'scalar'];
    return typeof of === 'object' && scalars.includes(typeOf(of)) ? 'map' : 'json';
  }
  if (only('array') && schema.items && typeOf(schema.items) === 'text') return 'lines';
  return 'json';
}

/** The types that a value may have, in JSON Schema's words. */
function typesOf({ type, anyOf, const: constant }: Schema): readonly string[] {
  if (anyOf) return anyOf.flatMap(typesOf);
  if (constant !== undefined) return [typeof constant];
  return type === undefined ? [] : typeof type === 'string' ? [type] : type;
}

/** All fields of a kind, those of parts after their part. */
export function fieldsOf({ groups }: Pick<KindForm, 'groups'>): FormField[] {
  const all = (fields: readonly FormField[]): FormField[] =>
    fields.flatMap((field) => [field, ...all(field.fields)]);
  return all(groups.flatMap(({ fields }) => fields));
}

/** What stands in the fields for an executor of the settings. */
export function formValues(form: KindForm, profile: Profile): FormValues {
  const values: Record<string, FieldValue> = {};
  const fill = (fields: readonly FormField[], from: Profile) => {
    for (const field of fields) {
      const value = from[field.key];
      values[field.path] = shown(field, value);
      fill(field.fields, isObject(value) ? value : {});
    }
  };
  fill(
    form.groups.flatMap(({ fields }) => fields),
    profile,
  );
  return values;
}

/** A value as it stands in its field. One of another type than the field's stands there as JSON. */
function shown({ type, schema }: FormField, value: unknown): FieldValue {
  if (value === undefined || value === null) return type === 'map' || type === 'arguments' ? [] : '';
  switch (type) {
    case 'part':
      return isObject(value) ? 'true' : '';
    case 'map':
      return isScalars(value) ? Object.entries(value).map(([key, of]) => [key, String(of)]) : json(value);
    case 'arguments':
      return isObject(value)
        ? Object.entries(value).map(([name, of]) => [name, argumentText(of)])
        : json(value);
    case 'lines':
      return isLines(value) ? value.join('\n') : json(value);
    case 'json':
      // Text is allowed where a manifest may be its YAML.
      return typeof value === 'string' && typesOf(schema).includes('string') ? value : json(value);
    default:
      return typeof value === 'object' ? json(value) : String(value);
  }
}

const json = (value: unknown): string => JSON.stringify(value, undefined, 2);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isScalars = (value: unknown): value is Record<string, string | number> =>
  isObject(value) && Object.values(value).every((of) => typeof of === 'string' || typeof of === 'number');
const isLines = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.every((line) => typeof line === 'string' && line.trim() !== '' && !/[\r\n]/.test(line));

/** A form that has been read. */
export interface ReadForm {
  /** What can be read of it; fields with a problem are left out. */
  readonly profile: Profile;
  /** By the fields' paths: what is no value of the field's type. */
  readonly problems: Readonly<Record<string, string>>;
}

/**
 * Reads what was entered. Options that the form does not know, the order of keys, and each value whose field still shows
 * it, stay as they were.
 * @param before the executor as the settings have it
 * @param forms of all kinds: options of another kind than this one do not stay
 */
export function readForm(
  form: KindForm,
  values: FormValues,
  before: Profile = {},
  forms: readonly KindForm[] = [form],
): ReadForm {
  const problems: Record<string, string> = {};
  const fields = form.groups.flatMap((group) => group.fields);
  const foreign = forms.flatMap((other) =>
    other.groups.flatMap((group) => group.fields.map(({ key }) => key)),
  );
  const known = new Set(['kind', ...foreign]);
  const read = readFields(fields, values, before, known, problems);
  const { name, ...options } = read;
  const head = { ...(name !== undefined && { name }), kind: form.kind };
  if (!('kind' in before)) return { profile: { ...head, ...options }, problems };
  // In the order that the settings have.
  const whole: Record<string, unknown> = { ...head, ...options };
  const order = [...Object.keys(before), ...Object.keys(whole)].filter((key) => key in whole);
  return { profile: Object.fromEntries(order.map((key) => [key, whole[key]])), problems };
}

function readFields(
  fields: readonly FormField[],
  values: FormValues,
  before: Profile,
  known: ReadonlySet<string>,
  problems: Record<string, string>,
): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const field of fields) {
    const value = readField(field, values, before[field.key], problems);
    if (value !== undefined) found[field.key] = value;
  }
  const entries = Object.entries(before).flatMap(([key, value]): [string, unknown][] =>
    key in found ? [[key, found[key]]] : known.has(key) ? [] : [[key, value]],
  );
  return { ...Object.fromEntries(entries), ...found };
}

function readField(
  field: FormField,
  values: FormValues,
  before: unknown,
  problems: Record<string, string>,
): unknown {
  const value = values[field.path] ?? '';
  if (field.type === 'part') {
    if (value !== 'true') return undefined;
    const known = new Set(field.fields.map(({ key }) => key));
    return readFields(field.fields, values, isObject(before) ? before : {}, known, problems);
  }
  if (fits(field.schema, before) && same(shown(field, before), value)) return before;
  if (value.length === 0 || (typeof value === 'string' && value.trim() === '')) {
    if (field.required && field.path.includes('.')) problems[field.path] = `${field.key} is needed`;
    return undefined;
  }
  if (field.type === 'arguments' && typeof value !== 'string')
    return argumentsOf(field.path, value, problems);
  try {
    return parsed(field, value);
  } catch (error) {
    problems[field.path] = `${field.key} ${error instanceof Error ? error.message : String(error)}`;
    return undefined;
  }
}

/** Whether a value is of the types that its field has; its range is checked elsewhere. */
function fits(schema: Schema, value: unknown): boolean {
  const types = typesOf(schema);
  if (value === null) return types.includes('null');
  if (Array.isArray(value)) return types.includes('array');
  if (typeof value === 'number') return types.includes('number') || types.includes('integer');
  if (isObject(value)) {
    const { additionalProperties: of } = schema;
    const inner = typeof of === 'object' ? of : undefined;
    return types.includes('object') && (!inner || Object.values(value).every((one) => fits(inner, one)));
  }
  return value !== undefined && types.includes(typeof value);
}

function same(a: FieldValue, b: FieldValue): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** @throws {Error} saying what the value must be, to be read after the option's name */
function parsed(field: FormField, value: FieldValue): unknown {
  if (typeof value !== 'string') return rows(field, value);
  const text = value.trim();
  switch (field.type) {
    case 'number':
      return numberOf(field.schema, text);
    case 'scalar':
      return isNumber(text) ? Number(text) : text;
    case 'choice':
      return field.schema.type === 'boolean' ? text === 'true' : text;
    case 'lines':
      if (text.startsWith('[')) return fromJson(text);
      return text.split(/\r?\n/).flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
    case 'map':
    case 'arguments':
      return fromJson(text);
    case 'json':
      if (typesOf(field.schema).includes('string') && !/^[[{]/.test(text)) return value;
      return fromJson(text);
    default:
      return text;
  }
}

function numberOf(schema: Schema, text: string): number {
  const number = isNumber(text) ? Number(text) : Number.NaN;
  const whole = !typesOf(schema).includes('number');
  const { minimum, maximum, exclusiveMinimum: above } = schema;
  const inRange =
    number >= (minimum ?? Number.NEGATIVE_INFINITY) &&
    number <= (maximum ?? Number.POSITIVE_INFINITY) &&
    number > (above ?? Number.NEGATIVE_INFINITY);
  if (inRange && (!whole || Number.isInteger(number))) return number;
  const limits = [
    minimum === undefined ? '' : ` from ${minimum}`,
    above === undefined ? '' : ` above ${above}`,
    maximum === undefined ? '' : ` ${minimum === undefined ? 'up to' : 'to'} ${maximum}`,
  ];
  throw new Error(`must be a ${whole ? 'whole ' : ''}number${limits.join('')}`);
}

function rows(field: FormField, entries: Exclude<FieldValue, string>): Record<string, unknown> {
  const of = field.schema.additionalProperties;
  const types = typeof of === 'object' ? typesOf(of) : [];
  const map: Record<string, unknown> = Object.create(null);
  for (const [key, text] of entries) {
    if (key === '' && text === '') continue;
    if (key === '') throw new Error(`has a value without a name: ${text}`);
    if (key in map) throw new Error(`has ${key} twice`);
    const asNumber = types.includes('number') && isNumber(text.trim());
    if (!asNumber && !types.includes('string')) throw new Error(`must have a number for ${key}`);
    map[key] = asNumber ? Number(text) : text;
  }
  return { ...map };
}

/** @param problems told of each argument by its own path: `cluster_kwargs.cores` */
function argumentsOf(
  path: string,
  entries: Exclude<FieldValue, string>,
  problems: Record<string, string>,
): Record<string, unknown> | undefined {
  const found = new Map<string, unknown>();
  for (const [key, text] of entries) {
    const name = key.trim();
    // A row that is not filled yet.
    if (text.trim() === '') continue;
    if (name === '') problems[path] = `${path} has a value without a name: ${text}`;
    else if (found.has(name)) problems[path] = `${path} has ${name} twice`;
    else
      try {
        found.set(name, readArgument(text));
      } catch (error) {
        problems[`${path}.${name}`] = `${name} ${error instanceof Error ? error.message : String(error)}`;
      }
  }
  return found.size === 0 ? undefined : Object.fromEntries(found);
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The values of another kind's form: what both have stays as it was entered, the rest is what stood there before.
 * @param earlier what stood in the other form when it was left
 */
export function carriedOver(
  from: KindForm,
  to: KindForm,
  values: FormValues,
  earlier: FormValues = {},
): FormValues {
  const types = new Map(fieldsOf(from).map(({ path, type }) => [path, type]));
  const carried = fieldsOf(to)
    .filter(({ path, type }) => types.get(path) === type)
    .flatMap(({ path }) => (values[path] === undefined ? [] : [[path, values[path]] as const]));
  return { ...formValues(to, {}), ...earlier, ...Object.fromEntries(carried) };
}
