import { Decoder, type DecoderOptions, encode as pack } from '@msgpack/msgpack';
import { checkShape } from './msgpackShape.ts';

/** A Python object inside a message. It is never unpickled: that would be running the peer's code. */
export class Opaque {
  readonly kind: 'pickled' | 'serialized';

  constructor(kind: Opaque['kind']) {
    this.kind = kind;
  }
}

/** A message as frames. `undefined` members are left out. */
export function encodeMessage(message: unknown): Uint8Array[] {
  return [pack(message, { ignoreUndefined: true })];
}

/**
 * A message from its frames: plain JSON-like data, `Uint8Array` for bytes, {@link Opaque} for Python objects.
 * Sets become arrays, enum members their names, tuples as keys of a map their JSON text
 * (distributed/protocol/core.py, utils.py: `msgpack_decode_default`).
 * @throws Error if it is not well-formed
 */
export function decodeMessage(frames: readonly Uint8Array[]): unknown {
  const first = frames[0];
  if (first === undefined) throw new Error('a message without frames');
  checkShape(first);
  // Searching the bytes is far quicker than looking at each key: the identity of 1,000 workers has 45,000.
  const bytes = Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  // Without the underscores in front, which are everywhere, a search is ten times as quick.
  const mayHold = (name: string) => bytes.includes(name.slice(2));
  const value = decoder(mayHold(protoName)).decode(first);
  return specialNames.some(mayHold) ? simplify(value) : value;
}

/** The keys of Dask's special maps, which {@link simplify} replaces. */
const specialNames = ['__Set__', '__Enum__', '__Serialized__', '__Pickled__'];

// An assignment to `__proto__` would change an object's prototype; msgpack refuses the message instead,
// which would let one task or worker of that name hide a whole cluster. So it is renamed.
const protoName = '__proto__';
const renamedProto = '(__proto__)';

const keyDecoder: NonNullable<DecoderOptions['keyDecoder']> = {
  canBeCached: (byteLength) => byteLength === protoName.length,
  decode(bytes, offset, byteLength) {
    return safeKey(Buffer.from(bytes.buffer, bytes.byteOffset + offset, byteLength).toString());
  },
};

const safeKey = (key: string): string => (key === protoName ? renamedProto : key);

function mapKey(key: unknown): string {
  if (typeof key === 'string') return key;
  if (key instanceof Uint8Array) return safeKey(Buffer.from(key).toString('latin1'));
  return typeof key === 'object' ? JSON.stringify(key) : String(key);
}

/** A fresh one for each message: a shared one would carry state past an error. */
const decoder = (renames: boolean): Decoder =>
  new Decoder({ mapKeyConverter: mapKey, ...(renames && { keyDecoder }) });

/** Replaces Dask's special maps, in place. Depth is bounded by {@link checkShape}. */
function simplify(value: unknown): unknown {
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i += 1) value[i] = simplify(value[i]);
    return value;
  }
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) {
    return value;
  }
  const map = value as Record<string, unknown>;
  if (map.__Set__ === true && Array.isArray(map['as-list'])) return simplify(map['as-list']);
  if (map.__Enum__ === true && typeof map.name === 'string') return map.name;
  if (typeof map.__Serialized__ === 'number') return new Opaque('serialized');
  if (typeof map.__Pickled__ === 'number') return new Opaque('pickled');
  for (const key of Object.keys(map)) map[key] = simplify(map[key]);
  return map;
}
