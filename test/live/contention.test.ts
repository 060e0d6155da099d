import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FlowDef } from '../../src/core/flow.ts';
import { clusterNodes } from '../../src/core/tree.ts';
import type { Bench } from '../support/host.ts';
import {
  type EnvironmentName,
  flowsDirectory,
  liveBench,
  prefectHome,
  pythonOf,
  removeFolder,
} from '../support/hostLive.ts';

const limitMs = 60_000;
const plain: FlowDef = { api: 'dask', name: 'script', entry: { how: 'script' }, line: 0, parameters: [] };
const prefect: FlowDef = {
  api: 'prefect',
  name: 'waits',
  entry: { how: 'import', path: 'waits' },
  line: 0,
  parameters: [],
};

/** A window of ours, somebody else’s, and clients of others, on one cluster of four threads. */
function useBenches(environment: EnvironmentName) {
  const used = { folder: '' } as {
    folder: string;
    python: string;
    ours: Bench;
    theirs: Bench;
    /** Is over when this file is there. */
    file(name: string): { path: string; appears(): Promise<void> };
    foreign(address: string, name: string, count: number, path: string): Promise<{ leave(): Promise<void> }>;
  };
  const leaving: (() => Promise<void>)[] = [];

  before(async function () {
    this.timeout(600_000);
    used.python = await pythonOf(environment);
    const home = environment === 'prefect3' ? await prefectHome(used.python) : undefined;
    used.folder = home?.folder ?? (await mkdtemp(join(tmpdir(), 'contention-')));
    used.ours = await liveBench({ python: used.python, env: { ...home?.env } });
    used.theirs = await liveBench({ python: used.python, env: { ...home?.env } });
    await Promise.all([used.ours.host.whenReady(), used.theirs.host.whenReady()]);
  });

  after(async () => {
    try {
      await Promise.all(leaving.map((leave) => leave()));
      await Promise.all([used.ours.dispose(), used.theirs.dispose()]);
    } finally {
      await removeFolder(used.folder);
    }
  });

  used.file = (name) => {
    const path = join(used.folder, name);
    return { path, appears: () => writeFile(path, '') };
  };
  used.foreign = async (...args) => {
    const script = fileURLToPath(new URL('../support/foreign_client.py', import.meta.url));
    const child = spawn(used.python, [script, ...args.map(String)], { stdio: ['pipe', 'pipe', 'ignore'] });
    const exit = once(child, 'exit');
    const leave = async () => {
      child.stdin.end();
      await exit;
    };
    leaving.push(leave);
    await once(child.stdout, 'data');
    return { leave };
  };
  return used;
}

/** The rows under clusters that tell who uses them, with the clusters’ own: `local | running · …`. */
function rows({ store }: Bench): string[] {
  const shown = (context: string) => /^(run|others)/.test(context);
  return clusterNodes(store.snapshot, Date.now()).flatMap(({ label, description, children = [] }) => [
    `${label} | ${description}`,
    ...children
      .filter(({ context }) => shown(context))
      .map((row) => `  ${row.label} | ${(row.description ?? '').replace(/ · \d\d:\d\d$/, '')}`),
  ]);
}

/** Waits till the rows are these. */
async function until(bench: Bench, ...expected: string[]): Promise<void> {
  const wanted = expected.join('\n');
  await bench
    .until(() => rows(bench).join('\n') === wanted, limitMs)
    .catch((error: unknown) => {
      throw new Error(`the rows are\n${rows(bench).join('\n')}\nnot\n${wanted}`, { cause: error });
    });
}

const addressOf = (bench: Bench, id: string) => bench.manager.handle(id).address;

