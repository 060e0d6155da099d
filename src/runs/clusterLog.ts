import type { Cluster, WorkerIncident } from '../core/cluster.ts';
import { type Disposable, Emitter } from '../core/emitter.ts';
import type { ClusterManager } from '../core/manager.ts';
import { type ClusterMember, type MemberLogLine, memberLabel } from '../core/members.ts';
import type { SchedulerInfo } from '../core/schedulerInfo.ts';
import type { Store, StoreEvent } from '../core/store.ts';
import { Departures } from '../dask/departures.ts';
import { type TailLine, tailLogs } from '../dask/logTail.ts';
import { SchedulerClient } from '../dask/scheduler.ts';
import type { ClusterOutputs } from './clusterOutputs.ts';
import { MemberLogs } from './memberLogs.ts';
import { PrintedLog } from './printedLog.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A line of a cluster's log, whatever it comes from. */
export interface LogEntry {
  readonly level: LogLevel;
  /** Who says it: `scheduler`, `worker 0`, `nanny 0`, `nannies` of one process, `tasks`, `cluster`. */
  readonly source: string;
  /** Milliseconds since the epoch; absent where nobody knows when. */
  readonly timeMs?: number;
  readonly text: string;
  /** Names of the workers that it belongs to. */
  readonly workers: readonly string[];
}

export interface ClusterLogParts {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly outputs: ClusterOutputs;
}

/** What a channel that is opened later shows of the time before. */
const keptEntries = 5000;
/** Of what tasks had printed before the log was opened. */
const printedCharacters = 50_000;
const releaseMs = 1000;

/**
 * The log of one cluster, from when it is made until it is disposed of: lines of its scheduler, workers and nannies,
 * why workers have gone, what tasks print. What was told stays, whoever has gone since.
 */
export class ClusterLog {
  readonly #parts: ClusterLogParts;
  readonly #id: string;
  readonly #told = new Emitter<readonly LogEntry[]>();
  readonly #listening: Disposable[] = [];
  readonly #printed: PrintedLog;
  /** What containers print, as long as Dask in them does not answer. */
  readonly #containers: MemberLogs;
  #entries: LogEntry[] = [];
  #tail: { readonly departures: Departures | undefined; dispose(): void } | undefined;
  #schedulerId: string | undefined;

