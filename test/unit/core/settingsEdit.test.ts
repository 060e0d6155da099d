import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse } from 'jsonc-parser';
import { editDefault, editExecutors } from '../../../src/core/settingsEdit.ts';

const settings = `{
  // of the team
  "editor.rulers": [110],
  "flowClusters.executors": [
    // on the laptop
    {
      "name": "laptop", // everybody has it
      "kind": "local",
      "n_workers": 2, // two are enough
      "adapt_kwargs": { "maximum": 8 /* cores */ },
    },
    /* the cluster */
    { "name": "prod", "kind": "existing", "address": "tcp://10.0.0.5:8786" },
  ],
  "flowClusters.defaultExecutor": "laptop",
}
`;
const laptop = { name: 'laptop', kind: 'local', n_workers: 2, adapt_kwargs: { maximum: 8 } };

const prod = { name: 'prod', kind: 'existing', address: 'tcp://10.0.0.5:8786' };

describe('an executor in a file of settings', () => {
  it('is changed without a word of what is not changed', () => {
    const set = (value: object) => editExecutors(settings, [], { kind: 'set', index: 0, was: laptop, value });
    assert.equal(set(laptop), settings);
    assert.equal(set({ ...laptop, n_workers: 3 }), settings.replace('2, // two', '3, // two'));
    assert.equal(
      set({ ...laptop, adapt_kwargs: { maximum: 4 } }),
      settings.replace('8 /* cores */', '4 /* cores */'),
    );
    assert.equal(
      editDefault(set({ ...laptop, name: 'mine' }), [], 'mine'),
      settings.replaceAll('"laptop"', '"mine"'),
    );
    const without = set({ name: 'laptop', kind: 'local', adapt_kwargs: { maximum: 8 } });
    assert.equal(without, settings.replace(/\n +"n_workers".*/, ''));
  });

  it('is added and removed, the others and their comments stay', () => {
    const value = { name: 'wide', kind: 'local' };
    const added = editExecutors(settings, [], { kind: 'add', value });
    const lines = '\n    {\n      "name": "wide",\n      "kind": "local"\n    },';
    assert.equal(added, settings.replace('8786" },', `8786" },${lines}`));
    const removed = editExecutors(settings, [], { kind: 'remove', index: 1, was: prod });
    assert.equal(removed, settings.replace(/\n +\/\* the cluster[\s\S]*?8786" },/, ''));
    assert.equal(editExecutors(added, [], { kind: 'remove', index: 2, was: value }), settings);
  });

  it('is not changed where another one has taken its place', () => {
    for (const change of [
      { kind: 'set', index: 1, was: laptop, value: laptop },
      { kind: 'remove', index: 2, was: prod },
    ] as const)
      assert.throws(() => editExecutors(settings, [], change), /changed in the settings meanwhile/);
  });

  it('is the first one of a file that has none, or is not there', () => {
    const value = { name: 'a', kind: 'local' };
    const first =
      '{\n  "flowClusters.executors": [\n    {\n      "name": "a",\n      "kind": "local"\n    }\n  ]\n}';
    assert.equal(editExecutors('', [], { kind: 'add', value }).trim(), first);
    assert.equal(editExecutors('{\n  "flowClusters.executors": []\n}', [], { kind: 'add', value }), first);
    const workspace = editExecutors('{\n\t"folders": []\n}', ['settings'], { kind: 'add', value });
    assert.deepEqual(JSON.parse(workspace), { folders: [], settings: { 'flowClusters.executors': [value] } });
    assert.match(workspace, /\n\t"settings"/);
  });

  it('is not written to a file that has mistakes', () => {
    const add = () => editExecutors('{ "flowClusters.executors": [ }', [], { kind: 'add', value: prod });
    assert.throws(add, /mistakes in their JSON/);
  });
});

const [x, y, z] = [{ a: 1 }, { b: 2 }, { c: 3 }];

/** Each layout of a list of x, y and z, and what it is without one of them. */
const removals: readonly [name: string, list: string, index: number, without: string][] = [
  [
    'goes with the comments above it and beside it',
    `[ // the team's
  // first
  {"a": 1},
  // second
  {"b": 2}, // tail
  // third
  {"c": 3}
]`,
    1,
    `[ // the team's
  // first
  {"a": 1},
  // third
  {"c": 3}
]`,
  ],
  [
    'leaves the comment of the list when the first goes',
    `[ // the team's
  /* first */
  {"a": 1}, // tail
  {"b": 2},
  {"c": 3} /* last */
]`,
    0,
    `[ // the team's
  {"b": 2},
  {"c": 3} /* last */
]`,
  ],
  [
    'takes the comma before it along when the last goes',
    `[
  {"a": 1},
  {"b": 2}, // second
  // third
  {"c": 3} // tail
  // {"d": 4}
]`,
    2,
    `[
  {"a": 1},
  {"b": 2} // second
  // {"d": 4}
]`,
  ],
  [
    'leaves a comma after the last one where there was one',
    `[
  {"a": 1},
  {"b": 2},
  {"c": 3}, // tail
]`,
    2,
    `[
  {"a": 1},
  {"b": 2},
]`,
  ],
  [
    'leaves comments that an empty line parts from it',
    `[
  {"a": 1},

  // on the cluster

  // second
  {"b": 2},
  {"c": 3}
]`,
    1,
    `[
  {"a": 1},

  // on the cluster
  {"c": 3}
]`,
  ],
  [
    'leaves the line of the others',
    '[{"a": 1}, /* second */ {"b": 2}, /* third */ {"c": 3}]',
    1,
    '[{"a": 1}, /* third */ {"c": 3}]',
  ],
  ['leaves the line when the first goes', '[ {"a": 1}, {"b": 2}, {"c": 3} ]', 0, '[ {"b": 2}, {"c": 3} ]'],
  [
    'leaves the line when the last goes',
    '[ {"a": 1}, {"b": 2} /* second */, {"c": 3} ]',
    2,
    '[ {"a": 1}, {"b": 2} /* second */ ]',
  ],
];

describe('an executor that is removed', () => {
  for (const [name, list, index, without] of removals)
    for (const eol of ['\n', '\r\n'])
      it(`${name} (${JSON.stringify(eol)})`, () => {
        const text = (of: string) => `{"flowClusters.executors": ${of}, "x": 1}`.replaceAll('\n', eol);
        const was = [x, y, z][index];
        assert.equal(editExecutors(text(list), [], { kind: 'remove', index, was }), text(without));
      });

  it('leaves an empty list', () => {
    const text = '{"flowClusters.executors": [\n  // first\n  {"a": 1}, // tail\n]}';
    const change = { kind: 'remove', index: 0, was: x } as const;
    assert.equal(editExecutors(text, [], change), '{"flowClusters.executors": []}');
  });
});

describe('what is added', () => {
  const add = (list: string, value: object = x) => {
    const text = editExecutors(`{"flowClusters.executors": ${list}}`, [], { kind: 'add', value });
    return text.slice('{"flowClusters.executors": '.length, -1);
  };
  const set = (item: string, was: object, value: object) => {
    const change = { kind: 'set', index: 0, was, value } as const;
    const text = editExecutors(`{"flowClusters.executors": [${item}]}`, [], change);
    return text.slice('{"flowClusters.executors": ['.length, -2);
  };

  it('stands after the last one, which stays as it is written', () => {
    assert.equal(
      add('[\n  { "b": 2 } // last\n  // {}\n]'),
      '[\n  { "b": 2 }, // last\n  {\n    "a": 1\n  }\n  // {}\n]',
    );
    assert.equal(add('[{ "b": 2 } /* last */]'), '[{ "b": 2 } /* last */, { "a": 1 }]');
    assert.equal(add('[\n\t{ "b": 2 },\n]'), '[\n\t{ "b": 2 },\n\t{\n\t\t"a": 1\n\t},\n]');
    assert.equal(add('[ // none yet\n]'), '[ // none yet\n  {\n    "a": 1\n  }\n]');
    assert.equal(add('[ /* none */ ]'), '[ /* none */\n  {\n    "a": 1\n  }\n]');
    assert.equal(add('null'), '[{ "a": 1 }]');
  });

  it('leaves comments with the options that they stand beside', () => {
    assert.equal(
      set('{ "n": 1 /* enough */ }', { n: 1 }, { n: 1, m: { k: [2] } }),
      '{ "n": 1 /* enough */, "m": { "k": [2] } }',
    );
    assert.equal(
      set('{\n  "n": 1 // enough\n}', { n: 1 }, { n: 1, m: { k: 2 } }),
      '{\n  "n": 1, // enough\n  "m": {\n    "k": 2\n  }\n}',
    );
    assert.equal(
      set('{\n  "n": 1, // enough\n  // much\n  "m": 2 /* by far */\n}', { n: 1, m: 2 }, { m: 3, k: 1 }),
      '{\n  // much\n  "m": 3, /* by far */\n  "k": 1\n}',
    );
  });

  it('comes after comments where a file has nothing else', () => {
    const text = editDefault('// mine\n', [], 'a');
    assert.equal(text, '// mine\n{\n  "flowClusters.defaultExecutor": "a"\n}');
  });
});

describe('any list of executors', () => {
  const gap = fc.constantFrom('', ' ', '\n', '\n\n  ', ' // c\n', '\n  /* c */\n  ', ' /* c */ ', '\r\n\t');
  const item = fc.record({ before: gap, within: gap, after: gap, beside: gap });
  const list = fc.record({ items: fc.array(item, { maxLength: 4 }), end: gap, trailing: fc.boolean() });
  const change = fc.record({ at: fc.nat(), kind: fc.constantFrom('add', 'set', 'remove') });

  it('is what it should be after each change, and keeps all comments when something is added or changed', () => {
    fc.assert(
      fc.property(list, change, ({ items, end, trailing }, { at, kind }) => {
        const values = items.map((_, i) => ({ n: i }));
        const written = items.map(({ before, within, after, beside }, i) => {
          const comma = i < items.length - 1 || trailing ? `,${beside}` : '';
          return `${before}{${within}"n": ${i}${within}}${after}${comma}`;
        });
        const text = `{ "flowClusters.executors": [${written.join('')}${end}] }`;
        const index = items.length === 0 ? 0 : at % items.length;
        const was = values[index];
        const value = { n: -1, m: { k: ['a'] } };
        const comments = (of: string) => [...of.matchAll(/\/\/ c|\/\* c/g)].length;
        const isAdded = kind === 'add' || was === undefined;
        const edited = editExecutors(
          text,
          [],
          isAdded
            ? { kind: 'add', value }
            : kind === 'set'
              ? { kind: 'set', index, was, value }
              : { kind: 'remove', index, was },
        );
        const wanted = isAdded
          ? [...values, value]
          : values.flatMap((one, i) => (i !== index ? [one] : kind === 'set' ? [value] : []));
        const errors: object[] = [];
        const found = parse(edited, errors as never, { allowTrailingComma: true });
        assert.deepEqual([found['flowClusters.executors'], errors], [wanted, []], edited);
        if (isAdded || kind === 'set') assert.equal(comments(edited), comments(text), edited);
      }),
      { numRuns: 2_000 },
    );
  });
});
