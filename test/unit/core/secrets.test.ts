import assert from 'node:assert/strict';
import { hidden, hideSecrets, isSecret, rememberedTexts, toRemember } from '../../../src/core/secrets.ts';

const named = (name: string, annotation?: string) => ({ name, ...(annotation && { annotation }) });

describe('secrets', () => {
  it('are known by their type', () => {
    for (const type of [
      'SecretStr',
      'pydantic.SecretStr',
      'Optional[SecretStr]',
      'Secret',
      'SecretBytes | None',
    ])
      assert.equal(isSecret(named('value', type)), true, type);
    assert.equal(isSecret(named('value', 'Secretary')), false);
  });

  it('are known by their name', () => {
    for (const name of [
      'password',
      'db_password',
      'token',
      'githubToken',
      'api_key',
      'apikey',
      'APIKey',
      'secret',
    ])
      assert.equal(isSecret(named(name, 'str')), true, name);
    for (const name of ['day', 'max_tokens', 'token_count', 'password_file', 'key', 'tokenizer', 'monkey'])
      assert.equal(isSecret(named(name)), false, name);
    assert.equal(isSecret(named('token', 'int')), false);
  });

  it('are not shown and not kept', () => {
    const parameters = [named('day', 'str'), named('token', 'str')];
    const values = { day: '2024-05-01', token: 'hunter2' };
    assert.deepEqual(hideSecrets(parameters, values), { day: '2024-05-01', token: hidden });
    assert.deepEqual(toRemember(parameters, { token: 'old' }, values), { day: '2024-05-01' });
  });
});

describe('remembered parameters', () => {
  const parameters = [named('a'), named('b')];

  it('keep what was not asked for this time', () => {
    assert.deepEqual(toRemember(parameters, { a: '1', b: '2' }, { a: '3' }), { a: '3', b: '2' });
  });

  it('forget what the user has emptied and what the flow no longer has', () => {
    assert.deepEqual(toRemember(parameters, { a: '1', b: '2', gone: 'x' }, { a: '' }), { b: '2' });
  });

  it('survive whatever was stored', () => {
    for (const stored of [undefined, null, 'text', 3]) assert.deepEqual(rememberedTexts(stored), {});
    assert.deepEqual(rememberedTexts({ a: '1', b: 2 }), { a: '1' });
  });
});
