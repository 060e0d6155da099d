import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../core/limit.ts';
import { LocalPort, type PodPort, type PodPortEvents } from './portForward.ts';

export interface SessionLimits {
  /** What is kept until it has arrived; from then on nothing more is read of whoever sends. */
  readonly keptBytes: number;
  /** For a session without anything that carries it. */
  readonly lifeMs: number;
  /** For a carrier to be there. */
  readonly openMs: number;
}

const usualLimits: SessionLimits = { keptBytes: 16 * 1024 * 1024, lifeMs: 120_000, openMs: 10_000 };
const firstRetryMs = 200;
const longestRetryMs = 5_000;
const mostBufferedBytes = 1024 * 1024;
const ackBit = 0x8000_0000;
const ackBytes = 256 * 1024;
const ackMs = 100;
const beatMs = 3_000;
/** The other end is heard every few seconds. */
const silenceMs = 10_000;
const newline = 10;

export interface SessionMeans {
  /** Connects to where `flow_clusters/sessions.py` listens. */
  readonly open: (events: PodPortEvents) => Promise<PodPort>;
  /** Port that it leads to from there. */
  readonly target: number;
  /** Hears why it could not connect; it tries again. */
  readonly onTrouble: (error: unknown) => void;
  readonly limits?: Partial<SessionLimits>;
}

/**
 * A port of this machine's loopback that leads to one of a pod. Its connections outlive those that carry them: what has not
 * arrived is sent again by the next one. `flow_clusters/sessions.py` is the other end, and describes what goes between.
 */
export class ResumablePort {
  readonly #sessions = new Set<Session>();
  readonly #local: LocalPort;

