import { UserError } from '../core/errors.ts';

export type Scheme = 'tcp' | 'tls' | 'ws' | 'wss';

/** Where a Dask server listens. */
export interface Address {
  readonly scheme: Scheme;
  /** Name or number; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The whole as Dask writes it, `tls://[::1]:8786`. */
  readonly text: string;
}

/** The port that `dask scheduler` takes when it is told none. */
const DEFAULT_PORT = 8786;

const schemes: readonly string[] = ['tcp', 'tls', 'ws', 'wss'] satisfies Scheme[];

const pattern =
  /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^\s:/?#@[\]]+))(?::(\d+))?\/?$/i;

/**
 * Reads a scheduler's address: `tcp://`, `tls://`, `ws://`, `wss://` or bare `host:port` (then tcp).
 * @throws UserError `setting`, saying what is wrong with it
 */
export function parseAddress(text: string): Address {
  const trimmed = text.trim();
  const scheme = (/^([^/]*):\/\//.exec(trimmed)?.[1] ?? 'tcp').toLowerCase();
  if (!isScheme(scheme)) throw unsupported(scheme, trimmed);
  const match = pattern.exec(trimmed);
  const host = match?.[2] ?? match?.[3];
  const port = match?.[4] === undefined ? DEFAULT_PORT : Number(match[4]);
  // The URLs of WebSockets have no place for the zone of a link-local address.
  const zoned = host?.includes('%') && (scheme === 'ws' || scheme === 'wss');
  if (host === undefined || port < 1 || port > 65535 || zoned) {
    throw new UserError('setting', `“${trimmed}” is not the address of a scheduler.`, {
      hint: 'Write it like tcp://127.0.0.1:8786, an IPv6 number in brackets: tcp://[::1]:8786.',
    });
  }
  return addressOf(scheme, host, port);
}

/** @param host without brackets */
export function addressOf(scheme: Scheme, host: string, port: number): Address {
  return { scheme, host, port, text: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}` };
}

const isScheme = (text: string): text is Scheme => schemes.includes(text);

function unsupported(scheme: string, text: string): UserError {
  const why = ((): [string, string] => {
    switch (scheme) {
      case 'inproc':
        return [
          'an inproc:// scheduler lives inside one Python process and can’t be reached from outside.',
          'Start the cluster with processes, or with protocol="tcp".',
        ];
      case 'ucx':
      case 'ucxx':
        return [
          `${scheme}:// needs UCX hardware libraries, which this client has not.`,
          'Let the scheduler listen on tcp:// too (dask scheduler --protocol tcp), or use another cluster.',
        ];
      case 'http':
      case 'https':
        return [
          'this is a web page, most likely the dashboard, not the scheduler itself.',
          'The scheduler’s address starts with tcp:// or tls://; the dashboard shows it under Info.',
        ];
      default:
        return [`${scheme}:// is not supported.`, 'Supported are tcp://, tls://, ws:// and wss://.'];
    }
  })();
  return new UserError('setting', `Can’t connect to ${text}: ${why[0]}`, { hint: why[1] });
}
