import type { FlowParameter } from './flow.ts';

/** A parameter's value as JSON, or why the text is none. */
export type ParsedValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

/**
 * Reads what the user typed for a parameter. The annotation decides where it can (`int`, `float`, `bool`, `str`);
 * else JSON or a Python literal of the same shape is taken as such, and anything else as text.
 */
export function parseParameter(parameter: FlowParameter, typed: string): ParsedValue {
  const text = typed.trim();
  const type = bareType(parameter.annotation);
  if (type.optional && (text === '' || text === 'None')) return { ok: true, value: null };
  switch (type.name) {
    case 'int':
      return /^[+-]?\d+(_\d+)*$/.test(text)
        ? exact(Number(text.replaceAll('_', '')))
        : { ok: false, message: 'A whole number is needed' };
    case 'float':
      return text !== '' && Number.isFinite(Number(text))
        ? { ok: true, value: Number(text) }
        : { ok: false, message: 'A number is needed' };
    case 'bool':
      if (/^(true|yes|1)$/i.test(text)) return { ok: true, value: true };
      if (/^(false|no|0)$/i.test(text)) return { ok: true, value: false };
      return { ok: false, message: 'True or False is needed' };
    case 'str':
      return { ok: true, value: unquoted(typed) };
    case 'list':
    case 'dict':
      return parseLiteral(text, type.name);
    default:
      return parseAny(text);
  }
}

function parseLiteral(text: string, name: 'list' | 'dict'): ParsedValue {
  const value = fromLiteral(text);
  const fits =
    name === 'list'
      ? Array.isArray(value)
      : typeof value === 'object' && value !== null && !Array.isArray(value);
  if (fits) return { ok: true, value };
  return {
    ok: false,
    message: name === 'list' ? 'A list is needed, like [1, 2]' : 'A dict is needed, like {"a": 1}',
  };
}

function parseAny(text: string): ParsedValue {
  if (text === '') return { ok: false, message: 'A value is needed' };
  const value = fromLiteral(text);
  return typeof value === 'number' && /^-?\d+$/.test(text)
    ? exact(value)
    : { ok: true, value: value === undefined ? text : value };
}

/** A larger whole number would reach the flow as another one. */
function exact(value: number): ParsedValue {
  if (Number.isSafeInteger(value)) return { ok: true, value };
  return { ok: false, message: `The number is too large: at most ${Number.MAX_SAFE_INTEGER}` };
}

/** JSON, or Python's spelling of it; undefined if it is neither. */
function fromLiteral(text: string): unknown {
  for (const candidate of [text, pythonToJson(text)]) {
    try {
      return JSON.parse(candidate);
    } catch {
      // Not JSON in this spelling: the caller decides what text means.
    }
  }
  return undefined;
}

function pythonToJson(text: string): string {
  return text.replace(
    /"(?:[^"\\]|\\.)*"|'((?:[^'\\]|\\.)*)'|\b(True|False|None)\b/g,
    (whole, single, word) => {
      if (single !== undefined) return `"${quoteDouble(String(single))}"`;
      if (word !== undefined) return { True: 'true', False: 'false', None: 'null' }[String(word)] ?? whole;
      return whole;
    },
  );
}

/** The inside of a single-quoted text as that of a double-quoted one; other escapes mean the same in both. */
function quoteDouble(inside: string): string {
  return inside.replace(/\\.|"/gs, (found) => (found === "\\'" ? "'" : found === '"' ? '\\"' : found));
}

function unquoted(text: string): string {
  const quoted = /^\s*(['"])(.*)\1\s*$/s.exec(text);
  if (!quoted) return text;
  const value = fromLiteral(text.trim());
  return typeof value === 'string' ? value : (quoted[2] ?? text);
}

function bareType(annotation: string | undefined): { name: string; optional: boolean } {
  const text = (annotation ?? '').replaceAll(/\s|['"]/g, '').replaceAll('typing.', '');
  const optional = /^Optional\[|\|None$|^None\|/.test(text);
  const inner = text.replace(/^Optional\[(.*)\]$/, '$1').replace(/\|None$|^None\|/, '');
  const name = /^(list|dict|List|Dict)\b/.exec(inner)?.[1]?.toLowerCase() ?? inner;
  return { name, optional };
}

/** How a value is shown in an input box, such that it reads back as the same. */
export function formatParameter(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value);
  const read = parseAny(value.trim());
  return read.ok && read.value === value ? value : JSON.stringify(value);
}

/** The parameters that the user has to give a value for. */
export function requiredParameters(parameters: readonly FlowParameter[]): FlowParameter[] {
  return parameters.filter((parameter) => parameter.default === undefined);
}
