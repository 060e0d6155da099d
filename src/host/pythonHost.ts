import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { ClassDescription } from '../core/classArguments.ts';
import { Emitter } from '../core/emitter.ts';
import { UserError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { GatewayCluster, HostConfig, HostEvent, HostRequest } from '../protocol/host.ts';
import {
  classRefused,
  crashed,
  gatewayRefused,
  type HostExit,
  refused,
  serverFailed,
  silent,
  spawnFailed,
  stopped,
  unusable,
} from './errors.ts';
import { LineReader, parseLine } from './lines.ts';
import { killGroup, ProcessGroups } from './processGroups.ts';

export interface PythonHostOptions {
  /** The user's interpreter. */
  readonly python: string;
  /** `cluster_host.py`. */
  readonly script: string;
  readonly config: HostConfig;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
}

type EventName = HostEvent['event'];
export type HostEventOf<N extends EventName> = Extract<HostEvent, { event: N }>;

const helloTimeoutMs = 20_000;
const readyTimeoutMs = 60_000;
/** It may be in the middle of a long import. */
const checkTimeoutMs = 30_000;
/** A new database takes 8 to 15 s to migrate. */
const serverTimeoutMs = 120_000;
const graceMs = 3_000;
/** Longer than the host gives a cluster of a class to let go of what it does, and to close. */
export const classCloseTimeoutMs = 82_000;
/** Importing the module of a class may take a while; the host itself gives up before. */
const describeTimeoutMs = 70_000;
/** How long the last lines may take after the process is gone: what it has left behind may hold its pipes open. */
const lastLinesMs = 1_000;

/**
 * The user's interpreter, kept warm: a child process that starts clusters and runs. It ends by itself when this
 * process goes away, as its stdin closes then.
 */
export class PythonHost {
  readonly #options: PythonHostOptions;
  readonly #child: ChildProcess;
  readonly #events = new Emitter<HostEvent>();
  readonly #gone = new Emitter<void>();
  readonly #groups = new ProcessGroups();
  #stderr = '';
  #exit: HostExit | undefined;
  #spawnError: Error | undefined;
  #unusable: HostEventOf<'unusable'> | undefined;
  #disposing: Promise<void> | undefined;
  #stopped = false;
  #ready = false;
  /** Resolves when the process is gone; never rejects. */
  readonly ended: Promise<HostExit>;
  /** The first line of the host: its interpreter and packages. Rejects with a {@link UserError} that says why not. */
  readonly hello: Promise<HostEventOf<'hello'>>;

  constructor(options: PythonHostOptions) {
    this.#options = options;
    this.#child = spawn(options.python, ['-u', options.script, JSON.stringify(options.config)], {
      cwd: options.config.workspace,
      env: options.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own: a signal to the editor's group must not race with the clean-up by stdin.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    this.ended = new Promise((resolve) => {
      const finish = (code: number | null, signal: NodeJS.Signals | null) => {
        if (this.#exit) return;
        this.#exit = { code, signal, stderr: this.#stderr.trim() };
        this.#killGroups();
        this.#gone.fire();
        resolve(this.#exit);
      };
      this.#child.once('error', (error) => {
        this.#spawnError = error;
        finish(null, null);
      });
      this.#child.once('close', finish);
      this.#child.once('exit', (code, signal) => {
        setTimeout(() => finish(code, signal), lastLinesMs).unref();
      });
    });
    this.#read();
    this.hello = this.next('hello', helloTimeoutMs, () => true).catch((error: unknown) => {
      this.#child.kill('SIGKILL');
      throw error;
    });
    // Shown when somebody asks for it; until then it is no unhandled rejection.
    this.hello.catch(() => undefined);
  }

  get python(): string {
    return this.#options.python;
  }

  get workspace(): string {
    return this.#options.config.workspace;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** False once the process is gone or told to go. */
  get usable(): boolean {
    return !this.#exit && !this.#disposing && !this.#unusable;
  }

  /** Whether a cluster or a run of it is alive, or has been asked for. */
  get busy(): boolean {
    return this.#groups.size > 0;
  }

  /** True once everything is preloaded. */
  get ready(): boolean {
    return this.#ready;
  }

  onEvent(listener: (event: HostEvent) => void): { dispose(): void } {
    return this.#events.on(listener);
  }

  /** Writes a request. Throws a {@link UserError} if the host is gone. */
  send(request: HostRequest): void {
    if (!this.usable) throw this.endError();
    if (request.op === 'cluster.start')
      this.#groups.expect(request.cluster, { patient: request.class !== undefined });
    if (request.op === 'run.start') this.#groups.expect(request.spec.run);
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
  }

  /**
   * The next event of this kind that fits, within a time limit. Rejects when the host ends first, or says that the
   * request could not be carried out (`refusal`: the error, if the event is about this request).
   */
  next<N extends EventName>(
    name: N,
    timeoutMs: number,
    fits: (event: HostEventOf<N>) => boolean,
    refusal: (event: HostEventOf<'error'>) => UserError | undefined = () => undefined,
  ): Promise<HostEventOf<N>> {
    if (this.#exit) return Promise.reject(this.endError());
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        for (const one of listening) one.dispose();
        act();
      };
      const timer = setTimeout(() => {
        const seconds = Math.round(timeoutMs / 1000);
        settle(() => reject(silent(seconds)));
      }, timeoutMs);
      const listening = [
        this.#events.on((event) => {
          const error = event.event === 'error' ? refusal(event) : undefined;
          if (error) settle(() => reject(error));
          else if (event.event === 'unusable') settle(() => reject(this.endError()));
          else if (event.event === name && fits(event as HostEventOf<N>))
            settle(() => resolve(event as HostEventOf<N>));
        }),
        this.#gone.on(() => settle(() => reject(this.endError()))),
      ];
    });
  }

  /** Resolves when everything is preloaded. */
  async whenReady(): Promise<void> {
    await this.hello;
    if (!this.#ready) await this.next('ready', readyTimeoutMs, () => true);
  }

  /** Compiles a file without running it. Throws a `syntax-error` that opens the line. */
  async check(file: string): Promise<void> {
    const id = randomUUID();
    this.send({ op: 'check', id, file });
    const { error } = await this.next(
      'checked',
      checkTimeoutMs,
      (event) => event.id === id,
      (event) => (event.id === id ? refused(event.message) : undefined),
    );
    if (!error) return;
    throw new UserError(
      'syntax-error',
      `${error.message} (line ${error.line}${error.text ? `: ${error.text.trim()}` : ''})`,
      {
        hint: 'Nothing was started.',
        action: { kind: 'open-file', path: file, line: error.line },
      },
    );
  }

  /**
   * What a look at something finds. Rejects with the signal's reason once that aborts, and with a {@link UserError} when
   * it is late; the look ends then.
   */
  async look<N extends 'preflight' | 'class.described' | 'gateway.told'>(
    name: N,
    question: Extract<HostRequest, { op: 'preflight' | 'class.describe' | 'gateway.cluster' }>,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<HostEventOf<N>> {
    const { id } = question;
    await this.whenReady();
    signal?.throwIfAborted();
    const aborted = new Promise<never>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => undefined);
    const answer = this.next(
      name,
      timeoutMs,
      (event: HostEvent) => 'id' in event && event.id === id,
      (event) => (event.id === id ? refused(event.message) : undefined),
    );
    answer.catch(() => undefined);
    try {
      this.send(question);
      return await Promise.race([answer, aborted]);
    } catch (error) {
      if (this.usable) this.send({ op: 'look.stop', id });
      throw error;
    }
  }

  /**
   * What a cluster class, or a function that makes one, takes. Rejects with a {@link UserError} if it can't be used.
   * @param kwargs what it is to be called with, where what it takes hangs on that
   */
  async describeClass(
    path: string,
    signal?: AbortSignal,
    kwargs?: Readonly<Record<string, unknown>>,
  ): Promise<ClassDescription> {
    const question = { op: 'class.describe', id: randomUUID(), path, ...(kwargs && { kwargs }) } as const;
    const { description, refusal } = await this.look('class.described', question, describeTimeoutMs, signal);
    if (description) return description;
    throw classRefused(this.python, refusal ?? { kind: 'import-failed', message: `${path} is not known` });
  }

  /**
   * What the gateway of a cluster tells of it. Rejects with a {@link UserError} if none is known, or it does not tell.
   * @param address `gateway://host:port/cluster`
   * @param gateways what gateways may be reached by beside Dask's own configuration, as `cluster_kwargs` have it
   */
  async gatewayCluster(
    address: string,
    gateways: readonly Readonly<Record<string, unknown>>[],
    signal?: AbortSignal,
  ): Promise<GatewayCluster> {
    const question = { op: 'gateway.cluster', id: randomUUID(), address, gateways } as const;
    const { cluster, refusal } = await this.look('gateway.told', question, describeTimeoutMs, signal);
    if (cluster) return cluster;
    throw gatewayRefused(this.python, refusal ?? { kind: 'value', message: `${address} is not known` });
  }

  /**
   * URL of the Prefect API that runs report to: the one that the user's own settings name now, else that of the
   * server beside this host, started if need be. `onStage` says what is being waited for.
   */
  async prefectApi(onStage: (text: string) => void): Promise<string | undefined> {
    const told = this.onEvent((event) => {
      if (event.event !== 'prefect.server') return;
      if (event.state === 'migrating') onStage('preparing the Prefect database (once)');
      else if (event.state === 'starting') onStage('starting the Prefect API server');
    });
    try {
      const over = (event: HostEventOf<'prefect.server'>) =>
        event.state !== 'migrating' && event.state !== 'starting';
      this.send({ op: 'prefect.start' });
      const server = await this.next('prefect.server', serverTimeoutMs, over, (event) =>
        event.op === 'prefect.start' ? serverFailed(event.message) : undefined,
      );
      if (server.state === 'ready') return server.url;
      throw serverFailed(server.message ?? server.state);
    } finally {
      told.dispose();
    }
  }

  /** Ends the host and all that it started: asks first, then kills. Its files go too. Never rejects. */
  dispose(): Promise<void> {
    this.#disposing ??= this.#end();
    return this.#disposing;
  }

  async #end(): Promise<void> {
    this.#stopped = !this.#exit;
    this.#child.stdin?.end();
    // What a class has made elsewhere only its own way of closing can end, and the host waits for that.
    const timer = setTimeout(() => this.#kill(), this.#groups.patient ? classCloseTimeoutMs : graceMs);
    await this.ended;
    clearTimeout(timer);
    const { config, log } = this.#options;
    try {
      await rm(config.directory, { recursive: true, force: true, maxRetries: 3 });
    } catch (error) {
      // What it had started is gone; files are no reason to say that it is not. The next window tries again.
      log.warn(`${config.directory} could not be removed: ${String(error)}`);
    }
  }

  #kill(): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#exit) return;
    // Without process groups (Windows) the host alone; what it has started ends when its pipes do.
    if (process.platform === 'win32') this.#child.kill('SIGKILL');
    else killGroup(pid);
  }

  /** What it started has groups of its own and ends by itself when the host dies; this makes sure, and at once. */
  #killGroups(): void {
    if (this.#child.pid !== undefined) killGroup(this.#child.pid);
    this.#groups.kill();
  }

  #read(): void {
    const { log } = this.#options;
    const lines = new LineReader((line) => this.#onLine(line));
    const { stdout, stderr } = this.#child;
    stdout?.setEncoding('utf8').on('data', (text: string) => lines.push(text));
    stdout?.on('end', () => lines.end());
    const errors = new LineReader((line) => log.info(`[host] ${line}`));
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-8_000);
      errors.push(text);
    });
    stderr?.on('end', () => errors.end());
    // A host that died is reported by `ended`; a write to it that was under way must not throw as well.
    this.#child.stdin?.on('error', (error) => log.debug(`cluster host: ${error.message}`));
  }

  #onLine(line: string): void {
    const event = parseLine<HostEvent>(line);
    if (!event) {
      this.#options.log.warn(
        `cluster host wrote something that is not of its protocol: ${line.slice(0, 500)}`,
      );
      return;
    }
    // Keys are nobody's but the scheduler's.
    const secret = event.event === 'cluster.started' && event.security;
    this.#options.log.trace(`host → ${secret ? `${event.event} (with keys)` : line.slice(0, 2_000)}`);
    if (event.event === 'cluster.ended' && event.left) this.#options.log.error(`cluster: ${event.left}`);
    if (event.event === 'unusable') this.#unusable = event;
    if (event.event === 'error') this.#options.log.warn(`cluster host: ${event.op}: ${event.message}`);
    if (event.event === 'ready') this.#ready = true;
    this.#groups.hear(event);
    this.#events.fire(event);
  }

  /** Why the host cannot be used, for whoever asked it for something. */
  endError(): UserError {
    const { python, config } = this.#options;
    if (this.#spawnError) return spawnFailed(python, config.workspace, this.#spawnError);
    if (this.#unusable) return unusable(python, this.#unusable);
    return this.#exit && !this.#stopped ? crashed(this.#exit) : stopped();
  }
}
