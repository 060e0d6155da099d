import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from '@msgpack/msgpack';
import { WebSocketServer } from 'ws';
import { UserError } from '../../../src/core/errors.ts';
import { ClientStream } from '../../../src/dask/clientStream.ts';
import { encodeMessage } from '../../../src/dask/codec.ts';
import { encodeStream } from '../../../src/dask/frames.ts';
import { SchedulerClient } from '../../../src/dask/scheduler.ts';
import { type Behave, type Fake, type Peer, startFake } from '../../support/schedulerFake.ts';

const MiB = 2 ** 20;

const head = (...numbers: (number | bigint)[]) => {
  const buffer = Buffer.alloc(8 * numbers.length);
  for (const [i, number] of numbers.entries()) buffer.writeBigUInt64LE(BigInt(number), 8 * i);
  return buffer;
};

/** Sends a piece again and again, as fast as it is taken. */
function pour(peer: Peer, piece: Uint8Array): void {
  while (!peer.socket.destroyed) {
    if (!peer.socket.write(piece)) {
      peer.socket.once('drain', () => pour(peer, piece));
      return;
    }
  }
}

/** A msgpack array of this many empty maps: a byte each on the wire, an object each in memory. */
function emptyMaps(count: number): Uint8Array {
  const bytes = Buffer.alloc(5 + count, 0x80);
  bytes.writeUInt8(0xdd);
  bytes.writeUInt32BE(count, 1);
  return bytes;
}

/** Does something, and gives how much more memory was used at its peak than before. */
async function growthOf(work: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss());
  }, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, process.memoryUsage.rss()) - before;
}

const said = (reason: UserError['reason'], message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.equal(error.reason, reason, error.message);
  assert.match(error.message, message);
  return true;
};

/** On a busy machine a limit may be over before both have greeted. */
const late = /No answer within|did not greet within/;

