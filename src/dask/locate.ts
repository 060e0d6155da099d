import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { type Address, addressOf, parseAddress, type Scheme } from '../core/address.ts';
import { UserError } from '../core/errors.ts';
import type { Security } from '../core/security.ts';
import { askDashboard, type DashboardOwner, readPage } from './dashboard.ts';
import { ConnectError, otherWebServer, speaksTls } from './failures.ts';
import type { SchedulerIdentity } from './identity.ts';
import type { Limit } from './limit.ts';
import { SchedulerClient } from './scheduler.ts';

/** A scheduler that answers. */
export interface FoundScheduler {
  readonly kind: 'scheduler';
  /** What it is reached by. */
  readonly address: string;
  readonly identity: SchedulerIdentity;
  /** The dashboard that the user gave in its place. */
  readonly dashboard?: string;
}

/** A peer with TLS that wants other certificates than those given, if any. */
export interface FoundCertificates {
  readonly kind: 'certificates';
  /** With the scheme of TLS, whatever was typed. */
  readonly address: string;
  readonly error: ConnectError;
}

export type Found = FoundScheduler | FoundCertificates;

export interface LocateOptions extends Partial<Limit> {
  readonly security?: Security | undefined;
}

const defaultTimeoutMs = 10_000;
/** A web server says nothing until it is asked; a scheduler greets sooner than this unless it is very busy. */
const silenceMs = 1_000;
/** What else is tried beside the scheduler's own answer. */
const probeMs = 3_000;

/** What a search has. */
interface Means {
  readonly security: Security | undefined;
  readonly signal: AbortSignal;
  /** How much time is left. */
  leftMs(): number;
}

/**
 * Finds the scheduler that the user means and asks it who it is. Understands a scheduler's address, and the address
 * or URL of its dashboard: then the scheduler is looked for on the host that the user gave, by the port and scheme
 * that the dashboard tells.
 * @param typed `tcp://…`, `host:port`, `http://host:8787/status`, …
 * @throws UserError that says what is there instead, within the time limit; `cancelled` when the signal says so
 */
export async function locateScheduler(typed: string, options: LocateOptions = {}): Promise<Found> {
  const { security, signal, timeoutMs = defaultTimeoutMs } = options;
  const deadlineMs = performance.now() + timeoutMs;
  const stop = new AbortController();
  const means: Means = {
    security,
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
    leftMs: () => Math.max(deadlineMs - performance.now(), 1),
  };
  try {
    const page = readPage(typed);
    if (page === undefined) {
      const address = parseAddress(typed);
      if (address.scheme !== 'gateway') return await byAddress(address, means);
      if (security !== undefined) return await ask(address, means);
      return { kind: 'certificates', address: address.text, error: ofGateway(address) };
    }
    const owner = await askDashboard(page, { timeoutMs: means.leftMs(), signal: means.signal });
    return await byDashboard(page, owner, means);
  } finally {
    stop.abort();
  }
}

async function byAddress(address: Address, means: Means): Promise<Found> {
  const asking = askOrUpgrade(address, means);
  const web = asking.then(
    () => false,
    (error: unknown) => error instanceof ConnectError && error.trouble === 'web',
  );
  const silence = sleep(silenceMs, true, { signal: means.signal }).catch(() => false);
  if (!(await Promise.race([web, silence]))) return await asking;
  const looking = lookAround(address, means);
  // Meanwhile it may still answer, and then that counts.
  const answered = asking.then(
    (found) => found,
    () => looking,
  );
  return (await Promise.race([looking, answered])) ?? (await asking);
}

/**
 * What else may be meant by an address at which no scheduler greets: a dashboard, or a WebSocket. Undefined if it is
 * neither.
 * @throws ConnectError `web` if it is another web server
 */
async function lookAround(address: Address, means: Means): Promise<Found | undefined> {
  const page = pageAt(address);
  const owner = page && (await ownerOf(page, means));
  if (page && owner && owner !== 'none')
    return await byDashboard(page, owner, means, overTls(address.scheme));
  const socket = addressOf(overTls(address.scheme) ? 'wss' : 'ws', address.host, address.port);
  if (socket.text !== address.text) {
    // Only a guess: what is wrong with the address that was given is to be told.
    const found = await askOrUpgrade(socket, means, probeLimit(means)).catch(() => undefined);
    if (found) return found;
  }
  if (owner === 'none') throw otherWebServer(address);
  return undefined;
}

