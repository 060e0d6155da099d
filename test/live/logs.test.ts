import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterManager } from '../../src/core/manager.ts';
import { Store } from '../../src/core/store.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { RunChannels } from '../../src/runs/channel.ts';
import { ClusterLog, entryText, type LogEntry } from '../../src/runs/clusterLog.ts';
import { ClusterOutputs } from '../../src/runs/clusterOutputs.ts';
import { daskEnv, daskVersions } from '../support/daskEnvs.ts';
import { type Bench, daskFlow, MemoryLog } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf, removeFolder } from '../support/hostLive.ts';
import { type Bed, type BedOptions, startBed } from '../support/schedulerBed.ts';

const closers: (() => unknown)[] = [];

/** The log of a cluster, as it is told. */
class Reader {
  readonly log: ClusterLog;
  readonly entries: LogEntry[];

  constructor(log: ClusterLog) {
    this.log = log;
    this.entries = [...log.entries];
    log.onTold((entries) => this.entries.push(...entries));
    closers.push(() => log.dispose());
  }

  texts(source?: string): string[] {
    return this.entries
      .filter((entry) => source === undefined || entry.source === source)
      .map(({ text }) => text);
  }

  /** Resolves with the first entry that fits. */
  async entry(pattern: RegExp, timeoutMs = 90_000): Promise<LogEntry> {
    const fits = () => this.entries.find((entry) => pattern.test(`[${entry.source}] ${entry.text}`));
    const found = fits();
    if (found) return found;
    return new Promise((resolve, reject) => {
      const late = () => {
        const told = this.entries.map((entry) => entryText(entry, Date.now())).join('\n');
        reject(new Error(`waited in vain for ${pattern}:\n${told}`));
      };
      const timer = setTimeout(late, timeoutMs);
      const listening = this.log.onTold(() => {
        const entry = fits();
        if (!entry) return;
        clearTimeout(timer);
        listening.dispose();
        resolve(entry);
      });
    });
  }
}

for (const version of daskVersions) {
  describe(`logs of a cluster of others (distributed ${version})`, function () {
    this.timeout(240_000);

    before(async function () {
      this.timeout(300_000);
      await daskEnv(version);
    });
    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close();
    });

    /** A cluster, attached to, with its log open since it answers. */
    async function open(options: Partial<BedOptions> = {}): Promise<{ bed: Bed; reader: Reader }> {
      const bed = await startBed({ version, ...options });
      closers.push(() => bed.stop());
      const store = new Store();
      const channels = new RunChannels();
      const manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
      const outputs = new ClusterOutputs({ store, manager, channels });
      closers.push(() => manager.dispose());
      const { address, security } = bed;
      const id = manager.attach({ name: 'prod', address, ...(security && { security }) });
      const reader = new Reader(new ClusterLog(id, { store, manager, outputs }));
      await reader.entry(/^\[scheduler\] .*egister worker/);
      return { bed, reader };
    }

    it('come once, whole and in order, while many are written', async () => {
      const { bed, reader } = await open({ protocol: 'tls', nanny: true });
      await reader.entry(/^\[worker w1\] .*Registered to/);
      await reader.entry(/^\[nannies\] .*Start Nanny/);
      const numbers = (source: string) =>
        reader
          .texts(source)
          .flatMap((text) => /^number (\d+) of /.exec(text)?.[1] ?? [])
          .map(Number);
      for (const part of [1, 3, 50, 400]) {
        await bed.call('log', part, `number %d of ${part}`);
        await bed.call('worker', 'w0', 'log', part, `number %d of ${part}`);
        await bed.call('worker', 'w1', 'log', 3, 'the same');
        await reader.entry(new RegExp(`\\[scheduler\\] number ${part - 1} of ${part}`));
        await reader.entry(new RegExp(`\\[worker w0\\] number ${part - 1} of ${part}`));
      }
      const expected = [1, 3, 50, 400].flatMap((part) => [...Array(part).keys()]);
      assert.deepEqual(numbers('scheduler'), expected);
      assert.deepEqual(numbers('worker w0'), expected);
      assert.equal(reader.texts('worker w1').filter((text) => text === 'the same').length, 12);
      const all = reader.entries.filter(({ timeMs }) => timeMs !== undefined);
      const keys = all.map(({ source, timeMs, text }) => `${source} ${timeMs} ${text}`);
      assert.equal(new Set(keys).size, keys.length, 'no line twice');
      assert.deepEqual([...new Set(reader.entries.map(({ source }) => source))].sort(), [
        'cluster',
        'nannies',
        'scheduler',
        'worker w0',
        'worker w1',
      ]);
    });

    // What lies between the oldest and the newest says it like one of them.
    if (version === '2024') return;

    it('say why a worker died, and what was said before stays', async () => {
      const { bed, reader } = await open({ nanny: true, memoryLimit: '400MB' });
      await bed.call('worker', 'w0', 'log', 1, 'last words %d');
      await reader.entry(/^\[worker w0\] last words 0/);
      const pid = (await bed.call('worker', 'w0', 'nap', 60)) as number;
      process.kill(pid, 'SIGKILL');
      const killed = await reader.entry(
        /^\[cluster\] worker w0 was killed \(signal 9\)( while working on nap)?, says its nanny$/,
      );
      assert.deepEqual([killed.level, killed.workers], ['error', ['w0']]);
      await reader.entry(/^\[cluster\] worker w0 was restarted by its nanny/);
      assert.ok(reader.texts('worker w0').includes('last words 0'));

      await bed.call('worker', 'w1', 'exit', 3);
      await reader.entry(
        /^\[cluster\] worker w1 ended by itself \(exit code 3\) while working on exiting, says its nanny/,
      );

      // One that nobody has seen yet is missed by nobody.
      await reader.entry(/^\[cluster\] worker w1 was restarted by its nanny/);
      await bed.call('worker', 'w1', 'eat');
      await reader.entry(
        version === '2022'
          ? /^\[cluster\] worker w1 was ended \(signal 15, terminated\).* while working on .*eat/
          : /^\[cluster\] worker w1 exceeded 95 % of its memory limit \(381 MiB\) and was ended while working on .*eat/,
      );
    });

    it('tell who was asked to go from who was not heard of', async () => {
      const env = { DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL: '2s' };
      const { bed, reader } = await open({ workers: 3, nanny: true, env });
      await reader.entry(/^\[worker w2\] .*Registered to/);
      await bed.call('worker', 'w2', 'retire');
      const retired = await reader.entry(/^\[cluster\] worker w2 was retired$/);
      assert.equal(retired.level, 'info');
      const pid = (await bed.call('worker', 'w1', 'log', 1, 'hello')) as number;
      process.kill(pid, 'SIGSTOP');
      // While one is silent, the others are heard.
      await bed.call('worker', 'w0', 'log', 1, 'still here');
      await reader.entry(/^\[worker w0\] still here/);
      const silent = await reader.entry(
        /^\[cluster\] worker w1 was not heard of for \d+ s and was removed.*, says the scheduler/,
      );
      assert.equal(silent.level, 'error');
    });

    it('say what the scheduler forbids', async () => {
      const { reader } = await open({ workers: 1, blocked: ['broadcast'] });
      await reader.entry(
        /^\[cluster\] The log of workers can’t be read\. The scheduler’s settings forbid “broadcast”\.$/,
      );
    });
  });
}

