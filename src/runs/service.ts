import { randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import type { ClusterHandle } from '../core/backend.ts';
import type { FlowDef } from '../core/flow.ts';
import { isOver, type Run } from '../core/run.ts';
import { hideSecrets } from '../core/secrets.ts';
import type { RunChannel, RunChannels } from './channel.ts';
import { LiveRun, type RunParts } from './liveRun.ts';
import type { RunOutput } from './output.ts';
import { checkTarget, type RunRequest } from './request.ts';

/** What stands in the place of an executor's name where the source has its own. */
function asWritten({ written }: FlowDef): string {
  return written ? `${written.type}, as written` : 'what its source says';
}

/** What a run was given; without a cluster, only the executor. */
interface RunCluster {
  readonly id?: string;
  readonly executor: string;
  readonly started?: Promise<ClusterHandle>;
}

/** Brings flows, clusters and runners together. */
export class RunService {
  readonly #parts: RunParts;
  readonly #channels: RunChannels;
  /** Those of this window, ended ones included. */
  readonly #runs = new Map<string, LiveRun>();

  constructor(options: RunParts & { readonly channels: RunChannels }) {
    this.#parts = options;
    this.#channels = options.channels;
  }

  /**
   * Starts a run and returns its id, on a host that fits (see `suitableHost`). Throws a {@link UserError} for
   * whatever is known to be wrong before anything starts, such as a syntax error. What goes wrong later is the run's
   * own state.
   */
  async start(request: RunRequest): Promise<string> {
    const { host, flow, file } = request;
    checkTarget(request);
    await host.hello;
    await host.check(file);
    request.signal?.throwIfAborted();
    const id = `r${randomUUID().slice(0, 8)}`;
    const channel = await this.#channels.open();
    const cluster = this.#cluster(id, request, channel);
    const live = new LiveRun(id, request, channel, this.#parts);
    this.#runs.set(id, live);
    const run: Run = {
      id,
      uri: request.uri,
      flow,
      executor: cluster.executor,
      ...(cluster.id !== undefined && { clusterId: cluster.id }),
      parameters: hideSecrets(flow.parameters, request.parameters),
      createdMs: Date.now(),
      state: { kind: 'queued', stage: 'starting' },
      tasks: [],
      notes: request.notes ?? [],
      ...(request.missing && request.missing.length > 0 && { missing: request.missing }),
    };
    this.#parts.store.dispatch({ type: 'run.added', run });
    void live.drive(cluster.started);
    return id;
  }

  /** What the run printed so far, undefined for runs of an earlier window. */
  output(id: string): RunOutput | undefined {
    return this.#runs.get(id)?.output;
  }

  /** The user typed something into the run's terminal. */
  input(id: string, text: string): void {
    this.#runs.get(id)?.input(text);
  }

  /** The user has ended the run's input. */
  endInput(id: string): void {
    this.#runs.get(id)?.endInput();
  }

  /** Cancels as {@link LiveRun.cancel}; harmless when the run is over. */
  async cancel(id: string): Promise<void> {
    await this.#runs.get(id)?.cancel();
  }

  /** Removes a finished run from the history. */
  remove(id: string): void {
    const { store } = this.#parts;
    const run = store.snapshot.runs.get(id);
    if (!run || !isOver(run)) return;
    this.#runs.get(id)?.dispose();
    this.#runs.delete(id);
    store.dispatch({ type: 'run.removed', id });
  }

  dispose(): void {
    for (const run of this.#runs.values()) run.dispose();
  }

  /** The one that is there, a new one, or none. Throws, with the channel closed, if the chosen one has gone. */
  #cluster(id: string, request: RunRequest, channel: RunChannel): RunCluster {
    const { store, manager } = this.#parts;
    const { target, flow } = request;
    if (target.kind === 'alone') return { executor: target.executor.name };
    if (target.kind === 'written') return { executor: asWritten(flow) };
    if (target.kind === 'cluster') {
      try {
        const handle = manager.handle(target.clusterId);
        const name = store.snapshot.clusters.get(target.clusterId)?.name ?? target.clusterId;
        return { id: target.clusterId, executor: name, started: Promise.resolve(handle) };
      } catch (error) {
        channel.dispose();
        throw error;
      }
    }
    const { port, token } = channel;
    const { executor, backend } = target;
    const name = `${executor.name} for ${flow.name}`;
    // Workers print to the run's terminal and import what lies beside its file, as with `python file.py`.
    const inherit = {
      cwd: request.workspace,
      ...(request.env && { env: request.env }),
      path: [dirname(request.file)],
      output: { port, token },
    };
    const started = manager.start({ executor, backend, name, lifetime: 'temporary', runId: id, inherit });
    return { ...started, executor: executor.name };
  }
}
