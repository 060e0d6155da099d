import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { UserError } from '../core/errors.ts';
import type { SecurityFiles } from '../core/executor.ts';
import { expandPath } from '../core/interpreter.ts';
import type { Security } from '../core/security.ts';

/** Where paths start from. */
export interface CertificatePlaces {
  readonly home: string;
  /** The workspace folder, if one is open. */
  readonly folder: string | undefined;
}

const setting = 'flowClusters.executors';
const openSetting = { kind: 'open-settings', key: setting } as const;

/**
 * The certificates that an executor's `security` names: paths, from the workspace folder or with `~`, or PEM texts
 * as Dask takes them too.
 * @throws UserError `setting` naming the file that is missing, or what is wrong in it
 */
export async function readCertificates(files: SecurityFiles, places: CertificatePlaces): Promise<Security> {
  const read = (part: keyof Security, value: string) => readPart(part, value, places);
  const security: Security = {
    ca: await read('ca', files.ca),
    ...(files.cert !== undefined && { cert: await read('cert', files.cert) }),
    ...(files.key !== undefined && { key: await read('key', files.key) }),
  };
  checkCertificates(security);
  return security;
}

/**
 * The whole paths of certificates, for others to read; undefined if any of them is no file but the text itself.
 * @throws UserError `setting` as {@link readCertificates}
 */
export function certificatePaths(files: SecurityFiles, places: CertificatePlaces): SecurityFiles | undefined {
  const { ca, cert, key } = files;
  if ([ca, cert, key].some((value) => value !== undefined && isPem(value))) return undefined;
  return {
    ca: pathOf('ca', ca, places),
    ...(cert !== undefined && { cert: pathOf('cert', cert, places) }),
    ...(key !== undefined && { key: pathOf('key', key, places) }),
  };
}

function pathOf(part: keyof Security, value: string, places: CertificatePlaces): string {
  const expanded = expandPath({ key: setting, value, ...places });
  if (isAbsolute(expanded)) return expanded;
  if (places.folder !== undefined) return join(places.folder, expanded);
  throw new UserError('setting', `The path of ${part}, “${value}”, needs an open folder to start from`, {
    hint: 'Give the whole path',
    action: openSetting,
  });
}

async function readPart(part: keyof Security, value: string, places: CertificatePlaces): Promise<string> {
  if (isPem(value)) return value;
  const path = pathOf(part, value, places);
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? (error as Error).message;
    throw new UserError('setting', `The file of ${part} can’t be read, ${path}: ${why}`, {
      hint: 'Check the security of the executor',
      action: openSetting,
      cause: error,
    });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  EACCES: 'no permission',
  EISDIR: 'it is a folder',
};

const isPem = (text: string): boolean => text.includes('-----BEGIN ');

/**
 * Looks over PEM texts before a connection is tried with them.
 * @throws UserError `setting`
 */
export function checkCertificates({ ca, cert, key }: Security): void {
  checkCertificate('ca', ca);
  if (cert === undefined) {
    if (key !== undefined) throw wrong('There is a key without its certificate', 'Give the cert file too');
    return;
  }
  const certificate = checkCertificate('cert', cert);
  const text = key ?? cert;
  if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(text)) {
    throw wrong(
      'The key has a passphrase',
      'Remove it, for example with “openssl pkey”: Dask can’t use it either',
    );
  }
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
    throw wrong(
      `There is no key in ${key === undefined ? 'cert' : 'key'}`,
      'Give the key file of the certificate',
    );
  }
  try {
    // Of a file with several parts Node takes the key, wherever it stands.
    if (certificate.checkPrivateKey(createPrivateKey(text))) return;
  } catch (error) {
    throw wrong(`The key can’t be read: ${(error as Error).message}`, 'It is needed as PEM text', error);
  }
  throw wrong('The key does not belong to the certificate', 'Give the two that were made together');
}

function checkCertificate(part: 'ca' | 'cert', text: string): X509Certificate {
  try {
    return new X509Certificate(text.slice(Math.max(0, text.indexOf('-----BEGIN CERTIFICATE-----'))));
  } catch (error) {
    throw wrong(
      `What is given as ${part} is no certificate`,
      'A PEM file is needed: -----BEGIN CERTIFICATE-----',
      error,
    );
  }
}

function wrong(message: string, hint: string, cause?: unknown): UserError {
  return new UserError('setting', message, { hint, cause });
}

/**
 * Sorts out what PEM texts are for, in whatever order and however many in one: the key's own certificate, and those
 * of authorities. Line ends may be missing, as after a paste into a box of one line.
 * @throws UserError `setting` if there is nothing to sort, or what is there does not belong together
 */
export function sortCertificates(text: string): Security {
  const blocks = blocksOf(text);
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ pem }) => pem);
  const key = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))?.pem;
  if (certificates.length === 0) {
    throw wrong('There is no certificate in it', 'PEM text is needed: -----BEGIN CERTIFICATE-----');
  }
  if (key === undefined) return checked({ ca: certificates.join('') });
  const own = certificates.find((pem) => belongs(key, pem)) ?? certificates[0] ?? '';
  const others = certificates.filter((pem) => pem !== own);
  // Authorities between its own and the root are shown with it.
  const between = others.filter((pem) => !isSelfSigned(pem));
  // A certificate that has signed itself is its own authority: Dask's Security.temporary() makes such.
  return checked({ ca: others.join('') || own, cert: [own, ...between].join(''), key });
}

/** What is still needed to speak with a scheduler: it wants to see a certificate of its own authority. */
export function missingPart(text: string): 'a certificate' | 'its key' | 'its authority' | undefined {
  const blocks = blocksOf(text);
  const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE').map(({ pem }) => pem);
  const key = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'))?.pem;
  if (certificates.length === 0 || (key && !certificates.some((pem) => belongs(key, pem))))
    return 'a certificate';
  if (key === undefined) return 'its key';
  return certificates.length === 1 && !isSelfSigned(certificates[0] ?? '') ? 'its authority' : undefined;
}

function checked(security: Security): Security {
  checkCertificates(security);
  return security;
}

function belongs(key: string, certificate: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false; // What is wrong with one of them is said when all is sorted.
  }
}

function isSelfSigned(certificate: string): boolean {
  try {
    const { issuer, subject } = new X509Certificate(certificate);
    return issuer === subject;
  } catch {
    return false;
  }
}

function blocksOf(text: string): { readonly label: string; readonly pem: string }[] {
  const block = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;
  return [...text.matchAll(block)].map(([whole, label = '', body = '']) => {
    // Old keys with a passphrase have headers: those are left as they are, to be refused for it.
    if (body.includes(':')) return { label, pem: `${whole}\n` };
    const lines = body.replaceAll(/\s+/g, '').match(/.{1,64}/g) ?? [];
    return { label, pem: [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n') };
  });
}
