import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { PodPort, PodPortEvents } from '../../src/backends/kubernetes/portForward.ts';
import { ResumablePort, type SessionLimits } from '../../src/backends/kubernetes/sessions.ts';
import { type DaskVersion, daskEnv, daskVersions } from '../support/daskEnvs.ts';
import { chosenSeed, random } from '../support/fuzzing.ts';
import { patienceMs } from '../support/host.ts';
import { TcpProxy } from '../support/network.ts';

const script = fileURLToPath(new URL('../support/sessions_bed.py', import.meta.url));
const megabyte = 1024 * 1024;

/** As a port-forward is one, without Kubernetes. */
async function openPlain(port: number, { onData, onEnd }: PodPortEvents): Promise<PodPort> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.on('error', () => socket.destroy());
  socket.on('data', onData).on('close', onEnd).on('end', onEnd);
  return {
    get bufferedAmount() {
      return socket.writableLength;
    },
    send: (parts) => {
      for (const part of parts) socket.write(part);
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => socket.end(),
    destroy: () => socket.destroy(),
  };
}

/** Bytes that tell where they belong. */
function pattern(from: number, length: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4) + 1);
  for (let at = 0; at < words.length; at += 1)
    words[at] = Math.imul(Math.floor(from / 4) + at, 2_654_435_761);
  return Buffer.from(words.buffer).subarray(from % 4, (from % 4) + length);
}

async function send(socket: Socket, total: number): Promise<void> {
  for (let sent = 0; sent < total; sent += 100_003) {
    const chunk = pattern(sent, Math.min(100_003, total - sent));
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
}

async function receive(socket: Socket, total: number): Promise<string> {
  const hash = createHash('sha1');
  let received = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    hash.update(chunk as Buffer);
    received += (chunk as Buffer).length;
    if (received >= total) break;
  }
  return `${received} ${hash.digest('hex')}`;
}

function expected(total: number): string {
  return `${total} ${createHash('sha1').update(pattern(0, total)).digest('hex')}`;
}