describe('a hostile peer', () => {
  const fakes: Fake[] = [];
  const clients: SchedulerClient[] = [];

  async function connect(behave: Behave, timeoutMs = 5000) {
    const fake = await startFake(behave);
    const client = new SchedulerClient(fake.address, { timeoutMs });
    fakes.push(fake);
    clients.push(client);
    return { fake, client };
  }

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const fake of fakes.splice(0)) await fake.stop();
  });

  const refused: Record<string, Uint8Array> = {
    'a frame of 2^60 bytes': head(0, 1, 2n ** 60n),
    'frames that add up to more than is allowed': head(0, 3, 30 * MiB, 30 * MiB, 30 * MiB),
    '2^60 frames': head(0, 2n ** 60n),
    'a length that no number holds': head(0, 1, 2n ** 64n - 1n),
    'a million arrays in each other': encodeStream([new Uint8Array(MiB).fill(0x91)]),
    'maps in each other as keys': encodeStream([new Uint8Array(MiB).fill(0x81)]),
    'arrays that announce what is not there': encodeStream([
      Buffer.concat(new Array(100).fill(Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]))),
    ]),
    '60 million empty maps': encodeStream([emptyMaps(60_000_000)]),
    'a text of 4 GiB that is not there': encodeStream([Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff)]),
  };
  for (const [name, bytes] of Object.entries(refused)) {
    it(`is refused when it sends ${name}`, async () => {
      const { fake, client } = await connect((peer) => peer.sendRaw(bytes), 30_000);
      const grown = await growthOf(() =>
        assert.rejects(client.identity(), said('protocol', /not a Dask message/)),
      );
      assert.ok(grown < 250 * MiB, `grew by ${grown}`);
      while (fake.open.size > 0) await sleep(5);
    });
  }

  it('is given up in time when its frames never end, and fills no memory', async () => {
    const piece = Buffer.alloc(65_536);
    const { fake, client } = await connect((peer) => {
      peer.sendRaw(head(0, 1, 64 * MiB));
      pour(peer, piece);
    }, 2000);
    const grown = await growthOf(() => assert.rejects(client.identity(), UserError));
    assert.ok(grown < 400 * MiB, `grew by ${grown}`);
    client.close();
    while (fake.open.size > 0) await sleep(5);
  });

  it('is given up in time when it sends one byte after another', async () => {
    const { fake, client } = await connect((peer) => {
      peer.sendRaw(head(0, 1, 64 * MiB));
      const timer = setInterval(() => peer.sendRaw(Uint8Array.of(0)), 1);
      peer.socket.once('close', () => clearInterval(timer));
    }, 300);
    await assert.rejects(client.identity(), said('timeout', late));
    while (fake.open.size > 0) await sleep(5);
  });

  it('can name its workers as it likes: no prototype is changed', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__defineGetter__'];
    const workers = (value: unknown) => new Map(names.map((name) => [name, value]));
    const { client } = await connect((peer, { op }) => {
      // JavaScript has no such object to encode; so by hand.
      const entries = [...workers(op === 'identity' ? { nthreads: 3, status: 'running' } : ['nap-1'])];
      const parts = entries.flatMap(([name, value]) => [encode(name), encode(value)]);
      const map = Buffer.concat([Uint8Array.of(0x80 + entries.length), ...parts]);
      const whole = [Uint8Array.of(0x82), encode('type'), encode('Scheduler'), encode('workers'), map];
      peer.sendRaw(encodeStream([op === 'identity' ? Buffer.concat(whole) : map]));
    });
    const identity = await client.identity();
    assert.deepEqual(
      identity.workers.map(({ address, threads }) => [address, threads]),
      names.map((name) => [name === '__proto__' ? '(__proto__)' : name, 3]),
    );
    assert.equal((await client.processing()).size, names.length);
    assert.equal(({} as Record<string, unknown>).nthreads, undefined);
  });

  it('can talk without being asked: a call is not answered by it, and nothing piles up', async () => {
    const unasked = encodeStream(encodeMessage({ op: 'event', topic: 'x', event: [1, 'x'.repeat(1000)] }));
    const { fake, client } = await connect((peer) => {
      peer.send({ type: 'Scheduler', id: 'a' });
      pour(peer, unasked);
    });
    const grown = await growthOf(async () => {
      for (let i = 0; i < 20; i += 1) {
        assert.equal((await client.identity()).id, 'a');
        await sleep(10);
      }
    });
    assert.ok(grown < 150 * MiB, `grew by ${grown}`);
    assert.equal(fake.open.size <= 1, true);
  });

  it('can pour events on a stream: the rest goes on, and nothing piles up', async () => {
    const event = encodeStream(encodeMessage([{ op: 'event', topic: 'x', event: [1, 'x'.repeat(1000)] }]));
    const { fake } = await connect((peer) => {
      peer.send([{ op: 'stream-start' }]);
      pour(peer, event);
    });
    let events = 0;
    const count = () => {
      events += 1;
    };
    const stream = await ClientStream.open(fake.address, { onEvent: count, onLost: assert.fail });
    let ticks = 0;
    const grown = await growthOf(async () => {
      for (; ticks < 50; ticks += 1) await sleep(5);
    });
    stream.close();
    assert.ok(events > 1000, `${events} events`);
    assert.ok(grown < 150 * MiB, `grew by ${grown}`);
  });

  it('that never reads is given up: what we have to say does not pile up', async () => {
    const { fake } = await connect((peer) => {
      peer.send([{ op: 'stream-start' }]);
      peer.socket.pause();
    });
    const lost = Promise.withResolvers<UserError>();
    const stream = await ClientStream.open(fake.address, {
      onEvent: () => undefined,
      onLost: lost.resolve,
    });
    const topic = 'x'.repeat(10_000);
    const grown = await growthOf(async () => {
      for (let i = 0; i < 20_000; i += 1) stream.subscribe(topic);
      assert.equal((await lost.promise).reason, 'scheduler-lost');
    });
    assert.ok(grown < 150 * MiB, `grew by ${grown}`);
  });

  it('that never reads makes calls end in time, on connections that are not kept', async () => {
    const { fake, client } = await connect((peer) => peer.socket.pause(), 100);
    for (let i = 0; i < 10; i += 1) {
      await assert.rejects(client.identity(), said('timeout', late));
    }
    while (fake.open.size > 0) await sleep(5);
  });

  it('is refused over ws as well', async () => {
    const sent: Record<string, Uint8Array[]> = {
      'too many frames': [head(2n ** 60n)],
      'too large a frame': [head(1), Buffer.alloc(65 * MiB)],
      'too much in all': [head(3), Buffer.alloc(30 * MiB), Buffer.alloc(30 * MiB), Buffer.alloc(30 * MiB)],
      'a frame count of one byte': [Uint8Array.of(1)],
    };
    for (const [name, messages] of Object.entries(sent)) {
      const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
      await new Promise((resolve) => server.once('listening', resolve));
      server.on('connection', (socket) => {
        socket.on('error', () => undefined);
        for (const part of [head(1), ...encodeMessage({ 'pickle-protocol': 4 })]) socket.send(part);
        // The greeting's two messages come first.
        let heard = 0;
        socket.on('message', () => {
          heard += 1;
          if (heard === 4) for (const message of messages) socket.send(message);
        });
      });
      const { port } = server.address() as { port: number };
      const client = new SchedulerClient(`ws://127.0.0.1:${port}`, { timeoutMs: 20_000 });
      const grown = await growthOf(() =>
        assert.rejects(client.identity(), (error) => {
          assert.ok(error instanceof UserError && /protocol|scheduler-lost/.test(error.reason), name);
          return true;
        }),
      );
      assert.ok(grown < 400 * MiB, `${name}: grew by ${grown}`);
      client.close();
      server.close();
    }
  });
});
