import type { Backend, BackendContext, ClusterHandle, Inheritance, Keepsake, WorkerNews } from './backend.ts';
import { type Cluster, dashboardUrl, isLive, type Lifetime, type Origin } from './cluster.ts';
import type { Disposable } from './emitter.ts';
import { UserError } from './errors.ts';
import type { Executor } from './executor.ts';
import { type Failure, toFailure } from './failure.ts';
import { formatClock } from './format.ts';
import { idleSeconds } from './imageExecutor.ts';
import type { Logger } from './log.ts';
import {
  type ClusterMember,
  type MemberAccess,
  type MembersListener,
  memberLabel,
  withWorkerNames,
} from './members.ts';
import type { PodScheduler } from './podScheduler.ts';
import { type AdaptLimits, type ScalingNews, stepText } from './scaling.ts';
import type { SchedulerInfo } from './schedulerInfo.ts';
import type { Security } from './security.ts';
import type { Store } from './store.ts';

/** Looks at a scheduler until disposed; injected, so that the core needs no network. */
export type Watch = (
  address: string,
  listener: { onInfo(info: SchedulerInfo): void; onLost(reason: string): void },
  options?: { readonly security?: Security | undefined; readonly intervalMs?: number },
) => Disposable;

export interface ManagerOptions {
  readonly store: Store;
  readonly watch: Watch;
  readonly log: Logger;
}

export interface StartOptions {
  readonly executor: Executor;
  readonly backend: Backend;
  readonly name: string;
  readonly lifetime: Lifetime;
  readonly runId?: string;
  readonly inherit?: Inheritance;
}

export interface AdoptOptions {
  readonly name: string;
  /** Name of the one that it was made from. */
  readonly executor: string;
  readonly idleSeconds?: number;
  readonly backend: Backend;
  readonly keepsake: Keepsake;
  readonly inherit?: Inheritance;
}

export interface AttachOptions {
  readonly name: string;
  /** As Dask writes it, `tcp://10.0.0.5:8786`. */
  readonly address: string;
  readonly security?: Security;
  /** Why nobody can look at it now, such as certificates that can't be read: then it is lost for that reason. */
  readonly problem?: string;
  /** URL of its dashboard, where that is not beside the scheduler. */
  readonly dashboard?: string;
  /** It was found, not given by the user: then it is looked at seldom. */
  readonly found?: { readonly id: string; readonly origin: Origin };
  /** It is reached by ports of this machine that lead to its pod. */
  readonly forwarded?: {
    readonly pods: PodScheduler;
    readonly dashboardPort?: number;
    /** Tells of the pods of its cluster until disposed. Absent: nobody sees them. */
    onMembers?(listener: MembersListener): Disposable;
  };
}

/** How often a cluster is looked at that nobody has asked for. */
const foundIntervalMs = 5_000;

interface Entry {
  /** Of clusters that are ours. */
  readonly start?: {
    readonly abort: AbortController;
    readonly started: Promise<ClusterHandle | undefined>;
    /** It was there before, and stays when this window closes, whatever has become of taking it up. */
    readonly adopts?: boolean;
  };
  handle?: ClusterHandle;
  members?: MemberAccess;
  watcher?: Disposable;
  /** Tells of its containers, where others have made them. */
  memberWatch?: Disposable | undefined;
  stopping?: Promise<void>;
}

