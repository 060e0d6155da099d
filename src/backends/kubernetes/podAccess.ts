import { PassThrough, type Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Pod } from '@kubernetes/client-node';
import { UserError } from '../../core/errors.ts';
import type {
  FollowOptions,
  MemberAccess,
  MemberLogLine,
  MemberShell,
  TerminalSize,
} from '../../core/members.ts';
import { readMemberLog } from '../memberLog.ts';
import { shellCommand } from '../memberProtocol.ts';
import { apiError } from './failures.ts';
import { codeOf, type KubernetesApi, type PodSocket, reasonOf } from './kubernetesApi.ts';
import { containerOf, mainContainer } from './podState.ts';

const streams = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4 } as const;
const closeMs = 3_000;
const describeMs = 15_000;
/** Between tries to read on where a connection has broken. */
const firstPauseMs = 250;
const longestPauseMs = 10_000;

/** What the API server gives of a cluster's pods, whether Dask in them answers or not. */
export class PodAccess implements MemberAccess {
  readonly #api: KubernetesApi;
  /** What its watch last told of a pod. */
  readonly #podOf: (pod: string) => V1Pod | undefined;

  constructor(api: KubernetesApi, podOf: (pod: string) => V1Pod | undefined) {
    this.#api = api;
    this.#podOf = podOf;
  }

  async follow(
    pod: string,
    { tail, signal, previous = false }: FollowOptions,
    onLine: (line: MemberLogLine) => void,
  ): Promise<void> {
    let lastMs = Number.NEGATIVE_INFINITY;
    /** @returns whether there was anything new in it */
    const read = async (options: { readonly follow?: true; readonly previous?: true }) => {
      const log = await this.#read(pod, { ...options, tailLines: tail }, signal);
      // Read again, it begins with what was told already; and one that waits to be started has the log of the one before.
      const toldMs = lastMs;
      await readMemberLog(log, signal, (line) => {
        if (line.timeMs !== undefined && line.timeMs <= toldMs) return;
        lastMs = Math.max(lastMs, line.timeMs ?? lastMs);
        onLine(line);
      });
      return lastMs > toldMs;
    };
    const status = () => containerOf(this.#podOf(pod) ?? {});
    const container = status()?.containerID;
    // Of the container before, which has ended: nobody else keeps it. Nor does its node for ever.
    if (status()?.restartCount !== 0)
      await read({ previous: true }).catch((error: unknown) => {
        if (codeOf(error) !== 400 && codeOf(error) !== 404) throw this.#unread(error);
      });
    if (previous) return;
    const stillRuns = () => status()?.state?.running !== undefined && status()?.containerID === container;
    await read({ follow: true }).catch((error: unknown) => {
      throw this.#unread(error);
    });
    for (let pauseMs = firstPauseMs; !signal.aborted && stillRuns(); ) {
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted || !stillRuns()) return;
      // What does not answer now may do so again; the watch tells when it has ended.
      const isNew = await read({ follow: true }).catch((error: unknown) => {
        if (codeOf(error) !== undefined) throw this.#unread(error);
        return false;
      });
      pauseMs = isNew ? firstPauseMs : Math.min(2 * pauseMs, longestPauseMs);
    }
  }

  /** Why the server does not tell something. */
  #unread(error: unknown): UserError {
    return apiError(error, this.#api.place, 'the pod');
  }

