import { get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { explainWebFailure, otherWebServer } from './failures.ts';
import { asRecord, asText } from './fields.ts';
import { serverType } from './identity.ts';
import { type Limit, within } from './limit.ts';

/** What a dashboard tells of the scheduler that it belongs to. */
export interface DashboardOwner {
  readonly id: string;
  /** As the scheduler knows itself: its host may not be reachable from here. */
  readonly address: string;
}

/** A scheduler of a thousand workers tells of them in 1 MB. */
const maxBytes = 32 * 1024 * 1024;
/** How far up a proxy's path is looked for the root of a dashboard. */
const maxDepth = 8;

/** The page that the user means: a URL, or an address with a path. Undefined for the address of a scheduler. */
export function readPage(typed: string): URL | undefined {
  const [, scheme = '', rest = ''] = /^(?:([a-z]+):\/\/)?(.*)$/i.exec(typed.trim()) ?? [];
  const web = /^https?$/i.test(scheme);
  if (!web && !(/^(tcp|tls|wss?|)$/i.test(scheme) && /^[^\s/]+\/./.test(rest))) return undefined;
  const text = `${web ? scheme : 'http'}://${rest}`;
  return URL.canParse(text) ? new URL(text) : undefined;
}

/**
 * Asks a web server whose dashboard it is (`/json/identity.json`, distributed/http/scheduler/json.py). Looks beside the
 * page and above it, as a proxy may put the dashboard under a path of its own.
 * @throws ConnectError if it is not to be reached, or no dashboard; UserError `timeout` or `cancelled`
 */
export async function askDashboard(page: URL, limit: Limit): Promise<DashboardOwner> {
  const stop = new AbortController();
  return await within(ask(page, stop.signal), limit, `asking ${page.origin}`, () => stop.abort());
}

async function ask(page: URL, signal: AbortSignal): Promise<DashboardOwner> {
  let folder = new URL('.', page);
  for (let depth = 0; depth < maxDepth; depth += 1) {
    const owner = await fetchOwner(new URL('json/identity.json', folder), signal);
    if (owner !== undefined) return owner;
    if (folder.pathname === '/') break;
    folder = new URL('..', folder);
  }
  throw otherWebServer({ text: page.origin });
}

/** Undefined if there is no such page. */
async function fetchOwner(url: URL, signal: AbortSignal): Promise<DashboardOwner | undefined> {
  try {
    const response = await request(url, signal);
    if (response.statusCode !== 200) {
      response.destroy();
      return undefined;
    }
    return readOwner(await readText(response));
  } catch (error) {
    throw explainWebFailure(error as Error, { text: url.origin });
  }
}

function request(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? httpsGet : httpGet;
    get(url, { agent: false, signal, headers: { accept: 'application/json' } }, resolve).on('error', reject);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response) {
    bytes += (piece as Buffer).length;
    if (bytes > maxBytes) return '';
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString();
}

function readOwner(text: string): DashboardOwner | undefined {
  let identity: unknown;
  try {
    identity = JSON.parse(text);
  } catch {
    return undefined; // A page of another server under that name.
  }
  const { id, address } = asRecord(identity);
  if (serverType(identity) === undefined || asText(address) === undefined) return undefined;
  return { id: asText(id) ?? '', address: asText(address) ?? '' };
}
