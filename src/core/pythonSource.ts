/** Something that Python code can hold: what JSON can, names, and calls. */
export type PythonValue =
  | string
  | number
  | boolean
  | null
  | readonly PythonValue[]
  | { readonly [key: string]: PythonValue | undefined }
  | PythonName
  | PythonCall;

/** A name that the code has, such as `security`. */
export class PythonName {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** A call with keyword arguments, of whatever names; those that are undefined are left out. */
export class PythonCall {
  readonly callee: string;
  readonly keywords: Readonly<Record<string, PythonValue | undefined>>;
  constructor(callee: string, keywords: Readonly<Record<string, PythonValue | undefined>>) {
    this.callee = callee;
    this.keywords = keywords;
  }
}

/** As most formatters have it. */
const width = 88;
const step = '    ';

/** A string as Python source: the escapes of JSON are Python's too, and nothing in it can end the string. */
export const pythonText = (text: string): string => JSON.stringify(text);

/**
 * A value as Python source: on one line where that fits, else an item a line.
 * @param head what stands before it in its line, with the indent
 */
export function pythonSource(value: PythonValue, head = ''): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'string') return pythonText(value);
  if (typeof value === 'number') return String(value);
  if (value instanceof PythonName) return value.name;
  const [open, items, close] = partsOf(value);
  const flat = open + items.map(([key, item]) => key + pythonSource(item)).join(', ') + close;
  if (head.length + flat.length <= width || items.length === 0) return flat;
  const indent = /^ */.exec(head)?.[0] ?? '';
  const inner = indent + step;
  const lines = items.map(([key, item]) => `${inner}${key}${pythonSource(item, inner + key)},\n`);
  return `${open}\n${lines.join('')}${indent}${close}`;
}

type Parts = readonly [open: string, items: readonly (readonly [string, PythonValue])[], close: string];

function partsOf(
  value: PythonCall | readonly PythonValue[] | { readonly [key: string]: PythonValue | undefined },
): Parts {
  if (value instanceof PythonCall) return [`${value.callee}(`, keywordItems(value.keywords), ')'];
  if (isList(value)) return ['[', value.map((item) => ['', item]), ']'];
  return ['{', entries(value, (key) => `${pythonText(key)}: `), '}'];
}

type Keywords = PythonCall['keywords'];

/** Those that Python has no word for, as `**{"a-b": 1}`. */
function keywordItems(keywords: Keywords): Parts[1] {
  const said = Object.entries(keywords).filter(([, item]) => item !== undefined);
  const others = said.filter(([key]) => !isKeyword(key));
  return [
    ...entries(Object.fromEntries(said.filter(([key]) => isKeyword(key))), (key) => `${key}=`),
    ...(others.length > 0 ? [['**', Object.fromEntries(others)] as const] : []),
  ];
}

const reserved = new Set(
  `False None True and as assert async await break class continue def del elif else except finally for from global if
  import in is lambda nonlocal not or pass raise return try while with yield __debug__`.split(/\s+/),
);

/** Whether Python takes it as the name of an argument, as it stands. */
const isKeyword = (key: string): boolean =>
  /^[\p{L}_][\p{L}\p{N}_]*$/u.test(key) && key.normalize('NFKC') === key && !reserved.has(key);

const isList = (value: object): value is readonly PythonValue[] => Array.isArray(value);

const entries = (
  of: { readonly [key: string]: PythonValue | undefined },
  head: (key: string) => string,
): (readonly [string, PythonValue])[] =>
  Object.entries(of).flatMap(([key, item]) => (item === undefined ? [] : [[head(key), item] as const]));
