import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import type { BackendContext, ClusterExit, ClusterHandle, Keepsake } from '../../core/backend.ts';
import { executorSettings, UserError } from '../../core/errors.ts';
import { type KubernetesExecutor, startTimeoutMs, startWorkers } from '../../core/kubernetesExecutor.ts';
import { membersInOrder } from '../../core/members.ts';
import type { AdaptLimits } from '../../core/scaling.ts';
import type { Security } from '../../core/security.ts';
import { SchedulerClient } from '../../dask/scheduler.ts';
import { Lead } from '../../host/lead.ts';
import { startOf } from '../../host/windowLife.ts';
import { type ClusterMeans, Making } from '../clusterOptions.ts';
import { type FailedLine, MemberFailure, printedCause } from '../memberFailure.ts';
import { readLines } from '../memberLog.ts';
import { MemberOutput, withLastLine } from '../memberOutput.ts';
import {
  dashboardPort,
  knownPackages,
  type MemberLine,
  memberFiles,
  relayPort,
  schedulerPort,
  sessionsPort,
} from '../memberProtocol.ts';
import { PoolScaling } from '../poolScaling.ts';
import { Relay } from '../relay.ts';
import { TerminalOutput } from '../terminalOutput.ts';
import { podError } from './failures.ts';
import { codeOf, type KubernetesApi, reasonOf } from './kubernetesApi.ts';
import {
  annotation,
  type ClusterShape,
  executorShape,
  label,
  labelValue,
  managedBy,
  serviceHost,
} from './manifests.ts';
import { type ClusterObjects, establishJob, wayOf } from './objects.ts';
import { OperatorObjects } from './operator.ts';
import { workerGroupName } from './operatorManifests.ts';
import { isBeside, whyNotReached } from './ownPod.ts';
import { PlainObjects } from './plain.ts';
import { PodAccess } from './podAccess.ts';
import { containerOf, disruptionOf, endOf, memberOf, type PodTrouble, troubleOf } from './podState.ts';
import { PodWatch } from './podWatch.ts';
import { openPodPort, PortForward } from './portForward.ts';
import { removeCluster } from './removal.ts';
import { ResumablePort } from './sessions.ts';
import { lastWarning, refusals } from './warnings.ts';
import { PodWorkers } from './workers.ts';

/** What a window keeps of a static cluster for later ones. */
export interface Kept {
  /** Of the kubeconfig then: what is current may change. */
  readonly place: { readonly context: string; readonly namespace: string };
  readonly executor: KubernetesExecutor;
  /** Names of the run's variables; their values are in the cluster's Secret. */
  readonly env: readonly string[];
  /** Of the files of its members. */
  readonly paths: readonly string[];
  readonly dashboard: boolean;
  /** Of its members; null: their image has it not. */
  readonly packages: Readonly<Record<string, string | null>>;
  readonly security: Security;
  /** Absent: a fixed number. */
  readonly limits?: AdaptLimits;
  /** Its scheduler's pod has them. Absent with those of before. */
  readonly sessions?: true;
}

export interface KubernetesMeans extends ClusterMeans<KubernetesExecutor> {
  readonly api: KubernetesApi;
}

/** A window that has gone for so long has been killed: a short break of its network is no reason to end anything. */
const usualHoldSeconds = 120;
const callTimeoutMs = 60_000;
/** For a server to make the first object of a cluster. */
const creationMs = 30_000;
/** From what a member says of its failure to the last that it prints. */
const lastLinesMs = 500;
/** From the end of the scheduler to the last of its log. */
const lastWordsMs = 2_000;
/** What starts well has done so by then. */
const warningsLookMs = 1_500;
/** Pods whose logs are read; each takes a connection. */
const mostFollowed = 64;
const logAgainMs = 250;
/** Where there is nothing new to read: its container waits to be started again, or its node does not answer. */
const longestLogPauseMs = 2_000;
/** How long a trouble that may pass is only told. */
const finalMs = 1_000;

type Listening = Extract<MemberLine, { event: 'listening' }>;