/** Drives back ends and looks at schedulers: keeps the store true about clusters, ours and attached ones. */
export class ClusterManager {
  readonly #options: ManagerOptions;
  readonly #entries = new Map<string, Entry>();
  #count = 0;
  /** This window closes: what outlives it is let go. */
  #closing = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  /**
   * Starts a cluster. Its row is there at once; `started` resolves when it answers, or rejects with the reason
   * that the row shows. A temporary cluster whose start failed leaves no row: its run tells.
   */
  start(options: StartOptions): { readonly id: string; readonly started: Promise<ClusterHandle> } {
    const { log } = this.#options;
    const { name, executor, lifetime, runId } = options;
    const stays = lifetime === 'static' && (executor.kind === 'docker' || executor.kind === 'kubernetes');
    const facts = { name, lifetime, executor: executor.name, ...(runId !== undefined && { runId }) };
    const id = this.#addOwned({ ...facts, ...(stays && { idleSeconds: idleSeconds(executor) }) }, 'starting');
    const abort = new AbortController();
    const started = options.backend.start(options.executor, this.#context(id, options, abort.signal)).then(
      (handle) => this.#running(id, handle),
      (error: unknown) => {
        if (abort.signal.aborted) {
          this.#ended(id);
          throw cancelled(error);
        }
        log.warn(`cluster ${options.name}: ${toFailure(error).message}`);
        this.#failed(id, toFailure(error));
        throw error;
      },
    );
    // Whoever needs the handle awaits it; a start nobody waits for must not become an unhandled rejection.
    started.catch(() => undefined);
    this.#entries.set(id, { start: { abort, started } });
    return { id, started };
  }

  /**
   * Takes up a static cluster that another window has started or left. Its row is there at once; `found` resolves when it
   * answers, or with undefined when it is gone, and its row with it. Rejects with the reason that the row shows.
   */
  adopt(options: AdoptOptions): { readonly id: string; readonly found: Promise<ClusterHandle | undefined> } {
    const { log } = this.#options;
    const { name, executor, idleSeconds, backend, keepsake, inherit = {} } = options;
    const lifetime = 'static';
    const facts = { name, executor, lifetime, ...(idleSeconds !== undefined && { idleSeconds }) } as const;
    const id = this.#addOwned(facts, 'looking for it');
    const abort = new AbortController();
    const looking = backend.adopt?.(keepsake, this.#context(id, { lifetime, inherit }, abort.signal));
    const found = (looking ?? Promise.resolve(undefined)).then(
      (handle) => {
        if (handle) return this.#running(id, handle, { adopted: true });
        this.#ended(id);
        return undefined;
      },
      (error: unknown) => {
        if (abort.signal.aborted) {
          this.#ended(id);
          throw cancelled(error);
        }
        log.warn(`cluster ${name}: ${toFailure(error).message}`);
        this.#failed(id, toFailure(error));
        throw error;
      },
    );
    found.catch(() => undefined);
    this.#entries.set(id, { start: { abort, started: found, adopts: true } });
    return { id, found };
  }

  #addOwned(
    facts: Pick<Cluster, 'name' | 'executor' | 'lifetime' | 'runId' | 'idleSeconds'>,
    stage: string,
  ): string {
    const id = this.#newId();
    const cluster: Cluster = {
      ...facts,
      ...{ id, ownership: 'owned' },
      state: { kind: 'starting', sinceMs: Date.now(), stage },
    };
    this.#options.store.dispatch({ type: 'cluster.added', cluster });
    return id;
  }

