import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { encode } from '@msgpack/msgpack';
import { parseAddress } from '../../../src/core/address.ts';
import { type ErrorReason, UserError } from '../../../src/core/errors.ts';
import { encodeStream } from '../../../src/dask/frames.ts';
import { RemoteError, Rpc, type RpcOptions } from '../../../src/dask/rpc.ts';
import { type Behave, type Fake, greeting, type Peer, startFake } from '../../support/schedulerFake.ts';

const head = (...numbers: bigint[]) => {
  const buffer = Buffer.alloc(8 * numbers.length);
  for (const [i, number] of numbers.entries()) buffer.writeBigUInt64LE(number, 8 * i);
  return buffer;
};

const fails = (call: Promise<unknown>, reason: ErrorReason, message: RegExp) =>
  assert.rejects(call, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.reason, reason, error.message);
    assert.match(error.message, message);
    return true;
  });

describe('calls to a scheduler', () => {
  const fakes: Fake[] = [];
  const rpcs: Rpc[] = [];

  async function connect(behave: Behave, options: RpcOptions = {}, greet?: (peer: Peer) => void) {
    const fake = await startFake(behave, greet);
    const rpc = new Rpc(parseAddress(fake.address), { timeoutMs: 20_000, ...options });
    fakes.push(fake);
    rpcs.push(rpc);
    return { fake, rpc };
  }

  afterEach(async () => {
    for (const rpc of rpcs.splice(0)) rpc.close();
    for (const fake of fakes.splice(0)) await fake.stop();
  });

  async function until(condition: () => boolean) {
    while (!condition()) await sleep(5);
  }

  const echo: Behave = (peer, message) => peer.send(message.value);

  it('go one at a time over a connection, and use no more connections than allowed', async () => {
    const inFlight = new Map<number, number>();
    const { fake, rpc } = await connect(
      (peer, message) => {
        inFlight.set(peer.index, (inFlight.get(peer.index) ?? 0) + 1);
        assert.equal(inFlight.get(peer.index), 1);
        setTimeout(() => {
          inFlight.set(peer.index, 0);
          peer.send(message.value);
        }, 5);
      },
      { maxConnections: 3 },
    );
    const values = Array.from({ length: 20 }, (_, value) => value);
    assert.deepEqual(await Promise.all(values.map((value) => rpc.call('echo', { value }))), values);
    assert.equal(fake.open.size, 3);
  });

  it('throw what was raised there, with its traceback, and go on', async () => {
    const { fake, rpc } = await connect((peer, message) => {
      if (message.op === 'good') peer.send('fine');
      else
        peer.send({
          status: 'uncaught-error',
          exception: Uint8Array.of(128),
          exception_text:
            message.op === 'bad' ? "TypeError('no')" : "The 'x' handler has been explicitly disallowed",
          traceback_text: 'File "x.py", line 1',
        });
    });
    await assert.rejects(rpc.call('bad'), (error) => {
      assert.ok(error instanceof RemoteError);
      assert.equal(error.reason, 'remote');
      assert.match(error.message, /“bad”: TypeError\('no'\)/);
      assert.equal(error.traceback, 'File "x.py", line 1');
      return true;
    });
    await fails(rpc.call('forbidden'), 'not-permitted', /settings forbid “forbidden”/);
    assert.equal(await rpc.call('good'), 'fine');
    assert.equal(fake.open.size, 1);
  });

  it('end in time when there is no answer; the late answer is nobody’s', async () => {
    const { fake, rpc } = await connect((peer, message) => {
      setTimeout(() => peer.send(message.value), message.value === 'late' ? 150 : 0);
    });
    await rpc.call('echo', { value: 'connected' });
    await fails(rpc.call('echo', { value: 'late' }, { timeoutMs: 50 }), 'timeout', /“echo”.*/);
    for (let i = 0; i < 30; i += 1) {
      assert.equal(await rpc.call('echo', { value: i }), i);
      await sleep(5);
    }
    assert.equal(fake.open.size, 1);
  });

  it('are not answered by what the peer said unasked', async () => {
    const { rpc } = await connect((peer, message) => {
      peer.send(message.value);
      peer.send('unasked');
    });
    for (let i = 0; i < 5; i += 1) {
      assert.equal(await rpc.call('echo', { value: i }), i);
      await sleep(5);
    }
  });

  it('can be given up, while waiting for an answer and while waiting for a turn', async () => {
    const { fake, rpc } = await connect(() => undefined, { maxConnections: 1 });
    const stop = new AbortController();
    const calls = [1, 2, 3].map(() => rpc.call('silence', {}, { signal: stop.signal }));
    const ends = calls.map((call) => fails(call, 'cancelled', /Cancelled/));
    await until(() => fake.ops.length > 0);
    stop.abort();
    await Promise.all(ends);
    await until(() => fake.open.size === 0);
    assert.equal(fake.ops.length, 1);
    await fails(rpc.call('x', {}, { signal: AbortSignal.abort() }), 'cancelled', /Cancelled/);
  });

  it('wait for a turn within their own limit, and never pile up', async () => {
    const { fake, rpc } = await connect(() => undefined, { maxConnections: 1, timeoutMs: 60 });
    const calls = Array.from({ length: 200 }, () =>
      rpc.call('silence').then(
        () => 'ok',
        (error) => error.message,
      ),
    );
    const answers = await Promise.all(calls);
    assert.equal(answers.filter((answer) => answer.includes('calls wait for it already')).length, 200 - 65);
    assert.ok(fake.ops.length < 5);
  });

  it('end at once when the client closes', async () => {
    const { fake, rpc } = await connect(() => undefined);
    const ends = [1, 2, 3, 4, 5, 6].map(() => fails(rpc.call('silence'), 'cancelled', /closed by us/));
    await until(() => fake.ops.length > 0);
    rpc.close();
    await Promise.all(ends);
    await fails(rpc.call('more'), 'cancelled', /closed by us/);
    await until(() => fake.open.size === 0);
  });

  it('connect again after the scheduler closed an idle connection', async () => {
    const { fake, rpc } = await connect(echo);
    await rpc.call('echo', { value: 1 });
    for (const socket of fake.open) socket.destroy();
    await until(() => fake.open.size === 0);
    // The news are on their way through this process's own loop.
    for (let i = 0; i < 5; i += 1) await setImmediate();
    assert.equal(await rpc.call('echo', { value: 2 }), 2);
  });

  it('fail when the connection is reset in the middle of an answer', async () => {
    const { rpc } = await connect((peer) => {
      peer.sendRaw(Buffer.concat([head(116n, 1n, 100n), Buffer.from('half')]));
      setTimeout(() => peer.socket.resetAndDestroy(), 10);
    });
    await fails(rpc.call('x'), 'scheduler-lost', /was closed/);
  });

  const wrong: Record<string, Uint8Array> = {
    'a message of 2^60 frames': head(0n, 2n ** 60n),
    'a frame of 2^60 bytes': head(0n, 1n, 2n ** 60n),
    'deep nesting': encodeStream([new Uint8Array(100_000).fill(0x91)]),
    'what is not msgpack': encodeStream([Uint8Array.of(0xc1)]),
    'no frames at all': encodeStream([]),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    it(`fail at once on ${name}`, async () => {
      const { fake, rpc } = await connect((peer) => peer.sendRaw(bytes));
      await fails(rpc.call('x'), 'protocol', /not a Dask message/);
      await until(() => fake.open.size === 0);
    });
  }

  it('hold a peer back that sends without end', async () => {
    const flood = encodeStream([encode('x'.repeat(60_000))]);
    let sent = 0;
    const { rpc } = await connect((peer) => {
      const more = () => {
        while (!peer.socket.destroyed && peer.socket.write(flood)) sent += flood.length;
        sent += flood.length;
        if (!peer.socket.destroyed && sent < 2 ** 30) peer.socket.once('drain', more);
      };
      more();
    });
    await rpc.call('x');
    await sleep(200);
    // What the kernel's buffers take, and little more.
    assert.ok(sent < 64 * 2 ** 20, `${sent} bytes taken`);
  });

  describe('to what is no scheduler', () => {
    const say = (text: Uint8Array | string) => (peer: Peer) => peer.sendRaw(text);

    it('say that nothing listens', async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as { port: number };
      server.close();
      await fails(
        new Rpc(parseAddress(`127.0.0.1:${port}`)).call('x'),
        'unreachable',
        /nothing listens there/,
      );
      await fails(
        new Rpc(parseAddress(`tls://127.0.0.1:${port}`)).call('x'),
        'unreachable',
        /nothing listens/,
      );
      await fails(
        new Rpc(parseAddress(`ws://127.0.0.1:${port}`)).call('x'),
        'unreachable',
        /nothing listens/,
      );
    });

    it('say that there is no such host', () =>
      fails(new Rpc(parseAddress('no-such-host.invalid:1')).call('x'), 'unreachable', /host/));

    it('say that it is a web server', async () => {
      const { fake, rpc } = await connect(
        echo,
        {},
        say('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
      );
      await fails(rpc.call('x'), 'protocol', /web server/);
      await until(() => fake.open.size === 0);
    });

    it('say that it is something else', async () => {
      const ssh = await connect(echo, {}, say('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n'));
      await fails(ssh.rpc.call('x'), 'protocol', /not a Dask scheduler/);
      const stranger = await connect(echo, {}, (peer) => peer.send({ hello: 'world' }));
      await fails(stranger.rpc.call('x'), 'protocol', /not a Dask scheduler/);
    });

    it('say that it hung up, and that it may want TLS', async () => {
      const { rpc } = await connect(echo, {}, (peer) => peer.socket.end());
      await assert.rejects(rpc.call('x'), (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /without a greeting/);
        assert.match(error.hint ?? '', /tls:\/\//);
        return true;
      });
    });

    it('say that it does not speak TLS, or WebSocket', async () => {
      const { fake } = await connect(echo);
      const at = (scheme: string) =>
        new Rpc(parseAddress(fake.address.replace('tcp', scheme)), { timeoutMs: 20_000 });
      await fails(at('tls').call('x'), 'unreachable', /does not speak TLS/);
      await fails(at('wss').call('x'), 'unreachable', /does not speak TLS/);
      await fails(at('ws').call('x'), 'protocol', /does not answer as a WebSocket server/);
    });

    it('end in time when it greets with silence, or bit by bit', async () => {
      const silent = await connect(echo, { timeoutMs: 60 }, () => undefined);
      await fails(silent.rpc.call('x'), 'timeout', /did not greet within/);
      const slow = await connect(echo, { timeoutMs: 100 }, (peer) => {
        const timer = setInterval(() => peer.sendRaw(Uint8Array.of(0)), 10);
        peer.socket.once('close', () => clearInterval(timer));
      });
      await fails(slow.rpc.call('x'), 'timeout', /did not greet within/);
      await until(() => silent.fake.open.size + slow.fake.open.size === 0);
    });

    it('read a greeting and an answer that arrive together', async () => {
      const early = (peer: Peer) => {
        peer.send(greeting);
        peer.send('early');
      };
      const { rpc } = await connect(() => undefined, {}, early);
      assert.equal(await rpc.call('x'), 'early');
    });
  });
});
