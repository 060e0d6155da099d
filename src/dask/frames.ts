/** What a message may measure before the peer is taken for something else than Dask. */
export interface FrameLimits {
  readonly maxFrames: number;
  /** All frames of a message together. */
  readonly maxMessageBytes: number;
}

/** The largest answers that we ask for, of clusters of 10,000 workers or 100,000 events, have some 10 MiB. */
export const defaultLimits: FrameLimits = { maxFrames: 1 << 16, maxMessageBytes: 64 * 1024 * 1024 };

/** The bytes can't be Dask's. `http`: they look like a web server's answer. */
export class FrameError extends Error {
  readonly kind: 'http' | 'garbage' | 'too-large';

  constructor(kind: FrameError['kind'], message: string) {
    super(message);
    this.name = 'FrameError';
    this.kind = kind;
  }
}

/** Turns what a transport delivers into messages (lists of frames). Holds no socket. */
export interface Framing {
  /** @throws FrameError as soon as the bytes can't be a message; the framing is of no use afterwards */
  append(bytes: Uint8Array): void;
  /** The next whole message, undefined while bytes are missing. */
  read(): Uint8Array[] | undefined;
  /** Bytes held for the message that is not complete yet. */
  readonly heldBytes: number;
}

const smallest = 4096;

/**
 * Bytes that arrive in pieces, collected to a known length. Grows with what has arrived, not with what
 * was announced, and by doubling, so that neither a lie about the length nor tiny pieces cost anything.
 */
class Section {
  #length: number;
  #filled = 0;
  #held: Uint8Array | undefined;

  constructor(length: number) {
    this.#length = length;
  }

  get heldBytes(): number {
    return this.#filled;
  }