  #context(
    id: string,
    { lifetime, inherit = {} }: Pick<StartOptions, 'lifetime' | 'inherit'>,
    signal: AbortSignal,
  ): BackendContext {
    const { store } = this.#options;
    return {
      ...{ clusterId: id, lifetime, signal, inherit },
      stage: (stage) => {
        const state = this.#cluster(id)?.state;
        if (state?.kind === 'starting') {
          store.dispatch({ type: 'cluster.state', id, state: { ...state, stage } });
        }
      },
      worker: (news) => this.#onWorker(id, news),
      scaling: (news) => this.#onScaling(id, news),
      members: (members, access) => this.#onMembers(id, members, access),
    };
  }

  /**
   * Takes up a cluster of somebody else: its row is there at once and stays till it is detached, running or lost as
   * its scheduler answers. Nothing at the cluster changes by that. Returns its id.
   */
  attach({ name, address, security, problem, found, forwarded, dashboard: known }: AttachOptions): string {
    const { store, watch } = this.#options;
    const id = found?.id ?? this.#newId();
    const state = { kind: 'starting', sinceMs: Date.now(), stage: `connecting to ${address}` } as const;
    const cluster: Cluster = {
      ...{ id, name, executor: name, lifetime: 'static', state },
      ...(found ? { ownership: 'discovered', origin: found.origin } : { ownership: 'attached' }),
      ...(forwarded && { pods: forwarded.pods }),
    };
    const entry: Entry = { handle: attachedHandle(address, security) };
    this.#entries.set(id, entry);
    store.dispatch({ type: 'cluster.added', cluster });
    entry.memberWatch = forwarded?.onMembers?.((members, access) => this.#onMembers(id, members, access));
    if (problem !== undefined) {
      this.#onLost(id, problem, address);
      return id;
    }
    entry.watcher = watch(
      address,
      {
        onInfo: (info) => {
          const port = info.dashboardPort && (forwarded?.dashboardPort ?? info.dashboardPort);
          const dashboard = known ?? dashboardUrl(address, port);
          if (this.#cluster(id)?.state.kind !== 'running') this.#answers(id, address, dashboard);
          this.#onInfo(id, info);
        },
        onLost: (reason) => this.#onLost(id, reason, address),
      },
      { security, ...(found && { intervalMs: foundIntervalMs }) },
    );
    return id;
  }

  /** Lets go of a cluster that is not ours. It goes on, and so do runs on it. */
  detach(id: string): void {
    if (this.#cluster(id)?.ownership !== 'owned') this.#ended(id);
  }

  /** How to talk to a cluster's scheduler, lost ones included; undefined before its address is known. */
  access(id: string): Pick<ClusterHandle, 'address' | 'security'> | undefined {
    return this.#entries.get(id)?.handle;
  }

  /** How to get at a cluster's containers, those of one that starts included; undefined where there are none. */
  members(id: string): MemberAccess | undefined {
    return this.#entries.get(id)?.members;
  }

  /** The handle of a running cluster. Throws a {@link UserError} if it is not running. */
  handle(id: string): ClusterHandle {
    const handle = this.#entries.get(id)?.handle;
    const cluster = this.#cluster(id);
    if (handle && cluster?.state.kind === 'running') return handle;
    const name = cluster?.name ?? id;
    if (cluster?.state.kind !== 'lost') throw new UserError('unreachable', `Cluster ${name} is not running`);
    const since = formatClock(cluster.state.sinceMs);
    throw new UserError('unreachable', `Cluster ${name} is lost since ${since}: ${cluster.state.reason}`, {
      hint: 'It is looked for all the time, and its row says when it is back',
    });
  }

  /**
   * Ends a cluster of ours in any state; resolves when nothing of it is left, or its row says why not. Harmless to
   * repeat, and with `force` it hurries. One that is not ours is never ended.
   */
  stop(id: string, options: { force: boolean }): Promise<void> {
    const entry = this.#entries.get(id);
    const cluster = this.#cluster(id);
    if (!entry?.start || !cluster || !isLive(cluster)) return Promise.resolve();
    if (entry.stopping && !options.force) return entry.stopping;
    entry.stopping = this.#stop(id, entry, options.force);
    return entry.stopping;
  }

  async #stop(id: string, entry: Entry, force: boolean): Promise<void> {
    const { store } = this.#options;
    if (this.#cluster(id)?.state.kind !== 'stopping') {
      store.dispatch({ type: 'cluster.state', id, state: { kind: 'stopping', sinceMs: Date.now() } });
    }
    entry.watcher?.dispose();
    entry.start?.abort.abort();
    const handle = entry.handle ?? (await entry.start?.started.catch(() => undefined));
    try {
      await handle?.close({ force });
      this.#ended(id);
    } catch (error) {
      // Something of it may be left: its row stays, and says so.
      const { log } = this.#options;
      log.error(`cluster ${id} could not be stopped: ${toFailure(error).message}`);
      this.#failed(id, toFailure(error), { keepRow: true });
    }
  }

  /** Sets a fixed number of workers of a running cluster of ours. Rejects with a {@link UserError} if it is refused. */
  async scale(id: string, workers: number): Promise<void> {
    const handle = this.handle(id);
    if (!handle.scale) throw this.#notOurs(id);
    await handle.scale(workers);
  }

  /** Has a running cluster of ours adapt to its work. Rejects with a {@link UserError} if it is refused. */
  async adapt(id: string, limits: AdaptLimits): Promise<void> {
    const handle = this.handle(id);
    if (!handle.adapt) throw this.#notOurs(id);
    await handle.adapt(limits);
  }

  #notOurs(id: string): UserError {
    const name = this.#cluster(id)?.name ?? id;
    return new UserError(
      'not-permitted',
      `${name} was not started from here: its owner says how many workers`,
    );
  }

  /** Removes the row of a cluster that failed. */
  dismiss(id: string): void {
    const cluster = this.#cluster(id);
    if (cluster && !isLive(cluster)) this.#forget(id);
  }

  /** Forced end of everything that ends with this window; what outlives it, and what is not ours, is let go. */
  async dispose(): Promise<void> {
    this.#closing = true;
    for (const id of [...this.#entries.keys()]) {
      this.detach(id);
      this.#leave(id);
    }
    await Promise.allSettled([...this.#entries.keys()].map((id) => this.stop(id, { force: true })));
  }

  #leave(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.stopping !== undefined || !entry) return;
    if (entry.handle?.leave) {
      entry.handle.leave();
      this.#ended(id);
    } else if (entry.start?.adopts && !entry.handle) {
      entry.start.abort.abort();
      this.#ended(id);
    }
  }

  #newId(): string {
    this.#count += 1;
    return `c${this.#count}`;
  }

  #cluster(id: string): Cluster | undefined {
    return this.#options.store.snapshot.clusters.get(id);
  }

  async #running(id: string, handle: ClusterHandle, { adopted = false } = {}): Promise<ClusterHandle> {
    const entry = this.#entries.get(id);
    const state = this.#cluster(id)?.state;
    if (!entry || state?.kind !== 'starting') {
      // Stopped while it started: what came up late goes away again.
      if (adopted && this.#closing) handle.leave?.();
      else await handle.close({ force: true });
      throw cancelled();
    }
    entry.handle = handle;
    const { address, dashboard, security } = handle;
    // Finding one that is there tells nothing of how long a start takes.
    this.#answers(id, address, dashboard, adopted ? {} : { startupMs: Date.now() - state.sinceMs });
    entry.watcher = this.#options.watch(
      address,
      {
        onInfo: (info) => this.#onInfo(id, info),
        onLost: (reason) => this.#onLost(id, reason),
      },
      { security },
    );
    void handle.finished.then((exit) => {
      if (exit.how === 'closed') return this.#ended(id);
      const detail = exit.detail === undefined ? {} : { detail: exit.detail };
      return this.#failed(id, { message: exit.message, ...detail });
    });
    return handle;
  }

  #onWorker(id: string, { what, name, message }: WorkerNews): void {
    const { store, log } = this.#options;
    const cluster = this.#cluster(id);
    if (!cluster || !isLive(cluster) || cluster.state.kind === 'stopping') return;
    log.warn(`cluster ${cluster.name}: ${message}`);
    if (what === 'restarted') {
      if (name !== undefined) store.dispatch({ type: 'cluster.restarted', id, worker: name });
      return;
    }
    const worker = name === undefined ? {} : { worker: name };
    const incident = { ...worker, message, atMs: Date.now(), restarted: false };
    store.dispatch({ type: 'cluster.incident', id, incident });
  }

  #onMembers(id: string, members: readonly ClusterMember[], access: MemberAccess): void {
    const entry = this.#entries.get(id);
    const cluster = this.#cluster(id);
    if (!entry || !cluster || !isLive(cluster) || cluster.state.kind === 'stopping') return;
    entry.members = access;
    const named = withWorkerNames(members, cluster.members ?? [], cluster.info?.workers ?? []);
    this.#options.store.dispatch({ type: 'cluster.members', id, members: named });
    const before = new Map(cluster.members?.map((member) => [member.id, member]));
    for (const member of named) {
      const { leaving, kind, workers } = member;
      const known = before.get(member.id);
      // Of one that was going already when it was first seen nobody knows when.
      if (leaving === undefined || !known || known.leaving !== undefined) continue;
      const what = kind ?? 'container';
      const message = `the ${what} of ${memberLabel(member)} has gone: ${leaving}`;
      this.#onWorker(id, { what: 'died', ...(workers[0] !== undefined && { name: workers[0] }), message });
    }
  }

  #onScaling(id: string, { scaling, step }: ScalingNews): void {
    const { store, log } = this.#options;
    const cluster = this.#cluster(id);
    if (!cluster || !isLive(cluster) || cluster.state.kind === 'stopping') return;
    store.dispatch({ type: 'cluster.scaling', id, scaling });
    if (!step) return;
    const message = stepText(scaling, step);
    log.info(`cluster ${cluster.name}: ${message}`);
    store.dispatch({ type: 'cluster.scaled', id, event: { message, atMs: Date.now() } });
  }

  #onInfo(id: string, info: SchedulerInfo): void {
    const { state, members = [] } = this.#cluster(id) ?? {};
    if (state?.kind !== 'running' && state?.kind !== 'lost') return;
    const { store } = this.#options;
    if (state.kind === 'lost') this.#answers(id, state.address, state.dashboard);
    const named = withWorkerNames(members, members, info.workers);
    // Before the workers are there: whose they are is known then.
    if (named !== members) store.dispatch({ type: 'cluster.members', id, members: named });
    store.dispatch({ type: 'cluster.info', id, info });
  }

  #answers(
    id: string,
    address: string,
    dashboard: string | null,
    start: { readonly startupMs?: number } = {},
  ): void {
    const state = { kind: 'running', sinceMs: Date.now(), address, dashboard, ...start } as const;
    this.#options.store.dispatch({ type: 'cluster.state', id, state });
  }

  /** @param attachedTo the address of a cluster that may be lost before it ever answered */
  #onLost(id: string, reason: string, attachedTo?: string): void {
    const state = this.#cluster(id)?.state;
    if (!state) return;
    const known = 'address' in state ? state : { address: attachedTo, dashboard: null };
    const { address, dashboard } = known;
    if (address === undefined) return;
    const sinceMs = state.kind === 'lost' ? state.sinceMs : Date.now();
    const lost = { kind: 'lost', sinceMs, address, dashboard, reason } as const;
    this.#options.store.dispatch({ type: 'cluster.state', id, state: lost });
  }

  #ended(id: string): void {
    const cluster = this.#cluster(id);
    if (!cluster) return;
    if (isLive(cluster)) {
      this.#options.store.dispatch({
        type: 'cluster.state',
        id,
        state: { kind: 'stopped', sinceMs: Date.now() },
      });
    }
    this.#forget(id);
  }

  #failed(id: string, failure: Failure, { keepRow = false } = {}): void {
    const cluster = this.#cluster(id);
    if (!cluster || !isLive(cluster)) return;
    this.#entries.get(id)?.watcher?.dispose();
    this.#options.store.dispatch({
      type: 'cluster.state',
      id,
      state: { kind: 'failed', sinceMs: Date.now(), failure },
    });
    if (cluster.lifetime === 'temporary' && !keepRow) this.#forget(id);
  }

  #forget(id: string): void {
    this.#entries.get(id)?.watcher?.dispose();
    this.#entries.get(id)?.memberWatch?.dispose();
    this.#entries.delete(id);
    this.#options.store.dispatch({ type: 'cluster.removed', id });
  }
}

/** Somebody else's cluster: closing it lets it go, and its end is not ours to know. */
function attachedHandle(address: string, security: Security | undefined): ClusterHandle {
  return {
    address,
    dashboard: null,
    ...(security && { security }),
    finished: new Promise(() => undefined),
    close: () => Promise.resolve(),
  };
}

/** What the user did is no failure: `ui/` shows no message for it. */
function cancelled(cause?: unknown): UserError {
  return new UserError('cancelled', 'The start was cancelled', { cause });
}
