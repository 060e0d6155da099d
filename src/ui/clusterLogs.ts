import * as vscode from 'vscode';
import type { Cluster } from '../core/cluster.ts';
import { memberLabel } from '../core/members.ts';
import type { StoreEvent } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { ClusterLog, type ClusterLogParts, entryText, type LogEntry } from '../runs/clusterLog.ts';

const showAgainMs = 200;
const showTries = 25;

interface Channel {
  readonly channel: vscode.LogOutputChannel;
  /** The name of its file, without an extension. */
  readonly file: string;
}

interface Entry {
  readonly log: ClusterLog;
  /** By the part of the log that they show: '' for all of it, `scheduler`, `worker 0`. */
  readonly channels: Map<string, Channel>;
  readonly temporary: boolean;
  /** It has failed or is lost: its log is all that is left of it. */
  died: boolean;
  readonly listening: { dispose(): void };
}

/**
 * Logs of clusters, each in an output channel of VS Code's own, which brings filters, following and colours. A cluster
 * is asked for its log from when that is first opened until it is gone. Then its channels go too; those of a temporary
 * cluster that died stay, as nothing else is left of it.
 */
export class ClusterLogs implements vscode.Disposable {
  readonly #parts: ClusterLogParts;
  readonly #entries = new Map<string, Entry>();
  /** Of all channels of this window: one with the file of another, even of a closed one, would go on with its text. */
  readonly #files = new Set<string>();
  readonly #listening: { dispose(): void };
  #showing: NodeJS.Timeout | undefined;

  constructor(parts: ClusterLogParts) {
    this.#parts = parts;
    this.#listening = parts.store.onDidChange((event) => this.#hear(event));
  }

  dispose(): void {
    this.#listening.dispose();
    for (const id of [...this.#entries.keys()]) this.#close(id);
  }

  /** Shows the log of a cluster, or of its scheduler or worker if it is the row of one. The focus stays. */
  show(cluster: Cluster, node?: TreeNode): void {
    const entry = this.#entries.get(cluster.id) ?? this.#open(cluster);
    const part = partOf(cluster, node);
    this.#reveal(entry.channels.get(part) ?? this.#openChannel(cluster, entry, part));
  }

  /**
   * Shows a channel. VS Code knows a new one only when its file is there; asked before, it shows nothing and says
   * nothing.
   */
  #reveal({ channel, file }: Channel): void {
    const isShown = () =>
      vscode.window.visibleTextEditors.some(
        ({ document: { uri } }) => uri.scheme === 'output' && uri.path.endsWith(`${file}.log`),
      );
    let tries = 0;
    const show = () => {
      if (isShown() || tries === showTries) return;
      tries += 1;
      channel.show(true);
      this.#showing = setTimeout(show, showAgainMs);
    };
    clearTimeout(this.#showing);
    show();
  }

  #open({ id, state, lifetime }: Cluster): Entry {
    const log = new ClusterLog(id, this.#parts);
    const channels = new Map<string, Channel>();
    const listening = log.onTold((told) => {
      for (const [part, { channel }] of channels) write(channel, part, told);
    });
    const died = state.kind === 'failed' || state.kind === 'lost';
    const entry = { log, channels, died, listening, temporary: lifetime === 'temporary' };
    this.#entries.set(id, entry);
    return entry;
  }

  #openChannel({ name }: Cluster, { log, channels }: Entry, part: string): Channel {
    const { title, file } = this.#title(name, part);
    const channel = vscode.window.createOutputChannel(title, { log: true });
    const made = { channel, file };
    channels.set(part, made);
    write(channel, part, log.entries);
    return made;
  }

  #hear(event: StoreEvent): void {
    if (event.type === 'cluster.state') {
      const entry = this.#entries.get(event.id);
      const { kind } = event.state;
      if (entry && kind !== 'stopping' && kind !== 'stopped')
        entry.died = kind === 'failed' || kind === 'lost';
    }
    if (event.type === 'cluster.removed') this.#onRemoved(event.id);
  }

  #onRemoved(id: string): void {
    const entry = this.#entries.get(id);
    // The row of one that died goes when the user dismisses it; a temporary one has no row that could stay.
    if (entry && !(entry.died && entry.temporary)) this.#close(id);
  }

  /** The name of a channel, and that of its file: VS Code leaves out what no file name may have. */
  #title(cluster: string, part: string): { title: string; file: string } {
    const base = `Flow Clusters: ${cluster}${part && ` › ${part}`}`;
    const fileOf = (title: string) => title.replaceAll(/[\\/:*?"<>|]/g, '');
    let title = base;
    for (let n = 2; this.#files.has(fileOf(title)); n += 1) title = `${base} (${n})`;
    this.#files.add(fileOf(title));
    return { title, file: fileOf(title) };
  }

  #close(id: string): void {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    entry?.listening.dispose();
    entry?.log.dispose();
    clearTimeout(this.#showing);
    for (const { channel } of entry?.channels.values() ?? []) channel.dispose();
  }
}

/** Which part of its cluster's log a row stands for, by the names of sources. */
function partOf(cluster: Cluster, node: TreeNode | undefined): string {
  if (node?.context.startsWith('scheduler')) return 'scheduler';
  const worker = cluster.info?.workers.find(({ address }) => address === node?.worker);
  const member = cluster.members?.find(({ name }) => name === node?.member);
  if (!worker && member) return memberLabel(member);
  return worker ? `worker ${worker.name}` : '';
}

function write(channel: vscode.LogOutputChannel, part: string, entries: readonly LogEntry[]): void {
  const nowMs = Date.now();
  for (const entry of entries) if (belongs(entry, part)) channel[entry.level](entryText(entry, nowMs));
}

/** What befell a worker is in its own log as well. */
function belongs({ source, workers }: LogEntry, part: string): boolean {
  return part === '' || source === part || workers.some((name) => part === `worker ${name}`);
}
