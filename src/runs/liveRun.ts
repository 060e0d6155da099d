import { setTimeout as delay } from 'node:timers/promises';
import type { ClusterExit, ClusterHandle } from '../core/backend.ts';
import type { Disposable } from '../core/emitter.ts';
import { UserError } from '../core/errors.ts';
import { type Failure, toFailure } from '../core/failure.ts';
import type { Logger } from '../core/log.ts';
import type { ClusterManager } from '../core/manager.ts';
import { isOver, type Run, type RunState } from '../core/run.ts';
import type { Store } from '../core/store.ts';
import { versionsOf } from '../host/versions.ts';
import type { HostEvent, RunEvent } from '../protocol/host.ts';
import type { RunChannel } from './channel.ts';
import { checkWorkers, followCluster, versionNote } from './clusterNews.ts';
import type { ClusterOutputs } from './clusterOutputs.ts';
import { exitOf } from './exit.ts';
import { endState } from './failure.ts';
import { RunOutput } from './output.ts';
import { type RunRequest, specOf } from './request.ts';
import { TaskReport } from './taskReport.ts';

/** What all runs share. */
export interface RunParts {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly outputs: ClusterOutputs;
  readonly log: Logger;
}

/**
 * A run may still print and say goodbye after its end is known; its cluster stays that long. More than the 3 s that
 * the runner allows itself (`GOODBYE_SECONDS`).
 */
const goodbyeMs = 4_000;
/** A run that is killed is gone at once; a host that does not say so must not hold the user up. */
const killedMs = 5_000;
/** How long the last words of a run, and of a shared cluster about it, may take after its process is gone. */
const lastLineMs = 700;
/** How long the news of a cluster's death may take after a run has failed of it; less than `lastLineMs`. */
const clusterNewsMs = 250;

/** One run from its start to its goodbye: drives it, hears it, and keeps the store true about it. */
export class LiveRun {
  readonly id: string;
  readonly output = new RunOutput();
  readonly #request: RunRequest;
  readonly #channel: RunChannel;
  readonly #parts: RunParts;
  readonly #tasks: TaskReport;
  readonly #exited: Promise<void>;
  /** Once it is running. */
  #cluster: ClusterHandle | undefined;
  #following: Disposable | undefined;
  /** The Prefect API that it reports to, once known. */
  #apiUrl: string | undefined;
  #settled = false;

