import { type Duplex, PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Container, ContainerCreateOptions } from 'dockerode';

import { UserError } from '../../core/errors.ts';
import { LineReader } from '../../host/lines.ts';
import { MemberOutput } from '../memberOutput.ts';
import type { MemberLine } from '../memberProtocol.ts';
import { hasStatus } from './status.ts';
import { bytesOf } from './tar.ts';

/** How a container ended. */
export interface ContainerEnd {
  /** 137 is SIGKILL. */
  readonly exitCode: number;
  /** What it printed last. */
  readonly lastLines: readonly string[];
}

const attachWays = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true } as const;
/** For the engine to tell how a container ended, after the end of what it printed. */
const answerMs = 3_000;
/** One after the other. A tunnel whose engine has gone breaks each connection, too. */
const mostBreaks = 10;
const longestLine = 100_000;

/** A member's container from its creation to its end: what it says, what it prints, how it ends. */
export class MemberContainer {
  readonly id: string;
  /** Its name without a slash. */
  readonly name: string;
  /** Resolves when it has ended, however; never rejects. */
  readonly ended: Promise<ContainerEnd>;
  onLine: (line: MemberLine) => void = () => undefined;
  onPrint: (text: string) => void = () => undefined;
  readonly #container: Container;
  readonly #output = new MemberOutput({
    onLine: (line) => this.onLine(line),
    onPrint: (text) => this.onPrint(text),
  });
  readonly #end = Promise.withResolvers<ContainerEnd>();
  /** The engine's stream of what it prints, and to its stdin. */
  #stream: Duplex | undefined;
  readonly #watching = new AbortController();
  /** How often it was asked how it ends: only the last one may say that nobody tells. */
  #asked = 0;
  #isOver = false;
  #isMending = false;

  constructor(container: Container, name: string) {
    this.#container = container;
    this.id = container.id;
    this.name = name;
    this.ended = this.#end.promise;
  }

  /** Creates it with these files in it. What is made is removed again if that fails. */
  static async create(
    engine: Docker,
    spec: ContainerCreateOptions,
    files: Buffer,
    signal: AbortSignal,
  ): Promise<MemberContainer> {
    const container = await engine.createContainer(spec);
    try {
      signal.throwIfAborted();
      await container.putArchive(files, { path: '/' });
      return new MemberContainer(container, spec.name ?? container.id);
    } catch (error) {
      await container.remove({ force: true, v: true }).catch(() => undefined);
      throw error;
    }
  }

  /** Starts it, after everything that it prints is heard from its first line on. */
  async start(): Promise<void> {
    this.#hear(await this.#container.attach({ ...attachWays }));
    // Before the start: with auto-removal a short life would be over before anyone asks.
    this.#watch('next-exit');
    await this.#container.start();
  }

  /** Takes up one that runs already. */
  async adopt({ tail }: { readonly tail: number }): Promise<void> {
    const logs = { follow: false, stdout: true, stderr: true, tail } as const;
    const before = textOf(await this.#container.logs(logs));
    for (const line of before.split('\n').slice(0, -1)) this.#output.take(line);
    this.#hear(await this.#container.attach({ ...attachWays }));
    this.#watch('not-running');
  }

  /** Where a port of it is published on the engine's machine; undefined if it is not. */
  async published(port: number): Promise<number | undefined> {
    const { NetworkSettings } = await this.#container.inspect();
    const binding = NetworkSettings.Ports[`${port}/tcp`]?.[0];
    return binding && Number(binding.HostPort);
  }

  /** Its address in a network. */
  async addressIn(network: string): Promise<string | undefined> {
    const { NetworkSettings } = await this.#container.inspect();
    return NetworkSettings.Networks[network]?.IPAddress || undefined;
  }

  /** What it printed last. */
  get lastLines(): readonly string[] {
    return this.#output.lastLines;
  }

  async join(engine: Docker, network: string): Promise<void> {
    await engine.getNetwork(network).connect({ Container: this.id });
  }

  /** The files under a folder of it, as a tar whose names begin with the folder's. */
  async files(path: string): Promise<Buffer> {
    return bytesOf(await this.#container.getArchive({ path }));
  }

  /** Hears no more of it, and lets it go on. */
  leave(): void {
    this.#unwatch();
  }

  /** Kills and removes it; resolves when nothing of it is left. */
  async remove(): Promise<void> {
    await removeContainer(this.#container);
    // Not before: a scheduler whose stdin ends says goodbye to its workers, which all log that.
    this.#unwatch();
  }

  #unwatch(): void {
    this.#watching.abort();
    this.#stream?.destroy();
  }

  #watch(condition: 'next-exit' | 'not-running'): void {
    this.#asked += 1;
    const asked = this.#asked;
    const options = { condition, abortSignal: this.#watching.signal };
    const exit = this.#container.wait(options) as Promise<{ StatusCode: number }>;
    exit.then(
      ({ StatusCode }) => this.#over(StatusCode),
      // The engine has gone, or nobody wants to know any more: of one that is removed before it ran it never tells.
      (error: unknown) => {
        if (this.#asked !== asked) return;
        if (isBroken(error) || isAway(error)) this.#mend();
        else this.#over(-1);
      },
    );
  }

  /** The connection to it has ended, which its end does, and the engine's; over a network it may be no more than that. */
  #mend(): void {
    if (this.#isMending) return;
    this.#isMending = true;
    this.#connectAgain()
      .catch(() => undefined) // nobody wants to know any more
      .finally(() => {
        this.#isMending = false;
      });
  }

  async #connectAgain(): Promise<void> {
    for (let breaks = 0; breaks < mostBreaks; ) {
      await sleep(answerMs, undefined, { signal: this.#watching.signal });
      if (this.#isOver) return;
      try {
        this.#hear(await this.#container.attach({ ...attachWays }));
      } catch (error) {
        // For as long as anybody wants to know: it goes on without us, or is found to be gone.
        if (isAway(error)) continue;
        breaks += 1;
        if (isBroken(error)) continue;
        // That it has ended, or the engine: the next question says so.
      }
      // dockerode does not see that a connection has gone on which it waits for the rest of an answer.
      this.#watch('not-running');
      return;
    }
    this.#over(-1);
  }

  #hear(ways: NodeJS.ReadWriteStream): void {
    const stream = ways as Duplex;
    this.#stream = stream;
    const text = new PassThrough();
    this.#container.modem.demuxStream(stream, text, text);
    const reader = new LineReader((line) => this.#output.take(line), longestLine);
    text.setEncoding('utf8').on('data', (chunk: string) => reader.push(chunk));
    // A broken stream is the engine's end or the container's, which `wait` tells, or a connection's.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      if (this.#stream === stream && !this.#watching.signal.aborted) this.#mend();
    });
  }

  #over(exitCode: number): void {
    this.#isOver = true;
    this.#end.resolve({ exitCode, lastLines: this.lastLines });
  }
}

const isBroken = (error: unknown) =>
  ['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Whether the way to the engine's machine is broken, which says nothing of containers there; after some minutes. */
const isAway = (error: unknown) => error instanceof UserError;

const frameHeader = 8;

/** What engines give of a log at once: frames of a header, whose second half is the length, and text. */
function textOf(log: Buffer): string {
  const texts = [];
  for (let at = 0; at + frameHeader <= log.length; ) {
    const end = at + frameHeader + log.readUInt32BE(at + frameHeader / 2);
    texts.push(log.subarray(at + frameHeader, end));
    at = end;
  }
  return Buffer.concat(texts).toString('utf8');
}

/** Kills and removes a container; resolves when it is gone, also if it was already. */
export async function removeContainer(container: Container): Promise<void> {
  try {
    await container.remove({ force: true, v: true });
  } catch (error) {
    if (hasStatus(error, 404)) return;
    // Its own removal is under way: that ends it as well.
    if (!hasStatus(error, 409)) throw error;
    await container.wait({ condition: 'removed' }).catch(() => undefined);
  }
}
