/** One parameter of a cluster class. */
export interface ClassParameter {
  readonly name: string;
  readonly required: boolean;
  /** The class or function whose parameter it is: a base class, where its own passes it on. */
  readonly of: string;
  /** As Python writes it; absent if it has none, or none is known. */
  readonly default?: string;
  /** The default as JSON; absent where JSON has no such value. */
  readonly value?: unknown;
  /** Of the signature, else of the docstring. */
  readonly annotation?: string;
  /** Names of the members of the enumeration that it takes one of; a text of that name is made into it. */
  readonly choices?: readonly string[];
  readonly doc?: string;
}

/** What a cluster class, or a function that makes one, takes: by its signature, docstring, and what it passes on. */
export interface ClassDescription {
  readonly name: string;
  readonly kind: 'class' | 'function';
  /** The first paragraph of its docstring; empty if it has none. */
  readonly doc: string;
  readonly parameters: readonly ClassParameter[];
  /** Whether it takes more than these, such as options of workers: what those are can't be read. */
  readonly open: boolean;
}

/** What is known of the class that a draft names. */
export interface ClassAbout {
  /** Its import path. */
  readonly path: string;
  /** Absent while it is read, and where it can't be. */
  readonly description?: ClassDescription;
  /** Why it can't be read, and what to do. */
  readonly problem?: string;
}

/**
 * A value of JSON as it stands in a field: text as it is, unless it would be read as something else or has blanks at its
 * ends; all else as JSON.
 */
export function argumentText(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return typeof value === 'string' && isPlainText(value) ? value : text;
}

/**
 * What stands in a field, as a value of JSON. Python's words for `true`, `false` and `null` are taken too.
 * @throws {Error} saying why it is none, to be read after the argument's name
 */
export function readArgument(text: string): unknown {
  const given = text.trim();
  if (words.has(given)) return words.get(given);
  if (isNumber(given)) return Number(given);
  if (!/^["{[]/.test(given)) return given;
  try {
    return JSON.parse(given);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`is no JSON: ${why}`);
  }
}

/** The same for an argument that is text: digits and words are text too, and only an object or `null` is none. */
export function readText(text: string): unknown {
  const given = text.trim();
  return /^["{]/.test(given) || words.get(given) === null ? readArgument(given) : given;
}

const words: ReadonlyMap<string, boolean | null> = new Map([
  ...(['true', 'True'] as const).map((word) => [word, true] as const),
  ...(['false', 'False'] as const).map((word) => [word, false] as const),
  ...(['null', 'None'] as const).map((word) => [word, null] as const),
]);

/** Whether text is a number as JSON or Python write it. */
export const isNumber = (text: string): boolean => /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i.test(text);

const isPlainText = (text: string): boolean =>
  text !== '' &&
  text.trim() === text &&
  !/["{[]/.test(text.charAt(0)) &&
  !/[\r\n]/.test(text) &&
  !words.has(text) &&
  !isNumber(text);

/** A type of JSON, as annotations of Python name it. */
export type ArgumentType = 'int' | 'float' | 'bool' | 'str' | 'list' | 'dict';

const types: ReadonlyMap<string, ArgumentType | undefined> = new Map([
  ...(['int', 'float', 'bool', 'str', 'list', 'dict'] as const).map((type) => [type, type] as const),
  ...['sequence', 'iterable', 'tuple'].map((name) => [name, 'list'] as const),
  ['mapping', 'dict'] as const,
  ['string', 'str'] as const,
  ...['none', 'optional', ''].map((name) => [name, undefined] as const),
]);

/** The types that an argument may have; none where it may have others, or nobody knows. */
export function argumentTypes({ annotation = '' }: Pick<ClassParameter, 'annotation'>): ArgumentType[] {
  // `Optional[int]`; what stands in other brackets is of the list's own values.
  const inner = annotation
    .replace(/^(?:typing\.)?(?:Optional|Union)\[(.*)\]$/, '$1')
    .replace(/\[[^[]*\]/g, '');
  const names = inner.split(/\||,|\bor\b/).map((name) =>
    name
      .trim()
      .toLowerCase()
      .replace(/^(?:typing|collections\.abc)\./, ''),
  );
  if (names.some((name) => !types.has(name))) return [];
  return [...new Set(names.flatMap((name) => types.get(name) ?? []))];
}
