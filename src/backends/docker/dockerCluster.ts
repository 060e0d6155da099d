import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

import type { BackendContext, ClusterExit, ClusterHandle, Keepsake } from '../../core/backend.ts';
import { type DockerExecutor, sizeOf } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import { memoryOf } from '../../core/executor.ts';
import { idleSeconds } from '../../core/imageExecutor.ts';
import { within } from '../../core/limit.ts';
import type { AdaptLimits } from '../../core/scaling.ts';
import type { Security } from '../../core/security.ts';
import { SchedulerClient } from '../../dask/scheduler.ts';
import { Lead } from '../../host/lead.ts';
import { startOf } from '../../host/windowLife.ts';
import { type ClusterMeans, Making } from '../clusterOptions.ts';
import { type FailedLine, MemberFailure } from '../memberFailure.ts';
import {
  dashboardPort,
  knownPackages,
  type MemberLine,
  memberFolder,
  relayPort,
  schedulerPort,
} from '../memberProtocol.ts';
import { PoolScaling } from '../poolScaling.ts';
import { Relay } from '../relay.ts';
import { TerminalOutput } from '../terminalOutput.ts';
import { type ContainerEnd, MemberContainer } from './container.ts';
import { Containers } from './containers.ts';
import type { EnginePlace } from './engine.ts';
import { endText, isOutOfNetworks } from './failures.ts';
import { memberTar } from './files.ts';
import { ensureImage, type ImageFacts, isForeign } from './image.ts';
import { type ClusterShape, label, schedulerSpec } from './members.ts';
import { MemberWatch } from './memberWatch.ts';
import type { Reach } from './reach.ts';
import { removeCluster } from './removal.ts';
import { DockerWorkers } from './workers.ts';

/** What a window keeps of a static cluster for later ones. */
export interface Kept {
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

/** What this window knows of its own clusters, by the label. */
export interface Books {
  /** They are used here. */
  readonly held: Set<string>;
  /** Their end failed: something may be left of them. */
  readonly givenUp: Set<string>;
}

export interface DockerMeans extends ClusterMeans<DockerExecutor> {
  readonly engine: Docker;
  readonly place: EnginePlace;
  readonly reach: Reach;
  readonly books: Books;
  /** Settles when what dead windows have left is removed. */
  readonly sweep: Promise<void>;
}

/** From the start of its container. */
const listenTimeoutMs = 60_000;
/** From what a member says of its failure to the last that it prints. */
const lastLinesMs = 2_000;
const callTimeoutMs = 120_000;
/** A network may be away for so long. */
const usualHoldSeconds = 60;
/** For an engine to remove all of a cluster; containers take a second. */
export const removeTimeoutMs = 30_000;
const printedBefore = 200;
export const slow = ({ host }: EnginePlace) =>
  new UserError(
    'timeout',
    `The Docker engine at ${host} did not do its part within ${removeTimeoutMs / 1000} s`,
    { hint: 'Look whether it still works; what is left is removed at the next start.' },
  );

/** One cluster in containers, from its start to its end. */
export class DockerCluster {
  /** Undefined until it has been looked at. */
  image: ImageFacts | undefined;
  readonly #id: string;
  readonly #engine: Docker;
  readonly #place: EnginePlace;
  readonly #executor: DockerExecutor;
  readonly #context: BackendContext;
  readonly #means: DockerMeans;
  /** Of several windows that use it. */
  readonly #lead: Lead;
  /** Of this window, as a label. */
  #windowStarted = '';
  /** Ends what goes on while it lives: adaptive scaling, restarts. */
  readonly #life = new AbortController();
  readonly #exit = Promise.withResolvers<ClusterExit>();
  readonly #output: TerminalOutput;
  #scheduler: MemberContainer | undefined;
  #workers: DockerWorkers | undefined;
  #client: SchedulerClient | undefined;
  #relay: Relay | undefined;
  #scaling: PoolScaling | undefined;
  #hasLed = false;
  #closing: Promise<void> | undefined;
  /** Created or about to be. */
  readonly #making = new Making();