/** One cluster in pods, from its start to its end. */
export class KubernetesCluster {
  readonly #means: KubernetesMeans;
  /** Of several windows that use it. */
  readonly #lead: Lead;
  readonly #api: KubernetesApi;
  readonly #executor: KubernetesExecutor;
  readonly #context: BackendContext;
  readonly #id: string;
  /** Ends what goes on while it lives. */
  readonly #life = new AbortController();
  readonly #exit = Promise.withResolvers<ClusterExit>();
  readonly #listening = Promise.withResolvers<Listening>();
  /** All of its pods are known. */
  readonly #listed = Promise.withResolvers<void>();
  /** Rejects with why it can't start. */
  readonly #failed = Promise.withResolvers<never>();
  readonly #output: TerminalOutput;
  readonly #watch: PodWatch;
  readonly #access: PodAccess;
  readonly #forwards: (PortForward | ResumablePort)[] = [];
  readonly #ofScheduler = new MemberOutput({
    onLine: (line) => {
      if (line.event === 'listening') this.#listening.resolve(line);
      else void this.#memberFailed(line);
    },
    onPrint: (text) => this.#output.write(text),
  });
  /** Of pods that start, by name: what events have told last. */
  readonly #warnings = new Map<string, string>();
  /** Workers of which it was told that they can't come now. */
  readonly #refused = new Set<string>();
  #workers: PodWorkers | undefined;
  #scaling: PoolScaling | undefined;
  #client: SchedulerClient | undefined;
  #relay: Relay | undefined;
  #schedulerPod: string | undefined;
  readonly #followed = new Set<string>();
  /** It answers; from then on it is not the start that fails. */
  #runs = false;
  #stage = '';
  #closing: Promise<void> | undefined;
  /** Created or about to be. */
  readonly #making = new Making();

  constructor(means: KubernetesMeans) {
    this.#means = means;
    this.#api = means.api;
    this.#executor = means.executor;
    this.#context = means.context;
    this.#id = means.id;
    this.#lead = new Lead(means.id);
    this.#output = new TerminalOutput(means.context.inherit.output);
    this.#access = new PodAccess(means.api, (pod) => this.#watch.pods.get(pod));
    this.#watch = new PodWatch({
      ...{ api: means.api, selector: `${label.cluster}=${means.id}`, signal: this.#life.signal },
      onPod: (pod) => this.#onPod(pod),
      onGone: (pod) => this.#onGone(pod),
      onListed: () => this.#listed.resolve(),
      onTrouble: (error) => means.log.warn(`pods of ${means.id} can't be watched: ${reasonOf(error)}`),
    });
    const { signal } = means.context;
    signal.addEventListener('abort', () => this.#life.abort(signal.reason), { once: true });
    for (const promise of [this.#listening.promise, this.#failed.promise]) promise.catch(() => undefined);
  }

  async start(): Promise<ClusterHandle> {
    const api = this.#api;
    const { signal } = this.#life;
    const executor = this.#executor;
    const { makeCertificates } = await import('../certificateMaker.ts');
    this.#say('creating pods');
    if (this.#isStatic) await this.#lead.take();
    const certificates = await makeCertificates(this.#id);
    const files = await memberFiles(this.#means.pythonFolder, certificates.members);
    const runEnv = this.#context.inherit.env ?? {};
    const env = Object.keys(runEnv);
    const paths = files.map(([path]) => path);
    const shape = await this.#shape(paths, env);
    void this.#watch.run();
    const objects = this.#objects(shape);
    // Seen to its end, also where the start is given up: what a server makes after all has to be removed.
    await this.#before(this.#making.add(objects.createOwner(AbortSignal.timeout(creationMs))));
    signal.throwIfAborted();
    const workers = this.#makeWorkers(objects);
    void this.#followWarnings(objects);
    const wanted = startWorkers(executor);
    // All at once: Kubernetes waits for what a pod mounts, and workers wait for their scheduler.
    await this.#before(
      Promise.all([
        this.#making.add(objects.createShared(files, runEnv, signal)),
        this.#making.add(workers.scaleUp(wanted)),
      ]),
    );
    const { dashboard, packages } = await this.#before(this.#listening.promise);
    const { context, namespace } = api.place;
    const limits = executor.adapt_kwargs;
    const kept = {
      ...{ place: { context, namespace }, executor, env, paths, dashboard, packages },
      ...{ security: certificates.client, ...(limits && { limits }), sessions: true as const },
    };
    const [handle] = await Promise.all([
      this.#join(kept, workers, wanted),
      establishJob(api, this.#id, signal),
    ]);
    return handle;
  }

  /** Takes up one that runs already; undefined if it does not, and then nothing of it is left. */
  async adopt(kept: Kept): Promise<ClusterHandle | undefined> {
    const objects = this.#objects(await this.#shape(kept.paths, kept.env));
    if (!(await objects.find(this.#life.signal))) {
      await this.close();
      return undefined;
    }
    const workers = this.#makeWorkers(objects);
    void this.#followWarnings(objects);
    void this.#watch.run();
    await this.#before(this.#listed.promise);
    // With another window that has it, that one sees to it.
    await this.#lead.isMine();
    return this.#join(kept, workers, workers.plan.size);
  }

  /** What comes once its scheduler listens. */
  async #join(kept: Kept, workers: PodWorkers, wanted: number): Promise<ClusterHandle> {
    const { security, limits } = kept;
    const { signal } = this.#life;
    this.#say('connecting');
    const host = await this.#before(this.#directHost(security));
    const [scheduler, dashboard, hub] = await Promise.all([
      host ? schedulerPort : this.#forwardScheduler(kept),
      // It is on the loopback of its pod.
      this.#forward(dashboardPort),
      host ? relayPort : this.#forward(relayPort),
    ]);
    const where = host ?? '127.0.0.1';
    const address = `tls://${where}:${scheduler}`;
    const client = new SchedulerClient(address, { security, timeoutMs: callTimeoutMs });
    this.#client = client;
    await this.#before(client.versions({ signal }));
    const relay = new Relay({ host: where, port: hub, security });
    this.#relay = relay;
    if (!this.#isStatic) relay.hold();
    const scaling = new PoolScaling({
      ...{ client, pool: workers, signal, leads: () => this.#leads() },
      onScaling: (news) => this.#context.scaling(news),
    });
    this.#scaling = scaling;
    if (wanted > 0) await this.#before(this.#firstWorker(client));
    this.#runs = true;
    if (limits) scaling.adapt(limits);
    return {
      ...{ address, security, finished: this.#exit.promise, ...knownPackages(kept.packages) },
      dashboard: kept.dashboard ? `http://127.0.0.1:${dashboard}/status` : null,
      workers: limits ? Math.min(wanted, limits.minimum ?? 0) : wanted,
      ...scaling.controls(async () => {
        if (this.#isStatic) await this.#lead.take();
      }),
      reach: (port) => relay.offer(port),
      close: () => this.close(),
      ...(this.#isStatic && { keepsake: () => this.#keepsake(kept), leave: () => this.leave() }),
    };
  }

  #objects(shape: ClusterShape): ClusterObjects {
    const Objects = shape.way === 'operator' ? OperatorObjects : PlainObjects;
    return new Objects(this.#api, shape);
  }

  #makeWorkers(objects: ClusterObjects): PodWorkers {
    const workers = new PodWorkers({
      ...{ objects, signal: this.#life.signal, shared: this.#isStatic },
      leads: () => this.#leads(),
      onNews: (news) => this.#context.worker(news),
      onRetired: (worker, from) => this.#scaling?.retired(worker, from),
      onChange: () => this.#tellMembers(),
    });
    this.#workers = workers;
    return workers;
  }

  get #isStatic(): boolean {
    return this.#context.lifetime === 'static';
  }

  /** Whether this window, of several that use it, sees to it. */
  async #leads(): Promise<boolean> {
    return !this.#isStatic || (await this.#lead.isMine());
  }

  #keepsake(kept: Kept): Keepsake {
    const { limits: _before, ...rest } = kept;
    const limits = this.#scaling?.limits;
    return {
      kind: 'kubernetes',
      id: this.#id,
      secret: JSON.stringify({ ...rest, ...(limits && { limits }) }),
    };
  }

  /** Lets it go on without this window. */
  leave(): void {
    this.#quit();
    void this.#lead.giveUp(); // this process may end before: then nobody takes it for the lead either
    // It is over for this window.
    this.#closing ??= Promise.resolve();
  }

  #quit(): void {
    this.#life.abort();
    this.#output.end();
    this.#client?.close();
    this.#relay?.close();
    for (const forward of this.#forwards) forward.close();
  }

  /** Ends and removes everything; resolves when no pod is left. Also while it starts, and twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#quit();
    // Other windows hear from the note that this is no accident.
    if (this.#isStatic) await this.#lead.take();
    // What is being created now is known only when the server has answered.
    await this.#making.settled();
    const { namespace } = this.#api;
    await removeCluster(this.#api, { id: this.#id, namespace, way: wayOf(this.#executor) });
    if (this.#isStatic) await this.#lead.forget();
    this.#exit.resolve({ how: 'closed' });
  }

  /** Unless its start fails first, or takes too long. */
  async #before<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => undefined);
    const { signal } = this.#life;
    const limitMs = startTimeoutMs(this.#executor);
    const wait = new AbortController();
    const late = sleep(limitMs, undefined, { signal: AbortSignal.any([signal, wait.signal]) }).then(() => {
      throw this.#lateError(limitMs);
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([promise, this.#failed.promise, late]);
    } finally {
      wait.abort();
    }
  }

  #lateError(limitMs: number): UserError {
    const pods = [...this.#watch.pods.values()];
    // What keeps the keeper keeps the others too, as a rule; it is these that the user knows.
    const known = [...pods.filter((pod) => !isKeeper(pod)), ...pods.filter(isKeeper)];
    const troubles = known.flatMap((pod) => {
      const warning = memberOf(pod).state === 'created' ? this.#warnings.get(nameOf(pod)) : undefined;
      const trouble = troubleOf(pod) ?? (warning === undefined ? undefined : { text: warning, final: false });
      return trouble ? [[whoOf(pod), trouble] as const] : [];
    });
    const [first] = troubles;
    const seconds = limitMs / 1000;
    if (!first)
      return new UserError('timeout', `The cluster was not there within ${seconds} s`, {
        hint: 'Give it more by start_timeout of the executor; the pods’ events say what they wait for.',
      });
    const [who, trouble] = first;
    return new UserError('timeout', `The ${who} was not there within ${seconds} s: ${trouble.text}`, {
      hint: trouble.hint ?? 'Give it more by start_timeout of the executor.',
      action: executorSettings,
    });
  }

  async #firstWorker(client: SchedulerClient): Promise<void> {
    const { signal } = this.#life;
    this.#say('waiting for the first worker');
    while (!signal.aborted) {
      const { workers } = await client.identity({ signal });
      if (workers.length > 0) return;
      await sleep(50, undefined, { signal });
    }
  }

  async #forward(target: number): Promise<number> {
    const forward = new PortForward(this.#api, () => this.#schedulerPod, target);
    this.#forwards.push(forward);
    return forward.listen();
  }

  /** A scheduler forgets what it has done for a client whose connection breaks; users of the other ports come again. */
  #forwardScheduler({ sessions }: Kept): Promise<number> {
    return sessions ? this.#lasting(schedulerPort) : this.#forward(schedulerPort);
  }

  /**
   * By what name the scheduler is reached from here without a detour: from a pod of the same cluster. Connections there
   * break no more than those of workers.
   * @returns undefined where ports have to be forwarded
   */
  async #directHost(security: Security): Promise<string | undefined> {
    const { signal } = this.#life;
    if (!(await isBeside(this.#api, signal))) return undefined;
    const host = serviceHost({ ...this.#api.place, id: this.#id, way: wayOf(this.#executor) });
    const why = await whyNotReached(`tls://${host}:${schedulerPort}`, security, signal);
    if (why === undefined) return host;
    this.#means.log.info(
      `ports of ${host} are forwarded by the API server: it is not reached directly: ${why}`,
    );
    return undefined;
  }

  /** Its connections outlive those to the API server. */
  #lasting(target: number): Promise<number> {
    const { log } = this.#means;
    const port = new ResumablePort({
      open: async (events) => {
        const pod = this.#schedulerPod;
        if (pod === undefined) throw new Error('there is no pod of the scheduler');
        return openPodPort(this.#api, pod, sessionsPort, events);
      },
      ...{
        target,
        onTrouble: (error) => log.debug(`no way to the scheduler of ${this.#id}: ${reasonOf(error)}`),
      },
    });
    this.#forwards.push(port);
    return port.listen();
  }

  #say(stage: string): void {
    if (stage === this.#stage) return;
    this.#stage = stage;
    this.#context.stage(stage);
  }

  #onPod(pod: V1Pod): void {
    this.#followLog(pod);
    if (isScheduler(pod)) this.#onScheduler(pod);
    else this.#workers?.onPod(pod);
    this.#tellMembers();
    if (!this.#runs) this.#lookAtStart(pod);
  }

  #onGone(pod: V1Pod): void {
    this.#followed.delete(nameOf(pod));
    if (isScheduler(pod)) this.#schedulerEnded(disrupted(pod));
    else this.#workers?.onGone(pod);
    this.#tellMembers();
  }

  #onScheduler(pod: V1Pod): void {
    this.#schedulerPod = nameOf(pod);
    const end = endOf(pod);
    if (pod.metadata?.deletionTimestamp !== undefined) this.#schedulerEnded(disrupted(pod));
    else if (end)
      this.#schedulerEnded(
        end.why ?? (end.outOfMemory ? 'it ran out of memory' : `exit code ${end.exitCode ?? 'unknown'}`),
        end.exitCode === 0,
      );
  }

  /** What keeps pods from starting: told, and where waiting does not help the end of the start. */
  #lookAtStart(pod: V1Pod): void {
    const trouble = troubleOf(pod);
    const who = whoOf(pod);
    if (!trouble) {
      if (isScheduler(pod) && !containerOf(pod)?.state?.running) this.#say('starting scheduler and workers');
      return;
    }
    this.#say(`${who}: ${trouble.text}`);
    if (trouble.final) void this.#fail(pod, trouble);
  }

  async #fail(pod: V1Pod, trouble: PodTrouble): Promise<void> {
    const { signal } = this.#life;
    // One of several workers may still be the first.
    await sleep(finalMs, undefined, { signal }).catch(() => undefined);
    const now = this.#watch.pods.get(pod.metadata?.name ?? '');
    const still = now && troubleOf(now);
    if (this.#runs || signal.aborted || !still?.final) return;
    this.#failed.reject(podError(whoOf(pod), trouble, this.#ofScheduler.lastLines));
  }

  /** What pods say and print goes to whoever started them, as from workers on this machine. */
  #followLog(pod: V1Pod): void {
    const name = nameOf(pod);
    const { running, terminated } = containerOf(pod)?.state ?? {};
    if (!(running || terminated) || this.#followed.has(name) || isKeeper(pod)) return;
    if (!isScheduler(pod) && this.#followed.size >= mostFollowed) return;
    this.#followed.add(name);
    void this.#hear(pod);
  }

  /** Reads a log to the end of its pod, on from where it was after a broken connection. */
  async #hear(pod: V1Pod): Promise<void> {
    const { signal } = this.#life;
    const name = nameOf(pod);
    const now = () => containerOf(this.#watch.pods.get(name) ?? {});
    let container = now()?.containerID;
    const output = isScheduler(pod) ? this.#ofScheduler : this.#ofWorker();
    // One that has ended before anybody read its log, and was started again.
    if (isScheduler(pod))
      for (const line of now()?.lastState?.terminated?.message?.split('\n') ?? []) output.take(line);
    let heard = 0;
    let pauseMs = logAgainMs;
    while (!signal.aborted && this.#watch.pods.has(name)) {
      let count = 0;
      try {
        const log = await this.#api.log(name, this.#containerName(name), { follow: true }, signal);
        await readLines(log, (line) => {
          count += 1;
          if (count > heard) output.take(line);
        });
      } catch (error) {
        if (signal.aborted) return;
        if (codeOf(error) === 403) {
          this.#failed.reject(error);
          return;
        }
      }
      pauseMs = count > heard ? logAgainMs : Math.min(2 * pauseMs, longestLogPauseMs);
      heard = Math.max(heard, count);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (now()?.state?.terminated && count === heard && endOf(this.#watch.pods.get(name) ?? {})) return;
      if (now()?.containerID !== container) {
        container = now()?.containerID;
        heard = 0;
      }
    }
  }

  #ofWorker(): MemberOutput {
    return new MemberOutput({
      onLine: (line) => {
        // One that only could not start now is started again by its node; what its image lacks stays so.
        if (line.event === 'failed' && line.reason === 'import') void this.#memberFailed(line);
      },
      onPrint: (text) => this.#output.write(text),
    });
  }

  async #memberFailed(line: FailedLine): Promise<void> {
    const { signal } = this.#life;
    // What it prints of it comes right after.
    await sleep(lastLinesMs, undefined, { signal }).catch(() => undefined);
    this.#failed.reject(new MemberFailure(line, this.#ofScheduler.lastLines));
  }

  #schedulerEnded(how: string, inOrder = false): void {
    if (this.#closing !== undefined) return;
    const { lastLines } = this.#ofScheduler;
    const message = `The scheduler's pod ended: ${withLastLine(how, lastLines)}`;
    if (!this.#runs) {
      const error = new UserError('cluster-failed', message, {
        hint: 'Check the image and the options of the executor.',
        action: executorSettings,
        ...printedCause(lastLines),
      });
      // It may have said why, and that is on its way.
      void sleep(lastWordsMs).then(() => this.#failed.reject(error));
      return;
    }
    void this.#over(message, inOrder);
  }

  async #over(message: string, inOrder: boolean): Promise<void> {
    // It has idled out, or another window has stopped it.
    if (!inOrder && (await this.#leads())) {
      const detail = this.#ofScheduler.lastLines.join('\n');
      this.#exit.resolve({ how: 'died', message, ...(detail && { detail }) });
    }
    this.close().catch((error: Error) => this.#means.log.warn(error.message));
  }

  /** What only events tell: why there is no pod at all, or why a container is not made. */
  async #followWarnings(objects: ClusterObjects): Promise<void> {
    const { signal } = this.#life;
    const began = performance.now();
    const rest = () => sleep(warningsLookMs, undefined, { signal }).catch(() => undefined);
    for (await rest(); !signal.aborted; await rest()) {
      const missing = this.#missing();
      if (missing.length > 0 || this.#schedulerPod === undefined) await this.#tellRefusals(missing);
      if (this.#runs || signal.aborted) continue;
      if (this.#schedulerPod === undefined) {
        const silence = await objects.silence(performance.now() - began, signal).catch(() => undefined);
        if (silence) this.#failed.reject(silence);
        const warning = await lastWarning(this.#api, this.#id, signal);
        if (warning !== undefined) this.#say(`scheduler: ${warning}`);
      }
      for (const [name, pod] of this.#watch.pods) {
        if (memberOf(pod).state !== 'created' || troubleOf(pod)) continue;
        const warning = await lastWarning(this.#api, name, signal);
        if (warning === undefined) continue;
        this.#warnings.set(name, warning);
        this.#say(`${whoOf(pod)}: ${warning}`);
      }
    }
  }

  /** Workers that shall run and have no pod. */
  #missing(): string[] {
    const there = new Set([...this.#watch.pods.values()].map(workerOf));
    return [...(this.#workers?.plan ?? [])].filter((name) => !there.has(name));
  }

  /** The end of a start; later, a worker less until there is room for it. */
  async #tellRefusals(missing: readonly string[]): Promise<void> {
    for (const { name, message } of await refusals(this.#api, this.#id, this.#life.signal)) {
      if (!this.#runs) {
        this.#failed.reject({ code: 403, body: { message } });
        return;
      }
      const worker = missing.find((one) => name.startsWith(`${workerGroupName(this.#id, one)}-`));
      if (worker === undefined || this.#refused.has(worker)) continue;
      this.#refused.add(worker);
      this.#context.worker({ what: 'gave-up', name: worker, message: `worker ${worker} waits: ${message}` });
    }
  }

  #containerName(pod: string): string {
    return roleOf(this.#watch.pods.get(pod) ?? {});
  }

  #tellMembers(): void {
    if (this.#life.signal.aborted) return;
    const here = [...this.#watch.pods.values()].filter(
      (pod) => pod.metadata?.deletionTimestamp === undefined && !isKeeper(pod),
    );
    this.#context.members?.(membersInOrder(here.map((pod) => memberOf(pod))), this.#access);
  }

  async #shape(paths: readonly string[], env: readonly string[]): Promise<ClusterShape> {
    const executor = this.#executor;
    const { owner, context, id, api, holdSeconds } = this.#means;
    return {
      ...{ id, executor, paths, env, namespace: api.namespace },
      ...executorShape(executor, api.library.loadYaml),
      labels: {
        [label.managedBy]: managedBy,
        [label.cluster]: id,
        [label.owner]: labelValue(owner.machine),
      },
      annotations: {
        [annotation.name]: executor.name,
        [annotation.window]: String(owner.pid),
        [annotation.windowStarted]: (await startOf(process.pid)) ?? '',
        [annotation.lifetime]: context.lifetime,
      },
      holdSeconds: context.lifetime === 'temporary' ? (holdSeconds ?? usualHoldSeconds) : undefined,
    };
  }
}

const roleOf = (pod: V1Pod): string => pod.metadata?.labels?.[label.role] ?? 'worker';
const isScheduler = (pod: V1Pod): boolean => roleOf(pod) === 'scheduler';
const isKeeper = (pod: V1Pod): boolean => roleOf(pod) === 'keeper';
const nameOf = ({ metadata }: V1Pod): string => metadata?.name ?? '';
const workerOf = (pod: V1Pod): string | undefined => pod.metadata?.labels?.[label.worker];

const whoOf = (pod: V1Pod): string => {
  const worker = workerOf(pod);
  return worker === undefined ? roleOf(pod) : `worker ${worker}`;
};

const disrupted = (pod: V1Pod): string => disruptionOf(pod) ?? 'somebody deleted it';
