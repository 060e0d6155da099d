/** Each stream of ours has an odd number. */
const errorStream = 1;
const dataStream = 3;
const finFlag = 1;
const controlBit = 0x8000_0000;
const control = { synStream: 1, synReply: 2, rstStream: 3, goAway: 7 } as const;
const headBytes = 8;

export interface SpdyEvents {
  /** The port takes data. */
  onReady(): void;
  onData(data: Buffer): void;
  /** Nothing more comes from the port: it has ended, or nothing listens there. */
  onEnd(): void;
}

/**
 * The part of SPDY/3.1 that a forward of one port takes: two streams, one for its data and one for what goes wrong. There are
 * no windows: whoever sends waits when the connection is full.
 */
export class SpdyForward {
  readonly #events: SpdyEvents;
  readonly #head = Buffer.alloc(headBytes);
  #got = 0;
  /** Of the frame that is being read. */
  #left = 0;
  #replies = 0;

  constructor(events: SpdyEvents) {
    this.#events = events;
  }

  /** What asks for a port. */
  opening(port: number): Buffer {
    const headers = (streamtype: string) => ({ streamtype, port: String(port), requestid: '0' });
    // Headers of all streams are one text to decompress: it begins once.
    const begun = Buffer.from([0x78, 0x01]);
    return Buffer.concat([
      synStream(errorStream, finFlag, [begun, stored(headers('error'))]),
      synStream(dataStream, 0, [stored(headers('data'))]),
    ]);
  }

  /** Data in one frame; none is the end of what we send. */
  frame(parts: readonly Buffer[]): Buffer {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const frame = Buffer.allocUnsafe(headBytes + length);
    frame.writeUInt32BE(dataStream, 0);
    frame.writeUInt32BE(length === 0 ? finFlag * 2 ** 24 : length, 4);
    let at = headBytes;
    for (const part of parts) at += part.copy(frame, at);
    return frame;
  }

  /** What comes, cut anywhere. */
  take(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      if (this.#got < headBytes) {
        this.#head[this.#got] = data[at] ?? 0;
        this.#got += 1;
        at += 1;
        if (this.#got < headBytes) continue;
        this.#left = this.#head.readUIntBE(5, 3);
      } else {
        const part = data.subarray(at, at + this.#left);
        at += part.length;
        this.#left -= part.length;
        if (this.#stream === dataStream) this.#events.onData(part);
        else if (this.#stream === errorStream) this.#events.onEnd();
      }
      if (this.#left === 0) this.#over();
    }
  }

  /** Undefined in a control frame. */
  get #stream(): number | undefined {
    const word = this.#head.readUInt32BE(0);
    return word < controlBit ? word : undefined;
  }

  #over(): void {
    this.#got = 0;
    const stream = this.#stream;
    const type = this.#head.readUInt16BE(2);
    if (stream === dataStream && this.#head.readUInt8(4) & finFlag) this.#events.onEnd();
    else if (stream !== undefined) return;
    else if (type === control.synReply) this.#replied();
    else if (type === control.rstStream || type === control.goAway) this.#events.onEnd();
  }

  /** Data that come before are lost. */
  #replied(): void {
    this.#replies += 1;
    if (this.#replies === 2) this.#events.onReady();
  }
}

function synStream(stream: number, flags: number, headers: readonly Buffer[]): Buffer {
  const body = Buffer.concat(headers);
  const frame = Buffer.alloc(headBytes + 10);
  frame.writeUInt16BE(0x8003, 0);
  frame.writeUInt16BE(control.synStream, 2);
  frame.writeUInt32BE(flags * 2 ** 24 + 10 + body.length, 4);
  frame.writeUInt32BE(stream, headBytes);
  return Buffer.concat([frame, body]);
}

/** Names and values as a compressed text has them that is not compressed: a stored block, and an empty one that ends it. */
function stored(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const text = Buffer.concat([number(entries.length), ...entries.flat().flatMap(counted)]);
  const head = Buffer.alloc(5);
  head.writeUInt16LE(text.length, 1);
  head.writeUInt16LE(0xffff - text.length, 3);
  return Buffer.concat([head, text, Buffer.from([0, 0, 0, 0xff, 0xff])]);
}

const counted = (text: string): readonly Buffer[] => [number(text.length), Buffer.from(text)];

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