/** Its certificates are the gateway's to give, to whoever logs in there. */
const ofGateway = (address: Address): ConnectError =>
  new ConnectError(address, {
    trouble: 'certificates',
    what: 'only its gateway gives the certificates for it.',
    hint: 'Attach to it: its gateway is asked then, with your Python.',
  });

/** Whose dashboard it is; `none` for another web server, undefined if no web server is there. */
async function ownerOf(page: URL, means: Means): Promise<DashboardOwner | 'none' | undefined> {
  try {
    return await askDashboard(page, { timeoutMs: probeLimit(means), signal: means.signal });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error instanceof ConnectError && error.trouble === 'web' ? 'none' : undefined;
  }
}

/** The scheduler's own answer. Where there is TLS, the scheme is corrected. */
async function askOrUpgrade(address: Address, means: Means, timeoutMs = means.leftMs()): Promise<Found> {
  try {
    return await ask(address, means, timeoutMs);
  } catch (error) {
    if (!(error instanceof ConnectError) || overTls(address.scheme)) throw error;
    if (error.trouble !== 'closed' && error.trouble !== 'stranger') throw error;
    if (!(await answersTls(address, means))) throw error;
    const scheme = address.scheme === 'ws' ? 'wss' : 'tls';
    const secure = addressOf(scheme, address.host, address.port);
    if (means.security !== undefined) return await ask(secure, means);
    return { kind: 'certificates', address: secure.text, error: speaksTls(address, secure) };
  }
}

async function ask(address: Address, means: Means, timeoutMs = means.leftMs()): Promise<Found> {
  const { security, signal } = means;
  const client = new SchedulerClient(address.text, { security, timeoutMs, maxConnections: 1 });
  try {
    return { kind: 'scheduler', address: address.text, identity: await client.identity({ signal }) };
  } catch (error) {
    if (!(error instanceof ConnectError) || error.trouble !== 'certificates') throw error;
    return { kind: 'certificates', address: address.text, error };
  } finally {
    client.close();
  }
}

/** The scheduler of a dashboard, on the host by which the dashboard was reached. */
async function byDashboard(page: URL, owner: DashboardOwner, means: Means, needsTls = false): Promise<Found> {
  const own = parseAddress(owner.address);
  const address = addressOf(own.scheme, page.hostname.replace(/^\[|\]$/g, ''), own.port);
  const known = `${page.host} is the dashboard of ${own.text}`;
  if (needsTls && !overTls(own.scheme)) {
    throw new UserError('protocol', `${known}, which has no TLS.`, {
      hint: `If that is right, attach to ${address.text}.`,
    });
  }
  try {
    const found = await ask(address, means);
    if (found.kind === 'certificates') return found;
    if (found.identity.id === owner.id) return { ...found, dashboard: page.origin };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    throw new UserError(error.reason, `${known}, but at ${address.text}: ${error.what}`, {
      hint: 'Give an address at which the scheduler itself can be reached from here.',
      cause: error,
    });
  }
  throw new UserError('protocol', `${known}, but another scheduler answers at ${address.text}.`, {
    hint: 'If the dashboard is forwarded from another machine, forward the port of its scheduler too, and give that.',
  });
}

/** Whether the peer speaks TLS, whoever it is. Nothing is sent to it. */
function answersTls({ host, port }: Address, means: Means): Promise<boolean> {
  const { signal } = means;
  return new Promise((resolve) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false });
    const end = (answer: boolean) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(answer);
    };
    const onAbort = () => end(false);
    const timer = setTimeout(() => end(false), probeLimit(means));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('secureConnect', () => end(true));
    // It may refuse us for want of a certificate, but in the words of TLS.
    socket.on('error', (error: NodeJS.ErrnoException) => end(/_ALERT_/.test(error.code ?? '')));
    socket.once('close', () => end(false));
  });
}

const probeLimit = ({ leftMs }: Means): number => Math.min(probeMs, leftMs());
const overTls = (scheme: Scheme): boolean => scheme === 'tls' || scheme === 'wss';

/** The web server at the same port. URLs have no place for the zone of a link-local address. */
function pageAt(address: Address): URL | undefined {
  const text = address.text.replace(/^[a-z]+:/, 'http:');
  return URL.canParse(text) ? new URL(text) : undefined;
}
