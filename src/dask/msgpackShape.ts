const MAX_DEPTH = 128;
/** An item may be one byte on the wire and a hundred in memory. A cluster of 10,000 workers has a million of them. */
const MAX_ITEMS = 2_000_000;

/** What follows a type byte: this many bytes that hold a length, this many that are skipped, or items. */
type Kind = 'bytes' | 'array' | 'map';

/** Type bytes 0xc4–0xdf that carry a length (github.com/msgpack/msgpack/blob/master/spec.md). */
const sized: Readonly<Record<number, readonly [kind: Kind, lengthBytes: number, extraBytes: number]>> = {
  196: ['bytes', 1, 0], // bin
  197: ['bytes', 2, 0],
  198: ['bytes', 4, 0],
  199: ['bytes', 1, 1], // ext: one more for its type
  200: ['bytes', 2, 1],
  201: ['bytes', 4, 1],
  217: ['bytes', 1, 0], // str
  218: ['bytes', 2, 0],
  219: ['bytes', 4, 0],
  220: ['array', 2, 0],
  221: ['array', 4, 0],
  222: ['map', 2, 0],
  223: ['map', 4, 0],
};

/** Bytes after a type byte 0xc0–0xdf of fixed size: floats, integers, fixext. */
const fixed: Readonly<Record<number, number>> = {
  192: 0, // nil
  194: 0, // false
  195: 0, // true
  202: 4, // float
  203: 8,
  204: 1, // uint
  205: 2,
  206: 4,
  207: 8,
  208: 1, // int
  209: 2,
  210: 4,
  211: 8,
  212: 2, // fixext: type and 1, 2, 4, 8, 16 bytes
  213: 3,
  214: 5,
  215: 9,
  216: 17,
};

/**
 * Looks over msgpack data before it is decoded. A decoder makes room for what a header announces, so that
 * a few nested headers can ask for more memory than there is: here all that is announced must fit into
 * the bytes that are there, and nesting and the number of items are limited.
 * @throws Error if it does not
 */
export function checkShape(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Items to come, for each open array or map. */
  const open: number[] = [];
  let expected = 1;
  let seen = 0;
  let offset = 0;
  while (expected > 0) {
    if (expected > bytes.length - offset) throw new Error('msgpack data ends too early');
    const type = bytes[offset] as number;
    let size = shortSizes[type] as number;
    let items = shortItems[type] as number;
    if (size === 0) ({ size, items } = readHeader(view, offset, type));
    offset += size;
    expected += items - 1;
    seen += 1;
    if (seen > MAX_ITEMS) throw new Error(`msgpack data of more than ${MAX_ITEMS} items`);
    if (items > 0) open.push(items);
    else closeFinished(open);
    if (open.length > MAX_DEPTH) throw new Error(`msgpack data nested deeper than ${MAX_DEPTH}`);
  }
  if (offset !== bytes.length) throw new Error('bytes after the end of msgpack data');
}

/** One item is complete; so may be those around it. */
function closeFinished(open: number[]): void {
  for (let last = open.pop(); last !== undefined; last = open.pop()) {
    if (last > 1) {
      open.push(last - 1);
      return;
    }
  }
}

/** By type byte: the size of an item whose type byte tells it, 0 for those with a length. */
const shortSizes = Uint8Array.from({ length: 256 }, (_, type) => {
  if (type >= 0xa0 && type < 0xc0) return 1 + (type & 0x1f);
  if (type < 0xc0 || type >= 0xe0) return 1;
  const size = fixed[type];
  return size === undefined ? 0 : 1 + size;
});

/** By type byte: how many items are in a short map or array. */
const shortItems = Uint8Array.from({ length: 256 }, (_, type) => {
  if (type < 0x80 || type >= 0xa0) return 0;
  return type < 0x90 ? 2 * (type & 0x0f) : type & 0x0f;
});

/** Size of the item at `offset` without the items in it, and how many those are; for types with a length. */
function readHeader(view: DataView, offset: number, type: number): { size: number; items: number } {
  const header = sized[type];
  if (header === undefined) throw new Error('a byte that msgpack has no meaning for');
  const [kind, lengthBytes, extraBytes] = header;
  const length = readLength(view, offset + 1, lengthBytes);
  const head = 1 + lengthBytes + extraBytes;
  if (kind === 'bytes') return { size: head + length, items: 0 };
  return { size: head, items: kind === 'map' ? 2 * length : length };
}

function readLength(view: DataView, offset: number, lengthBytes: number): number {
  if (lengthBytes === 1) return view.getUint8(offset);
  return lengthBytes === 2 ? view.getUint16(offset) : view.getUint32(offset);
}
