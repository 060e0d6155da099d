import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';

import type { Backend, BackendContext, ClusterExit, ClusterHandle, Inheritance } from '../../core/backend.ts';
import { type DockerExecutor, sizeOf } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import { memoryOf } from '../../core/executor.ts';
import type { AdaptLimits, ScaleStep } from '../../core/scaling.ts';
import type { Security } from '../../core/security.ts';
import { SchedulerClient } from '../../dask/scheduler.ts';
import { adapt } from '../adaptive.ts';
import { Relay } from '../relay.ts';
import { type ContainerEnd, MemberContainer } from './container.ts';
import { type EnginePlace, findEngine, isLocal, openEngine } from './engine.ts';
import { endText, MemberFailure, startError } from './failures.ts';
import { memberFiles } from './files.ts';
import { ensureImage } from './image.ts';
import {
  type ClusterShape,
  dashboardPort,
  label,
  type MemberLine,
  relayPort,
  schedulerPort,
  schedulerSpec,
} from './members.ts';
import { removeCluster } from './removal.ts';
import { DockerWorkers } from './workers.ts';

export interface DockerBackendOptions {
  /** Folder of our Python helpers. */
  readonly pythonFolder: string;
  /** Who starts it: becomes labels. */
  readonly owner: { readonly machine: string; readonly pid: number };
}

/** From the start of its container. */
const listenTimeoutMs = 60_000;
const callTimeoutMs = 120_000;
const hourSeconds = 3600;

/** Clusters in containers of a Docker engine: a network, a scheduler and a container for each worker. */
export class DockerBackend implements Backend<DockerExecutor> {
  readonly #options: DockerBackendOptions;

  constructor(options: DockerBackendOptions) {
    this.#options = options;
  }

  async start(executor: DockerExecutor, context: BackendContext): Promise<ClusterHandle> {
    const { signal, stage } = context;
    signal.throwIfAborted();
    stage('connecting to Docker');
    const place = await findEngine(executor);
    const engine = await openEngine(place, signal);
    const cluster = new DockerCluster(engine, place, executor, context, this.#options);
    try {
      return await cluster.start();
    } catch (error) {
      await cluster.close();
      signal.throwIfAborted();
      throw startError(error, executor, place);
    }
  }
}

class DockerCluster {
  readonly #id = `flow-clusters-${randomBytes(4).toString('hex')}`;
  readonly #engine: Docker;
  readonly #place: EnginePlace;
  readonly #executor: DockerExecutor;
  readonly #context: BackendContext;
  readonly #options: DockerBackendOptions;
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

