import type { FlowParameter } from './flow.ts';

/** What stands in for a secret wherever parameters are shown or kept. */
export const hidden = '•••';

const secretType = /\bSecret(Str|Bytes)?\b/;
const plainType = /^(int|float|bool)\b/;
const secretName =
  /(^|_)(password|passwd|pwd|passphrase|secret|token|credentials?|(api|access|private|secret)_?key)$/;

/**
 * Whether a parameter's value is nobody else's business, by its type (`SecretStr`, `Secret`) or its name (`password`,
 * `api_key`, `githubToken`).
 */
export function isSecret({ name, annotation = '' }: FlowParameter): boolean {
  if (secretType.test(annotation)) return true;
  if (plainType.test(annotation.trim())) return false;
  const snake = name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
  return secretName.test(snake);
}

/** The values as they may be shown and kept: secrets are replaced. */
export function hideSecrets(
  parameters: readonly FlowParameter[],
  values: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const secrets = new Set(parameters.filter(isSecret).map(({ name }) => name));
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, secrets.has(name) ? hidden : value]),
  );
}

/**
 * What to offer when the parameters are asked for again: what was typed now, else what was typed before for those
 * that were not asked for. No secrets, and nothing where the user has emptied the box.
 */
export function toRemember(
  parameters: readonly FlowParameter[],
  before: unknown,
  typed: Readonly<Record<string, string>>,
): Record<string, string> {
  const known = rememberedTexts(before);
  const kept: Record<string, string> = {};
  for (const parameter of parameters) {
    const text = typed[parameter.name] ?? known[parameter.name];
    if (text !== undefined && text !== '' && !isSecret(parameter)) kept[parameter.name] = text;
  }
  return kept;
}

/** The remembered texts by parameter, from whatever an earlier version has stored. */
export function rememberedTexts(stored: unknown): Record<string, string> {
  if (typeof stored !== 'object' || stored === null) return {};
  const texts = Object.entries(stored).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(texts);
}