  #read(
    pod: string,
    options: { readonly follow?: boolean; readonly previous?: boolean; readonly tailLines: number },
    signal: AbortSignal,
  ): Promise<Readable> {
    return this.#api.log(pod, this.#containerOf(pod), { timestamps: true, ...options }, signal);
  }

  /** The server takes an empty name where there is one container only. */
  #containerOf(pod: string): string {
    return mainContainer(this.#podOf(pod) ?? {})?.name ?? '';
  }

  async shell(pod: string, size: TerminalSize): Promise<MemberShell> {
    try {
      return await PodShell.open(this.#api, pod, this.#containerOf(pod), size);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const why = codeOf(error) === 404 ? 'it is not there any more' : reasonOf(error);
      throw new UserError('unreachable', `No shell can be opened in the pod ${pod}: ${why}`, {
        hint: 'It takes a pod that runs, and the right to create pods/exec.',
        cause: error,
      });
    }
  }

  async describe(pod: string): Promise<string> {
    const { core, namespace, library } = this.#api;
    const limit = AbortSignal.timeout(describeMs);
    const options = this.#api.until(limit);
    try {
      const [found, events] = await Promise.all([
        core.readNamespacedPod({ name: pod, namespace }, options),
        core
          .listNamespacedEvent({ namespace, fieldSelector: `involvedObject.name=${pod}` }, options)
          .catch(() => undefined),
      ]);
      const { managedFields: _managed, ...metadata } = found.metadata ?? {};
      const told = (events?.items ?? []).map(({ type, reason, message, count, lastTimestamp, eventTime }) => {
        const time = lastTimestamp ?? eventTime;
        const at = time === undefined ? '' : new Date(time).toISOString();
        return [at, type, reason, (count ?? 1) > 1 ? `${count} times` : '', message]
          .filter(Boolean)
          .join('  ');
      });
      const head = events ? told.map((line) => `# ${line}`) : ['# Events may not be read here.'];
      const none = events && told.length === 0 ? ['# None.'] : [];
      const text = library.dumpYaml(
        { ...found, metadata },
        { lineWidth: 120, noRefs: true, skipInvalid: true },
      );
      return ['# Events', ...head, ...none, '', text].join('\n');
    } catch (error) {
      const why = limit.aborted
        ? `no answer within ${describeMs / 1000} s`
        : codeOf(error) === 404
          ? 'it is not there any more'
          : this.#unread(error).message;
      throw new UserError('unreachable', `The pod ${pod} can't be read: ${why}`, {
        cause: error,
      });
    }
  }
}

class PodShell implements MemberShell {
  readonly ended: Promise<number | undefined>;
  readonly #socket: PodSocket;
  readonly #text = new PassThrough();
  readonly #end = Promise.withResolvers<number | undefined>();
  #isOver = false;

  private constructor(socket: PodSocket) {
    this.#socket = socket;
    this.ended = this.#end.promise;
    socket.on('close', () => this.#over(undefined));
    socket.on('error', () => this.#over(undefined));
  }

  static async open(
    api: KubernetesApi,
    pod: string,
    container: string,
    size: TerminalSize,
  ): Promise<PodShell> {
    const query = new URLSearchParams({ container, stdin: 'true', stdout: 'true', tty: 'true' });
    for (const word of shellCommand) query.append('command', word);
    let shell: PodShell | undefined;
    const early: [number, Buffer][] = [];
    const socket = await api.connect(pod, `exec?${query}`, (stream, data) => {
      if (shell) shell.#take(stream, data);
      else early.push([stream, data]);
    });
    shell = new PodShell(socket);
    for (const [stream, data] of early) shell.#take(stream, data);
    shell.resize(size);
    return shell;
  }

  onData(listener: (text: string) => void): void {
    // A character may be cut in two.
    const decoder = new StringDecoder('utf8');
    this.#text.on('data', (chunk: Buffer) => listener(decoder.write(chunk)));
  }

  write(text: string): void {
    this.#send(streams.stdin, Buffer.from(text));
  }

  resize({ rows, columns }: TerminalSize): void {
    this.#send(streams.resize, Buffer.from(JSON.stringify({ Height: rows, Width: columns })));
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    // The end of its terminal hangs up the shell and what was started from it.
    this.#socket.close();
    const wait = new AbortController();
    const late = sleep(closeMs, undefined, { signal: wait.signal }).catch(() => undefined);
    await Promise.race([this.ended, late]);
    wait.abort();
    if (!this.#isOver) this.#socket.terminate();
  }

  #send(stream: number, data: Buffer): void {
    if (!this.#isOver) this.#socket.send(Buffer.concat([Buffer.from([stream]), data]));
  }

  #take(stream: number, data: Buffer): void {
    if (stream === streams.stdout || stream === streams.stderr) this.#text.write(data);
    else if (stream === streams.status) this.#over(exitCodeOf(data));
  }

  #over(exitCode: number | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#text.end();
    this.#socket.close();
    this.#end.resolve(exitCode);
  }
}

/** From the status that ends an exec. */
function exitCodeOf(data: Buffer): number | undefined {
  try {
    const { status, details } = JSON.parse(data.toString()) as {
      status?: string;
      details?: { causes?: readonly { reason?: string; message?: string }[] };
    };
    if (status === 'Success') return 0;
    const code = Number(details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message);
    return Number.isInteger(code) ? code : undefined;
  } catch {
    return undefined;
  }
}
