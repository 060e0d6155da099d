import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromJSONSchema } from 'zod';
import { readExecutors } from '../../../src/core/executor.ts';
import { examples, guides, markdownIn, settingsOf } from '../../support/docs.ts';
import { testParser } from '../flows/python.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (name: string) => readFileSync(join(root, name), 'utf8');

const all = [
  ...guides,
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'bench/README.md',
  'samples/README.md',
];

const prose = (file: string) => read(file).replaceAll(/^( *)```.*?\n\1```$/gms, '');

/** What a heading is called in links, as GitHub makes it. */
const anchorsIn = (file: string) =>
  [...prose(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
      .replaceAll(' ', '-'),
  );

const manifest = JSON.parse(read('package.json'));
const texts = JSON.parse(read('package.nls.json')) as Record<string, string>;
const settings: Record<string, object> = manifest.contributes.configuration.properties;

/** What is said on screen: texts of the manifest, and literals of the code. */
function labels(): Set<string> {
  const literals = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [...read(join('src', name)).matchAll(/'([^'\n]+)'/g)].map(([, text = '']) => text));
  return new Set([...Object.values(texts), ...literals]);
}

/** Zod reads patterns without the flag that classes of Unicode need; what is in the docs is ASCII. */
function validator(schema: object) {
  const text = JSON.stringify(schema).replaceAll('\\\\p{L}', 'a-zA-Z').replaceAll('\\\\p{N}', '0-9');
  return fromJSONSchema(JSON.parse(text));
}

describe('docs', () => {
  it('link to files and headings that there are', () => {
    let count = 0;
    for (const file of all) {
      for (const [, target = ''] of prose(file).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const other = path === '' ? file : join(dirname(file), path);
        assert.ok(existsSync(join(root, other)), `${file} links to ${target}`);
        if (anchor !== undefined) assert.ok(anchorsIn(other).includes(anchor), `${file} links to ${target}`);
        count += 1;
      }
    }
    assert.ok(count > 50, `only ${count} links`);
  });

  it('are all linked from the README', () => {
    for (const file of markdownIn('docs')) assert.ok(read('README.md').includes(`](${file})`), file);
  });

  it('name settings, commands and views that there are', () => {
    const { commands, views, viewsContainers } = manifest.contributes;
    const known = [
      ...Object.keys(settings),
      ...commands.map(({ command }: { command: string }) => command),
      ...Object.values<{ id: string }[]>({ ...views, ...viewsContainers }).flatMap((of) =>
        of.map(({ id }) => id),
      ),
    ];
    for (const file of guides) {
      for (const [name] of read(file).matchAll(/\bflowClusters\.\w+(\.\w+)*/g))
        assert.ok(known.includes(name), `${file} names ${name}`);
    }
    for (const setting of Object.keys(settings))
      assert.ok(read('README.md').includes(`| \`${setting}\` `), `the table of the README lacks ${setting}`);
  });

  it('call buttons, commands and views what the screen calls them', () => {
    const onScreen = labels();
    // In italics; in the walkthrough, whose steps have links to commands, bold ones with an ellipsis.
    const label = /(?<![\w`])_(\p{Lu}[^_\n]*)_(?!\w)|\*\*(\p{Lu}[^*\n]*…)\*\*/gu;
    const named = guides.flatMap((file) =>
      [...prose(file).matchAll(label)].map(([, italic, bold]) => `${file}: ${italic ?? bold}`),
    );
    const unknown = named.filter((one) => !onScreen.has(one.slice(one.indexOf(': ') + 2)));
    assert.deepEqual(unknown, []);
    assert.ok(named.length > 50, `only ${named.length} names`);
  });

  it('have examples of settings that are taken as they are', () => {
    const found = examples.filter(({ language }) => language === 'jsonc');
    for (const { where, text } of found) {
      const values = settingsOf(text);
      for (const [key, value] of Object.entries(values)) {
        const schema = settings[key];
        assert.ok(schema, `${where}: ${key}`);
        const { error } = validator(schema).safeParse(value);
        assert.equal(error?.message, undefined, `${where}: ${key}`);
      }
      const { problems } = readExecutors(
        values['flowClusters.executors'],
        values['flowClusters.defaultExecutor'],
      );
      assert.deepEqual(problems, [], where);
    }
    assert.ok(found.length > 10, `only ${found.length} examples of settings`);
  });

  it('have examples of Python that can be read; whole files are run by test/live/docs.test.ts', async () => {
    const parser = await testParser();
    for (const { where, language, text } of examples) {
      if (language !== 'python') continue;
      assert.ok(
        parser.read(text, (tree) => !tree.hasError),
        where,
      );
    }
  });

  it('have no other examples but commands of this repository, and what the walkthrough shows', () => {
    for (const { where, language, text } of examples) {
      if (['jsonc', 'python'].includes(language) || where.startsWith('media/')) continue;
      const [, script = ''] = /^npm (?:run )?(\w+)$/.exec(text) ?? [];
      assert.ok(script in manifest.scripts, where);
    }
  });
});
