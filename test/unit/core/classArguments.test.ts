import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  argumentText,
  argumentTypes,
  type ClassDescription,
  type ClassParameter,
  readArgument,
  readText,
} from '../../../src/core/classArguments.ts';
import { checkDraft, draftOf, savedExecutors } from '../../../src/core/executorDraft.ts';
import { judgeArguments } from '../../../src/core/judgeArguments.ts';
import { describedForms } from './describedForms.ts';

const parameter = (name: string, other: Partial<ClassParameter> = {}): ClassParameter => ({
  ...{ name, required: false, of: 'SLURMCluster' },
  ...other,
});
const description = (parameters: readonly ClassParameter[], open = false): ClassDescription => ({
  ...{ name: 'SLURMCluster', kind: 'class', doc: '', parameters, open },
});

describe('an argument of a cluster class as text', () => {
  it('is what it was when it is read again', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.equal(JSON.stringify(readArgument(argumentText(value))), JSON.stringify(value));
      }),
    );
  });

  it('is short where that can be meant one way only', () => {
    const texts: [unknown, string][] = [
      ['8GB', '8GB'],
      [4, '4'],
      ['4', '"4"'],
      ['True', '"True"'],
      ['', '""'],
      [' a', '" a"'],
      [null, 'null'],
      [['a', 1], '["a",1]'],
    ];
    for (const [value, text] of texts) assert.equal(argumentText(value), text);
  });

  it('may be in the words of Python', () => {
    assert.deepEqual(['True', ' False ', 'None', '1e3'].map(readArgument), [true, false, null, 1000]);
    assert.throws(() => readArgument('{"a": '), /is no JSON/);
    assert.deepEqual(['4', 'True', 'None', '{"$import":"a.b"}', '[a]'].map(readText), [
      ...['4', 'True', null],
      { $import: 'a.b' },
      '[a]',
    ]);
  });
});

describe('the types of an argument', () => {
  it('are read of annotations, and of what docstrings say', () => {
    const cases: [string, string[]][] = [
      ['int', ['int']],
      ['int | None', ['int']],
      ['Optional[str]', ['str']],
      ['str | float | int | None', ['str', 'float', 'int']],
      ['list[str]', ['list']],
      ['dict[str, int] | None', ['dict']],
      ['int or str, optional', ['int', 'str']],
      ['Security | bool', []],
      ['', []],
    ];
    for (const [annotation, types] of cases)
      assert.deepEqual(argumentTypes({ annotation }), types, annotation);
  });
});

describe('arguments, judged by what a class takes', () => {
  const taken = [
    parameter('cores', { required: true, annotation: 'int' }),
    parameter('walltime', { annotation: 'str' }),
    parameter('env', { annotation: 'dict' }),
  ];

  it('miss what it needs, and have none that it does not take', () => {
    assert.deepEqual(judgeArguments({ core: 4 }, description(taken)).problems, {
      cores: 'cores is needed',
      core: 'SLURMCluster takes no core',
    });
    assert.deepEqual(judgeArguments({ cores: 4, core: 4 }, description(taken, true)).problems, {});
  });

  it('may be of another type than it says, which is told', () => {
    const { problems, findings } = judgeArguments({ cores: 'four', walltime: null }, description(taken));
    assert.deepEqual(problems, {});
    assert.deepEqual(
      findings.map(({ message }) => message),
      ['cores is four; SLURMCluster says int.'],
    );
    const made = { cores: { $import: 'a.b' }, env: { $import: 'a.c' } };
    assert.deepEqual(judgeArguments(made, description(taken)).findings, []);
  });

  it('have their problems at their fields, if it is the class of the draft', () => {
    const forms = describedForms();
    const draft = draftOf(forms, undefined, 'clusterClass');
    const values = {
      ...draft.values,
      ...{ name: 'slurm', cluster_class: 'dask_jobqueue.SLURMCluster' },
      cluster_kwargs: [['core', '4'] as const, ['env', '{'] as const],
    };
    const problems = (path: string) =>
      checkDraft(
        { ...draft, values },
        {
          ...{ forms, saved: savedExecutors([]), machine: { cores: 8, memoryBytes: 2 ** 34 } },
          about: { path, description: description(taken) },
        },
      ).problems;
    const { 'cluster_kwargs.env': unread, ...others } = problems('dask_jobqueue.SLURMCluster');
    assert.match(unread ?? '', /^env is no JSON/);
    assert.deepEqual(others, {
      'cluster_kwargs.cores': 'cores is needed',
      'cluster_kwargs.core': 'SLURMCluster takes no core',
    });
    assert.deepEqual(Object.keys(problems('dask_jobqueue.PBSCluster')), ['cluster_kwargs.env']);
  });
});
