import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'jsonc-parser';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths from the project's folder. */
export const markdownIn = (folder: string): string[] =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));

/** What users read of how something is done. */
export const guides: readonly string[] = [
  'README.md',
  ...markdownIn('docs'),
  ...markdownIn('media/walkthrough'),
];

/** A fenced block of a guide. */
export interface Example {
  /** `docs/local.md:11`: where it begins. */
  readonly where: string;
  readonly language: string;
  readonly text: string;
  /** Of a whole file: what it is called, by the comment in its first line. */
  readonly file: string | undefined;
}

/** Those in lists too, whose indent is no part of them. */
function examplesIn(guide: string): Example[] {
  const markdown = readFileSync(join(root, guide), 'utf8');
  return [...markdown.matchAll(/^( *)```(\w*)\n(.*?)\n\1```$/gms)].map((match) => {
    const [, indent = '', language = '', body = ''] = match;
    const text = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '');
    const where = `${guide}:${markdown.slice(0, match.index).split('\n').length}`;
    return { where, language, text, file: /^# (\w+\.py)$/m.exec(text.split('\n')[0] ?? '')?.[1] };
  });
}

/** Of all guides. */
export const examples: readonly Example[] = guides.flatMap(examplesIn);

/** Settings by their names, of an example that has some, or executors alone. */
export function settingsOf(text: string): Readonly<Record<string, unknown>> {
  if (text.startsWith('"')) return parse(`{${text}}`);
  return { 'flowClusters.executors': parse(`[${text}]`) };
}