describe('the log of a cluster of ours', function () {
  this.timeout(180_000);
  let bench: Bench;

  let folder: string;

  before(async function () {
    this.timeout(600_000);
    folder = await mkdtemp(join(tmpdir(), 'logs-'));
    bench = await liveBench({ python: await pythonOf('dask-latest') });
    await bench.host.whenReady();
  });
  after(async () => {
    await bench.dispose();
    await removeFolder(folder);
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  it('has what tasks print, and how workers ended, each once', async () => {
    const id = await bench.startStatic({ n_workers: 1, threads_per_worker: 1 });
    const reader = new Reader(new ClusterLog(id, bench));
    await reader.entry(/^\[cluster\] local is running: tcp:/);
    await reader.entry(/^\[scheduler\] .*egister worker/);
    const start = (file: string, env: Record<string, string> = {}) =>
      bench.start({ flow: daskFlow, file: join(flowsDirectory, file), env, clusterId: id });
    await bench.over(await start('printsplain.py', { WHO: 'Ada' }));
    assert.equal((await reader.entry(/task says Ada/)).source, 'tasks');
    await bench.over(await start('failingplain.py'));
    const failed = await reader.entry(/Compute Failed/);
    assert.deepEqual([failed.source, failed.level], ['worker 0', 'error']);
    assert.match(failed.text, /^Compute Failed\nKey: /);
    await bench.over(await start('dies.py', { HOW: 'exit', MARKS: join(folder, 'once') }));
    const died = await reader.entry(/ended by itself \(exit code 3\) while working on deadly$/);
    assert.deepEqual([died.source, died.level], ['cluster', 'error']);
    await reader.entry(/^\[cluster\] worker 0 was restarted$/);
    await reader.entry(/^\[nanny 0\] .*exited with status 3/);
    // Longer than a line of a log that only a terminal has is waited for.
    await sleep(6_000);
    for (const once of ['task says Ada', 'Compute Failed', 'exit code 3']) {
      const all = reader.texts().filter((text) => text.includes(once));
      assert.equal(all.length, 1, all.join('\n'));
    }
    await bench.manager.stop(id, { force: true });
    assert.match(reader.texts('cluster').at(-1) ?? '', /local is stopping/);
  });
});
