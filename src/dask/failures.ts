import type { Address } from '../core/address.ts';
import { type ErrorReason, UserError } from '../core/errors.ts';
import { FrameError } from './frames.ts';
import { inSeconds } from './limit.ts';

/** How far a connection has come: what is done now, or `open` when it is in use. `upgrade` is to a WebSocket. */
export type Stage = 'connect' | 'tls' | 'upgrade' | 'handshake' | 'open';

/**
 * What is the matter with a connection, for code that can do something about it. `away`: there is nobody to talk to.
 * `silent`: somebody, but no word. `closed`: hung up on us. `web`: a web server. `no-tls`: does not speak TLS.
 * `certificates`: does, but one side does not accept the other's. `not-scheduler`: another Dask server.
 * `stranger`: speaks something else.
 */
export type Trouble =
  | 'away'
  | 'silent'
  | 'closed'
  | 'web'
  | 'no-tls'
  | 'certificates'
  | 'not-scheduler'
  | 'stranger';

interface Explanation {
  readonly trouble: Trouble;
  /** What is the matter, after “Can’t connect to tcp://…: ”. */
  readonly what: string;
  readonly hint: string;
}

/** A connection that did not come about. */
export class ConnectError extends UserError {
  readonly trouble: Trouble;
  /** The same without the address, for where that stands beside it. */
  readonly what: string;

  constructor(address: Pick<Address, 'text'>, { trouble, what, hint }: Explanation, cause?: unknown) {
    super(reasons[trouble], `Can’t connect to ${address.text}: ${what}`, { hint, cause });
    this.name = 'ConnectError';
    this.trouble = trouble;
    this.what = what;
  }
}

const reasons: Readonly<Record<Trouble, ErrorReason>> = {
  away: 'unreachable',
  silent: 'timeout',
  closed: 'unreachable',
  web: 'protocol',
  'no-tls': 'unreachable',
  certificates: 'unreachable',
  'not-scheduler': 'protocol',
  stranger: 'protocol',
};

const checkNetwork = 'Check your network, VPN and firewall.';

const wrongAuthority: Explanation = {
  trouble: 'certificates',
  what: 'its certificate is not signed by the authority that was given, if any.',
  hint: 'Give the ca file that the scheduler was started with (--tls-ca-file).',
};
const wantsCertificate: Explanation = {
  trouble: 'certificates',
  what: 'it wants a client certificate, and does not accept the one given, if any.',
  hint: 'Give cert and key files signed by the scheduler’s authority.',
};
const oldCertificate: Explanation = {
  trouble: 'certificates',
  what: 'the client certificate that was given has expired.',
  hint: 'Give a fresh one, signed by the scheduler’s authority.',
};
const speaksNoTls: Explanation = {
  trouble: 'no-tls',
  what: 'it does not speak TLS.',
  hint: 'If the scheduler was started without certificates, its address starts with tcp:// or ws://.',
};

/** By Node's error codes; those of OpenSSL start with ERR_SSL. */
const byCode: Readonly<Record<string, Explanation>> = {
  ECONNREFUSED: {
    trouble: 'away',
    what: 'nothing listens there.',
    hint: 'Check that the scheduler runs and that the port is right.',
  },
  ENOTFOUND: {
    trouble: 'away',
    what: 'there is no host of that name.',
    hint: 'Check the spelling of the host, and your network.',
  },
  EAI_AGAIN: {
    trouble: 'away',
    what: 'the host’s name can’t be looked up now.',
    hint: 'Check your network, then try again.',
  },
  EHOSTUNREACH: { trouble: 'away', what: 'the host can’t be reached.', hint: checkNetwork },
  ENETUNREACH: { trouble: 'away', what: 'the network can’t be reached.', hint: checkNetwork },
  ETIMEDOUT: { trouble: 'away', what: 'the host does not answer.', hint: checkNetwork },
  SELF_SIGNED_CERT_IN_CHAIN: wrongAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: wrongAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: wrongAuthority,
  UNABLE_TO_GET_ISSUER_CERT: wrongAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: wrongAuthority,
  CERT_SIGNATURE_FAILURE: wrongAuthority,
  CERT_HAS_EXPIRED: {
    trouble: 'certificates',
    what: 'its certificate has expired.',
    hint: 'Restart the scheduler with a fresh certificate.',
  },
  CERT_NOT_YET_VALID: {
    trouble: 'certificates',
    what: 'its certificate is not valid yet.',
    hint: 'Check the clocks of this machine and of the one that made the certificate.',
  },
};

/** By what the peer complains of. What stands before it in the code differs between the makes of OpenSSL. */
const byAlert: Readonly<Record<string, Explanation>> = {
  CERTIFICATE_REQUIRED: wantsCertificate,
  HANDSHAKE_FAILURE: wantsCertificate,
  UNKNOWN_CA: wantsCertificate,
  BAD_CERTIFICATE: wantsCertificate,
  CERTIFICATE_UNKNOWN: wantsCertificate,
  UNSUPPORTED_CERTIFICATE: wantsCertificate,
  DECRYPT_ERROR: wantsCertificate,
  CERTIFICATE_EXPIRED: oldCertificate,
};

