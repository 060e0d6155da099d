import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

import type {
  Backend,
  BackendContext,
  ClusterExit,
  ClusterHandle,
  Inheritance,
  Keepsake,
} from '../../core/backend.ts';
import { type DockerExecutor, idleSeconds, sizeOf } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import { memoryOf } from '../../core/executor.ts';
import { within } from '../../core/limit.ts';
import type { Logger } from '../../core/log.ts';
import type { AdaptLimits, ScaleStep } from '../../core/scaling.ts';
import type { Security } from '../../core/security.ts';
import { SchedulerClient } from '../../dask/scheduler.ts';
import { Lead } from '../../host/lead.ts';
import { startOf } from '../../host/windowLife.ts';
import { adapt } from '../adaptive.ts';
import { Relay } from '../relay.ts';
import { type ContainerEnd, MemberContainer } from './container.ts';
import { Containers } from './containers.ts';
import { type EngineChoice, type EnginePlace, findEngine, openEngine } from './engine.ts';
import { endText, isOutOfNetworks, MemberFailure, startError } from './failures.ts';
import { memberFiles } from './files.ts';
import { ensureImage, type ImageFacts, isForeign } from './image.ts';
import {
  type ClusterShape,
  dashboardPort,
  label,
  type MemberLine,
  memberFolder,
  relayPort,
  schedulerPort,
  schedulerSpec,
} from './members.ts';
import { MemberWatch } from './memberWatch.ts';
import { findReach, type Reach } from './reach.ts';
import { findLeftovers, type Leftover, removeCluster, removeOrphans } from './removal.ts';
import { withRunImage } from './runImage.ts';
import { DockerWorkers } from './workers.ts';

export interface DockerBackendOptions {
  /** Folder of our Python helpers. */
  readonly pythonFolder: string;
  /** Who starts it: becomes labels. */
  readonly owner: { readonly machine: string; readonly pid: number };
  readonly log: Logger;
  /** Docker is used in this installation from now on. */
  onUse?(): void;
  /** Names a cluster, as a prefix of all that is made for it; tests bring their own. */
  newId?(): string;
}

/** What an engine has of clusters without a window. */
export interface EngineLeftovers {
  readonly place: EnginePlace;
  readonly leftovers: readonly Leftover[];
}

/** What a window keeps of a static cluster for later ones. */
interface Kept {
  /** Of the engine: what is its default may change. */
  readonly host: string;
  readonly executor: DockerExecutor;
  readonly threads: number;
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly dashboard: boolean;
  /** Of its members; null: their image has it not. */
  readonly packages: Readonly<Record<string, string | null>>;
  readonly notes?: readonly string[];
  readonly security: Security;
  /** Absent: a fixed number. */
  readonly limits?: AdaptLimits;
}

/** From the start of its container. */
const listenTimeoutMs = 60_000;
/** From what a member says of its failure to the last that it prints. */
const lastLinesMs = 2_000;
const callTimeoutMs = 120_000;
/** For an engine to remove all of a cluster; containers take a second. */
const removeTimeoutMs = 30_000;
const printedBefore = 200;
const newClusterId = () => `flow-clusters-${randomBytes(4).toString('hex')}`;
const leadLookMs = 5_000;

/** Clusters in containers of a Docker engine: a network, a scheduler and a container for each worker. */
export class DockerBackend implements Backend<DockerExecutor> {
  readonly #options: DockerBackendOptions;
  readonly #books: Books = { held: new Set(), givenUp: new Set() };

  constructor(options: DockerBackendOptions) {
    this.#options = options;
  }

