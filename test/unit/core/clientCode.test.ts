import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { findPython } from '../../../scripts/lib/venv.mjs';
import { clientCode, clientEnvironment, insertionAt } from '../../../src/core/clientCode.ts';

/** A line with the cursor at the bar, after the insertion of two lines. @param below the next one */
function inserted(text: string, below?: string): string {
  const at = text.indexOf('|');
  const line = text.replace('|', '');
  const { character, text: added } = insertionAt(line, at, 'one\ntwo', below);
  return line.slice(0, character) + added + line.slice(character);
}

describe('client code', () => {
  const files = { ca: '/certs/ca.pem', cert: '/certs/cert.pem', key: '/certs/key.pem' };

  it('is two lines', () => {
    const code = 'from distributed import Client\nclient = Client("tcp://127.0.0.1:8786")';
    assert.equal(clientCode({ address: 'tcp://127.0.0.1:8786' }), code);
  });

  it('asks a gateway for a cluster of it', () => {
    assert.match(
      clientCode({ address: 'gateway://gateway.example:8786/5d3f' }),
      /^from dask_gateway import Gateway\n#.*\nclient = Gateway\(\)\.connect\("5d3f"\)\.get_client\(\)$/,
    );
  });

  it('names the files of certificates, or says that they are to be filled in', () => {
    const address = 'tls://10.0.0.5:8786';
    assert.equal(
      clientCode({ address, files }),
      [
        'from distributed import Client',
        'from distributed.security import Security',
        'security = Security(',
        '    tls_ca_file="/certs/ca.pem",',
        '    tls_client_cert="/certs/cert.pem",',
        '    tls_client_key="/certs/key.pem",',
        '    require_encryption=True,',
        ')',
        'client = Client("tls://10.0.0.5:8786", security=security)',
      ].join('\n'),
    );
    assert.match(
      clientCode({ address }),
      /# Put the paths of your own files in\.\nsecurity = .*\n.*"ca\.pem"/,
    );
    assert.doesNotMatch(clientCode({ address, files: { ca: 'a' } }), /cert|key/);
    assert.equal(clientCode({ address: 'tcp://a:1', files }), clientCode({ address: 'tcp://a:1' }));
  });

  it('says in Python exactly what it was given, whatever that is', async () => {
    const { python } = await findPython();
    const all = fc.sample(fc.string({ unit: 'binary', minLength: 1 }), 200);
    all.push('C:\\new\\"quoted"\\', "it's\n", '\u2028\u0000', '"); import os; ("', '🦊 é');
    const script = [
      'import ast, json, sys',
      'for source in json.load(sys.stdin):',
      '    call = ast.parse(source).body[-1].value',
      '    print(json.dumps(call.args[0].value))',
    ].join('\n');
    const input = JSON.stringify(all.map((address) => clientCode({ address })));
    const output = execFileSync(python, ['-c', script], { input, encoding: 'utf8' });
    assert.deepEqual(
      output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
      all,
    );
  });

  it('stands on lines of its own at the cursor', () => {
    assert.equal(inserted('|'), 'one\ntwo\n');
    assert.equal(inserted('|x = 1'), 'one\ntwo\nx = 1');
    assert.equal(inserted('x |= 1'), 'x = 1\none\ntwo');
    assert.equal(inserted('    |'), '    one\n    two\n');
    assert.equal(inserted('  |  x'), '  one\n  two\n    x');
    assert.equal(inserted('    |return x'), '    one\n    two\n    return x');
    assert.equal(inserted('    return x|'), '    return x\n    one\n    two');
  });

  it('stands in the block that the line begins, as that is indented', () => {
    const under = (line: string, indent: string, below?: string) =>
      assert.equal(inserted(`${line}|`, below), `${line}\n${indent}one\n${indent}two`, line);
    under('def main():', '    ');
    under('def main():', '  ', '  return 1');
    under("    if a[\"#:\"] == '\\':':  # so: it is", '            ', '            pass');
    under('\tasync with a as b:', '\t\t');
    under(') -> None:', '    ', '    pass');
    under('    else:', '        ', 'x = 1');
    for (const line of ['if a: b = 1  # note:', 'x = {1: 2}', 'classes:', 'if a: b = ":"', '# if a:'])
      under(line, '', '    deeper');
    assert.equal(inserted('def main|():', '  pass'), 'def main():\n  one\n  two');
  });

  it('sets Dask’s own variables for terminals', () => {
    assert.deepEqual(clientEnvironment({ address: 'tcp://a:1', files }), {
      DASK_SCHEDULER_ADDRESS: 'tcp://a:1',
    });
    assert.deepEqual(clientEnvironment({ address: 'tls://a:1', files }), {
      DASK_SCHEDULER_ADDRESS: 'tls://a:1',
      DASK_DISTRIBUTED__COMM__TLS__CA_FILE: '/certs/ca.pem',
      DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT: '/certs/cert.pem',
      DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY: '/certs/key.pem',
    });
  });
});
