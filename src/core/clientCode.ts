import type { SecurityFiles } from './executor.ts';
import { PythonCall, pythonSource, pythonText } from './pythonSource.ts';

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
  const [, cluster] = /^gateway:.*\/([^/]+)$/.exec(target.address) ?? [];
  if (cluster !== undefined) {
    return [
      'from dask_gateway import Gateway',
      '# Without arguments: the address and login that Dask is configured with.',
      `client = Gateway().connect(${pythonText(cluster)}).get_client()`,
    ].join('\n');
  }
  const address = pythonText(target.address);
  const secured = securityCode(target);
  if (!secured) return ['from distributed import Client', `client = Client(${address})`].join('\n');
  return [
    'from distributed import Client',
    ...secured,
    `client = Client(${address}, security=security)`,
  ].join('\n');
}

/** The lines that make `security`, which clients of an encrypted cluster have to be given; undefined for others. */
export function securityCode(target: ClientTarget): string[] | undefined {
  if (!isEncrypted(target)) return undefined;
  const { ca, cert, key } = target.files ?? placeholders;
  const keywords = {
    ...{ tls_ca_file: ca, tls_client_cert: cert, tls_client_key: key },
    require_encryption: true,
  };
  const head = 'security = ';
  return [
    'from distributed.security import Security',
    ...(target.files ? [] : ['# Put the paths of your own files in.']),
    `${head}${pythonSource(new PythonCall('Security', keywords), head)}`,
  ];
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
 * Fits lines of code in at a cursor: indented as the line is, or as its block if it begins one, before what follows the
 * cursor and after what is before it.
 * @param line the whole line of the cursor
 * @param below the next line that has text
 */
export function insertionAt(line: string, character: number, code: string, below = ''): Insertion {
  const indent = indentOf(line);
  const before = line.slice(0, character).trim() !== '';
  // At code to the right of the cursor the lines go above it, else below what the line has.
  const at = before ? line.length : Math.min(character, indent.length);
  const own = before ? (beginsBlock(line) ? blockIndent(indent, below) : indent) : line.slice(0, at);
  const lines = code.split('\n').join(`\n${own}`);
  if (before) return { character: at, text: `\n${own}${lines}` };
  return { character: at, text: `${lines}${line.trim() === '' ? '\n' : `\n${own}`}` };
}

const indentOf = (line: string): string => /^\s*/.exec(line)?.[0] ?? '';

const BLOCK =
  /^\s*(?:(?:async\s+)?(?:def|class|with|for|while|if|elif|else|try|except|finally|match|case)\b.*|[)\]}].*):\s*$/;

/** Whether a line ends with the colon of a block, the last line of a long `def` too. */
const beginsBlock = (line: string): boolean =>
  BLOCK.test(line.replace(/(["'])(?:\\.|(?!\1).)*\1/g, '""').replace(/#.*$/, ''));

/** That of the block under a line; where there is none yet, what is usual. */
function blockIndent(indent: string, below: string): string {
  const inner = indentOf(below);
  if (inner.length > indent.length && inner.startsWith(indent)) return inner;
  return indent + (indent.includes('\t') ? '\t' : '    ');
}

const isEncrypted = ({ address }: ClientTarget): boolean => /^(tls|wss):/.test(address);
