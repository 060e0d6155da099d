import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Executor, readExecutor } from '../../../src/core/executor.ts';
import { type CodeApi, executorCode } from '../../../src/core/executorCode.ts';
import { checkDraft, draftOf, filledDraft } from '../../../src/core/executorDraft.ts';
import { type NotSaved, type SavedExecutor, savedExecutor } from '../../../src/core/savedExecutor.ts';
import type { ReadLines } from '../../../src/core/written.ts';
import { pastedExecutor } from '../../../src/flows/pasted.ts';
import { describedForms } from '../core/describedForms.ts';
import { testParser } from './python.ts';

describe('pasted code', () => {
  let read: (code: string) => SavedExecutor | NotSaved;
  let linesOf: (code: string) => ReadLines;

  before(async () => {
    const parser = await testParser();
    read = (code) => {
      const lines = pastedExecutor(parser, code);
      return 'written' in lines ? savedExecutor(lines.written, 'mine') : lines;
    };
    linesOf = (code) => pastedExecutor(parser, code);
  });

  const profileOf = (code: string): object => {
    const saved = read(code);
    assert.ok(saved && 'profile' in saved, `${code}\n${JSON.stringify(saved)}`);
    const { name: _, ...profile } = saved.profile;
    return profile;
  };

  it('is read without the lines that import its names, and as a part of a file', () => {
    const local = { kind: 'local', n_workers: 4 };
    for (const code of [
      'DaskTaskRunner(cluster_kwargs={"n_workers": 4})',
      'task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 4}),',
      '    flow.executor = DaskExecutor(cluster_kwargs=dict(n_workers=4))\n',
      'cluster = LocalCluster(n_workers=4)\nclient = Client(cluster)',
      'Client(n_workers=4)',
      '@flow(task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 4}))',
      '@flow(\n    task_runner=DaskTaskRunner(cluster_kwargs={"n_workers": 4}),\n)\n',
      'from prefect import flow\nfrom prefect_dask import DaskTaskRunner as Runner\n\n@flow(task_runner=Runner(cluster_kwargs={"n_workers": 4}))\ndef etl():\n    pass\n',
    ])
      assert.deepEqual(profileOf(code), local, code);
    assert.deepEqual(profileOf('Client("tcp://10.0.0.5:8786")'), {
      kind: 'existing',
      address: 'tcp://10.0.0.5:8786',
    });
    assert.deepEqual(profileOf('LocalDaskExecutor(scheduler="processes", num_workers=2)'), {
      ...{ kind: 'localDask', scheduler: 'processes', num_workers: 2 },
    });
  });

  it('has its numbers as Python reads them', () => {
    const fractionOf = (text: string) => profileOf(`LocalCluster(memory_limit=${text})`);
    for (const [text, memory_limit] of [
      ['1e-3', 0.001],
      ['2.5E+9', 2.5e9],
      ['4_000_000_000', 4e9],
    ] as const)
      assert.deepEqual(fractionOf(text), { kind: 'local', memory_limit }, text);
  });

  it('may name any class of a module', () => {
    assert.deepEqual(
      profileOf(`from dask_jobqueue import SLURMCluster
cluster = SLURMCluster(cores=4, memory="8GB", queue=None)
cluster.adapt(minimum=1, maximum=8)
client = Client(cluster)`),
      {
        ...{ kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
        cluster_kwargs: { cores: 4, memory: '8GB', queue: null },
        adapt_kwargs: { minimum: 1, maximum: 8 },
      },
    );
  });

  it('is told what of it is not kept, and why it can be none', () => {
    assert.deepEqual(read('DaskTaskRunner(cluster_kwargs={"n_workers": N, "processes": False})'), {
      profile: { name: 'mine', kind: 'local', processes: false },
      leftOut: ['cluster_kwargs.n_workers (not set in this file)'],
    });
    const own = 'def make():\n    pass\n\nDaskTaskRunner(cluster_class=make)';
    assert.match(JSON.stringify(read(own)), /its cluster_class is in a file that is not saved/);
    for (const code of ['', '   ', 'print(1)', 'ThreadPoolTaskRunner()'])
      assert.match(JSON.stringify(linesOf(code)), /^{"problem":"There is no DaskTaskRunner/, code);
  });

  it('is not guessed at while it is no Python: it is told where', () => {
    const whole =
      'from prefect_dask import DaskTaskRunner\n\nrunner = DaskTaskRunner(\n    cluster_kwargs={"n_workers": 4},\n)';
    const lineOf = (code: string) => {
      const lines = linesOf(code);
      return 'problem' in lines ? [lines.line, lines.problem] : lines;
    };
    const half = 'this is no Python, or not whole yet';
    assert.deepEqual(lineOf(whole.replace('4}', '}')), [3, half]);
    assert.deepEqual(lineOf(whole.replace('4}', '4')), [3, '“}” is missing']);
    assert.deepEqual(lineOf(whole.replace('\n)', '')), [2, half]);
    assert.deepEqual(lineOf(`x = 1\n${whole} foo`), [5, half]);
    assert.deepEqual(lineOf("DaskTaskRunner('a"), [0, half]);
    // Where it is made, with and without the lines that import it.
    for (const code of [whole, whole.replace(/^.*\n/, '')]) {
      const lines = linesOf(code);
      assert.equal(
        'written' in lines && lines.written.line,
        code.split('\n').findIndex((line) => line.startsWith('runner')),
      );
    }
  });

  it('never fails, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces)), (parts) => {
        read(parts.join(''));
      }),
    );
  });

  const count = fc.option(fc.integer({ min: 1, max: 64 }), { nil: undefined });
  const text = fc.string({ minLength: 1 });
  // As settings have it: they know no -0. Integers that Python holds and JavaScript does not are left out when they are read.
  const json = fc
    .jsonValue()
    .map((value) => JSON.stringify(value))
    .filter((text) => !/(?<![.\d])\d{16}/.test(text))
    .map((text): unknown => JSON.parse(text));
  const file = fc.stringMatching(/^\/[a-z ]{1,8}\/[a-zé]{1,8}\.pem$/u);
  const limits = fc.option(fc.record({ minimum: fc.constant(1), maximum: fc.integer({ min: 2, max: 9 }) }), {
    nil: undefined,
  });
  const name = fc.stringMatching(/^[a-z][a-z_]{0,8}$/).filter((word) => !reserved.has(word));
  const kinds: Readonly<Record<string, fc.Arbitrary<object>>> = {
    local: fc.record({
      ...{ n_workers: count, threads_per_worker: count, adapt_kwargs: limits },
      processes: fc.option(fc.boolean(), { nil: undefined }),
      memory_limit: fc.constantFrom(undefined, 'auto', '4GiB', 0, 0.5),
    }),
    existing: fc
      .record({
        place: fc.tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 })),
        security: fc.option(fc.record({ ca: file, cert: file, key: file }), { nil: undefined }),
      })
      .map(({ place, security }) => ({
        address: `${security ? 'tls' : 'tcp'}://${place.join(':')}`,
        security,
      })),
    localDask: fc.record({
      scheduler: fc.constantFrom(undefined, 'threads', 'processes'),
      num_workers: count,
    }),
    clusterClass: fc.record({
      cluster_class: name.map((of) => `dask_${of}.${of}Cluster`),
      cluster_kwargs: fc.dictionary(name, fc.oneof(text, json), {
        ...{ minKeys: 1, noNullPrototype: true },
      }),
      adapt_kwargs: limits,
    }),
  };
  for (const [kind, options] of Object.entries(kinds))
    it(`makes the form, the profile and the code of an executor the same (${kind})`, () => {
      const forms = describedForms();
      const context = { forms, saved: [], machine: { cores: 4, memoryBytes: 2 ** 34 } };
      fc.assert(
        fc.property(options, fc.constantFrom<CodeApi>('prefect1', 'prefect3', 'dask'), (of, api) => {
          const given = Object.entries({ name: 'mine', kind, ...of }).filter(
            ([, value]) => value !== undefined,
          );
          const executor = executorOf(Object.fromEntries(given));
          const code = executor && executorCode(executor, api);
          if (!executor || code === undefined) return;
          const saved = read(code);
          assert.ok(saved && 'profile' in saved, `${code}\n${JSON.stringify(saved)}`);
          assert.deepEqual(saved, { profile: executor, leftOut: [] });
          const draft = filledDraft(forms, saved, draftOf(forms, undefined));
          assert.equal(JSON.stringify(checkDraft(draft, context).executor), JSON.stringify(executor));
        }),
      );
    });

  for (const [kind, options] of Object.entries(kinds))
    it(`takes a form to another one by an edit of its code, and back (${kind})`, () => {
      const forms = describedForms();
      const context = { forms, saved: [], machine: { cores: 4, memoryBytes: 2 ** 34 } };
      const apis = fc.constantFrom<CodeApi>('prefect1', 'prefect3', 'dask');
      fc.assert(
        fc.property(options, options, apis, (from, to, api) => {
          const made = [from, to].map((of) => {
            const given = Object.entries({ name: 'mine', kind, ...of }).filter(
              ([, value]) => value !== undefined,
            );
            const executor = executorOf(Object.fromEntries(given));
            const code = executor && executorCode(executor, api);
            return executor && code !== undefined ? { executor, saved: read(code) } : undefined;
          });
          const [a, b] = made;
          if (!a || !b || !('profile' in a.saved) || !('profile' in b.saved)) return;
          const before = filledDraft(forms, a.saved, draftOf(forms, undefined));
          const after = filledDraft(forms, b.saved, before, a.saved);
          assert.deepEqual(checkDraft(after, context).executor, b.executor);
          assert.deepEqual(filledDraft(forms, a.saved, after, b.saved), before);
        }),
      );
    });
});

/** Words that a keyword argument can't be. */
const reserved = new Set(
  'and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield asynchronous'.split(
    ' ',
  ),
);

const pieces = [
  ...['DaskTaskRunner', 'Client', 'LocalCluster', '(', ')', '{', '"n_workers": ', '4', '=', ',', '\n', '  '],
  ...[
    'cluster = ',
    'cluster',
    'def f():',
    'return ',
    'import ',
    'from distributed ',
    "'",
    '"""',
    '#',
    '\\',
    '**',
  ],
];

function executorOf(raw: Record<string, unknown>): Executor | undefined {
  const read = readExecutor(raw);
  return 'executor' in read ? read.executor : undefined;
}