  constructor(means: SessionMeans) {
    this.#local = new LocalPort((socket) => {
      const session = new Session(socket, means);
      this.#sessions.add(session);
      void session.run().finally(() => this.#sessions.delete(session));
    });
  }

  /** Resolves with the port here. */
  listen(): Promise<number> {
    return this.#local.listen();
  }

  /** What carries each connection now, if any. For tests. */
  get carriers(): readonly (PodPort | undefined)[] {
    return [...this.#sessions].map(({ carrier }) => carrier);
  }

  close(): void {
    for (const session of this.#sessions) session.close();
    this.#local.close();
  }
}

class Session {
  readonly #id = randomBytes(16).toString('hex');
  readonly #socket: Socket;
  readonly #means: SessionMeans;
  readonly #limits: SessionLimits;
  readonly #over = new AbortController();
  /** What has not arrived, from `#acked` to `#sent`; an empty one is the end, and counts as a byte. */
  #kept: Buffer[] = [];
  #acked = 0;
  #sent = 0;
  #ended = false;
  #received = 0;
  #told = 0;
  #carrier: PodPort | undefined;
  /** The other end may have it. */
  #asked = false;
  /** The other end has answered that it has it. */
  #opened = false;
  /** It goes on, by this carrier. */
  #joined = false;
  #heardMs = 0;
  #line = '';
  readonly #head = Buffer.alloc(12);
  #headBytes = 0;
  /** Of the frame that is being read. */
  #left = 0;
  #ackTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, means: SessionMeans) {
    this.#socket = socket;
    this.#means = means;
    this.#limits = { ...usualLimits, ...means.limits };
    socket.on('data', (chunk: Buffer) => this.#keep(chunk));
    socket.on('drain', () => {
      this.#heardMs = performance.now();
      this.#carrier?.resume();
    });
    socket.once('end', () => this.#end());
    socket.once('close', () => this.#end());
    socket.resume();
  }

  get carrier(): PodPort | undefined {
    return this.#carrier;
  }

  /** Resolves when it is over. */
  async run(): Promise<void> {
    const { signal } = this.#over;
    let retryMs = firstRetryMs;
    let carriedMs = performance.now();
    while (!signal.aborted) {
      if (await this.#carry()) {
        carriedMs = performance.now();
        retryMs = firstRetryMs;
      }
      if (performance.now() - carriedMs > this.#limits.lifeMs) this.#finish();
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    }
  }

  /** Ends it at both sides. */
  close(): void {
    this.#end();
    this.#finish();
  }

  /** The life of one carrier; resolves with whether it has carried. */
  async #carry(): Promise<boolean> {
    const { openMs } = this.#limits;
    const ended = Promise.withResolvers<void>();
    const opening = this.#means.open({
      onData: (data) => this.#take(data),
      onEnd: () => ended.resolve(),
    });
    let carrier: PodPort;
    try {
      carrier = await within(opening, openMs, () => new Error(`not within ${openMs / 1000} s`));
    } catch (error) {
      opening.then(
        (late) => late.destroy(),
        () => undefined, // told already
      );
      this.#means.onTrouble(error);
      return false;
    }
    if (this.#over.signal.aborted) {
      carrier.destroy();
      return false;
    }
    this.#carrier = carrier;
    this.#headBytes = 0;
    this.#left = 0;
    this.#line = '';
    this.#heardMs = performance.now();
    this.#asked = true;
    this.#told = this.#received;
    const question = this.#opened
      ? `resume ${this.#id} ${this.#received}`
      : `open ${this.#id} ${this.#means.target}`;
    carrier.send([Buffer.from(`${question}\n`)]);
    const beat = setInterval(() => this.#beat(), beatMs);
    await ended.promise;
    clearInterval(beat);
    const joined = this.#joined;
    this.#joined = false;
    this.#carrier = undefined;
    return joined;
  }

  /** A carrier that is broken without a word is found by its silence. */
  #beat(): void {
    const isHeard = performance.now() - this.#heardMs < silenceMs || this.#socket.writableNeedDrain;
    if (!isHeard) this.#carrier?.destroy();
    else if (this.#joined) this.#tell();
  }

  #take(data: Buffer): void {
    this.#heardMs = performance.now();
    let at = this.#joined ? 0 : this.#greeted(data);
    while (at < data.length && !this.#over.signal.aborted) {
      if (this.#left > 0) {
        const part = data.subarray(at, at + this.#left);
        this.#left -= part.length;
        at += part.length;
        this.#arrived(part);
        continue;
      }
      this.#head[this.#headBytes] = data[at] ?? 0;
      this.#headBytes += 1;
      at += 1;
      this.#onHead();
    }
  }

  /** The answer to the question; returns where it ends. */
  #greeted(data: Buffer): number {
    const end = data.indexOf(newline);
    this.#line += data.toString('latin1', 0, end < 0 ? data.length : end);
    if (end < 0) return data.length;
    const count = Number(this.#line);
    if (!(count >= this.#acked && count <= this.#sent)) {
      this.#finish(); // “gone”, for example
      return data.length;
    }
    this.#opened = true;
    this.#joined = true;
    this.#acknowledged(count);
    let from = this.#acked;
    for (const chunk of this.#kept) {
      this.#send(chunk.subarray(Math.max(0, count - from)));
      from += sizeOf(chunk);
    }
    if (this.#socket.writableNeedDrain) this.#carrier?.pause();
    return end + 1;
  }

  #onHead(): void {
    if (this.#headBytes < 4) return;
    const length = this.#head.readUInt32BE(0);
    if (length < ackBit) {
      this.#headBytes = 0;
      this.#left = length;
      if (length === 0) this.#endedThere();
    } else if (this.#headBytes === this.#head.length) {
      this.#headBytes = 0;
      this.#acknowledged(Number(this.#head.readBigUInt64BE(4)));
    }
  }

  #arrived(part: Buffer): void {
    this.#received += part.length;
    if (!this.#socket.destroyed && !this.#socket.write(part)) this.#carrier?.pause();
    if (this.#received - this.#told >= ackBytes) this.#tell();
    else this.#ackTimer ??= setTimeout(() => this.#tell(), ackMs);
  }

  #tell(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    if (!this.#joined) return;
    this.#told = this.#received;
    const frame = Buffer.alloc(12);
    frame.writeUInt32BE(ackBit, 0);
    frame.writeBigUInt64BE(BigInt(this.#received), 4);
    this.#carrier?.send([frame]);
  }

  #endedThere(): void {
    this.#received += 1;
    this.#tell();
    this.#finish();
  }

  #acknowledged(count: number): void {
    let arrived = 0;
    for (const chunk of this.#kept) {
      if (this.#acked + sizeOf(chunk) > count) break;
      this.#acked += sizeOf(chunk);
      arrived += 1;
    }
    if (arrived > 0) this.#kept.splice(0, arrived);
    if (this.#ended && this.#kept.length === 0) this.#finish();
    else if (this.#socket.isPaused() && !this.#isFull(0.5)) this.#socket.resume();
  }

  #keep(chunk: Buffer): void {
    this.#kept.push(chunk);
    this.#sent += sizeOf(chunk);
    if (this.#joined) this.#send(chunk);
    if (this.#isFull(1)) this.#socket.pause();
  }

  #isFull(share: number): boolean {
    const isKept = this.#sent - this.#acked > this.#limits.keptBytes * share;
    // What is on its way is acknowledged, and that has it look again.
    return isKept || (this.#carrier?.bufferedAmount ?? 0) > mostBufferedBytes * share;
  }

  #send(chunk: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(chunk.length, 0);
    this.#carrier?.send([head, chunk]);
  }

  #end(): void {
    if (this.#ended || this.#over.signal.aborted) return;
    this.#ended = true;
    this.#keep(Buffer.alloc(0));
    if (!this.#asked) this.#finish();
  }

  #finish(): void {
    clearTimeout(this.#ackTimer);
    this.#over.abort();
    this.#socket.destroySoon();
    this.#carrier?.close();
  }
}

const sizeOf = (chunk: Buffer): number => chunk.length || 1;