describe('connections that outlive what carries them', function () {
  this.timeout(180_000);
  const ending: (() => unknown)[] = [];
  let target: Server;
  let bed: ChildProcess;
  let proxy: TcpProxy;
  let port: ResumablePort;
  let local: number;
  const atTarget: Socket[] = [];
  const troubles: unknown[] = [];

  before(async function () {
    this.timeout(600_000);
    for (const version of daskVersions) await daskEnv(version);
  });
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
    atTarget.length = 0;
    troubles.length = 0;
  });

  async function start(
    limits: Partial<SessionLimits> = {},
    { version = 'latest' as DaskVersion, lifeSeconds = 120, keptBytes = 16 * megabyte } = {},
  ): Promise<void> {
    const { python } = await daskEnv(version);
    target = createServer({ noDelay: true }, (socket) => {
      atTarget.push(socket.on('error', () => undefined));
    });
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    const { port: targetPort } = target.address() as AddressInfo;
    bed = spawn(python, [script, ...[targetPort, lifeSeconds, keptBytes].map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    assert.ok(bed.stdout);
    const [line] = (await once(createInterface(bed.stdout), 'line')) as [string];
    proxy = await TcpProxy.start({ host: '127.0.0.1', port: Number(line) });
    port = new ResumablePort({
      open: (events) => openPlain(proxy.port, events),
      ...{ target: targetPort, limits },
      onTrouble: (error) => troubles.push(error),
    });
    local = await port.listen();
    ending.push(
      () => bed.stdin?.end(),
      () => proxy.cut(),
      () => port.close(),
      () => {
        target.close();
        for (const socket of atTarget) socket.destroy();
      },
    );
  }

  /** A connection from here, and its other end. */
  async function pair(): Promise<readonly [Socket, Socket]> {
    const here = connect({ port: local, host: '127.0.0.1', noDelay: true });
    ending.push(() => here.destroy());
    here.on('error', () => undefined);
    await until(() => atTarget.length > 0);
    const there = atTarget.shift();
    assert.ok(there);
    ending.push(() => there.destroy());
    return [here, there];
  }

  async function until(condition: () => boolean, limitMs = patienceMs): Promise<void> {
    for (const began = performance.now(); !condition(); await sleep(5)) {
      assert.ok(performance.now() - began < limitMs, `not within ${limitMs} ms: ${condition}`);
    }
  }

  const closed = async (socket: Socket, limitMs = patienceMs) => until(() => socket.closed, limitMs);

  for (const version of daskVersions) {
    it(`lose and double nothing when they are cut again and again, Python of Dask ${version}`, async () => {
      const seed = chosenSeed();
      const pick = random(seed);
      await start({ keptBytes: 3 * megabyte }, { version, keptBytes: 3 * megabyte });
      const total = 60 * megabyte;
      const [here, there] = await pair();
      let done = false;
      const both = Promise.all([
        send(here, total),
        send(there, total),
        receive(here, total),
        receive(there, total),
      ]);
      const ended = both.finally(() => {
        done = true;
      });
      ended.catch(() => undefined);
      let cuts = 0;
      while (!done) {
        await sleep(pick(150));
        if (done) break;
        await proxy.cut();
        cuts += 1;
        await sleep(pick(30));
        await proxy.restore();
      }
      const [, , down, up] = await ended;
      assert.deepEqual([down, up], [expected(total), expected(total)], `seed ${seed}`);
      assert.ok(cuts > 3, `${cuts} cuts`);
      // The end arrives too, with what was sent before it.
      const last = once(there, 'data');
      here.end('bye');
      await proxy.cut();
      await sleep(50);
      await proxy.restore();
      assert.equal(String((await last)[0]), 'bye');
      await Promise.all([closed(here), closed(there)]);
    });
  }

  it('end at both sides when either end does', async () => {
    await start();
    for (const which of [0, 1]) {
      const both = await pair();
      const [one, other] = which === 0 ? both : both.toReversed();
      assert.ok(one && other);
      const said = once(other, 'data');
      one.end('last');
      assert.equal(String((await said)[0]), 'last');
      other.end();
      await Promise.all([closed(one), closed(other)]);
    }
    const [here, there] = await pair();
    here.resetAndDestroy();
    there.resume();
    await closed(there);
    await until(() => port.carriers.length === 0);
  });

  it('are many at once', async () => {
    await start();
    const pairs = await Promise.all(Array.from({ length: 40 }, () => pair()));
    await proxy.cut();
    await proxy.restore();
    // Which is whose, nobody has said.
    const heard = pairs.map(async ([, there]) => Number(String((await once(there, 'data'))[0])));
    for (const [n, [here]] of pairs.entries()) here.write(`${n}`);
    const numbers = await Promise.all(heard);
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      pairs.map((_, n) => n),
    );
  });

  it('are found dead when nothing is heard, and go on', async () => {
    await start();
    const [here, there] = await pair();
    here.write('a');
    await once(there, 'data');
    proxy.freeze();
    const before = port.carriers[0];
    here.write('b');
    await until(() => port.carriers[0] !== before);
    const said = once(there, 'data');
    await proxy.cut();
    await proxy.restore();
    assert.equal(String((await said)[0]), 'b');
  });

  it('keep no more than they may when the other end does not read, or is away', async () => {
    await start({ keptBytes: megabyte }, { keptBytes: megabyte });
    const [here, there] = await pair();
    let [up, down] = [0, 0];
    const chunk = Buffer.alloc(64 * 1024);
    const fill = async (socket: Socket, count: (bytes: number) => void) => {
      for (;;) {
        const isFull = !socket.write(chunk);
        count(chunk.length);
        if (isFull && !(await Promise.race([once(socket, 'drain'), sleep(700, false)]))) return;
      }
    };
    await proxy.cut();
    await Promise.all([
      fill(here, (bytes) => {
        up += bytes;
      }),
      fill(there, (bytes) => {
        down += bytes;
      }),
    ]);
    // What is kept, and what the system's own buffers take.
    assert.ok(up < 12 * megabyte && down < 12 * megabyte, `${up} up, ${down} down`);
    await proxy.restore();
    await Promise.all([receiveCount(here, down), receiveCount(there, up)]);
  });

  it('end when the other end does not know them any more', async () => {
    await start({}, { lifeSeconds: 0.3 });
    const [here, there] = await pair();
    here.write('a');
    await once(there, 'data');
    there.resume();
    await proxy.cut();
    await closed(there);
    await proxy.restore();
    here.resume();
    await closed(here);
  });

  it('end when nothing carries them for too long', async () => {
    await start({ lifeMs: 500 });
    const [here] = await pair();
    here.resume();
    await proxy.cut();
    await closed(here);
    assert.ok(troubles.length > 0);
  });

  it('lead nowhere else', async () => {
    await start();
    const { port: other } = proxy;
    for (const line of ['open abc 22\n', 'resume abc 0\n', 'open abc\n', 'hello\n', `${'x'.repeat(200)}\n`]) {
      const socket = connect({ port: other, host: '127.0.0.1' }).on('error', () => undefined);
      let said = '';
      socket.on('data', (data) => {
        said += String(data);
      });
      socket.write(line);
      await closed(socket);
      assert.ok(said === '' || said === 'gone\n', said);
    }
    assert.equal(atTarget.length, 0);
  });
});

async function receiveCount(socket: Socket, total: number): Promise<void> {
  let received = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received += (chunk as Buffer).length;
    if (received >= total) return;
  }
  assert.fail(`${received} of ${total}`);
}
