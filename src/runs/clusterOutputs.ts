import type { ClusterHandle } from '../core/backend.ts';
import type { Disposable } from '../core/emitter.ts';
import type { AdoptOptions, ClusterManager, StartOptions } from '../core/manager.ts';
import type { Store } from '../core/store.ts';
import type { RunChannel, RunChannels } from './channel.ts';
import { RunOutput } from './output.ts';

interface Entry {
  readonly channel: RunChannel;
  readonly output: RunOutput;
}

/** What workers of static clusters print: it belongs to no run, so it is kept as long as the cluster has a row. */
export class ClusterOutputs {
  readonly #manager: ClusterManager;
  readonly #channels: RunChannels;
  readonly #entries = new Map<string, Entry>();
  readonly #listening: Disposable;

  constructor(options: { store: Store; manager: ClusterManager; channels: RunChannels }) {
    this.#manager = options.manager;
    this.#channels = options.channels;
    this.#listening = options.store.onDidChange((event) => {
      if (event.type === 'cluster.removed') this.#forget(event.id);
    });
  }

  /** Starts a cluster as {@link ClusterManager.start} does, with a place of its own to print to. */
  async start(options: StartOptions): Promise<{ id: string; started: Promise<ClusterHandle> }> {
    const entry = await this.#open();
    const made = this.#manager.start({ ...options, inherit: { ...options.inherit, ...outputOf(entry) } });
    this.#entries.set(made.id, entry);
    return made;
  }

  /** Takes a cluster up as {@link ClusterManager.adopt} does, with a place of its own to print to. */
  async adopt(options: AdoptOptions): Promise<{ id: string; found: Promise<ClusterHandle | undefined> }> {
    const entry = await this.#open();
    const made = this.#manager.adopt({ ...options, inherit: { ...options.inherit, ...outputOf(entry) } });
    this.#entries.set(made.id, entry);
    return made;
  }

  async #open(): Promise<Entry> {
    const channel = await this.#channels.open();
    const output = new RunOutput();
    channel.onOutput = (text) => output.write(text);
    return { channel, output };
  }

  /** The last megabyte; undefined for clusters that print elsewhere, as temporary ones do to their run. */
  of(clusterId: string): RunOutput | undefined {
    return this.#entries.get(clusterId)?.output;
  }

  dispose(): void {
    this.#listening.dispose();
    for (const id of this.#entries.keys()) this.#forget(id);
  }

  #forget(id: string): void {
    this.#entries.get(id)?.channel.dispose();
    this.#entries.delete(id);
  }
}

const outputOf = ({ channel: { port, token } }: Entry) => ({ output: { port, token } });
