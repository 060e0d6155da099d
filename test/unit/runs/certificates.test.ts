import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../../src/core/errors.ts';
import {
  checkCertificates,
  missingPart,
  readCertificates,
  sortCertificates,
} from '../../../src/runs/certificates.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';

describe('certificates', () => {
  let own: TestCertificates;
  let stranger: TestCertificates;

  before(async () => {
    [own, stranger] = await Promise.all([makeCertificates(), makeCertificates()]);
  });

  after(async () => {
    for (const { directory } of [own, stranger]) await rm(directory, { recursive: true });
  });

  const refused = (check: () => unknown, message: RegExp) =>
    assert.throws(check, (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.equal(error.reason, 'setting');
      assert.match(`${error.message}. ${error.hint}`, message);
      return true;
    });

  it('are read from the workspace, from the home folder, or are the text itself', async () => {
    const { directory, security } = own;
    const places = { home: directory, folder: directory };
    const read = (ca: string, cert: string, key?: string) =>
      readCertificates({ ca, cert, ...(key && { key }) }, places);
    assert.deepEqual(await read('ca.pem', '~/cert.pem', own.files.key), security);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code's own variable.
    assert.deepEqual(await read('${workspaceFolder}/ca.pem', './cert.pem', security.key), security);
    await writeFile(join(directory, 'both.pem'), security.cert + security.key);
    assert.deepEqual(await read('ca.pem', 'both.pem'), {
      ca: security.ca,
      cert: security.cert + security.key,
    });
  });

  it('that can’t be read are named, with the reason and the setting', async () => {
    const read = (ca: string, folder?: string) => readCertificates({ ca }, { home: '/', folder });
    const settings = { kind: 'open-settings', key: 'flowClusters.executors' };
    const fails = (reading: Promise<unknown>, message: RegExp) =>
      assert.rejects(reading, (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, message);
        assert.deepEqual(error.action, settings);
        return true;
      });
    await fails(read('/nowhere/ca.pem'), /The file of ca can’t be read, \/nowhere\/ca.pem: it is not there/);
    await fails(read('ca.pem'), /“ca.pem”, needs an open folder/);
    await fails(read('.', own.directory), /it is a folder/);
  });

  it('are looked over before they are used', async () => {
    const { ca, cert, key } = own.security;
    checkCertificates({ ca });
    checkCertificates({ ca, cert, key });
    checkCertificates({ ca, cert: `${cert}${key}` });
    checkCertificates({ ca, cert: `${key}${cert}` });
    refused(() => checkCertificates({ ca: 'x' }), /given as ca is no certificate/);
    refused(() => checkCertificates({ ca, cert: key }), /given as cert is no certificate/);
    refused(() => checkCertificates({ ca, cert }), /no key in cert.*key file/);
    refused(() => checkCertificates({ ca, cert, key: cert }), /no key in key/);
    refused(() => checkCertificates({ ca, key }), /key without its certificate/);
    refused(() => checkCertificates({ ca, cert, key: stranger.security.key }), /does not belong to/);
    refused(
      () =>
        checkCertificates({ ca, cert, key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' }),
      /key can’t be read/,
    );
    for (const format of [
      ['pkcs8', '-topk8'],
      ['ec', '-aes128'],
    ]) {
      const [tool = '', option = ''] = format;
      const pass = ['-passout', 'pass:x'];
      const locked = execFileSync('openssl', [tool, option, '-in', own.files.key, ...pass], {
        encoding: 'utf8',
        stdio: 'pipe',
      });
      refused(() => checkCertificates({ ca, cert, key: locked }), /passphrase/);
      refused(() => sortCertificates([ca, cert, locked].join('')), /passphrase/);
    }
  });

  it('are sorted out in whatever order, also without line ends', () => {
    const { ca, cert, key } = own.security;
    const orders = [
      [ca, cert, key],
      [key, cert, ca],
      [cert, key, ca],
    ];
    for (const texts of orders) {
      assert.deepEqual(sortCertificates(texts.join('\n')), { ca, cert, key });
      assert.deepEqual(sortCertificates(texts.join('').replaceAll('\n', '')), { ca, cert, key });
      assert.deepEqual(sortCertificates(texts.join('').replaceAll('\n', ' ')), { ca, cert, key });
    }
    assert.deepEqual(sortCertificates(ca), { ca });
    refused(() => sortCertificates(''), /no certificate in it/);
    refused(() => sortCertificates('C:\\\\ca.pem'), /no certificate in it/);
    refused(() => sortCertificates(stranger.security.cert + ca + key), /does not belong/);
  });

  it('of one that has signed itself are all in one, as Dask’s own temporary ones', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-tls-'));
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=dask', '-days', '1'];
    const key = join(directory, 'key.pem');
    const cert = execFileSync('openssl', [...args, '-keyout', key], { encoding: 'utf8', stdio: 'pipe' });
    const text = (await readFile(key, 'utf8')) + cert;
    await rm(directory, { recursive: true });
    const sorted = sortCertificates(text);
    assert.equal(sorted.ca, sorted.cert);
    assert.equal(missingPart(text), undefined);
  });

  it('are asked for until all is there', () => {
    const { ca, cert, key } = own.security;
    assert.equal(missingPart(''), 'a certificate');
    assert.equal(missingPart(ca), 'its key');
    assert.equal(missingPart(ca + key), 'a certificate');
    assert.equal(missingPart(cert + key), 'its authority');
    assert.equal(missingPart(key + cert + ca), undefined);
  });
});
