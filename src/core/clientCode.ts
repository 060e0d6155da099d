import type { SecurityFiles } from './executor.ts';

/** A cluster that code is to connect to. */
export interface ClientTarget {
  /** Of its scheduler, as clients outside reach it. */
  readonly address: string;
  /** Files of the certificates that it asks for, whole paths, where they are known. */
  readonly files?: SecurityFiles | undefined;
}

/** What stands in the place of files that only the user knows. */
const placeholders: SecurityFiles = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' };

/** The lines of Python that connect to a cluster, without an end of line after the last one. */
export function clientCode(target: ClientTarget): string {
  const address = pythonText(target.address);
  if (!isEncrypted(target))
    return ['from distributed import Client', `client = Client(${address})`].join('\n');
  const { ca, cert, key } = target.files ?? placeholders;
  const parts = [
    `tls_ca_file=${pythonText(ca)}`,
    cert === undefined ? '' : `tls_client_cert=${pythonText(cert)}`,
    key === undefined ? '' : `tls_client_key=${pythonText(key)}`,
    'require_encryption=True',
  ];
  return [
    'from distributed import Client',
    'from distributed.security import Security',
    ...(target.files ? [] : ['# Put the paths of your own files in.']),
    'security = Security(',
    ...parts.filter(Boolean).map((part) => `    ${part},`),
    ')',
    `client = Client(${address}, security=security)`,
  ].join('\n');
}

/** What new terminals get, so that `Client()` connects to a cluster: Dask's own variables. */
export function clientEnvironment(target: ClientTarget): Readonly<Record<string, string>> {
  const { ca, cert, key } = (isEncrypted(target) && target.files) || {};
  return {
    DASK_SCHEDULER_ADDRESS: target.address,
    ...(ca !== undefined && { DASK_DISTRIBUTED__COMM__TLS__CA_FILE: ca }),
    ...(cert !== undefined && { DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT: cert }),
    ...(key !== undefined && { DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY: key }),
  };
}

/** Where to insert lines of code into a text, and what, so that they stand on lines of their own. */
export interface Insertion {
  /** Of the line where the cursor is. */
  readonly character: number;
  readonly text: string;
}

/**
 * Fits lines of code in at a cursor: indented as the line is, before what follows the cursor and after what is before it.
 * @param line the whole line of the cursor
 */
export function insertionAt(line: string, character: number, code: string): Insertion {
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  const before = line.slice(0, character).trim() !== '';
  // At code to the right of the cursor the lines go above it, else below what the line has.
  const at = before ? line.length : Math.min(character, indent.length);
  const own = before ? indent : line.slice(0, at);
  const lines = code.split('\n').join(`\n${own}`);
  if (before) return { character: at, text: `\n${own}${lines}` };
  return { character: at, text: `${lines}${line.trim() === '' ? '\n' : `\n${own}`}` };
}

const isEncrypted = ({ address }: ClientTarget): boolean => /^(tls|wss):/.test(address);

/** A string as Python source: the escapes of JSON are Python's too, and nothing in it can end the string. */
const pythonText = (text: string): string => JSON.stringify(text);
