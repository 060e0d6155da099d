import type { Address } from '../core/address.ts';
import { Comm } from './comm.ts';
import { asNumber, asRecord, asText } from './fields.ts';
import { readIdentity, type SchedulerIdentity, serverType } from './identity.ts';
import { type Limit, within } from './limit.ts';

/** A scheduler that greeted. */
export interface Greeted {
  readonly identity: SchedulerIdentity;
  /** What else listens for it on its host, by its own word: workers, nannies, dashboards. */
  readonly ports: ReadonlySet<number>;
}

/**
 * Asks who listens at an address, for one who does not know whether Dask does: connects, and sends nothing before the
 * peer has greeted as Dask's servers do.
 * @returns undefined if a worker or a nanny listens there
 * @throws UserError `unreachable`, `protocol`, `timeout`, `scheduler-lost` if anything else does
 */
export async function greet(address: Address, limit: Limit): Promise<Greeted | undefined> {
  const deadlineMs = performance.now() + limit.timeoutMs;
  const comm = await Comm.connect(address, undefined, limit, { listenFirst: true });
  try {
    comm.write({ op: 'identity', reply: true });
    const left = { ...limit, timeoutMs: Math.max(deadlineMs - performance.now(), 1) };
    const reply = await within(comm.read(), left, `“identity” of ${address.text}`, () => comm.abort());
    if (serverType(reply) !== 'Scheduler') return undefined;
    return { identity: readIdentity(reply), ports: portsOf(asRecord(reply)) };
  } finally {
    comm.close();
  }
}

function portsOf(identity: Readonly<Record<string, unknown>>): Set<number> {
  const host = hostOf(identity.address);
  const ports = new Set<number>([dashboardOf(identity)]);
  for (const [address, told] of Object.entries(asRecord(identity.workers))) {
    const worker = asRecord(told);
    if (hostOf(address) !== host) continue;
    for (const port of [portOf(address), portOf(worker.nanny), dashboardOf(worker)]) ports.add(port);
  }
  return ports;
}

const dashboardOf = (server: Readonly<Record<string, unknown>>): number =>
  asNumber(asRecord(server.services).dashboard);

const hostOf = (address: unknown): string | undefined =>
  /^\w+:\/\/(.*):\d+$/.exec(asText(address) ?? '')?.[1];
const portOf = (address: unknown): number => Number(/:(\d+)$/.exec(asText(address) ?? '')?.[1] ?? 0);
