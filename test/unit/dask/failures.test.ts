import assert from 'node:assert/strict';
import { parseAddress } from '../../../src/core/address.ts';
import { ConnectError, explainFailure, type Stage } from '../../../src/dask/failures.ts';

/** Why it failed, as the user reads it. */
function why(text: string, stage: Stage, code?: string, message = ''): string {
  const cause = code === undefined ? undefined : Object.assign(new Error(message), { code });
  const error = explainFailure(cause, parseAddress(text), stage);
  assert.ok(error instanceof ConnectError);
  assert.equal(error.message, `Can’t connect to ${text}: ${error.what}`);
  assert.ok(error.hint);
  return `${error.trouble}: ${error.what}`;
}

describe('what a failed connection says', () => {
  it('is the same for every make of OpenSSL', () => {
    const wants = 'certificates: it wants a client certificate, and does not accept the one given, if any.';
    // Those of OpenSSL 3.0, of 3.5, and of BoringSSL, which VS Code has.
    for (const code of [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      'ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED',
      'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
      'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
      'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
      'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
    ])
      assert.equal(why('tls://h:1', 'handshake', code), wants, code);
    for (const code of [
      'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
      'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
    ])
      assert.match(why('tls://h:1', 'handshake', code), /given has expired/);
    for (const [code, message] of [
      ['ERR_SSL_WRONG_VERSION_NUMBER', ''],
      ['EPROTO', 'write EPROTO 1:error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER'],
      ['ERR_SSL_PACKET_LENGTH_TOO_LONG', ''],
    ] as const)
      assert.match(why('tls://h:1', 'tls', code, message), /^no-tls: it does not speak TLS/);
    assert.match(
      why('tls://h:1', 'tls', 'ERR_SSL_NEWER_THAN_THIS'),
      /^certificates: TLS failed \(ERR_SSL_NEWER/,
    );
  });

  it('depends on how far it came, if the peer just hangs up', () => {
    for (const code of [undefined, 'ECONNRESET', 'EPIPE']) {
      assert.match(why('tcp://h:1', 'handshake', code), /^closed: .*without a greeting/);
      assert.match(why('tls://h:1', 'tls', code), /^no-tls/);
      assert.match(why('tls://h:1', 'handshake', code), /^certificates/);
      assert.match(why('ws://h:1', 'upgrade', code), /^stranger: .*WebSocket/);
    }
    assert.equal(why('tcp://h:1', 'connect', 'EADDRNOTAVAIL', 'no such address'), 'away: no such address.');
  });

  it('has words for a network that is not there', () => {
    const codes = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'];
    const texts = codes.map((code) => why('tcp://h:1', 'connect', code));
    assert.equal(new Set(texts).size, codes.length);
    for (const text of texts) assert.match(text, /^away: /);
  });
});