  constructor(means: DockerMeans) {
    const { id, engine, place, executor, context } = means;
    this.#id = id;
    this.#lead = new Lead(id);
    this.#engine = engine;
    this.#place = place;
    this.#executor = executor;
    this.#context = context;
    this.#means = means;
    means.books.held.add(id);
    this.#output = new TerminalOutput(context.inherit.output);
    context.signal.addEventListener('abort', () => this.#life.abort(context.signal.reason), { once: true });
    this.#life.signal.addEventListener('abort', () => void means.reach.close(), { once: true });
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
      this.#making.add(this.#createNetwork()),
    ]);
    this.image = image;
    const size = sizeOf(this.#executor, cores);
    const shape = this.#shape(size.threads, image.entrypoint);
    const files = await memberTar(this.#means.pythonFolder, certificates.members);
    stage('creating containers');
    const workers = this.#makeWorkers(shape, files);
    const names = workers.grow(size.workers);
    // All at once: workers wait for the scheduler by themselves, and Python's imports are the longest part. Only the
    // network is the scheduler's, which has to run before they start.
    const creating = names.map(async (name) => [name, await workers.create(name)] as const);
    for (const one of creating) void this.#making.add(one);
    const scheduler = await this.#making.add(
      MemberContainer.create(engine, schedulerSpec(shape), files, signal),
    );
    this.#scheduler = scheduler;
    if (this.#executor.network) await scheduler.join(engine, this.#executor.network);
    const listening = this.#listening(scheduler);
    listening.catch(() => undefined); // it is awaited after others that may fail first
    const started = this.#making.add(scheduler.start());
    stage('starting scheduler and workers');
    const starting = creating.map(async (made) => {
      const [name, container] = await made;
      await started;
      if (container) await workers.start(name, container);
    });
    for (const one of starting) void this.#making.add(one);
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
    return this.#join(scheduler, { ...kept, ...(limits && { limits }) }, workers, size.workers);
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
    return this.#join(scheduler, kept, workers, here);
  }

  /** What comes once its members run. */
  async #join(
    scheduler: MemberContainer,
    kept: Kept,
    pool: DockerWorkers,
    workers: number,
  ): Promise<ClusterHandle> {
    const { security, dashboard, limits } = kept;
    const { reach } = this.#means;
    await reach.join(this.#id);
    const ports = [schedulerPort, dashboardPort, relayPort];
    const [address = '', url = '', hub = ''] = await reach.of(scheduler, this.#id, ports);
    this.#life.signal.throwIfAborted();
    const [host = '', port] = hub.split(':');
    const relay = new Relay({ host, port: Number(port), security });
    this.#relay = relay;
    if (this.#isHeldByHub) relay.hold();
    const client = new SchedulerClient(`tls://${address}`, { security, timeoutMs: callTimeoutMs });
    this.#client = client;
    // Its own connection shows that the scheduler is reached; what it has, its member has said.
    await client.versions({ signal: this.#life.signal });
    void scheduler.ended.then((end) => this.#schedulerEnded(end));
    this.#hasLed = !this.#isStatic || (await this.#lead.isMine());
    const scaling = new PoolScaling({
      ...{ client, pool, signal: this.#life.signal, leads: () => this.#leads() },
      onScaling: (news) => this.#context.scaling(news),
    });
    this.#scaling = scaling;
    if (limits) scaling.adapt(limits);
    return {
      ...{ address: `tls://${address}`, security, finished: this.#exit.promise },
      dashboard: dashboard ? `http://${url}/status` : null,
      workers: limits ? Math.min(workers, limits.minimum ?? 0) : workers,
      ...knownPackages(kept.packages),
      ...(kept.notes && { notes: kept.notes }),
      ...scaling.controls(() => this.#takeLead()),
      reach: (to) => relay.offer(to),
      close: () => this.close(),
      ...(this.#isStatic && { keepsake: () => this.#keepsake(kept), leave: () => this.leave() }),
    };
  }

  #makeWorkers(shape: ClusterShape, files: Buffer): DockerWorkers {
    const watch = this.#watch(shape);
    const workers = new DockerWorkers({
      ...{ engine: this.#engine, shape, files, signal: this.#life.signal, watch },
      onPrint: (text) => this.#output.write(text),
      onNews: (news) => this.#context.worker(news),
      onRetired: (worker, from) => this.#scaling?.retired(worker, from),
      leads: async () => !this.#isStatic || (await this.#lead.isMine()),
    });
    this.#workers = workers;
    return workers;
  }

  get #isStatic(): boolean {
    return this.#context.lifetime === 'static';
  }

  /** Where a connection may break, its end is not that of the window: the cluster waits for a while. */
  get #isHeldByHub(): boolean {
    return this.#means.reach.isShaky && !this.#isStatic;
  }

  /** Before this window changes it: the others follow, and what they have changed is known here. */
  async #takeLead(): Promise<void> {
    if (!this.#isStatic) return;
    await this.#lead.take();
    await this.#workers?.takeUp();
    this.#hasLed = true;
  }

  #keepsake(kept: Kept): Keepsake {
    const { limits: _before, ...rest } = kept;
    const limits = this.#scaling?.limits;
    return { kind: 'docker', id: this.#id, secret: JSON.stringify({ ...rest, ...(limits && { limits }) }) };
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
    await this.#making.settled();
    const known = [this.#scheduler?.remove(), this.#workers?.remove(this.#workers.plan)];
    await Promise.allSettled(known);
    await removeCluster(this.#engine, this.#id);
    await this.#means.reach.close();
    if (this.#isStatic) await this.#lead.forget();
    this.#exit.resolve({ how: 'closed' });
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
    const held = !this.#isStatic && !this.#isHeldByHub;
    return {
      ...{ id: this.#id, executor, labels: this.#labels, threads, entrypoint, held },
      holdSeconds: this.#isHeldByHub ? (this.#means.holdSeconds ?? usualHoldSeconds) : undefined,
      env,
      memoryBytes: memoryOf(executor.memory_limit),
      idleTimeoutSeconds: this.#isStatic ? idleSeconds(executor) : undefined,
    };
  }

  /** Resolves when the scheduler says that it listens; rejects with what it says, or how it ended. */
  async #listening(scheduler: MemberContainer): Promise<Extract<MemberLine, { event: 'listening' }>> {
    const signal = this.#life.signal;
    const told = new Promise<Extract<MemberLine, { event: 'listening' }>>((resolve, reject) => {
      // What it prints of it comes right after.
      let failing = false;
      const fail = async (line: FailedLine) => {
        failing = true;
        await Promise.race([scheduler.ended, sleep(lastLinesMs, undefined, { signal })]).catch(
          () => undefined,
        );
        reject(new MemberFailure(line, scheduler.lastLines));
      };
      scheduler.onPrint = (text) => this.#output.write(text);
      scheduler.onLine = (line) => {
        if (line.event === 'listening') resolve(line);
        else void fail(line);
      };
      // One that has said why it fails is told of by that.
      void scheduler.ended.then((end) => {
        const how = `The scheduler's container ended: ${endText(end)}`;
        if (!failing) reject(new MemberFailure(how, end.lastLines));
      });
    });
    told.catch(() => undefined);
    const late = sleep(listenTimeoutMs, undefined, { signal }).then(() => {
      throw new UserError('timeout', `The scheduler did not listen within ${listenTimeoutMs / 1000} s`);
    });
    late.catch(() => undefined);
    return Promise.race([told, late]);
  }

  /** Whether this window, of several that use it, sees to it. What the one before has changed is known here then. */
  async #leads(): Promise<boolean> {
    const leads = !this.#isStatic || (await this.#lead.isMine());
    if (leads && !this.#hasLed)
      await this.#workers?.takeUp().catch((error: Error) => this.#means.log.warn(error.message));
    this.#hasLed = leads;
    return leads;
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

const emulated = (name: string, { architecture, engineArchitecture }: ImageFacts) =>
  `The image ${name} is for ${architecture} and is emulated on ${engineArchitecture}, which is slow.`;
