import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Security } from '../../src/core/security.ts';

/** An authority and a certificate by it, as files and as texts. */
export interface TestCertificates {
  /** To be removed by whoever made them. */
  readonly directory: string;
  readonly files: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly security: Required<Security>;
}

/**
 * Makes them with the machine's openssl.
 * @param options.days how long the certificate holds; negative: it has expired
 * @param options.authority the one that signs, by default a new one
 */
export async function makeCertificates(
  options: { readonly days?: number; readonly authority?: TestCertificates } = {},
): Promise<TestCertificates> {
  const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-tls-'));
  const file = (name: string) => join(directory, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe', cwd: directory });
  const request = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const authority = options.authority?.directory ?? directory;
  if (!options.authority) {
    const self = ['-x509', '-days', '2', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=bed authority'];
    openssl(...request, ...self);
  }
  openssl(...request, '-keyout', 'key.pem', '-out', 'cert.csr', '-subj', '/CN=bed');
  const sign = ['-CA', join(authority, 'ca.pem'), '-CAkey', join(authority, 'ca.key'), '-CAcreateserial'];
  openssl(
    ...['x509', '-req', '-in', 'cert.csr', '-out', 'cert.pem', '-days', String(options.days ?? 2)],
    ...sign,
  );
  const files = { ca: join(authority, 'ca.pem'), cert: file('cert.pem'), key: file('key.pem') };
  const read = (path: string) => readFile(path, 'utf8');
  const security = { ca: await read(files.ca), cert: await read(files.cert), key: await read(files.key) };
  return { directory, files, security };
}
