import { type ErrorAction, UserError } from '../errors.ts';
import { plural } from '../executor.ts';

/** `error`: the run will fail, or never end. `warning`: it may, or has to wait. `good`: looked at, and well. */
export type Severity = 'error' | 'warning' | 'info' | 'good';

/** One thing that a preflight says about a cluster. */
export interface Finding {
  readonly severity: Severity;
  /** One sentence without a full stop. */
  readonly message: string;
  /** Why that matters, and what to do. */
  readonly hint?: string;
  /** What its button does, the nearest first. */
  readonly actions?: readonly ErrorAction[];
  /** Modules that tasks use and workers lack. */
  readonly missing?: readonly string[];
}

/** An error as what was found. @param more what can be done besides, before what the error offers */
export function findingOf({ message, hint, action }: UserError, more?: ErrorAction): Finding {
  const actions = [more, action].filter((one) => one !== undefined);
  return { severity: 'error', message, ...(hint && { hint }), ...(actions.length > 0 && { actions }) };
}

const order: readonly Severity[] = ['error', 'warning', 'info', 'good'];

/** The worst first; what is equally bad stays as it is. */
export function bySeverity(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

/**
 * What a look finds, the worst first; a {@link UserError} that it fails with is what was found then.
 * @throws the reason of the signal where that has aborted, and all other errors
 */
export async function foundBy(
  look: () => Promise<readonly Finding[]>,
  signal: AbortSignal,
): Promise<Finding[]> {
  try {
    const findings = await look();
    signal.throwIfAborted();
    return bySeverity(findings);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UserError) return [findingOf(error)];
    throw error;
  }
}

/** `a`, `a and b`, `a, b, c and 37 more`. */
export function listed(names: readonly string[], most = 3): string {
  if (names.length > most + 1) {
    const rest = (names.length - most).toLocaleString('en');
    return `${names.slice(0, most).join(', ')} and ${rest} more`;
  }
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** What is said of workers by their names. */
export interface Named {
  readonly name: string;
}

/** `all 4 workers`, `both workers`, `the only worker`, `3 of 40 workers (a, b and c)`. */
export function workersText(some: readonly Named[], all: readonly Named[]): string {
  if (some.length === all.length) {
    return { 1: 'the only worker', 2: 'both workers' }[all.length] ?? `all ${plural(all.length, 'worker')}`;
  }
  const names = listed(some.map(({ name }) => name));
  return `${some.length.toLocaleString('en')} of ${plural(all.length, 'worker')} (${names})`;
}

/** The same text as the beginning of a sentence. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
