import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatParameter, parseParameter, requiredParameters } from '../../../src/core/parameters.ts';

const parsed = (annotation: string | undefined, typed: string) =>
  parseParameter({ name: 'x', ...(annotation !== undefined && { annotation }) }, typed);
const value = (annotation: string | undefined, typed: string) => {
  const result = parsed(annotation, typed);
  assert.ok(result.ok, `${annotation}: ${typed}`);
  return result.value;
};
const message = (annotation: string | undefined, typed: string) => {
  const result = parsed(annotation, typed);
  assert.ok(!result.ok, `${annotation}: ${typed}`);
  return result.message;
};

describe('parameters', () => {
  it('are read by their annotation', () => {
    assert.equal(value('int', ' 1_000 '), 1000);
    assert.equal(value('int', '-3'), -3);
    assert.equal(value('float', '1e3'), 1000);
    assert.equal(value('bool', 'True'), true);
    assert.equal(value('bool', 'no'), false);
    assert.equal(value('str', '3'), '3');
    assert.equal(value('str', '"quoted"'), 'quoted');
    assert.equal(value('str', "it's"), "it's");
    assert.equal(value('"str"', 'forward'), 'forward');
    assert.deepEqual(value('list[int]', '[1, 2]'), [1, 2]);
    assert.deepEqual(value('typing.List[str]', "['a', 'b']"), ['a', 'b']);
    assert.deepEqual(value('Dict[str, int]', "{'a': 1}"), { a: 1 });
  });

  it('may be None where the annotation says so', () => {
    for (const optional of ['Optional[int]', 'typing.Optional[int]', 'int | None', 'None | int']) {
      assert.equal(value(optional, ''), null);
      assert.equal(value(optional, 'None'), null);
      assert.equal(value(optional, '3'), 3);
    }
    assert.equal(value('str', 'None'), 'None');
  });

  it('without annotation are JSON or Python literals, else text', () => {
    assert.equal(value(undefined, '3'), 3);
    assert.equal(value(undefined, 'True'), true);
    assert.equal(value(undefined, 'None'), null);
    assert.equal(value(undefined, 'hello world'), 'hello world');
    assert.equal(value('date', '2026-01-31'), '2026-01-31');
    assert.deepEqual(value(undefined, `{'a': [True, None, 'it\\'s "so"']}`), {
      a: [true, null, 'it\'s "so"'],
    });
    assert.equal(value(undefined, "'two\\nlines'"), 'two\nlines');
    assert.deepEqual(value(undefined, '[\'True\', "None"]'), ['True', 'None']);
  });

  it('say what is needed', () => {
    assert.equal(message('int', '1.5'), 'A whole number is needed');
    assert.equal(message('int', ''), 'A whole number is needed');
    assert.equal(message('float', 'much'), 'A number is needed');
    assert.equal(message('float', ''), 'A number is needed');
    assert.equal(message('bool', 'perhaps'), 'True or False is needed');
    assert.equal(message('list[int]', '3'), 'A list is needed, like [1, 2]');
    assert.equal(message('dict', '[1]'), 'A dict is needed, like {"a": 1}');
    assert.equal(message(undefined, '  '), 'A value is needed');
  });

  it('refuse a whole number that would arrive as another one', () => {
    for (const annotation of ['int', undefined]) {
      assert.equal(
        message(annotation, '9007199254740993'),
        'The number is too large: at most 9007199254740991',
      );
      assert.equal(value(annotation, '9007199254740991'), 9007199254740991);
    }
  });

  it('are shown such that they read back the same', () => {
    // JSON itself does not keep -0; whole numbers beyond the safe ones are refused.
    const json = fc
      .jsonValue()
      .map((any) => JSON.parse(JSON.stringify(any)) as unknown)
      .filter((any) => !Number.isInteger(any) || Number.isSafeInteger(any));
    fc.assert(fc.property(json, (any) => assert.deepEqual(value(undefined, formatParameter(any)), any)));
    const text = fc.string({ unit: 'binary' });
    fc.assert(fc.property(text, (any) => assert.equal(value(undefined, formatParameter(any)), any)));
    fc.assert(fc.property(text, (any) => assert.equal(value('str', formatParameter(any)), any)));
    fc.assert(fc.property(fc.maxSafeInteger(), (n) => assert.equal(value('int', formatParameter(n)), n)));
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (n) =>
        assert.equal(value('float', formatParameter(n)), n === 0 ? 0 : n),
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.string()), (any) =>
        assert.deepEqual(value('list[str]', formatParameter(any)), any),
      ),
    );
    for (const odd of ['3', 'True', 'None', '"x"', "'x'", '', ' x ', '[1]', 'plain']) {
      assert.equal(value(undefined, formatParameter(odd)), odd);
      assert.equal(value('Optional[str]', formatParameter(odd)), odd);
    }
    assert.equal(formatParameter('plain text'), 'plain text');
  });

  it('never make the box throw, whatever is typed', () => {
    const annotation = fc.constantFrom(
      'int',
      'float',
      'bool',
      'str',
      'list',
      'dict[str, int]',
      'Optional[X]',
      '',
      'A[',
    );
    fc.assert(fc.property(annotation, fc.string(), (type, typed) => void parsed(type, typed)));
  });

  it('are asked for when they have no default', () => {
    const parameters = [{ name: 'a' }, { name: 'b', default: '3' }, { name: 'c', default: '' }];
    assert.deepEqual(
      requiredParameters(parameters).map(({ name }) => name),
      ['a'],
    );
  });
});
