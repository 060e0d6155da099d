import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readExecutor } from '../../../src/core/executor.ts';
import { checkDraft, codeTabs, draftOf, filledDraft } from '../../../src/core/executorDraft.ts';
import { profileOf } from '../../../src/core/profileText.ts';
import * as yaml from '../../../src/core/yaml.ts';
import { describedForms } from './describedForms.ts';

const read = (text: string) => profileOf(text, 'executor', yaml);

describe('an executor as the settings have it', () => {
  it('is read from JSON and YAML, with a name of its own or without', () => {
    const profile = { name: 'a', kind: 'local', n_workers: 2, adapt_kwargs: { maximum: 4 } };
    for (const text of [
      JSON.stringify(profile),
      JSON.stringify(profile, undefined, 2),
      yaml.stringify(profile),
    ])
      assert.deepEqual(read(text), { profile, leftOut: [] });
    assert.deepEqual(read('kind: local'), { profile: { name: 'executor', kind: 'local' }, leftOut: [] });
  });

  it('is not read while something is wrong: it is told where', () => {
    const cases: [text: string, line: number | undefined, problem: RegExp][] = [
      ['{\n  "name": "a",\n  "kind": "local",\n  "n_workers": \n}', 3, /^n_workers must be a whole number/],
      ['{\n  "name": "a",\n  "kind": "local",\n  "workers": 4\n}', 3, /^unknown option "workers"/],
      ['name: a\nkind: kubernetes\nimage: etl\nadapt_kwargs:\n  minimum: x', 4, /^adapt_kwargs must be/],
      ['name: a\nkind: "local', 1, /quote/i],
      ['name: a\nkind: dokcer', 1, /^kind must be "local"/],
      ['{"name": "a", "kind": "docker"}', undefined, /^image must be the name/],
      ['', undefined, /^An executor is an object/],
      ['- kind: local', undefined, /^An executor is an object/],
    ];
    for (const [text, line, problem] of cases) {
      const found = read(text);
      assert.ok('problem' in found, text);
      assert.equal(found.line, line, text);
      assert.match(found.problem, problem, text);
      assert.doesNotMatch(found.problem, /\n/);
    }
  });

  const number = fc.option(fc.integer({ min: 1, max: 64 }), { nil: undefined });
  const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
  const env = fc.option(fc.dictionary(word, fc.string(), { minKeys: 1, noNullPrototype: true }), {
    nil: undefined,
  });
  const kinds: Readonly<Record<string, fc.Arbitrary<object>>> = {
    local: fc.record({ n_workers: number, memory_limit: fc.constantFrom(undefined, '4GiB', 0.5) }),
    docker: fc.record({
      image: word,
      n_workers: number,
      env,
      volumes: fc.constantFrom(undefined, ['/a:/a', '/b:/b:ro']),
    }),
    kubernetes: fc.record({
      ...{ image: word, n_workers: number, env, namespace: fc.option(word, { nil: undefined }) },
      tolerations: fc.constantFrom(undefined, [{ key: 'gpu', operator: 'Exists' }]),
    }),
    clusterClass: fc.record({
      cluster_class: word.map((of) => `a.${of.replaceAll('-', '_')}`),
      cluster_kwargs: fc.option(
        fc.dictionary(
          word,
          fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))),
          { minKeys: 1, noNullPrototype: true },
        ),
        { nil: undefined },
      ),
    }),
    existing: fc.record({ address: word, security: fc.constantFrom(undefined, { ca: '/a b/ca.pem' }) }),
    localDask: fc.record({ scheduler: fc.constantFrom(undefined, 'threads'), num_workers: number }),
  };
  const forms = describedForms();
  const context = { forms, saved: [], machine: { cores: 4, memoryBytes: 2 ** 34 } };
  for (const [kind, options] of Object.entries(kinds))
    it(`is what the form says after an edit of it, and back (${kind})`, () => {
      fc.assert(
        fc.property(options, options, fc.constantFrom('JSON', 'YAML'), (from, to, title) => {
          const [a, b] = [from, to].map((of) => {
            const raw = { name: 'mine', kind, ...(JSON.parse(JSON.stringify(of)) as object) };
            return readExecutor(raw);
          });
          if (!a || !b || !('executor' in a) || !('executor' in b)) return;
          const saved = (of: object) => ({ profile: of as typeof a.executor, leftOut: [] });
          const before = filledDraft(forms, saved(a.executor), draftOf(forms, undefined));
          const textOf = (draft: typeof before): string => {
            const check = checkDraft(draft, context);
            const late = { YAML: { text: yaml.stringify(check.profile) } };
            if (title === 'YAML') return late.YAML.text;
            return codeTabs(check, late).find((tab) => tab.title === title)?.text ?? '';
          };
          const was = read(textOf(before));
          const now = read(title === 'YAML' ? yaml.stringify(b.executor) : JSON.stringify(b.executor));
          assert.ok('profile' in was && 'profile' in now);
          const after = filledDraft(forms, now, before, was);
          assert.deepEqual(checkDraft(after, context).executor, b.executor);
          assert.deepEqual(filledDraft(forms, was, after, now), before);
        }),
      );
    });
});
