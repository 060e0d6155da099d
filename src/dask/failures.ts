import { UserError } from '../core/errors.ts';
import type { Address } from './address.ts';
import { FrameError } from './frames.ts';

/** How far a connection had come: no socket yet, no greeting yet, in use. */
export type Stage = 'connect' | 'handshake' | 'open';

interface Explanation {
  readonly reason?: 'unreachable' | 'protocol' | 'setting';
  /** What is the matter, after “Can’t connect to tcp://…: ”. */
  readonly what: string;
  readonly hint: string;
}

const wrongAuthority: Explanation = {
  what: 'its certificate is not signed by the authority that was given.',
  hint: 'Give the ca file that the scheduler was started with (--tls-ca-file).',
};
const wantsCertificate: Explanation = {
  what: 'it wants a client certificate, and does not accept the one given, if any.',
  hint: 'Give cert and key files signed by the scheduler’s authority.',
};
const speaksNoTls: Explanation = {
  what: 'it does not speak TLS.',
  hint: 'If the scheduler was started without certificates, its address starts with tcp:// or ws://.',
};

/** By Node's error codes; those of OpenSSL start with ERR_SSL. */
const byCode: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: {
    what: 'nothing listens there.',
    hint: 'Check that the scheduler runs and that the port is right.',
  },
  ENOTFOUND: {
    what: 'there is no host of that name.',
    hint: 'Check the spelling of the host, and your network.',
  },
  EAI_AGAIN: { what: 'the host’s name can’t be looked up now.', hint: 'Check your network, then try again.' },
  EHOSTUNREACH: { what: 'the host can’t be reached.', hint: 'Check your network, VPN and firewall.' },
  ENETUNREACH: { what: 'the network can’t be reached.', hint: 'Check your network, VPN and firewall.' },
  ETIMEDOUT: { what: 'the host does not answer.', hint: 'Check your network, VPN and firewall.' },
  SELF_SIGNED_CERT_IN_CHAIN: wrongAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: wrongAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: wrongAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: wrongAuthority,
  CERT_SIGNATURE_FAILURE: wrongAuthority,
  CERT_HAS_EXPIRED: {
    what: 'its certificate has expired.',
    hint: 'Restart the scheduler with a fresh certificate.',
  },
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: wantsCertificate,
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: wantsCertificate,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: wantsCertificate,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: wantsCertificate,
  ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR: wantsCertificate,
};

const notDask: Explanation = {
  reason: 'protocol',
  what: 'what listens there is not a Dask scheduler.',
  hint: 'Check the port: a scheduler prints its address when it starts, “Scheduler at: tcp://…”.',
};
const webServer: Explanation = {
  reason: 'protocol',
  what: 'a web server listens there, perhaps the dashboard.',
  hint: 'Give the scheduler’s own address, by default port 8786.',
};

/**
 * Says what ended a connection, in the user's words.
 * @param error the transport's or the framing's, undefined if the peer just closed
 */
export function explainFailure(error: Error | undefined, address: Address, stage: Stage): UserError {
  if (stage === 'open') return explainLoss(error, address);
  const { reason, what, hint } = explainAttempt(error, address, stage);
  return new UserError(reason ?? 'unreachable', `Can’t connect to ${address.text}: ${what}`, {
    hint,
    cause: error,
  });
}

function explainLoss(error: Error | undefined, address: Address): UserError {
  if (error instanceof FrameError || error?.name === 'DecodeError') {
    return new UserError('protocol', `${address.text} sent what is not a Dask message: ${error.message}.`, {
      hint: 'Check that the address is a Dask scheduler’s; show the output for details.',
      cause: error,
    });
  }
  return new UserError('scheduler-lost', `The connection to ${address.text} was closed.`, {
    hint: 'The scheduler may have ended or been restarted.',
    cause: error,
  });
}

function explainAttempt(error: Error | undefined, address: Address, stage: Stage): Explanation {
  if (error instanceof FrameError) return error.kind === 'http' ? webServer : notDask;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const known = code === undefined ? undefined : byCode[code];
  if (known !== undefined) return known;
  const overWebSocket = address.scheme === 'ws' || address.scheme === 'wss';
  if (overWebSocket && error?.message.includes('Unexpected server response')) return webServer;
  // OpenSSL's words for an answer that is no TLS; the code is EPROTO in some releases of Node.
  if (/wrong.version.number|packet.length.too.long/i.test(`${code} ${error?.message}`)) return speaksNoTls;
  if (code === 'EPROTO' || code?.startsWith('ERR_SSL')) {
    return {
      what: `TLS failed (${code}).`,
      hint: 'Check the certificates, and that both sides allow TLS 1.2.',
    };
  }
  if (overWebSocket && stage === 'connect')
    return { ...notDask, what: 'it does not answer as a WebSocket server.' };
  if (stage === 'handshake' || code === 'ECONNRESET') return closedEarly(address);
  return {
    what: `${error?.message ?? 'the connection was closed'}.`,
    hint: 'Check that the scheduler runs.',
  };
}

function closedEarly(address: Address): Explanation {
  if (address.scheme === 'tls' || address.scheme === 'wss') return wantsCertificate;
  return {
    ...notDask,
    what: 'it closed the connection without a greeting.',
    hint: 'If the scheduler uses TLS, its address starts with tls://. Otherwise check that the port is a scheduler’s.',
  };
}

/** The peer answers, but not as a scheduler. */
export function notAScheduler(address: Address, found?: string): UserError {
  const what = found === undefined ? notDask.what : `a Dask ${found} listens there, not a scheduler.`;
  return new UserError('protocol', `Can’t connect to ${address.text}: ${what}`, { hint: notDask.hint });
}

/** The peer lets us connect, then says nothing. */
export function explainSilence(address: Address, timeoutMs: number): UserError {
  return new UserError(
    'timeout',
    `${address.text} accepts connections, but did not greet within ${timeoutMs / 1000} s.`,
    {
      hint: 'It may be no scheduler (a web server, the dashboard’s port), or a scheduler that is stuck.',
    },
  );
}
