import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { UserError } from '../../../src/core/errors.ts';
import { readPage } from '../../../src/dask/dashboard.ts';
import { type FoundScheduler, locateScheduler } from '../../../src/dask/locate.ts';
import { type Fake, startFake } from '../../support/schedulerFake.ts';

describe('locating a scheduler', () => {
  const stops: (() => Promise<unknown>)[] = [];

  /** A scheduler that knows itself by an address that can't be reached. */
  async function aScheduler(id = 'Scheduler-1'): Promise<Fake> {
    const fake = await startFake((peer, { op }) => {
      if (op === 'identity') peer.send({ type: 'Scheduler', id, address: 'tcp://10.255.0.1:1', workers: {} });
    });
    stops.push(fake.stop);
    return fake;
  }

  async function aWebServer(listener: RequestListener): Promise<number> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  /** A web server that has one page, `json/identity.json` under a path. */
  const aDashboard = (address: string, { path = '', id = 'Scheduler-1' } = {}): Promise<number> =>
    aWebServer((request, response) => {
      if (request.url !== `${path}/json/identity.json`) response.writeHead(404).end();
      else response.end(JSON.stringify({ type: 'Scheduler', id, address, workers: {} }));
    });

  const portOf = (address: string) => Number(address.split(':').at(-1));

  async function found(typed: string): Promise<FoundScheduler> {
    const result = await locateScheduler(typed, { timeoutMs: 5_000 });
    assert.ok(result.kind === 'scheduler');
    return result;
  }

  const fails = (typed: string, message: RegExp, hint = /./, timeoutMs = 2_000) =>
    assert.rejects(locateScheduler(typed, { timeoutMs }), (error) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.match(error.hint ?? '', hint);
      return true;
    });

  afterEach(async () => {
    await Promise.all(stops.splice(0).map((stop) => stop()));
  });

  it('takes an address as it is, and asks nothing else there', async () => {
    const fake = await aScheduler();
    assert.equal((await found(fake.address.replace('tcp://', ''))).address, fake.address);
    assert.deepEqual(fake.ops, ['identity']);
  });

  it('keeps the host that was typed: the scheduler’s own may not be reachable', async () => {
    const fake = await aScheduler();
    const port = await aDashboard(`tcp://10.255.0.1:${portOf(fake.address)}`);
    for (const typed of [
      `http://127.0.0.1:${port}/status`,
      `127.0.0.1:${port}`,
      `tcp://127.0.0.1:${port}/`,
    ]) {
      const { address, dashboard } = await found(typed);
      assert.equal(address, fake.address);
      assert.equal(dashboard, `http://127.0.0.1:${port}`);
    }
  });

  it('finds a dashboard that a proxy has put under a path', async () => {
    const fake = await aScheduler();
    const port = await aDashboard(fake.address, { path: '/user/me/proxy/8787' });
    assert.equal((await found(`http://127.0.0.1:${port}/user/me/proxy/8787/status`)).address, fake.address);
    const deep = `127.0.0.1:${port}/user/me/proxy/8787/info/main/workers.html`;
    assert.equal((await found(deep)).address, fake.address);
    await fails(`http://127.0.0.1:${port}/user/you/status`, /not a Dask scheduler’s dashboard/);
  });

  it('says both addresses if the scheduler of a dashboard does not answer', async () => {
    const fake = await aScheduler();
    const port = portOf(fake.address);
    await fake.stop();
    stops.length = 0;
    const dashboard = await aDashboard(`tcp://10.255.0.1:${port}`);
    const message = new RegExp(
      `127.0.0.1:${dashboard} is the dashboard of tcp://10.255.0.1:${port}, but at tcp://127.0.0.1:${port}: nothing listens`,
    );
    await fails(`http://127.0.0.1:${dashboard}/status`, message, /can be reached from here/);
  });

  it('is not fooled by another scheduler at the forwarded port', async () => {
    const fake = await aScheduler('Scheduler-2');
    const dashboard = await aDashboard(fake.address, { id: 'Scheduler-1' });
    await fails(`http://127.0.0.1:${dashboard}/status`, /another scheduler answers at tcp/, /forward/);
  });

  it('says why the scheduler of a dashboard can’t be used at all', async () => {
    const dashboard = await aDashboard('inproc://10.0.0.1/17/1');
    await fails(`http://127.0.0.1:${dashboard}`, /lives inside one Python process/);
  });

  it('says that a web server is no dashboard, however it behaves', async () => {
    const servers: RequestListener[] = [
      (_, response) => response.writeHead(404).end('nothing'),
      (_, response) => response.end('<html>Log in, please</html>'),
      (_, response) => response.writeHead(302, { location: '/login' }).end(),
      (_, response) => response.end('{"type": 1}'),
    ];
    for (const server of servers) {
      const port = await aWebServer(server);
      await fails(`http://127.0.0.1:${port}`, /web server listens there, but it is not a Dask/);
      await fails(`127.0.0.1:${port}`, /^Can’t connect to tcp:\/\/127.*web server listens there, but/);
    }
  });

  it('says in time that nobody speaks, and in which words it was spoken to', async () => {
    const open = new Set<Socket>();
    const server = createTcpServer((socket) => open.add(socket.on('error', () => undefined))).listen(
      0,
      '127.0.0.1',
    );
    await once(server, 'listening');
    stops.push(async () => {
      for (const socket of open) socket.destroy();
      server.close();
    });
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await fails(`tcp://${place}`, /accepts connections, but did not greet within 1 s/, /stuck/, 1_300);
    await fails(`tls://${place}`, /accepts connections, but did not answer as a TLS server/, /./, 1_300);
    await fails(`ws://${place}`, /accepts connections, but did not answer as a WebSocket server/, /./, 1_300);
    await fails(`http://${place}/status`, /No answer within 0.4 s: asking http/, /./, 400);
  });

  it('can be cancelled, whatever it waits for', async () => {
    const server = createTcpServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    stops.push(async () => server.close());
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const [typed, afterMs] of [
      [place, 50],
      [place, 1_200],
      [`tls://${place}`, 1_200],
      [`http://${place}`, 50],
    ] as const) {
      const began = performance.now();
      const signal = AbortSignal.timeout(afterMs);
      await assert.rejects(locateScheduler(typed, { signal, timeoutMs: 50_000 }), { reason: 'cancelled' });
      assert.ok(performance.now() - began < 25_000, 'and not after its own limit');
    }
    await assert.rejects(locateScheduler(place, { signal: AbortSignal.abort() }), { reason: 'cancelled' });
  });

  it('refuses what is no address before anything is asked', async () => {
    await fails('inproc://10.0.0.1/1/1', /inside one Python process/);
    await fails('a b', /not the address of a scheduler/);
    await fails('http://', /web page/);
  });
});

describe('a page that is typed for a scheduler', () => {
  for (const [typed, page] of [
    ['http://localhost:8787/status', 'http://localhost:8787/status'],
    [' HTTPS://hub.example/user/me ', 'https://hub.example/user/me'],
    ['localhost:8787/status', 'http://localhost:8787/status'],
    ['tcp://[::1]:8787/status', 'http://[::1]:8787/status'],
    ['localhost:8787', undefined],
    ['tcp://localhost:8786/', undefined],
    ['inproc://10.0.0.1/1/1', undefined],
    ['ftp://localhost/x', undefined],
    ['', undefined],
  ] as const) {
    it(`is ${page} in ${JSON.stringify(typed)}`, () => assert.equal(readPage(typed)?.href, page));
  }
});