  constructor(
    engine: Docker,
    place: EnginePlace,
    executor: DockerExecutor,
    context: BackendContext,
    options: DockerBackendOptions,
  ) {
    this.#engine = engine;
    this.#place = place;
    this.#executor = executor;
    this.#context = context;
    this.#options = options;
    this.#output = new Output(context.inherit.output);
    context.signal.addEventListener('abort', () => this.#life.abort(context.signal.reason), { once: true });
  }

  async start(): Promise<ClusterHandle> {
    const { stage } = this.#context;
    const engine = this.#engine;
    const signal = this.#life.signal;
    const { makeCertificates } = await import('../certificateMaker.ts');
    const [image, cores, certificates] = await Promise.all([
      ensureImage(engine, this.#executor, { signal, stage }),
      this.#cores(),
      makeCertificates(this.#id),
      this.#made(this.#createNetwork()),
    ]);
    const size = sizeOf(this.#executor, cores);
    const shape = this.#shape(size.threads, image.entrypoint);
    const files = await memberFiles(this.#options.pythonFolder, certificates.members);
    stage('creating containers');
    const workers = new DockerWorkers({
      ...{ engine, shape, files, signal },
      onPrint: (text) => this.#output.write(text),
      onNews: (news) => this.#context.worker(news),
    });
    this.#workers = workers;
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
    const [{ dashboard }, address, url, hub] = await Promise.all([
      listening,
      this.#published(scheduler, schedulerPort),
      this.#published(scheduler, dashboardPort),
      this.#published(scheduler, relayPort),
    ]);
    await Promise.all(starting);
    const security = certificates.client;
    const [host = '', port] = hub.split(':');
    this.#relay = new Relay({ host, port: Number(port), security });
    const client = new SchedulerClient(`tls://${address}`, { security, timeoutMs: callTimeoutMs });
    this.#client = client;
    const { packages, python } = await client.versions({ signal });
    void scheduler.ended.then((end) => this.#schedulerEnded(end));
    if (this.#executor.adapt_kwargs) this.#adapt(this.#executor.adapt_kwargs);
    return this.#handle({
      ...{ address: `tls://${address}`, security },
      dashboard: dashboard ? `http://${url}/status` : null,
      workers: this.#limits ? Math.min(size.workers, this.#limits.minimum ?? 0) : size.workers,
      versions: { ...packages, python },
    });
  }

  #handle(facts: {
    readonly address: string;
    readonly security: Security;
    readonly dashboard: string | null;
    readonly workers: number;
    readonly versions: Readonly<Record<string, string>>;
  }): ClusterHandle {
    return {
      ...facts,
      finished: this.#exit.promise,
      scale: (workers) => this.#scale(workers),
      adapt: async (limits) => {
        const now = this.#planned;
        this.#adapt(limits);
        this.#tell({ from: now, to: now, why: 'asked' });
      },
      drop: async (name) => {
        const from = this.#planned;
        await this.#workers?.remove([name]);
        this.#tell({ from, to: this.#planned, why: 'retired', worker: name });
      },
      reach: async (port) => {
        this.#relay?.allow(port);
        // Workers have the scheduler's network, and so its loopback.
        if (!this.#relayed.has(port)) this.#scheduler?.tell({ relay: port });
        this.#relayed.add(port);
      },
      close: () => this.close(),
    };
  }

  /** Ends and removes everything; resolves when nothing is left. Also while it starts, and twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#life.abort();
    this.#output.end();
    this.#adapting?.abort();
    this.#client?.close();
    this.#relay?.close();
    // What is being created now is known only when the engine has answered.
    await Promise.allSettled([...this.#making]);
    const known = [this.#scheduler?.remove(), this.#workers?.remove(this.#workers.plan)];
    await Promise.allSettled(known);
    await removeCluster(this.#engine, this.#id);
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
    await this.#engine.createNetwork(network);
  }

  get #labels(): Readonly<Record<string, string>> {
    const { owner } = this.#options;
    return {
      [label.cluster]: this.#id,
      [label.name]: this.#executor.name,
      [label.owner]: owner.machine,
      [label.window]: String(owner.pid),
      [label.lifetime]: this.#context.lifetime,
      [label.created]: new Date().toISOString(),
    };
  }

  #shape(threads: number, entrypoint: readonly string[]): ClusterShape {
    const executor = this.#executor;
    const held = this.#context.lifetime === 'temporary';
    return {
      ...{ id: this.#id, executor, labels: this.#labels, threads, entrypoint, held },
      env: this.#context.inherit.env ?? {},
      memoryBytes: memoryOf(executor.memory_limit),
      idleTimeoutSeconds: held ? undefined : (executor.idle_timeout ?? hourSeconds),
    };
  }

  /** Resolves when the scheduler says that it listens; rejects with what it says, or how it ended. */
  async #listening(scheduler: MemberContainer): Promise<Extract<MemberLine, { event: 'listening' }>> {
    const told = new Promise<Extract<MemberLine, { event: 'listening' }>>((resolve, reject) => {
      scheduler.onPrint = (text) => this.#output.write(text);
      scheduler.onLine = (line) => {
        if (line.event === 'listening') resolve(line);
        else reject(new MemberFailure(line));
      };
      void scheduler.ended.then((end) => reject(new MemberFailure(undefined, end)));
    });
    told.catch(() => undefined);
    const signal = this.#life.signal;
    const late = sleep(listenTimeoutMs, undefined, { signal }).then(() => {
      throw new UserError('timeout', `The scheduler did not listen within ${listenTimeoutMs / 1000} s`);
    });
    late.catch(() => undefined);
    return Promise.race([told, late]);
  }

  /** `host:port` at which a port of the scheduler is reached from here. */
  async #published(scheduler: MemberContainer, port: number): Promise<string> {
    if (!isLocal(this.#place)) {
      throw new UserError(
        'setting',
        `Ports of the engine at ${this.#place.host} are not reached from here yet`,
        {
          hint: 'They are published on the loopback of its machine only.',
        },
      );
    }
    const published = await scheduler.published(port);
    return `127.0.0.1:${published}`;
  }

  get #planned(): number {
    return this.#workers?.plan.size ?? 0;
  }

  async #scale(workers: number): Promise<void> {
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
    const { retired, kept } = all ? { retired: addresses, kept: [] } : await client.retireWorkers(addresses);
    await this.#workers.remove([...coming, ...retired.flatMap((address) => here.get(address) ?? [])]);
    if (kept.length === 0) return;
    const names = kept.map((address) => here.get(address)).join(', ');
    throw new UserError(
      'worker-kept',
      `Worker ${names} holds what can't be moved to another worker, and stays`,
    );
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
        scaleUp: (count) => workers.scaleUp(count),
        scaleDown: async (names) => {
          const { workers: here } = await client.identity();
          const addresses = here.filter(({ name }) => names.includes(name)).map(({ address }) => address);
          const { kept } = await client.retireWorkers(addresses);
          const stay = new Set(here.filter(({ address }) => kept.includes(address)).map(({ name }) => name));
          await workers.remove(names.filter((name) => !stay.has(name)));
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
    const message = `The scheduler's container ended: ${endText(end)}`;
    const detail = end.lastLines.join('\n');
    this.#exit.resolve({ how: 'died', message, ...(detail && { detail }) });
    await this.close();
  }
}

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
