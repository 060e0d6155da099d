import assert from 'node:assert/strict';
import { overTls, parseAddress } from '../../../src/core/address.ts';
import { UserError } from '../../../src/core/errors.ts';

const refusal = (text: string): UserError => {
  try {
    parseAddress(text);
  } catch (error) {
    assert.ok(error instanceof UserError);
    assert.equal(error.reason, 'setting');
    assert.ok(error.hint);
    return error;
  }
  throw new Error(`${text} was accepted`);
};

describe('address of a scheduler', () => {
  for (const [text, scheme, host, port, spelled] of [
    ['tcp://127.0.0.1:8786', 'tcp', '127.0.0.1', 8786, 'tcp://127.0.0.1:8786'],
    ['tls://scheduler.example:443', 'tls', 'scheduler.example', 443, 'tls://scheduler.example:443'],
    ['ws://localhost:80/', 'ws', 'localhost', 80, 'ws://localhost:80'],
    ['WSS://localhost', 'wss', 'localhost', 8786, 'wss://localhost:8786'],
    [' localhost:1234 ', 'tcp', 'localhost', 1234, 'tcp://localhost:1234'],
    ['[::1]:1234', 'tcp', '::1', 1234, 'tcp://[::1]:1234'],
    ['tls://[fe80::1%eth0]', 'tls', 'fe80::1%eth0', 8786, 'tls://[fe80::1%eth0]:8786'],
    ['my_scheduler:1', 'tcp', 'my_scheduler', 1, 'tcp://my_scheduler:1'],
  ] as const) {
    it(`reads ${text}`, () => assert.deepEqual(parseAddress(text), { scheme, host, port, text: spelled }));
  }

  it('reads that of a cluster behind a gateway, and wants its name', () => {
    const text = 'gateway://[::1]:8786/5d3f';
    const address = { scheme: 'gateway', host: '::1', port: 8786, text, cluster: '5d3f' };
    assert.deepEqual(parseAddress(`${text}/`), address);
    assert.match(refusal('gateway://a:8786').message, /does not name a cluster/);
    assert.match(refusal('gateway://a:x/b').message, /not the address/);
  });

  for (const text of [
    '',
    'tcp://',
    '::1',
    'tcp://a:b',
    'a:0',
    'a:65536',
    'a b:1',
    'a:1/x',
    'user@a:1',
    'a:1?x',
    '[::1:1',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      refusal(text);
    });
  }

  it('has a secure one at the same place', () => {
    assert.equal(overTls(parseAddress('a')).text, 'tls://a:8786');
    assert.equal(overTls(parseAddress('ws://[::1]:80')).text, 'wss://[::1]:80');
    for (const text of ['tls://a:1', 'wss://a:1']) assert.equal(overTls(parseAddress(text)).text, text);
  });

  it('says why inproc, ucx and the dashboard can’t be connected to', () => {
    assert.match(refusal('inproc://192.168.1.2/1/2').message, /inside one Python process/);
    assert.match(refusal('ucx://10.0.0.1:8786').message, /UCX/);
    assert.match(refusal('http://localhost:8787/status').message, /dashboard/);
    assert.match(refusal('ftp://x:1').message, /not supported/);
  });
});