  /** Takes from `bytes` at `offset`. Gives how many were taken, and the section once it is complete. */
  take(bytes: Uint8Array, offset: number): { taken: number; whole?: Uint8Array } {
    const taken = Math.min(this.#length - this.#filled, bytes.length - offset);
    const piece = bytes.subarray(offset, offset + taken);
    if (taken === this.#length) return { taken, whole: new Uint8Array(piece) };
    if (taken > 0) this.#store(piece);
    if (this.#filled < this.#length || this.#held === undefined) return { taken };
    return { taken, whole: this.#held.subarray(0, this.#length) };
  }

  #store(piece: Uint8Array): void {
    const filled = this.#filled + piece.length;
    if (this.#held === undefined || this.#held.length < filled) {
      const grown = new Uint8Array(Math.min(this.#length, Math.max(smallest, 2 * filled)));
      if (this.#held !== undefined) grown.set(this.#held.subarray(0, this.#filled));
      this.#held = grown;
    }
    this.#held.set(piece, this.#filled);
    this.#filled = filled;
  }
}

/**
 * Framing of tcp:// and tls://: `[u64 P][u64 n][n × u64 length][frames]`, little endian.
 * P is not used: since distributed 2023.11 it does not count all that follows (distributed/comm/tcp.py).
 * Copies what it keeps: the bytes may be those of a buffer that is used again.
 */
export class StreamFraming implements Framing {
  readonly #limits: FrameLimits;
  #messages: Uint8Array[][] = [];
  #section = new Section(16);
  /** Lengths of the frames that are still to come; undefined before they are known. */
  #lengths: number[] | undefined;
  #stage: 'prefix' | 'lengths' | 'frames' = 'prefix';
  #frames: Uint8Array[] = [];
  #frameBytes = 0;

  constructor(limits: FrameLimits = defaultLimits) {
    this.#limits = limits;
  }

  get heldBytes(): number {
    return this.#frameBytes + this.#section.heldBytes;
  }

  append(bytes: Uint8Array): void {
    let offset = 0;
    for (;;) {
      const { taken, whole } = this.#section.take(bytes, offset);
      offset += taken;
      if (whole === undefined) return;
      this.#advance(whole);
    }
  }

  read(): Uint8Array[] | undefined {
    return this.#messages.shift();
  }

  #advance(whole: Uint8Array): void {
    switch (this.#stage) {
      case 'prefix':
        this.#stage = 'lengths';
        this.#section = new Section(8 * readCount(whole, 8, this.#limits));
        return;
      case 'lengths':
        this.#stage = 'frames';
        this.#lengths = readLengths(whole, this.#limits).reverse();
        break;
      case 'frames':
        this.#frames.push(whole);
        this.#frameBytes += whole.length;
        break;
    }
    const length = this.#lengths?.pop();
    if (length !== undefined) this.#section = new Section(length);
    else this.#finish();
  }

  #finish(): void {
    this.#messages.push(this.#frames);
    this.#frames = [];
    this.#frameBytes = 0;
    this.#stage = 'prefix';
    this.#section = new Section(16);
  }
}

/** Framing of ws:// and wss://: one message with the number of frames (u64), then a message a frame. */
export class WebSocketFraming implements Framing {
  readonly #limits: FrameLimits;
  #messages: Uint8Array[][] = [];
  #frames: Uint8Array[] = [];
  #missing: number | undefined;
  #frameBytes = 0;

  constructor(limits: FrameLimits = defaultLimits) {
    this.#limits = limits;
  }

  get heldBytes(): number {
    return this.#frameBytes;
  }

  append(message: Uint8Array): void {
    if (this.#missing === undefined) {
      if (message.length !== 8) throw new FrameError('garbage', 'a frame count is not eight bytes long');
      this.#missing = readCount(message, 0, this.#limits);
    } else {
      this.#frames.push(message);
      this.#frameBytes += message.length;
      this.#missing -= 1;
      checkTotal(this.#frameBytes, this.#limits);
    }
    if (this.#missing > 0) return;
    this.#messages.push(this.#frames);
    this.#frames = [];
    this.#frameBytes = 0;
    this.#missing = undefined;
  }

  read(): Uint8Array[] | undefined {
    return this.#messages.shift();
  }
}

/** The bytes of a message on tcp:// and tls://. */
export function encodeStream(frames: readonly Uint8Array[]): Uint8Array {
  const frameBytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  const head = Buffer.alloc(16 + 8 * frames.length);
  // Readers of every version accept the whole rest as P.
  head.writeBigUInt64LE(BigInt(head.length - 8 + frameBytes), 0);
  head.set(encodeCount(frames.length), 8);
  for (const [i, frame] of frames.entries()) head.set(encodeCount(frame.length), 16 + 8 * i);
  return Buffer.concat([head, ...frames]);
}

/** The WebSocket messages of a message on ws:// and wss://. */
export function encodeWebSocket(frames: readonly Uint8Array[]): Uint8Array[] {
  return [encodeCount(frames.length), ...frames];
}

function encodeCount(count: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(count));
  return bytes;
}

function readCount(bytes: Uint8Array, offset: number, limits: FrameLimits): number {
  const count = readU64(bytes, offset);
  if (count <= limits.maxFrames) return count;
  const text = String.fromCharCode(...bytes.subarray(0, 8));
  if (text.startsWith('HTTP/')) throw new FrameError('http', 'the peer answers as a web server');
  throw new FrameError('garbage', `a message of ${count} frames`);
}

function readLengths(bytes: Uint8Array, limits: FrameLimits): number[] {
  const lengths: number[] = [];
  let total = 0;
  for (let offset = 0; offset < bytes.length; offset += 8) {
    const length = readU64(bytes, offset);
    total += length;
    checkTotal(total, limits);
    lengths.push(length);
  }
  return lengths;
}

function checkTotal(bytes: number, limits: FrameLimits): void {
  if (bytes <= limits.maxMessageBytes) return;
  throw new FrameError('too-large', `a message of ${bytes} bytes, more than ${limits.maxMessageBytes}`);
}

function readU64(bytes: Uint8Array, offset: number): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset, true));
}