  constructor(clusterId: string, parts: ClusterLogParts) {
    this.#id = clusterId;
    this.#parts = parts;
    this.#printed = new PrintedLog((lines) => this.#tell(lines.map(printedEntry)));
    this.#containers = new MemberLogs({
      onLine: (member, line) => this.#tell([memberEntry(member, line)]),
      onTrouble: (reason) => this.#say('warn', reason),
    });
    const cluster = this.#cluster;
    if (!cluster) return;
    for (const incident of cluster.incidents ?? []) this.#incident(incident);
    this.#members(cluster);
    this.#state(cluster);
    this.#followPrinted();
    this.#listening.push(parts.store.onDidChange((event) => this.#hear(event)));
  }

  /** All that is kept, oldest first. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  onTold(listener: (entries: readonly LogEntry[]) => void): Disposable {
    return this.#told.on(listener);
  }

  dispose(): void {
    this.#stopTail();
    this.#containers.dispose();
    for (const listening of this.#listening) listening.dispose();
    this.#told.dispose();
  }

  get #cluster(): Cluster | undefined {
    return this.#parts.store.snapshot.clusters.get(this.#id);
  }

  #hear(event: StoreEvent): void {
    if (!('id' in event) || event.id !== this.#id) return;
    if (event.type === 'cluster.removed') {
      this.#stopTail();
      this.#containers.dispose();
    }
    if (event.type === 'cluster.incident') this.#incident(event.incident);
    if (event.type === 'cluster.restarted') {
      const text = `worker ${event.worker} was restarted`;
      this.#tell([{ level: 'info', source: 'cluster', timeMs: Date.now(), text, workers: [event.worker] }]);
    }
    if (event.type === 'cluster.members') this.#members(this.#cluster);
    if (event.type === 'cluster.info') {
      this.#members(this.#cluster);
      this.#info(event.info);
    }
    if (event.type === 'cluster.state') this.#state(this.#cluster);
  }

  #members(cluster: Cluster | undefined): void {
    if (!cluster?.members) return;
    const { members, ownership, info } = cluster;
    // What those of ours print comes as the output of their cluster.
    const known = ownership === 'owned' ? undefined : info?.workers;
    this.#containers.update(members, this.#parts.manager.members(this.#id), known);
  }

  #info(info: SchedulerInfo): void {
    const restarted = this.#schedulerId !== undefined && info.id !== this.#schedulerId;
    if (restarted) this.#say('warn', 'the scheduler was restarted: it knows nothing of what was before');
    this.#schedulerId = info.id;
    this.#tail?.departures?.onInfo(info);
  }

  #state(cluster: Cluster | undefined): void {
    if (!cluster) return;
    const { state, name } = cluster;
    if (state.kind === 'running') this.#say('info', `${name} is running: ${state.address}`);
    if (state.kind === 'lost') this.#say('warn', `${name} is lost: ${state.reason}`);
    if (state.kind === 'stopping') this.#say('info', `${name} is stopping`);
    if (state.kind === 'failed') {
      const { message, hint, detail } = state.failure;
      this.#say('error', [`${name} failed: ${message}`, hint, detail].filter(Boolean).join('\n'));
    }
    if (state.kind === 'starting' || state.kind === 'lost') this.#containers.on = true;
    if (state.kind === 'running' || state.kind === 'lost') this.#startTail(cluster);
    else this.#stopTail();
    if (state.kind === 'stopping' || state.kind === 'stopped') this.#containers.on = false;
  }

  #startTail({ ownership }: Cluster): void {
    const access = this.#parts.manager.access(this.#id);
    if (this.#tail || !access) return;
    const connect = () =>
      new SchedulerClient(access.address, { security: access.security, maxConnections: 1 });
    const client = connect();
    // A question about one worker should not wait for all logs.
    const aside = connect();
    // How workers of ours end is known better than a scheduler could tell.
    const departures =
      ownership === 'owned'
        ? undefined
        : new Departures(aside, ({ message, atMs, asked }, worker) => {
            const level = asked ? 'info' : 'error';
            const workers = worker ? [worker.name] : [];
            this.#tell([{ level, source: 'cluster', timeMs: atMs, text: message, workers }]);
          });
    const tail = tailLogs(client, () => this.#cluster?.info?.workers ?? [], {
      onLines: (lines) => {
        this.#tell(lines.filter(({ text }) => this.#containers.logged(text)).map(tailEntry));
        departures?.onLines(lines);
        this.#printed.logged(
          lines.map(({ text }) => text),
          Date.now(),
        );
      },
      onLook: () => {
        this.#containers.on = false;
        departures?.onLook();
      },
      onSilence: () => {
        this.#containers.on = true;
      },
      onTrouble: (reason) => this.#say('warn', reason),
    });
    const dispose = () => {
      tail.dispose();
      departures?.dispose();
      client.close();
      aside.close();
    };
    this.#tail = { departures, dispose };
    const info = this.#cluster?.info;
    if (info) this.#info(info);
  }

  #stopTail(): void {
    this.#tail?.dispose();
    this.#tail = undefined;
  }

  #followPrinted(): void {
    const output = this.#parts.outputs.of(this.#id);
    if (!output) return;
    const past = output.text().slice(-printedCharacters);
    this.#printed.write(past, Date.now());
    this.#listening.push(output.onWrite((text) => this.#printed.write(text, Date.now())));
    const release = setInterval(() => this.#printed.release(Date.now()), releaseMs);
    release.unref();
    this.#listening.push({ dispose: () => clearInterval(release) });
  }

  #incident(incident: WorkerIncident): void {
    const { message, restarted, worker, atMs } = incident;
    const text = restarted ? `${message}, restarted` : message;
    const workers = worker === undefined ? [] : [worker];
    this.#tell([{ level: 'error', source: 'cluster', timeMs: atMs, text, workers }]);
  }

  #say(level: LogLevel, text: string): void {
    this.#tell([{ level, source: 'cluster', timeMs: Date.now(), text, workers: [] }]);
  }

  #tell(entries: readonly LogEntry[]): void {
    this.#entries = [...this.#entries, ...entries].slice(-keptEntries);
    this.#told.fire(entries);
  }
}

const levels: Readonly<Record<string, LogLevel>> = {
  DEBUG: 'debug',
  WARNING: 'warn',
  ERROR: 'error',
  CRITICAL: 'error',
};

/** Python's `asctime - name - levelname - message`, which is Dask's default. */
const usualLine = /^[\d-]+ [\d:,]+ - (\S+) - [A-Z]+ - (.*)$/s;

/** A line of a container's log. Of a worker's and its nanny's, which are one container, both are the worker's. */
function memberEntry(member: ClusterMember, { timeMs, text }: MemberLogLine): LogEntry {
  const [, logger, message] = usualLine.exec(text) ?? [];
  const level = / - (DEBUG|WARNING|ERROR|CRITICAL) - /.exec(text)?.[1];
  return {
    level: (logger !== undefined && level !== undefined && levels[level]) || 'info',
    source: memberLabel(member),
    ...(timeMs !== undefined && { timeMs }),
    text:
      message === undefined
        ? text
        : logger === `distributed.${member.role}`
          ? message
          : `${logger}: ${message}`,
    workers: member.workers,
  };
}

function tailEntry({ kind, servers, timeMs, level, text }: TailLine): LogEntry {
  const names = servers.map(({ name }) => name);
  const alone = names.length === 1;
  const [, logger, message] = usualLine.exec(text) ?? [];
  return {
    level: levels[level] ?? 'info',
    source:
      kind === 'scheduler' ? kind : alone ? `${kind} ${names[0]}` : kind === 'nanny' ? 'nannies' : 'workers',
    timeMs,
    // Most lines are of the server's own logger.
    text:
      message === undefined || logger === `distributed.${kind}` ? (message ?? text) : `${logger}: ${message}`,
    workers: kind === 'scheduler' ? [] : names,
  };
}

/** What tasks of a cluster with several workers print can't be told apart. */
function printedEntry(text: string): LogEntry {
  return { level: 'info', source: 'tasks', text, workers: [] };
}

/** An entry in the form by which VS Code's output view offers its source as a filter. */
export function entryText({ source, timeMs, text }: LogEntry, nowMs: number): string {
  return [`[${source}]`, timeMs === undefined ? '' : formatStamp(timeMs, nowMs), text]
    .filter(Boolean)
    .join(' ');
}

/** `10:41:02.123`, with the date if that was another day. */
function formatStamp(timeMs: number, nowMs: number): string {
  const local = (ms: number) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString();
  const [date = '', time = ''] = local(timeMs).slice(0, -1).split('T');
  return local(nowMs).startsWith(date) ? time : `${date} ${time}`;
}
