import { UserError } from './errors.ts';

/** `gateway` is TLS to the proxy of a Dask Gateway, which knows by the name that is asked for whose connection it is. */
export type Scheme = 'tcp' | 'tls' | 'ws' | 'wss' | 'gateway';

/** Where a Dask server listens. */
export interface Address {
  readonly scheme: Scheme;
  /** Name or number; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The whole as Dask writes it, `tls://[::1]:8786`. */
  readonly text: string;
  /** Of `gateway://host:port/cluster`. */
  readonly cluster?: string;
}

/** The port that `dask scheduler` takes when it is told none. */
const DEFAULT_PORT = 8786;

const schemes: readonly string[] = ['tcp', 'tls', 'ws', 'wss'] satisfies Scheme[];

const gateway = /^gateway:\/\/([^/]+)\/([\w.-]+)\/?$/i;
const pattern =
  /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^\s:/?#@[\]]+))(?::(\d+))?\/?$/i;

/**
 * Reads a scheduler's address: `tcp://`, `tls://`, `ws://`, `wss://`, bare `host:port` (then tcp), or that of a cluster
 * behind a Dask Gateway.
 * @throws UserError `setting`, saying what is wrong with it
 */
export function parseAddress(text: string): Address {
  const trimmed = text.trim();
  const [, place, cluster] = gateway.exec(trimmed) ?? [];
  if (place !== undefined && cluster !== undefined) {
    const { host, port } = parseAddress(`tcp://${place}`);
    const address = addressOf('gateway', host, port);
    return { ...address, text: `${address.text}/${cluster}`, cluster };
  }
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

/** The same place over TLS. */
export function overTls(address: Address): Address {
  const { scheme, host, port } = address;
  if (scheme === 'tcp') return addressOf('tls', host, port);
  return scheme === 'ws' ? addressOf('wss', host, port) : address;
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
      case 'gateway':
        return ['it does not name a cluster.', 'Write it like gateway://gateway.example:8786/NAME.'];
      default:
        return [`${scheme}:// is not supported.`, 'Supported are tcp://, tls://, ws:// and wss://.'];
    }
  })();
  return new UserError('setting', `Can’t connect to ${text}: ${why[0]}`, { hint: why[1] });
}
