import type { ConnectionOptions } from 'node:tls';
import type { Security } from '../core/security.ts';

/** Node's options for a peer of Dask's. Without `security` no certificate is trusted but the system's. */
export function tlsOptions(security: Security | undefined): ConnectionOptions {
  return {
    ca: security?.ca,
    cert: security?.cert,
    key: security?.key ?? security?.cert,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    // Clusters have an authority of their own and certificates without host names:
    // distributed sets check_hostname=False too (distributed/security.py).
    checkServerIdentity: () => undefined,
  };
}