  async start(executor: DockerExecutor, context: BackendContext): Promise<ClusterHandle> {
    const { signal, stage } = context;
    signal.throwIfAborted();
    stage('connecting to Docker');
    const place = await findEngine(executor);
    const engine = await openEngine(place, signal);
    const own = await withRunImage(executor, { engine, env: context.inherit.env ?? {}, signal });
    const reach = await findReach(engine, place);
    this.#options.onUse?.();
    const sweep = this.#sweep(engine, place);
    sweep.catch(() => undefined); // it is told in the log
    const id = (this.#options.newId ?? newClusterId)();
    const means = { ...{ engine, place, reach, executor: own, context, sweep, id }, books: this.#books };
    const cluster = new DockerCluster({ ...means, ...this.#options });
    try {
      return await cluster.start();
    } catch (error) {
      const isGone = await cluster.close().then(
        () => false,
        (left: Error) => {
          this.#options.log.warn(`${left.message}: what is left is removed at the next start`);
          return true;
        },
      );
      signal.throwIfAborted();
      throw startError(error, own, place, { isGone, image: cluster.image });
    }
  }

  /** Takes up a static cluster that an earlier window, or another one, has started. */
  async adopt({ id, secret }: Keepsake, context: BackendContext): Promise<ClusterHandle | undefined> {
    const { signal } = context;
    const kept = JSON.parse(secret) as Kept;
    const { executor } = kept;
    const now = await findEngine(executor);
    const place = now.host === kept.host ? now : { host: kept.host, by: 'an earlier window' };
    const engine = await openEngine(place, signal);
    const reach = await findReach(engine, place);
    const means = { ...{ engine, place, reach, executor, context, id }, books: this.#books };
    const cluster = new DockerCluster({ ...means, ...this.#options, sweep: Promise.resolve() });
    try {
      return await cluster.adopt(kept);
    } catch (error) {
      cluster.leave();
      signal.throwIfAborted();
      throw startError(error, executor, place);
    }
  }

  /**
   * What windows that are gone have left at the engines of some executors, each engine once. One that does not answer is
   * told with the reason.
   */
  async leftovers(
    choices: readonly EngineChoice[],
    signal?: AbortSignal,
  ): Promise<{ readonly found: readonly EngineLeftovers[]; readonly unreachable: readonly UserError[] }> {
    const places = new Map<string, EnginePlace>();
    const unreachable: UserError[] = [];
    const note = (error: unknown) => {
      signal?.throwIfAborted();
      if (!(error instanceof UserError)) throw error;
      unreachable.push(error);
    };
    for (const choice of choices) {
      await findEngine(choice).then((place) => places.set(place.host, place), note);
    }
    const looks = [...places.values()].map(async (place) => {
      try {
        const engine = await openEngine(place, signal);
        const looking = findLeftovers(engine, this.#owners);
        return [{ place, leftovers: await within(looking, removeTimeoutMs, () => slow(place)) }];
      } catch (error) {
        note(error);
        return [];
      }
    });
    return { found: (await Promise.all(looks)).flat(), unreachable };
  }

  /** Removes one of {@link leftovers}. */
  async removeLeftover(place: EnginePlace, { cluster }: Leftover, signal?: AbortSignal): Promise<void> {
    const engine = await openEngine(place, signal);
    await within(removeCluster(engine, cluster), removeTimeoutMs, () => slow(place));
    await new Lead(cluster).forget();
    this.#books.givenUp.delete(cluster);
  }

  /** Removes what windows that are gone have left at the engines of some executors; never rejects. */
  async sweep(choices: readonly EngineChoice[]): Promise<void> {
    const { found } = await this.leftovers(choices).catch((error: Error) => {
      this.#options.log.warn(`leftovers in Docker were not looked for: ${error.message}`);
      return { found: [] };
    });
    for (const { place } of found) {
      await openEngine(place).then(
        (engine) => this.#sweep(engine, place).catch(() => undefined), // it is told in the log
        () => undefined, // it has gone since: the next start or window looks again
      );
    }
  }

  async #sweep(engine: Docker, place: EnginePlace): Promise<void> {
    const { log } = this.#options;
    try {
      const sweeping = removeOrphans(engine, this.#owners);
      for (const { cluster, name, containers } of await within(sweeping, removeTimeoutMs, () =>
        slow(place),
      )) {
        this.#books.givenUp.delete(cluster);
        await new Lead(cluster).forget();
        log.info(`removed what was left of ${name} (${cluster}, containers: ${containers})`);
      }
    } catch (error) {
      log.warn(`leftovers at ${place.host} were not removed: ${(error as Error).message}`);
      throw error;
    }
  }

  get #owners() {
    return { machine: this.#options.owner.machine, ...this.#books };
  }
}

/** What this window knows of its own clusters, by the label. */
interface Books {
  /** They are used here. */
  readonly held: Set<string>;
  /** Their end failed: something may be left of them. */
  readonly givenUp: Set<string>;
}

interface Means extends DockerBackendOptions {
  readonly id: string;
  readonly engine: Docker;
  readonly place: EnginePlace;
  readonly reach: Reach;
  readonly executor: DockerExecutor;
  readonly context: BackendContext;
  readonly books: Books;
  /** Settles when what dead windows have left is removed. */
  readonly sweep: Promise<void>;
}

const slow = ({ host }: EnginePlace) =>
  new UserError(
    'timeout',
    `The Docker engine at ${host} did not do its part within ${removeTimeoutMs / 1000} s`,
    { hint: 'Look whether it still works; what is left is removed at the next start.' },
  );

class DockerCluster {
  /** Undefined until it has been looked at. */
  image: ImageFacts | undefined;
  readonly #id: string;
  readonly #engine: Docker;
  readonly #place: EnginePlace;
  readonly #executor: DockerExecutor;
  readonly #context: BackendContext;
  readonly #means: Means;
  /** Of several windows that use it. */
  readonly #lead: Lead;
  /** Of this window, as a label. */
  #windowStarted = '';
  /** For later windows, if it is static; its size is added. */
  #kept: Omit<Kept, 'limits'> | undefined;
  /** Ends what goes on while it lives: adaptive scaling, restarts. */
  readonly #life = new AbortController();
  readonly #exit = Promise.withResolvers<ClusterExit>();
  readonly #output: Output;
  #scheduler: MemberContainer | undefined;
  #workers: DockerWorkers | undefined;
  #client: SchedulerClient | undefined;
  #relay: Relay | undefined;
  readonly #relayed = new Set<number>();
  #adapting: AbortController | undefined;
  #limits: AdaptLimits | undefined;
  #closing: Promise<void> | undefined;
  /** Created or about to be; a close waits for them. */
  readonly #making = new Set<Promise<unknown>>();

  constructor(means: Means) {
    const { id, engine, place, executor, context } = means;
    this.#id = id;
    this.#lead = new Lead(id);
    this.#engine = engine;
    this.#place = place;
    this.#executor = executor;
    this.#context = context;
    this.#means = means;
    means.books.held.add(id);
    this.#output = new Output(context.inherit.output);
    context.signal.addEventListener('abort', () => this.#life.abort(context.signal.reason), { once: true });
  }

  async start(): Promise<ClusterHandle> {
    const { stage } = this.#context;
    const engine = this.#engine;
    const signal = this.#life.signal;
    const { makeCertificates } = await import('../certificateMaker.ts');
    this.#windowStarted = (await startOf(process.pid)) ?? '';
    if (this.#isStatic) await this.#lead.take();
    const [image, cores, certificates] = await Promise.all([
      ensureImage(engine, this.#executor, { signal, stage }),
      this.#cores(),
      makeCertificates(this.#id),
      this.#made(this.#createNetwork()),
    ]);
    this.image = image;
    const size = sizeOf(this.#executor, cores);
    const shape = this.#shape(size.threads, image.entrypoint);
    const files = await memberFiles(this.#means.pythonFolder, certificates.members);
    stage('creating containers');
    const workers = this.#makeWorkers(shape, files);
    const names = workers.grow(size.workers);
    // All at once: workers wait for the scheduler by themselves, and Python's imports are the longest part. Only the
    // network is the scheduler's, which has to run before they start.
    const creating = names.map(async (name) => [name, await workers.create(name)] as const);
    for (const one of creating) void this.#made(one);
    const scheduler = await this.#made(MemberContainer.create(engine, schedulerSpec(shape), files, signal));
    this.#scheduler = scheduler;
    if (this.#executor.network) await scheduler.join(engine, this.#executor.network);
    const listening = this.#listening(scheduler);
    listening.catch(() => undefined); // it is awaited after others that may fail first
    const started = this.#made(scheduler.start());
    stage('starting scheduler and workers');
    const starting = creating.map(async (made) => {
      const [name, container] = await made;
      await started;
      if (container) await workers.start(name, container);
    });
    for (const one of starting) void this.#made(one);
    await started;
    const { dashboard, packages } = await listening;
    await Promise.all(starting);
    const { env } = shape;
    const { threads } = size;
    const limits = this.#executor.adapt_kwargs;
    const kept = {
      ...{ host: this.#place.host, executor: this.#executor, threads, env, dashboard, packages },
      ...(isForeign(image) && { notes: [emulated(this.#executor.image, image)] }),
      ...{ entrypoint: image.entrypoint, security: certificates.client },
    };
    return this.#join(scheduler, { ...kept, ...(limits && { limits }) }, size.workers);
  }

  /** Takes up one that runs already; undefined if it does not, and then nothing of it is left. */
  async adopt(kept: Kept): Promise<ClusterHandle | undefined> {
    const engine = this.#engine;
    this.#windowStarted = (await startOf(process.pid)) ?? '';
    const filters = {
      label: [`${label.cluster}=${this.#id}`, `${label.role}=scheduler`],
      status: ['running', 'paused'],
    };
    const [found] = await within(engine.listContainers({ filters }), callTimeoutMs, () => slow(this.#place));
    if (!found) {
      await this.close();
      return undefined;
    }
    const scheduler = new MemberContainer(
      engine.getContainer(found.Id),
      found.Names[0]?.slice(1) ?? found.Id,
    );
    this.#scheduler = scheduler;
    scheduler.onPrint = (text) => this.#output.write(text);
    await scheduler.adopt({ tail: printedBefore });
    // Theirs are not kept: who may ask the engine may read them anyway.
    const files = await scheduler.files(memberFolder);
    const workers = this.#makeWorkers(this.#shape(kept.threads, kept.entrypoint, kept.env), files);
    const here = await workers.takeUp();
    // With another window that has it, that one sees to it.
    await this.#lead.isMine();
    return this.#join(scheduler, kept, here);
  }

  /** What comes once its members run. */
  async #join(scheduler: MemberContainer, kept: Kept, workers: number): Promise<ClusterHandle> {
    const { security, dashboard, limits } = kept;
    const { reach } = this.#means;
    await reach.join(this.#id);
    const ports = [schedulerPort, dashboardPort, relayPort];
    const reached = await Promise.all(ports.map((one) => reach.of(scheduler, this.#id, one)));
    const [address = '', url = '', hub = ''] = reached;
    const [host = '', port] = hub.split(':');
    this.#relay = new Relay({ host, port: Number(port), security });
    const client = new SchedulerClient(`tls://${address}`, { security, timeoutMs: callTimeoutMs });
    this.#client = client;
    // Its own connection shows that the scheduler is reached; what it has, its member has said.
    await client.versions({ signal: this.#life.signal });
    void scheduler.ended.then((end) => this.#schedulerEnded(end));
    if (this.#isStatic) this.#kept = kept;
    if (limits) void this.#adaptAsLead(limits);
    return this.#handle({
      ...{ address: `tls://${address}`, security },
      dashboard: dashboard ? `http://${url}/status` : null,
      workers: limits ? Math.min(workers, limits.minimum ?? 0) : workers,
      ...known(kept.packages),
      ...(kept.notes && { notes: kept.notes }),
    });
  }

  #makeWorkers(shape: ClusterShape, files: Buffer): DockerWorkers {
    const watch = this.#watch(shape);
    const workers = new DockerWorkers({
      ...{ engine: this.#engine, shape, files, signal: this.#life.signal, watch },
      onPrint: (text) => this.#output.write(text),
      onNews: (news) => this.#context.worker(news),
      onRetired: (worker, from) => this.#tell({ from, to: this.#planned, why: 'retired', worker }),
      leads: async () => !this.#isStatic || (await this.#lead.isMine()),
    });
    this.#workers = workers;
    return workers;
  }

  get #isStatic(): boolean {
    return this.#context.lifetime === 'static';
  }

  /** Before this window changes it: the others follow, and what they have changed is known here. */
  async #takeLead(): Promise<void> {
    if (!this.#isStatic) return;
    await this.#lead.take();
    await this.#workers?.takeUp();
  }

  #handle(facts: {
    readonly address: string;
    readonly security: Security;
    readonly dashboard: string | null;
    readonly workers: number;
    readonly versions: Readonly<Record<string, string>>;
    readonly missing: readonly string[];
    readonly notes?: readonly string[];
  }): ClusterHandle {
    return {
      ...facts,
      finished: this.#exit.promise,
      scale: (workers) => this.#scale(workers),
      adapt: async (limits) => {
        await this.#takeLead();
        const now = this.#planned;
        this.#adapt(limits);
        this.#tell({ from: now, to: now, why: 'asked' });
      },
      drop: async (name) => {
        await this.#takeLead();
        if (!this.#workers?.plan.has(name)) return; // it has left by itself, and that is told
        const from = this.#planned;
        await this.#workers.remove([name]);
        this.#tell({ from, to: this.#planned, why: 'retired', worker: name });
      },
      reach: async (port) => {
        this.#relay?.allow(port);
        // Workers have the scheduler's network, and so its loopback.
        if (!this.#relayed.has(port)) this.#scheduler?.tell({ relay: port });
        this.#relayed.add(port);
      },
      close: () => this.close(),
      ...(this.#kept && { keepsake: () => this.#keepsake(), leave: () => this.leave() }),
    };
  }

  #keepsake(): Keepsake {
    const limits = this.#limits;
    const kept = { ...this.#kept, ...{ limits } };
    return { id: this.#id, secret: JSON.stringify(kept) };
  }

  /** Lets it go on without this window. */
  leave(): void {
    this.#quit();
    this.#scheduler?.leave();
    this.#workers?.leave();
    void this.#lead.giveUp(); // this process may end before: then nobody takes it for the lead either
    this.#means.books.held.delete(this.#id);
    // It is over for this window.
    this.#closing ??= Promise.resolve();
  }

  #quit(): void {
    this.#life.abort();
    this.#output.end();
    this.#adapting?.abort();
    this.#client?.close();
    this.#relay?.close();
  }

  /** Ends and removes everything; resolves when nothing is left. Also while it starts, and twice. */
  close(): Promise<void> {
    this.#closing ??= within(this.#close(), removeTimeoutMs, () => slow(this.#place)).then(
      () => void this.#means.books.held.delete(this.#id),
      (error: unknown) => {
        const { held, givenUp } = this.#means.books;
        held.delete(this.#id);
        givenUp.add(this.#id);
        throw error;
      },
    );
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#quit();
    // Other windows hear from the note that this is no accident.
    if (this.#isStatic) await this.#lead.take();
    // What is being created now is known only when the engine has answered.
    await Promise.allSettled([...this.#making]);
    const known = [this.#scheduler?.remove(), this.#workers?.remove(this.#workers.plan)];
    await Promise.allSettled(known);
    await removeCluster(this.#engine, this.#id);
    if (this.#isStatic) await this.#lead.forget();
    this.#exit.resolve({ how: 'closed' });
  }

  #made<T>(promise: Promise<T>): Promise<T> {
    this.#making.add(promise);
    const done = () => void this.#making.delete(promise);
    promise.then(done, done);
    return promise;
  }

  /** Of the engine's machine, if the size of the cluster depends on it: the question takes a tenth of a second. */
  async #cores(): Promise<number> {
    const { n_workers, threads_per_worker } = this.#executor;
    if (n_workers !== undefined && threads_per_worker !== undefined) return 1;
    const { NCPU } = (await this.#engine.info()) as { NCPU?: number };
    return NCPU ?? 1;
  }

  async #createNetwork(): Promise<void> {
    const network = { Name: this.#id, Driver: 'bridge', Labels: this.#labels, CheckDuplicate: true };
    try {
      await this.#engine.createNetwork(network);
    } catch (error) {
      if (!isOutOfNetworks(error)) throw error;
      // Those of dead windows may be all that is missing.
      await this.#means.sweep.catch(() => undefined);
      this.#life.signal.throwIfAborted();
      await this.#engine.createNetwork(network);
    }
  }

  /** Tells of its containers from here on. */
  #watch({ memoryBytes }: ClusterShape): MemberWatch {
    const access = new Containers(this.#engine);
    const watch = new MemberWatch({
      ...{ engine: this.#engine, cluster: this.#id, memoryBytes, signal: this.#life.signal },
      onMembers: (members) => this.#context.members?.(members, access),
      onNews: (news) => this.#context.worker(news),
    });
    void watch.run();
    return watch;
  }

  get #labels(): Readonly<Record<string, string>> {
    const { owner } = this.#means;
    return {
      [label.cluster]: this.#id,
      [label.name]: this.#executor.name,
      [label.owner]: owner.machine,
      [label.window]: String(owner.pid),
      ...(this.#windowStarted && { [label.windowStarted]: this.#windowStarted }),
      [label.lifetime]: this.#context.lifetime,
      [label.created]: new Date().toISOString(),
    };
  }

  #shape(
    threads: number,
    entrypoint: readonly string[],
    env = this.#context.inherit.env ?? {},
  ): ClusterShape {
    const executor = this.#executor;
    const held = this.#context.lifetime === 'temporary';
    return {
      ...{ id: this.#id, executor, labels: this.#labels, threads, entrypoint, held },
      env,
      memoryBytes: memoryOf(executor.memory_limit),
      idleTimeoutSeconds: held ? undefined : idleSeconds(executor),
    };
  }

  /** Resolves when the scheduler says that it listens; rejects with what it says, or how it ended. */
  async #listening(scheduler: MemberContainer): Promise<Extract<MemberLine, { event: 'listening' }>> {
    const signal = this.#life.signal;
    const told = new Promise<Extract<MemberLine, { event: 'listening' }>>((resolve, reject) => {
      // What it prints of it comes right after.
      let failing = false;
      const fail = async (line: Extract<MemberLine, { event: 'failed' }>) => {
        failing = true;
        await Promise.race([scheduler.ended, sleep(lastLinesMs, undefined, { signal })]).catch(
          () => undefined,
        );
        reject(new MemberFailure(line, undefined, scheduler.lastLines));
      };
      scheduler.onPrint = (text) => this.#output.write(text);
      scheduler.onLine = (line) => {
        if (line.event === 'listening') resolve(line);
        else void fail(line);
      };
      // One that has said why it fails is told of by that.
      void scheduler.ended.then((end) => failing || reject(new MemberFailure(undefined, end)));
    });
    told.catch(() => undefined);
    const late = sleep(listenTimeoutMs, undefined, { signal }).then(() => {
      throw new UserError('timeout', `The scheduler did not listen within ${listenTimeoutMs / 1000} s`);
    });
    late.catch(() => undefined);
    return Promise.race([told, late]);
  }

  get #planned(): number {
    return this.#workers?.plan.size ?? 0;
  }

  async #scale(workers: number): Promise<void> {
    await this.#takeLead();
    this.#adapting?.abort();
    this.#limits = undefined;
    const from = this.#planned;
    if (workers > from) await this.#workers?.scaleUp(workers);
    else if (workers < from) await this.#shrink(from - workers);
    this.#tell({ from, to: this.#planned, why: 'asked' });
  }

  /** Those that have not come go first; the others hand their results on before they end. */
  async #shrink(count: number): Promise<void> {
    const client = this.#client;
    if (!client || !this.#workers) return;
    const { workers } = await client.identity();
    const here = new Map(workers.map(({ name, address }) => [address, name]));
    const known = new Set(here.values());
    const coming = [...this.#workers.plan].filter((name) => !known.has(name)).slice(-count);
    const rest = count - coming.length;
    const addresses = rest > 0 ? await client.workersToClose({ count: rest }) : [];
    // Without any worker left there is nowhere to hand anything on to.
    const all = addresses.length >= here.size;
    const namesOf = (some: readonly string[]) => some.flatMap((address) => here.get(address) ?? []);
    let kept: readonly string[] = [];
    await this.#workers.retire(namesOf(addresses), async () => {
      const outcome = all ? { retired: addresses, kept: [] } : await client.retireWorkers(addresses);
      kept = outcome.kept;
      return [...coming, ...namesOf(outcome.retired)];
    });
    if (kept.length === 0) return;
    const names = namesOf(kept).join(', ');
    throw new UserError(
      'worker-kept',
      `Worker ${names} holds what can't be moved to another worker, and stays`,
    );
  }

  /** As soon as no other window sees to it. */
  async #adaptAsLead(limits: AdaptLimits): Promise<void> {
    if (this.#isStatic) {
      this.#limits = limits;
      const waiting = new AbortController();
      this.#adapting = waiting;
      const signal = AbortSignal.any([this.#life.signal, waiting.signal]);
      while (!(await this.#lead.isMine())) {
        await sleep(leadLookMs, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
      }
      await this.#workers?.takeUp().catch((error: Error) => this.#means.log.warn(error.message));
      if (signal.aborted) return;
    }
    this.#adapt(limits);
  }

  /** Whether this window still sees to it; another has taken it over by changing it, and adapts it or not. */
  async #mayAdapt(): Promise<boolean> {
    if (!this.#isStatic || (await this.#lead.isMine())) return true;
    this.#adapting?.abort();
    return false;
  }

  #adapt(limits: AdaptLimits): void {
    const client = this.#client;
    const workers = this.#workers;
    if (!client || !workers) return;
    this.#adapting?.abort();
    this.#adapting = new AbortController();
    this.#limits = limits;
    void adapt({
      ...{ client, limits, signal: AbortSignal.any([this.#life.signal, this.#adapting.signal]) },
      pool: {
        get plan() {
          return workers.plan;
        },
        scaleUp: async (count) => {
          if (await this.#mayAdapt()) await workers.scaleUp(count);
        },
        scaleDown: async (names) => {
          if (!(await this.#mayAdapt())) return;
          const { workers: here } = await client.identity();
          const addresses = here.filter(({ name }) => names.includes(name)).map(({ address }) => address);
          await workers.retire(names, async () => {
            const { kept } = await client.retireWorkers(addresses);
            const stay = here.filter(({ address }) => kept.includes(address)).map(({ name }) => name);
            return names.filter((name) => !stay.includes(name));
          });
        },
      },
      onStep: (step) => this.#tell(step),
    });
    this.#tell();
  }

  #tell(step?: ScaleStep): void {
    const scaling = { workers: step?.to ?? this.#planned, ...(this.#limits && { adaptive: this.#limits }) };
    this.#context.scaling({ scaling, ...(step && { step }) });
  }

  async #schedulerEnded(end: ContainerEnd): Promise<void> {
    if (this.#closing !== undefined) return;
    if (this.#isStatic && (end.exitCode === 0 || !(await this.#lead.isMine()))) {
      // It has idled out, or another window has stopped it.
      await this.#closeUnasked();
      return;
    }
    const message = `The scheduler's container ended: ${endText(end)}`;
    const detail = end.lastLines.join('\n');
    this.#exit.resolve({ how: 'died', message, ...(detail && { detail }) });
    await this.#closeUnasked();
  }

  async #closeUnasked(): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      // The engine may have gone with it.
      this.#means.log.warn(`${(error as Error).message}: what is left is removed at the next start`);
    }
  }
}

/** What a member has said of its packages, as a handle has it. */
function known(packages: Readonly<Record<string, string | null>>): {
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
} {
  const versions: Record<string, string> = {};
  const missing = [];
  for (const [name, version] of Object.entries(packages)) {
    if (version === null) missing.push(name);
    else versions[name] = version;
  }
  return { versions, missing };
}

const emulated = (name: string, { architecture, engineArchitecture }: ImageFacts) =>
  `The image ${name} is for ${architecture} and is emulated on ${engineArchitecture}, which is slow.`;

/** Where members print: a socket of the run's terminal, or nowhere. */
class Output {
  readonly #socket: ReturnType<typeof connect> | undefined;

  constructor(output: Inheritance['output']) {
    if (!output) return;
    this.#socket = connect(output.port, '127.0.0.1');
    // The run has ended before its cluster.
    this.#socket.on('error', () => undefined);
    this.#socket.write(`${output.token} output\n`);
  }

  write(text: string): void {
    this.#socket?.write(text);
  }

  end(): void {
    this.#socket?.end();
  }
}
