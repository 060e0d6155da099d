import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../src/core/errors.ts';
import type { SchedulerInfo } from '../../src/core/schedulerInfo.ts';
import { ClientStream } from '../../src/dask/clientStream.ts';
import { RemoteError } from '../../src/dask/rpc.ts';
import { SchedulerClient, type SchedulerEvent } from '../../src/dask/scheduler.ts';
import { taskPrefix } from '../../src/dask/taskKey.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { daskEnv, daskVersions } from '../support/daskEnvs.ts';
import { type Bed, type BedOptions, startBed } from '../support/schedulerBed.ts';

const expected = { '2022': /^2022\.5\./, '2024': /^2024\./, latest: /^2026\./ };

async function until<T>(get: () => T | undefined | Promise<T | undefined>, timeoutMs = 60_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await get();
    if (value !== undefined && value !== false) return value;
    assert.ok(Date.now() < end, `did not happen: ${get}`);
    await sleep(30);
  }
}

for (const version of daskVersions) {
  describe(`distributed ${version}`, function () {
    this.timeout(120_000);
    const beds: Bed[] = [];
    const closers: (() => void)[] = [];

    before(async function () {
      // Making the environment may mean to download it.
      this.timeout(300_000);
      await daskEnv(version);
    });
    afterEach(async () => {
      for (const close of closers.splice(0)) close();
      for (const bed of beds.splice(0)) await bed.stop();
    });

    async function start(options: Partial<BedOptions> = {}) {
      const bed = await startBed({ version, ...options });
      beds.push(bed);
      const client = new SchedulerClient(bed.address, { security: bed.security });
      closers.push(() => client.close());
      return { bed, client };
    }

    for (const protocol of ['tcp', 'tls', 'ws', 'wss'] as const) {
      it(`answers over ${protocol}`, async () => {
        const { client } = await start({ protocol });
        const { workers, dashboardPort, id } = await client.identity();
        assert.deepEqual(workers.map(({ name, threads, status }) => [name, threads, status]).sort(), [
          ['w0', 1, 'running'],
          ['w1', 1, 'running'],
        ]);
        assert.ok(workers.every((worker) => worker.memoryBytes > 2 ** 20));
        assert.ok(id && dashboardPort);
        assert.match((await client.versions()).distributed, expected[version]);
      });
    }

    it('tells of its work: tasks, stacks, logs, events', async () => {
      const { bed, client } = await start();
      await bed.call('submit', 'nap', 6, 1);
      await bed.call('submit', 'boom', 1, 0);
      await bed.call('tuple', 'part', 1);
      const stacks = await until(async () => {
        const all = [...(await client.callStack()).values()].flatMap((tasks) => [...tasks.values()]);
        return all.find((frames) =>
          frames.some(
            (frame) => frame.includes('def nap') || frame.includes('in nap') || frame.includes('sleep'),
          ),
        );
      });
      assert.ok(stacks.length > 0);
      const states = await until(async () => {
        const all = await client.taskPrefixStates();
        return all.some(({ name, erred }) => name === 'boom' && erred === 1) ? all : undefined;
      });
      assert.ok(states.some(({ name, processing, memory }) => name === 'nap' && processing + memory > 0));
      const tasks = [...(await client.processing()).values()].flat();
      assert.ok(tasks.every(({ prefix }) => ['nap', 'part'].includes(prefix)));
      assert.ok((await client.adaptiveTarget()) >= 1);
      assert.ok((await client.workersToClose({ count: 1 })).every((worker) => worker.startsWith('tcp://')));
      const log = await client.schedulerLogs();
      assert.ok(log.some(({ text }) => text.includes('Receive client connection')));
      assert.deepEqual(
        log,
        log.toSorted((a, b) => a.timeMs - b.timeMs),
      );
      assert.equal((await client.workerLogs()).size, 2);
      const events = await client.events('all');
      assert.equal(
        events.filter(({ message }) => (message as { action: string }).action === 'add-worker').length,
        2,
      );
    });

    it('names prefixes as Dask does', async () => {
      const { bed } = await start({ workers: 0 });
      const keys = [
        'x',
        'x-1',
        'x-1-2-3',
        'hello-world-1',
        'hello-world-abcdefab',
        'a-ABCDEFAB',
        '_(x)',
        '',
        '-',
        '1-a',
      ];
      keys.push('ae05086432ca935f6eba409a8ecd4896', '<a.b.C object at 0xd', 'é-ü-1', 'x-y_z-a');
      keys.push('load-3f2a4b1c-0d1e', '<lambda>-1', '"q-1', 'data-ae05086432ca935f6eba409a8ecd4896');
      // Versions before 2023.8 have such keys as text, and keep the comma.
      if (version !== '2022') keys.push("('x', 1)", "('x-2', 1)");
      assert.deepEqual(keys.map(taskPrefix), await bed.call('prefixes', keys));
    });

    it('pushes events of topics to a registered client', async () => {
      const { bed, client } = await start();
      const seen: [string, SchedulerEvent][] = [];
      const listener = {
        onEvent: (topic: string, event: SchedulerEvent) => void seen.push([topic, event]),
        onLost: assert.fail,
      };
      const stream = await ClientStream.open(bed.address, listener);
      closers.push(() => stream.close());
      stream.subscribe('news');
      await until(async () => {
        await bed.call('log_event', 'news', { hello: [1, 'x'] });
        return seen[0];
      });
      assert.equal(seen[0]?.[0], 'news');
      assert.deepEqual(seen[0]?.[1].message, { hello: [1, 'x'] });
      assert.ok(Math.abs((seen[0]?.[1].timeMs ?? 0) - Date.now()) < 60_000);
      const actions = async () =>
        (await client.events('all')).map(({ message }) => message as { action: string; client?: string });
      stream.close();
      await until(async () =>
        (await actions()).find(
          ({ action, client: id }) => action === 'remove-client' && id?.includes('flow-clusters'),
        ),
      );
    });

    it('tells a registered client when it dies', async () => {
      const { bed } = await start({ workers: 0 });
      const losses: UserError[] = [];
      await ClientStream.open(bed.address, {
        onEvent: () => undefined,
        onLost: (error) => void losses.push(error),
      });
      bed.signal('SIGKILL');
      assert.equal((await until(() => losses[0])).reason, 'scheduler-lost');
    });

    it('is watched: tasks come and go; it hangs, comes back, dies', async () => {
      const { bed } = await start();
      let info: SchedulerInfo | undefined;
      const losses: string[] = [];
      const watch = watchScheduler(
        bed.address,
        {
          onInfo: (next) => {
            info = next;
          },
          onLost: (reason) => void losses.push(reason),
        },
        { intervalMs: 50 },
      );
      closers.push(() => watch.dispose());
      await bed.call('submit', 'nap', 4, 0.5);
      await until(() => info?.workers.some(({ tasks }) => tasks.some(({ prefix }) => prefix === 'nap')));
      await until(() => info?.prefixes.some(({ name, memory }) => name === 'nap' && memory === 4));
      assert.match(info?.version ?? '', expected[version]);
      assert.equal(losses.length, 0);
      bed.signal('SIGSTOP');
      const silence = await until(() => losses[0]);
      assert.match(silence, /No answer within 5 s/);
      info = undefined;
      bed.signal('SIGCONT');
      await until(() => info);
      bed.signal('SIGKILL');
      await until(() => losses.find((reason) => /was closed|nothing listens/.test(reason)));
    });

    it('is never asked for worker status, which is its owner’s, by anything we do', async () => {
      const { bed, client } = await start({ workers: 1 });
      const called = new Set<string>();
      const listen = async () => {
        for (const op of (await bed.call('called')) as string[]) called.add(op);
      };
      // What the bed's own client has called is not ours.
      await bed.call('called');
      let seen = 0;
      const onInfo = () => {
        seen += 1;
      };
      const watch = watchScheduler(bed.address, { onInfo, onLost: assert.fail }, { intervalMs: 20 });
      closers.push(() => watch.dispose());
      await until(() => seen >= 3);
      const stream = await ClientStream.open(bed.address, { onEvent: () => undefined, onLost: assert.fail });
      stream.subscribe('all');
      closers.push(() => stream.close());
      for (const verb of [
        () => client.callStack(),
        () => client.schedulerLogs(),
        () => client.workerLogs(),
        () => client.adaptiveTarget(),
        () => client.workersToClose(),
        () => client.retireWorkers([]),
      ]) {
        await verb();
      }
      await until(async () => {
        await listen();
        return called.has('subscribe-topic');
      });
      assert.ok(called.has('call_stack') && called.has('events'), [...called].join());
      assert.ok(!called.has('subscribe_worker_status'));
    });

    it('retires workers, and says which it kept', async () => {
      const { client } = await start();
      const [first] = (await client.identity()).workers;
      const gone = first?.address ?? '';
      const result = await client.retireWorkers([gone, 'tcp://127.0.0.1:1']);
      assert.deepEqual(result, { retired: [gone], kept: ['tcp://127.0.0.1:1'] });
      await until(async () => (await client.identity()).workers.length === 1);
    });

    it('restarts its workers, where it can be asked to', async () => {
      const { bed, client } = await start({ nanny: true, workers: 1 });
      await bed.call('submit', 'nap', 1, 0);
      await until(async () => (await client.taskPrefixStates())[0]?.memory === 1);
      if (version === '2022') {
        await assert.rejects(
          client.restart(),
          (error) => error instanceof UserError && error.reason === 'not-permitted',
        );
        return;
      }
      await client.restart();
      assert.equal((await client.identity()).workers.length, 1);
      assert.deepEqual(await client.taskPrefixStates(), []);
    });

    it('ends when it is told to', async () => {
      const { bed, client } = await start({ nanny: true, workers: 1 });
      await client.terminate();
      await until(async () =>
        client.identity().then(
          () => undefined,
          (error) => error.reason === 'unreachable',
        ),
      );
      assert.ok(bed.address);
    });

    it('refuses what is wrong in words that help', async () => {
      const { client } = await start({ workers: 1 });
      const [worker] = (await client.identity()).workers;
      const other = (address: string, security?: Bed['security'], timeoutMs = 20_000) => {
        const mistaken = new SchedulerClient(address, { timeoutMs, security });
        closers.push(() => mistaken.close());
        return mistaken.identity();
      };
      await assert.rejects(other(worker?.address ?? ''), /a Dask Worker listens there, not a scheduler/);
      const { dashboardPort } = await client.identity();
      const silent = other(`tcp://127.0.0.1:${dashboardPort}`, undefined, 3_000);
      await assert.rejects(silent, /did not greet within/);
      await assert.rejects(other(`ws://127.0.0.1:${dashboardPort}`), /web server/);
      await assert.rejects(
        other(client.address.replace('tcp', 'tls')),
        /does not speak TLS|closed|No answer/,
      );
      await assert.rejects(client.workersToClose({ count: 'x' as unknown as number }), RemoteError);

      const secure = await start({ workers: 0, protocol: 'tls' });
      const stranger = await start({ workers: 0, protocol: 'tls' });
      const ca = secure.bed.security?.ca ?? '';
      await assert.rejects(other(secure.bed.address.replace('tls', 'tcp')), /without a greeting/);
      await assert.rejects(other(secure.bed.address, { ca }), /wants a client certificate/);
      await assert.rejects(other(secure.bed.address, stranger.bed.security), /not signed by the authority/);
      await assert.rejects(other(secure.bed.address), /not signed by the authority/);
    });
  });
}
