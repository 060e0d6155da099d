import { type ArgumentType, argumentText, argumentTypes, type ClassDescription } from './classArguments.ts';
import { runImage } from './imageExecutor.ts';
import type { Advice } from './scaling.ts';

/** What a class says to its arguments. */
export interface JudgedArguments {
  /** By the argument's name: it would be refused. */
  readonly problems: Readonly<Record<string, string>>;
  readonly findings: readonly Advice[];
}

/** Judges arguments by what a class takes, as is done before it is called. */
export function judgeArguments(kwargs: unknown, description: ClassDescription): JudgedArguments {
  const given = new Map(Object.entries(typeof kwargs === 'object' && kwargs !== null ? kwargs : {}));
  const known = new Map(description.parameters.map((one) => [one.name, one]));
  const problems: Record<string, string> = {};
  const findings: Advice[] = [];
  for (const { name, required } of description.parameters)
    if (required && !given.has(name)) problems[name] = `${name} is needed`;
  for (const [name, value] of given) {
    const parameter = known.get(name);
    if (!parameter) {
      if (!description.open) problems[name] = `${description.name} takes no ${name}`;
      continue;
    }
    const wanted = argumentTypes(parameter);
    if (wanted.length === 0 || parameter.choices || isMade(value) || wanted.some((type) => fits(type, value)))
      continue;
    const message = `${name} is ${argumentText(value)}; ${description.name} says ${parameter.annotation}.`;
    findings.push({ severity: 'warning', message });
  }
  return { problems, findings };
}

/** It is something else when the class is called, or nothing. */
const isMade = (value: unknown): boolean =>
  value === null || value === runImage || (typeof value === 'object' && '$import' in value);

function fits(type: ArgumentType, value: unknown): boolean {
  switch (type) {
    case 'int':
      return Number.isInteger(value);
    case 'float':
      return typeof value === 'number';
    case 'bool':
      return typeof value === 'boolean';
    case 'str':
      return typeof value === 'string';
    case 'list':
      return Array.isArray(value);
    default:
      return typeof value === 'object' && !Array.isArray(value);
  }
}
