import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { parseAddress } from '../../src/core/address.ts';
import { UserError } from '../../src/core/errors.ts';
import type { Security } from '../../src/core/security.ts';
import { type Found, locateScheduler } from '../../src/dask/locate.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { makeCertificates } from '../support/certificates.ts';
import { daskEnv } from '../support/daskEnvs.ts';
import { startUnanswering, TcpProxy } from '../support/network.ts';
import { type BedOptions, startBed } from '../support/schedulerBed.ts';

/** Oldest and newest: the wire, and what listens beside it, differ. */
for (const version of ['2022', 'latest'] as const) {
  describe(`the scheduler that the user means, on Dask ${version}`, function () {
    this.timeout(180_000);
    const stops: (() => unknown)[] = [];

    afterEach(async () => {
      for (const stop of stops.splice(0).reverse()) await stop();
    });

    async function start(options: Omit<BedOptions, 'version'> = {}) {
      const bed = await startBed({ version, workers: 1, ...options });
      stops.push(bed.stop);
      const client = new SchedulerClient(bed.address, { security: bed.security });
      const identity = await client.identity();
      client.close();
      const { host, port, text } = parseAddress(bed.address);
      return {
        bed,
        host,
        port,
        place: text.replace(/^[a-z]+:\/\//, ''),
        dashboard: identity.dashboardPort ?? 0,
        worker: identity.workers[0],
      };
    }

    const find = (typed: string, security?: Security, timeoutMs = 30_000): Promise<Found> =>
      locateScheduler(typed, { security, timeoutMs });

    /** What was found, as text: the address, or what is wrong with the certificates. */
    async function found(typed: string, security?: Security): Promise<string> {
      const result = await find(typed, security);
      return result.kind === 'scheduler' ? result.address : `${result.address}: ${result.error.what}`;
    }

    async function refusal(typed: string, security?: Security, timeoutMs?: number): Promise<string> {
      const began = performance.now();
      const error = await find(typed, security, timeoutMs).then(
        () => assert.fail(`${typed} was found`),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof UserError, String(error));
      assert.ok(performance.now() - began < 60_000, 'within the limit, generously');
      assert.ok(error.hint, 'with what to do next');
      return `${error.reason}: ${error.message} ${error.hint}`;
    }

    it('is found by its address and by its dashboard’s, with and without what stands around it', async () => {
      const { bed, place, host, dashboard } = await start();
      for (const typed of [bed.address, place, ` ${place}/ `]) assert.equal(await found(typed), bed.address);
      const pages = [`${host}:${dashboard}`, `tcp://${host}:${dashboard}`, `ws://${host}:${dashboard}`];
      pages.push(`http://${host}:${dashboard}`, `http://${host}:${dashboard}/status`);
      pages.push(`${host}:${dashboard}/info/main/workers.html`);
      for (const typed of pages) assert.equal(await found(typed), bed.address, typed);
      assert.match(await refusal(`tls://${host}:${dashboard}`), /is the dashboard of tcp:.*which has no TLS/);
    });

    it('is found on IPv6', async function () {
      const here = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
      if (!here.some(({ address }) => address === '::1')) return this.skip();
      const { bed, dashboard } = await start({ host: '[::1]', workers: 0 });
      assert.match(bed.address, /^tcp:\/\/\[::1\]:\d+$/);
      const place = bed.address.replace('tcp://', '');
      for (const typed of [place, `[::1]:${dashboard}`, `http://[::1]:${dashboard}/status`])
        assert.equal(await found(typed), bed.address, typed);
    });

    it('is found over WebSocket, though that was not said', async () => {
      const { bed, place } = await start({ protocol: 'ws' });
      for (const typed of [bed.address, place]) assert.equal(await found(typed), bed.address);
      const secure = await start({ protocol: 'wss', workers: 0 });
      const { security, address } = secure.bed;
      for (const scheme of ['ws://', 'tls://', ''])
        assert.equal(await found(`${scheme}${secure.place}`, security), address, scheme);
      assert.match(await found(`ws://${secure.place}`), /^wss:.*it speaks TLS/);
      assert.match(await refusal(`wss://${place}`), /web server|does not speak TLS|TLS server/);
    });

    it('is found where it can be reached, not where it thinks that it is', async () => {
      const { port, dashboard } = await start();
      const target = (to: number) => ({ host: '127.0.0.1', port: to });
      const page = await TcpProxy.start(target(dashboard), '127.0.0.2');
      stops.push(() => page.cut());
      const typed = `http://127.0.0.2:${page.port}/status`;
      const own = `127.0.0.2:${page.port} is the dashboard of tcp://127.0.0.1:${port}`;
      const there = `tcp://127.0.0.2:${port}`;
      assert.ok((await refusal(typed)).includes(`${own}, but at ${there}: nothing listens there.`));
      const forwarded = await TcpProxy.start(target(port), '127.0.0.2', port);
      stops.push(() => forwarded.cut());
      assert.equal(await found(typed), there);
      await forwarded.cut();
      const other = await start({ workers: 0 });
      const wrong = await TcpProxy.start(target(other.port), '127.0.0.2', port);
      stops.push(() => wrong.cut());
      assert.match(await refusal(typed), /but another scheduler answers at tcp:\/\/127\.0\.0\.2/);
    });

    it('speaks TLS: which certificates it wants is told', async () => {
      const { bed, place, host, dashboard } = await start({ protocol: 'tls', workers: 0 });
      const { address, certificates } = bed;
      const own = bed.security as Required<Security>;
      const stranger = await makeCertificates();
      const expired = await makeCertificates({ days: -1, ...(certificates && { authority: certificates }) });
      stops.push(() => rm(stranger.directory, { recursive: true }));
      stops.push(() => rm(expired.directory, { recursive: true }));
      for (const typed of [place, address, `tcp://${place}`, `${host}:${dashboard}`])
        assert.equal(await found(typed, own), address, typed);
      assert.match(await found(place), /^tls:.*it speaks TLS, so that its address is tls:/);
      assert.match(
        await found(`http://${host}:${dashboard}`),
        /^tls:.*not signed by the authority that was given/,
      );
      assert.match(await found(address), /not signed by the authority that was given/);
      assert.match(await found(address, stranger.security), /not signed by the authority that was given/);
      assert.match(await found(address, { ca: own.ca }), /wants a client certificate/);
      const foreign = { ...stranger.security, ca: own.ca };
      assert.match(
        await found(address, foreign),
        /wants a client certificate, and does not accept the one given/,
      );
      assert.match(
        await found(address, expired.security),
        /the client certificate that was given has expired/,
      );
      assert.match(
        await refusal(address, { ...own, key: stranger.security.key }),
        /certificates can’t be used/,
      );
      assert.match(
        await refusal(`wss://${place}`, own),
        /not answer as a WebSocket server.*tcp:\/\/ or tls:/,
      );
    });

    it('has an old certificate, or no TLS at all', async () => {
      const old = await makeCertificates({ days: -1 });
      stops.push(() => rm(old.directory, { recursive: true }));
      const { bed } = await start({ protocol: 'tls', workers: 0, certificates: old }).catch(() => ({
        bed: undefined,
      }));
      // A client of its own, which the bed has, may refuse it as well.
      if (bed) assert.match(await found(bed.address, bed.security), /its certificate has expired/);
      const { place } = await start({ workers: 0 });
      const { security } = old;
      for (const typed of [`tls://${place}`, `wss://${place}`]) {
        assert.match(await refusal(typed, security), /unreachable: .*does not speak TLS.*tcp:\/\/ or ws:/);
      }
      assert.match(await refusal(`ws://${place}`), /protocol: .*not answer as a WebSocket server/);
    });

    it('is not a worker, nor its nanny, nor a web server, nor nothing', async () => {
      const { bed, host, worker } = await start({ nanny: true });
      assert.match(
        await refusal(worker?.address ?? ''),
        /a Dask Worker listens there.*Its scheduler is tcp:/,
      );
      assert.match(await refusal(worker?.nanny ?? ''), /a Dask Nanny listens there, not a scheduler/);
      const { python } = await daskEnv(version);
      const server = spawn(python, ['-u', '-m', 'http.server', '0', '--bind', host], { stdio: 'pipe' });
      stops.push(() => server.kill());
      const [line] = await once(server.stdout, 'data');
      const port = /port (\d+)/.exec(String(line))?.[1];
      const notDask = /protocol: .*a web server listens there, but it is not a Dask scheduler’s dashboard/;
      for (const scheme of ['', 'tcp://', 'ws://', 'http://'])
        assert.match(await refusal(`${scheme}${host}:${port}`), notDask, scheme);
      await bed.stop();
      assert.match(await refusal(bed.address), /unreachable: .*nothing listens there/);
      assert.match(await refusal(bed.address.replace('tcp', 'http')), /unreachable: .*nothing listens there/);
    });

    it('does not answer: stopped, or behind a firewall', async () => {
      const { bed, place } = await start({ workers: 0 });
      bed.signal('SIGSTOP');
      const limitMs = 4_000;
      const silent = /timeout: .*accepts connections, but did not greet within 3.2 s.*stuck/;
      assert.match(await refusal(bed.address, undefined, limitMs), silent);
      const stop = AbortSignal.timeout(300);
      await assert.rejects(locateScheduler(place, { signal: stop }), { reason: 'cancelled' });
      bed.signal('SIGCONT');
      assert.equal(await found(place), bed.address, 'what was said to it meanwhile did it no harm');
      const firewall = await startUnanswering(bed.python);
      stops.push(firewall.stop);
      const closed = /unreachable: .*the host did not answer within 3.2 s. A firewall may drop/;
      const schemes = ['', 'tls://', 'ws://', 'wss://'];
      const refusals = schemes.map((scheme) =>
        refusal(`${scheme}127.0.0.1:${firewall.port}`, undefined, limitMs),
      );
      for (const text of await Promise.all(refusals)) assert.match(text, closed);
    });
  });
}
