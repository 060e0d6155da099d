import { type ConnectionOptions, createSecureContext } from 'node:tls';
import { UserError } from '../core/errors.ts';
import type { Security } from '../core/security.ts';

/**
 * Node's options for a peer of Dask's. Without `security` no certificate is trusted but the system's.
 * @throws UserError `setting` if the texts are no certificates and keys, or do not belong together
 */
export function tlsOptions(security: Security | undefined): ConnectionOptions {
  return {
    secureContext: secureContext(security),
    rejectUnauthorized: true,
    // Clusters have an authority of their own and certificates without host names:
    // distributed sets check_hostname=False too (distributed/security.py).
    checkServerIdentity: () => undefined,
  };
}

function secureContext(security: Security | undefined) {
  const { ca, cert, key = cert } = security ?? {};
  try {
    return createSecureContext({ ca, cert, key, minVersion: 'TLSv1.2' });
  } catch (error) {
    throw new UserError('setting', `The certificates can’t be used: ${(error as Error).message}.`, {
      hint: 'They are needed as PEM text, and the key without a passphrase.',
      cause: error,
    });
  }
}