  /** Listens from now on; {@link drive} starts it. */
  constructor(id: string, request: RunRequest, channel: RunChannel, parts: RunParts) {
    this.id = id;
    this.#request = request;
    this.#channel = channel;
    this.#parts = parts;
    this.#tasks = new TaskReport(id, parts.store);
    this.#exited = exitOf(request.host, id, (message) => this.#onExit(message));
    for (const note of request.notes ?? []) this.output.write(`\x1b[2m! ${note}\x1b[0m\n`);
    channel.onOutput = (text) => this.output.write(text);
    channel.onEvent = (event) => this.#onEvent(event);
    const listening = request.host.onEvent((event) => this.#onHostEvent(event));
    void this.#exited.then(() => setTimeout(() => listening.dispose(), lastLineMs));
  }

  /**
   * The runner loads the file while the cluster and the API come up; then it may go. Never rejects.
   * @param started absent if it needs no cluster
   */
  async drive(started: Promise<ClusterHandle> | undefined): Promise<void> {
    const { host, flow, target } = this.#request;
    const stage = (text: string) => {
      if (this.#run?.state.kind === 'queued') this.#set({ kind: 'queued', stage: text });
    };
    try {
      host.send({ op: 'run.start', spec: specOf(this.id, this.#request, this.#channel) });
      const api = flow.api === 'prefect' ? this.#prefectApi(stage) : Promise.resolve(undefined);
      api.catch(() => undefined);
      const handle = await started;
      if (!handle) {
        await this.#goWithout(api);
        return;
      }
      this.#cluster = handle;
      // Before the next wait: a cluster that dies during it takes the run along.
      void handle.finished.then((exit) => this.#onClusterEnd(exit));
      checkWorkers(handle, flow.api);
      await this.#follow(handle);
      const url = await api;
      const port = url && loopbackPort(url);
      if (port) await handle.reach?.(port);
      if (this.#settled) return;
      this.#channel.control({
        op: 'go',
        address: handle.address,
        ...(handle.security && { security: handle.security }),
        ...(!handle.onTasks && { count_tasks: true }),
        ...(url && { prefect_api_url: url }),
        ...(target.kind === 'executor' && handle.workers !== undefined && { n_workers: handle.workers }),
      });
    } catch (error) {
      this.#onNoStart(error);
    }
  }

  /** Without a cluster that we know of. */
  async #goWithout(api: Promise<string | undefined>): Promise<void> {
    const { target } = this.#request;
    if (target.kind === 'written') {
      const url = await api;
      if (this.#settled) return;
      this.#note('As written: what its tasks do is told by its output, not here.');
      this.#channel.control({ op: 'go', as_written: true, ...(url && { prefect_api_url: url }) });
    }
    if (target.kind !== 'alone') return;
    const { scheduler, num_workers } = target.executor;
    const local_dask = { ...(scheduler && { scheduler }), ...(num_workers !== undefined && { num_workers }) };
    this.#channel.control({ op: 'go', local_dask });
  }

  /** The user typed something into the run's terminal. */
  input(text: string): void {
    this.#channel.input(text);
  }

  /** The user has ended the run's input: it reads to the end of what was typed. */
  endInput(): void {
    this.#channel.endInput();
  }

  /**
   * Cancels. On a temporary cluster, or without one, everything is killed at once. On one that others may use
   * nothing pending starts, active tasks finish; a second cancel abandons the runner, never the cluster. As written, the
   * first is what Ctrl-C is in a terminal, so that the run closes what it has made elsewhere; a second one kills it.
   */
  async cancel(): Promise<void> {
    const run = this.#run;
    if (!run || isOver(run)) return;
    const { host, target } = this.#request;
    const own = target.kind === 'executor' || target.kind === 'alone';
    const forced = own || run.state.kind === 'cancelling' || run.state.kind === 'queued';
    const started = startOf(run);
    this.#set({ kind: 'cancelling', forced, ...started });
    if (!forced) {
      this.#channel.control({ op: 'stop' });
      return;
    }
    if (host.usable) host.send({ op: 'run.kill', run: this.id, record: true });
    await Promise.all([
      own && this.#stopCluster({ force: true }),
      Promise.race([this.#exited, delay(killedMs)]),
    ]);
    this.#settle({ kind: 'cancelled', endedMs: Date.now(), ...started });
  }

  dispose(): void {
    this.#following?.dispose();
    this.#tasks.dispose();
    this.#channel.dispose();
  }

  get #run(): Run | undefined {
    return this.#parts.store.snapshot.runs.get(this.id);
  }

  /** A forced cancel is under way: whatever breaks now breaks because of it, and `cancel` tells the end. */
  #isKilled(): boolean {
    const state = this.#run?.state;
    return state?.kind === 'cancelling' && state.forced;
  }

  #set(state: RunState): void {
    this.#parts.store.dispatch({ type: 'run.state', id: this.id, state });
  }

  #note(text: string): void {
    if (this.#run) this.#parts.store.dispatch({ type: 'run.note', id: this.id, text });
  }

  async #follow(handle: ClusterHandle): Promise<void> {
    const { store, outputs } = this.#parts;
    const clusterId = this.#run?.clusterId;
    if (clusterId === undefined || this.#settled) return;
    this.#following = followCluster({
      runId: this.id,
      clusterId,
      handle,
      store,
      output: this.output,
      printed: outputs.of(clusterId),
      onTasks: (groups) => this.#tasks.count(groups),
      note: (text) => this.#note(text),
    });
    for (const note of handle.notes ?? []) this.#note(note);
    const { prefect, ...dask } = versionsOf(await this.#request.host.hello);
    const mine = this.#request.flow.api === 'dask' || !prefect ? dask : { ...dask, prefect };
    const note = handle.versions && versionNote(mine, handle.versions);
    if (note) this.#note(note);
  }

  async #prefectApi(onStage: (text: string) => void): Promise<string | undefined> {
    this.#apiUrl = await this.#request.host.prefectApi(onStage);
    return this.#apiUrl;
  }

  /** Its runner waits for a cluster or an API that will not come: it gets no time for a goodbye. */
  #onNoStart(error: unknown): void {
    const run = this.#run;
    if (!run || isOver(run) || this.#isKilled()) return;
    const reason = error instanceof UserError ? error.reason : undefined;
    if (reason === 'cancelled') {
      this.#onStopped(run, 0);
      return;
    }
    const failure = toFailure(error);
    this.#parts.log.warn(`run ${this.id}: ${failure.message}`);
    const kind = reason === 'host-crashed' ? 'crashed' : 'failed';
    this.#settle({ kind, endedMs: Date.now(), failure }, 0);
  }

  /** The user has stopped its cluster. */
  #onStopped(run: Run, graceMs = goodbyeMs): void {
    this.#note('The cluster was stopped.');
    this.#settle({ kind: 'cancelled', endedMs: Date.now(), ...startOf(run) }, graceMs);
  }

  /** Whoever stops a cluster has been told that its runs end with it; a cluster that dies takes them along. */
  #onClusterEnd(exit: ClusterExit): void {
    const run = this.#run;
    if (!run || isOver(run) || this.#isKilled()) return;
    if (exit.how === 'died') {
      const { message, detail } = exit;
      this.#crash({ message, ...(detail && { detail }) });
      return;
    }
    this.#onStopped(run);
  }

  #onEvent(event: RunEvent): void {
    const run = this.#run;
    if (!run || isOver(run)) return;
    switch (event.event) {
      case 'stage':
        this.#onStage(run, event.stage);
        return;
      case 'tasks':
        this.#tasks.apply(event.tasks);
        return;
      case 'counts':
        this.#tasks.count(event.groups);
        return;
      case 'note':
        this.#note(event.text);
        return;
      case 'flow':
        this.#parts.log.info(
          `run ${this.id}: ${event.name} ${event.prefect_run_name ?? ''} ${event.prefect_run_id ?? ''}`,
        );
        return;
      case 'end':
        this.#onEnd(run, event);
        return;
      default:
        event satisfies never;
    }
  }

  #onStage(run: Run, stage: string): void {
    if (run.state.kind !== 'queued' && run.state.kind !== 'running') return;
    if (stage === 'loading' || stage === 'waiting') return;
    const kept = stage === 'running' ? {} : { stage };
    this.#set({ kind: 'running', startedMs: run.createdMs, ...kept });
  }

  #onHostEvent(event: HostEvent): void {
    if (event.event !== 'prefect.server' || event.state !== 'ended') return;
    // Prefect would try to reach it for minutes, and each of its tasks would fail for that reason.
    if (this.#apiUrl !== undefined && event.url === this.#apiUrl) {
      const hint = 'It starts again with the next run.';
      this.#crash({ message: 'The Prefect API server that the run reports to has ended', hint });
    }
  }

  #onEnd(run: Run, end: Extract<RunEvent, { event: 'end' }>): void {
    const { python } = this.#request.host;
    const startedMs = run.createdMs;
    if (run.state.kind === 'queued') this.#set({ kind: 'running', startedMs });
    const state = endState(end, { startedMs, endedMs: Date.now() }, { id: this.id, python });
    if ('failure' in state) void this.#onFailure(state);
    else this.#settle(state);
  }

  /** A run fails of its cluster's death before the host tells of it: the cause is worth a moment. */
  async #onFailure(state: RunState): Promise<void> {
    await Promise.race([this.#cluster?.finished, delay(clusterNewsMs)]);
    if (!this.#isKilled()) this.#settle(state);
  }

  /** The run's process is gone: if its last line does not come either, it crashed. */
  #onExit(message: string): void {
    setTimeout(() => {
      this.#crash({
        message,
        hint: 'What it printed last is in its terminal.',
        action: { kind: 'show-run', id: this.id },
      });
    }, lastLineMs);
  }

  #crash(failure: Failure): void {
    const run = this.#run;
    if (!run || isOver(run) || this.#isKilled()) return;
    this.#settle({ kind: 'crashed', endedMs: Date.now(), failure, ...startOf(run) });
  }

  /** The run's end, once: shows it, then lets its process and its temporary cluster go. */
  #settle(state: RunState, graceMs = goodbyeMs): void {
    const run = this.#run;
    if (!run || isOver(run) || this.#settled) return;
    this.#settled = true;
    this.#tasks.flush();
    this.#set(state);
    void this.#goodbye({ force: state.kind !== 'completed', graceMs });
  }

  /** Ends the cluster that is the run's own, if there is one. */
  async #stopCluster(how: { force: boolean }): Promise<void> {
    const clusterId = this.#run?.clusterId;
    if (clusterId !== undefined) await this.#parts.manager.stop(clusterId, how);
  }

  async #goodbye(how: { force: boolean; graceMs: number }): Promise<void> {
    const { host, target } = this.#request;
    await Promise.race([this.#exited, delay(how.graceMs)]);
    if (host.usable) host.send({ op: 'run.kill', run: this.id, record: false });
    if (target.kind !== 'cluster') await this.#stopCluster({ force: how.force });
    // A cluster that stays has its last counts and prints of this run still to tell.
    else await delay(lastLineMs);
    this.#following?.dispose();
    this.#channel.dispose();
    this.output.end();
    this.#tasks.end();
  }
}

/** The port of a server that listens on this machine's loopback; undefined for any other. */
function loopbackPort(url: string): number | undefined {
  const { hostname, port, protocol } = new URL(url);
  if (!/^(localhost|127\.[\d.]+)$/.test(hostname)) return undefined;
  return Number(port) || (protocol === 'https:' ? 443 : 80);
}

/** When the run started, as a field of its next state; nothing if it never did. */
function startOf({ state }: Run): { startedMs?: number } {
  return state.kind === 'queued' || state.startedMs === undefined ? {} : { startedMs: state.startedMs };
}