const notDask: Explanation = {
  trouble: 'stranger',
  what: 'what listens there is not a Dask scheduler.',
  hint: 'Check the port: a scheduler prints its address when it starts, “Scheduler at: tcp://…”.',
};
const noWebSocket: Explanation = {
  trouble: 'stranger',
  what: 'it does not answer as a WebSocket server.',
  hint: 'If the scheduler was not started with the protocol ws or wss, its address starts with tcp:// or tls://.',
};
const webServer: Explanation = {
  trouble: 'web',
  what: 'a web server listens there, perhaps the dashboard.',
  hint: 'Give the scheduler’s own address, by default port 8786.',
};

/**
 * Says what ended a connection, in the user's words.
 * @param error the transport's or the framing's, undefined if the peer just closed
 */
export function explainFailure(error: Error | undefined, address: Address, stage: Stage): UserError {
  if (stage === 'open') return explainLoss(error, address);
  return new ConnectError(address, explainAttempt(error, address, stage), error);
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

const overTls = ({ scheme }: Address): boolean => ['tls', 'wss', 'gateway'].includes(scheme);
const overWebSocket = ({ scheme }: Address): boolean => scheme === 'ws' || scheme === 'wss';

function explainAttempt(error: Error | undefined, address: Address, stage: Stage): Explanation {
  if (error instanceof FrameError) return error.kind === 'http' ? webServer : notDask;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const known = byCode[code ?? ''] ?? byAlert[/_ALERT_(\w+)$/.exec(code ?? '')?.[1] ?? ''];
  if (known !== undefined) return known;
  if (overWebSocket(address) && error?.message.includes('Unexpected server response')) return webServer;
  // OpenSSL's words for an answer that is no TLS; the code is EPROTO in some releases of Node.
  if (/wrong.version.number|packet.length.too.long/i.test(`${code} ${error?.message}`)) return speaksNoTls;
  if (code === 'EPROTO' || code?.startsWith('ERR_SSL')) {
    return {
      trouble: 'certificates',
      what: `TLS failed (${code}).`,
      hint: 'Check the certificates, and that both sides allow TLS 1.2.',
    };
  }
  // What hangs up on a greeting of TLS does not know it; a certificate is refused with an alert, or later.
  if (stage === 'tls') return speaksNoTls;
  if (stage === 'upgrade') return noWebSocket;
  if (stage === 'handshake') return overTls(address) ? wantsCertificate : closedEarly;
  return {
    trouble: 'away',
    what: `${error?.message ?? 'the connection was closed'}.`,
    hint: 'Check that the scheduler runs.',
  };
}

const closedEarly: Explanation = {
  trouble: 'closed',
  what: 'it closed the connection without a greeting.',
  hint: 'If the scheduler uses TLS, its address starts with tls://. Otherwise check that the port is a scheduler’s.',
};

/**
 * The peer answers, but not as a scheduler.
 * @param found what it says that it is
 * @param scheduler the address that it names as its scheduler's
 */
export function notAScheduler(address: Address, found?: string, scheduler?: string): ConnectError {
  if (found === undefined) return new ConnectError(address, notDask);
  const what = `a Dask ${found} listens there, not a scheduler.`;
  const hint = scheduler === undefined ? notDask.hint : `Its scheduler is ${scheduler}.`;
  return new ConnectError(address, { trouble: 'not-scheduler', what, hint });
}

/** The scheme is without TLS, but the peer speaks it. */
export function speaksTls(address: Address, withTls: Address): ConnectError {
  return new ConnectError(address, {
    trouble: 'certificates',
    what: `it speaks TLS, so that its address is ${withTls.text}.`,
    hint: 'Certificates are needed to connect to it.',
  });
}

/** A web server that knows of no scheduler. */
export function otherWebServer(address: Pick<Address, 'text'>): ConnectError {
  return new ConnectError(address, {
    trouble: 'web',
    what: 'a web server listens there, but it is not a Dask scheduler’s dashboard.',
    hint: notDask.hint,
  });
}

/** Says why a web server gave no answer. */
export function explainWebFailure(error: Error, address: Pick<Address, 'text'>): ConnectError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const known = byCode[code];
  if (known?.trouble === 'away') return new ConnectError(address, known, error);
  if (known !== undefined || code.startsWith('ERR_TLS') || /CERT/.test(code)) {
    const hint = 'Give the scheduler’s own address, by default port 8786.';
    const what = 'the certificate of this web server is not trusted.';
    return new ConnectError(address, { trouble: 'stranger', what, hint }, error);
  }
  return new ConnectError(address, { ...notDask, what: 'what listens there is no web server.' }, error);
}

/** The time for a connection is over. Says how far it came. */
export function explainSilence(
  address: Address,
  stage: Exclude<Stage, 'open'>,
  timeoutMs: number,
): ConnectError {
  const time = `within ${inSeconds(timeoutMs)}`;
  if (stage === 'connect') {
    return new ConnectError(address, {
      trouble: 'away',
      what: `the host did not answer ${time}.`,
      hint: 'A firewall may drop what is sent there, or the host is off. Check the host, the port, and your VPN.',
    });
  }
  const missing = {
    tls: 'did not answer as a TLS server',
    upgrade: 'did not answer as a WebSocket server',
    handshake: 'did not greet',
  }[stage];
  return new ConnectError(address, {
    trouble: 'silent',
    what: `it accepts connections, but ${missing} ${time}.`,
    hint: 'It may be no scheduler (a web server, the dashboard’s port), or a scheduler that is stuck.',
  });
}
