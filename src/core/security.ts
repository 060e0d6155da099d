/** What `tls://` and `wss://` need, as PEM text. Dask wants a certificate of both sides (`distributed.security.Security`). */
export interface Security {
  /** Of the authority that signed the scheduler's certificate. */
  readonly ca: string;
  /** The client's certificate. */
  readonly cert?: string;
  /** Its key; by default appended to the certificate. */
  readonly key?: string;
}
