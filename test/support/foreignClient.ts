import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Security } from '../../src/core/security.ts';

const run = promisify(execFile);

/**
 * What Dask's own client, in a process of its own, makes of an expression of `client`.
 * @param before statements
 */
export async function runOn(
  python: string,
  { address, security }: { readonly address: string; readonly security?: Security | undefined },
  expression: string,
  before = '',
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'foreign-client-'));
  try {
    const files = { tls_ca_file: 'ca.pem', tls_client_cert: 'cert.pem', tls_client_key: 'key.pem' };
    if (security) {
      await writeFile(join(folder, 'ca.pem'), security.ca);
      await writeFile(join(folder, 'cert.pem'), security.cert ?? '');
      await writeFile(join(folder, 'key.pem'), security.key ?? security.cert ?? '');
    }
    const options = Object.entries(files).map(
      ([key, name]) => `${key}=${JSON.stringify(join(folder, name))}`,
    );
    const code = [
      'from distributed import Client',
      'from distributed.security import Security',
      `security = ${security ? `Security(${options.join(', ')}, require_encryption=True)` : 'None'}`,
      `client = Client(${JSON.stringify(address)}, security=security, timeout=20)`,
      before,
      `print(${expression})`,
    ].join('\n');
    const script = join(folder, 'script.py');
    await writeFile(script, code);
    return (await run(python, [script], { timeout: 150_000 })).stdout.trim();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
