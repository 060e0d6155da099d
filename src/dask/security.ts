import type { ConnectionOptions } from 'node:tls';

/** What `tls://` and `wss://` need, as PEM text. Dask wants a certificate of both sides (`distributed.security.Security`). */
export interface Security {
  /** Of the authority that signed the scheduler's certificate. */
  readonly ca: string;
  /** The client's certificate. */
  readonly cert?: string;
  /** Its key; by default appended to the certificate. */
  readonly key?: string;
}

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