describe('a cluster of others, shared with Prefect runs', function () {
  this.timeout(240_000);
  const used = useBenches('prefect3');

  it('shows who has which threads, what a run waits for, and that all is free again', async () => {
    const { ours, theirs } = used;
    const theirId = await theirs.startStatic({ n_workers: 1, threads_per_worker: 4 });
    const address = addressOf(theirs, theirId);
    const [first, second, ends] = [used.file('first'), used.file('second'), used.file('ends')];
    const stranger = await used.foreign(address, 'nap', 3, first.path);
    const id = ours.manager.attach({ name: 'prod', address });
    await until(
      ours,
      'prod | running · 1 worker · 4 threads · attached · 1 other',
      '  others | 3 of 4 threads · nap · 1 client',
    );
    const run = (n: number, path: string) =>
      ours.start({
        flow: prefect,
        file: join(flowsDirectory, 'waits.py'),
        parameters: { n, path },
        clusterId: id,
      });
    const one = await run(2, ends.path);
    await until(
      ours,
      'prod | running · 1 worker · 4 threads · attached · 1 run, 1 other',
      '  waits | running 0/2 · 1 of 4 threads',
      '  others | 3 of 4 threads · nap · 1 client',
    );
    await run(1, ends.path);
    await until(
      ours,
      'prod | running · 1 worker · 4 threads · attached · 2 runs, 1 other',
      '  waits | running 0/2 · 1 of 4 threads',
      '  waits | running 0/1 · waits for a thread: 4 of 4 busy (3 by others)',
      '  others | 3 of 4 threads · nap · 1 client',
    );
    await first.appears();
    await until(
      ours,
      'prod | running · 1 worker · 4 threads · attached · 2 runs, 1 other',
      '  waits | running 0/2 · 2 of 4 threads',
      '  waits | running 0/1 · 1 of 4 threads',
      '  others | idle · 1 client',
    );
    // The same flow of somebody else, in a window of theirs: its tasks have the same names as ours.
    const their = await theirs.start({
      flow: prefect,
      file: join(flowsDirectory, 'waits.py'),
      parameters: { n: 1, path: second.path },
      clusterId: theirId,
    });
    await until(
      ours,
      'prod | running · 1 worker · 4 threads · attached · 2 runs, 2 others',
      '  waits | running 0/2 · 2 of 4 threads',
      '  waits | running 0/1 · 1 of 4 threads',
      '  others | 1 of 4 threads · work · 2 clients',
    );
    await until(
      theirs,
      'local | running · 1 worker · 4 threads · static · 1 run, 3 others',
      '  waits | running 0/1 · 1 of 4 threads',
      '  others | 3 of 4 threads · work · 3 clients',
    );
    await Promise.all([second.appears(), ends.appears()]);
    assert.equal((await theirs.over(their, limitMs)).state.kind, 'completed');
    assert.equal((await ours.over(one, limitMs)).state.kind, 'completed');
    await stranger.leave();
    await until(ours, 'prod | running · 1 worker · 4 threads · attached');
    ours.manager.detach(id);
    await theirs.manager.stop(theirId, { force: true });
  });
});

describe('a static cluster, shared by scripts and a client from elsewhere', function () {
  this.timeout(240_000);
  const used = useBenches('dask-latest');

  it('shows who has which threads, and what a run waits for', async () => {
    const { ours } = used;
    const id = await ours.startStatic({ n_workers: 1, threads_per_worker: 4 });
    const [first, second, ends] = [used.file('first'), used.file('second'), used.file('ends')];
    const run = (jobs: number, until_: string) =>
      ours.start({
        flow: plain,
        file: join(flowsDirectory, 'waitsplain.py'),
        env: { JOBS: String(jobs), UNTIL: until_ },
        clusterId: id,
      });
    const one = await run(3, ends.path);
    await until(ours, 'local | running · 1 worker · 4 threads · static', '  script | running 0/3');
    const two = await run(2, first.path);
    await until(
      ours,
      'local | running · 1 worker · 4 threads · static · 2 runs',
      '  script | running 0/3 · 3 of 4 threads',
      '  script | running 0/2 · 1 of 4 threads',
    );
    await used.foreign(addressOf(ours, id), 'nap', 2, second.path);
    const three = await run(1, ends.path);
    await until(
      ours,
      'local | running · 1 worker · 4 threads · static · 3 runs, 1 other',
      '  script | running 0/3 · 3 of 4 threads',
      '  script | running 0/2 · 1 of 4 threads',
      '  script | running 0/1 · waits for a thread: 4 of 4 busy',
      '  others | waiting · nap · 1 client',
    );
    await Promise.all([first.appears(), second.appears(), ends.appears()]);
    for (const each of [one, two, three]) {
      assert.equal((await ours.over(each, limitMs)).state.kind, 'completed');
    }
    await until(
      ours,
      'local | running · 1 worker · 4 threads · static · 1 other',
      '  others | idle · 1 client',
    );
    await ours.manager.stop(id, { force: true });
  });
});
