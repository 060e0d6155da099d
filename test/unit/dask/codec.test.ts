import assert from 'node:assert/strict';
import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { decodeMessage, encodeMessage, Opaque } from '../../../src/dask/codec.ts';

const decode = (...values: number[]) => decodeMessage([Uint8Array.from(values)]);
const there = (value: unknown) => decodeMessage(encodeMessage(value));

describe('messages', () => {
  it('come back as they were', () => {
    // One name is changed on purpose, see below.
    const json = fc.jsonValue({ depthSize: 'medium' }).map((value) => JSON.stringify(value));
    fc.assert(
      fc.property(
        json.filter((text) => !text.includes('__proto__')),
        (text) => assert.deepEqual(there(JSON.parse(text)), JSON.parse(text)),
      ),
    );
    assert.deepEqual(there({ a: undefined, b: [1] }), { b: [1] });
    assert.deepEqual(there({ b: Uint8Array.of(1, 2) }), { b: Uint8Array.of(1, 2) });
  });

  it('turn sets into arrays and enum members into names, at any depth', () => {
    const status = { __Enum__: true, name: 'running', __module__: 'distributed.core', __name__: 'Status' };
    assert.deepEqual(there([{ s: { __Set__: true, 'as-list': [status, 2] } }]), [{ s: ['running', 2] }]);
  });

  it('keep Python objects shut, wherever their frames are', () => {
    const reply = there({ ok: 1, exception: { __Pickled__: 1 }, list: [{ __Serialized__: 99 }] });
    assert.deepEqual(reply, { ok: 1, exception: new Opaque('pickled'), list: [new Opaque('serialized')] });
  });

  it('leave look-alikes of the special maps alone', () => {
    const value = { a: { __Set__: true }, b: { __Enum__: true }, c: { __Pickled__: 'x' } };
    assert.deepEqual(there(value), value);
  });

  it('have tuples, numbers, null and bytes as keys', () => {
    // {["x", 0]: 1}, {5: 1}, {nil: 1}, {bin "k": 1}, {true: 1}
    assert.deepEqual(decode(0x81, 0x92, 0xa1, 0x78, 0, 1), { '["x",0]': 1 });
    assert.deepEqual(decode(0x81, 5, 1), { 5: 1 });
    assert.deepEqual(decode(0x81, 0xc0, 1), { null: 1 });
    assert.deepEqual(decode(0x81, 0xc4, 1, 0x6b, 1), { k: 1 });
    assert.deepEqual(decode(0x81, 0xc3, 1), { true: 1 });
  });

  it('may hold __proto__ as a key, which changes no prototype and hides nothing else', () => {
    const name = [...Buffer.from('__proto__')];
    const inner = [0x81, 0xa1, 0x78, 1]; // {x: 1}
    for (const key of [
      [0xa9, ...name],
      [0xd9, 9, ...name],
      [0xc4, 9, ...name],
    ]) {
      const value = decode(0x82, ...key, ...inner, 0xa1, 0x61, 2) as Record<string, unknown>;
      assert.equal(Object.getPrototypeOf(value), Object.prototype);
      assert.deepEqual(value, { '(__proto__)': { x: 1 }, a: 2 });
    }
    assert.equal(({} as Record<string, unknown>).x, undefined);
    // `constructor` and the like are ordinary.
    assert.deepEqual(there({ constructor: { prototype: 1 } }), { constructor: { prototype: 1 } });
  });

  it('are refused when nested too deeply, before a stack overflows', () => {
    assert.throws(() => decodeMessage([new Uint8Array(1_000_000).fill(0x91)]), /nested|early/);
    const deep = (depth: number) => Uint8Array.from([...new Array(depth).fill(0x91), 0xc0]);
    decodeMessage([deep(128)]);
    assert.throws(() => decodeMessage([deep(129)]), /nested/);
  });

  it('are refused when they announce more than they hold, without making room for it', () => {
    const before = process.memoryUsage().heapUsed;
    // Arrays in arrays, each with a million announced items.
    const bomb = Buffer.concat(new Array(100).fill(Buffer.from([0xdd, 0, 0x0f, 0x42, 0x40])));
    assert.throws(() => decodeMessage([bomb]), /early/);
    assert.throws(() => decode(0xdf, 0xff, 0xff, 0xff, 0xff), /early/);
    assert.throws(() => decode(0xdb, 0xff, 0xff, 0xff, 0xff));
    assert.ok(process.memoryUsage().heapUsed - before < 50 * 2 ** 20);
  });

  it('are refused when empty, cut short or followed by more', () => {
    assert.throws(() => decodeMessage([]), /without frames/);
    assert.throws(() => decode(), /early/);
    assert.throws(() => decode(1, 2), /after the end/);
    assert.throws(() => decode(0xc1), /no meaning/);
    const whole = encode({ a: [1.5, 'text', -70000, 2 ** 40, Uint8Array.of(1)], b: { c: null, d: true } });
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => decodeMessage([whole.subarray(0, length)]));
    }
  });
});
