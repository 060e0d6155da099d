import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FlowDef } from '../../src/core/flow.ts';
import type { Run } from '../../src/core/run.ts';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf, removeFolder } from '../support/hostLive.ts';
import { type Bed, startBed } from '../support/schedulerBed.ts';

const flow: FlowDef = { api: 'dask', name: 'pieces', entry: { how: 'script' }, line: 0, parameters: [] };
const pieces = 16;
/** Of those that are cancelled: more than can be done till a cancel arrives, however busy the machine is. */
const manyPieces = 400;

/** Six go their way, one of them fails; four are cancelled, early and late. */
const names = ['a', 'late', 'b', 'fails', 'c', 'early 1', 'd', 'early 2', 'e', 'early 3'];

describe('ten runs at once on one cluster', function () {
  this.timeout(240_000);
  let bench: Bench;
  let folder: string;
  let bed: Bed | undefined;

  before(async function () {
    this.timeout(600_000);
    bench = await liveBench({ python: await pythonOf('dask-latest') });
    await bench.host.whenReady();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ten-runs-'));
  });
  afterEach(async () => {
    await bed?.stop();
    await removeFolder(folder);
  });
  after(() => bench.dispose());

  /** Lines of one run's marks: `start 3`, `end 3`. */
  async function marksOf(name: string, what: string): Promise<string[]> {
    const text = await readFile(join(folder, 'marks'), 'utf8').catch(() => '');
    const prefix = `${name} ${what} `;
    return text.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []));
  }

  const done = (run: Run) => run.tasks.find(({ name }) => name === 'piece')?.counts.completed ?? 0;
  const total = (run: Run) => run.tasks.reduce((sum, group) => sum + group.total, 0);

  async function runTen(clusterId: string): Promise<Map<string, Run>> {
    const marks = join(folder, 'marks');
    const starting = names.map(async (name) => {
      const count = /^late|^early/.test(name) ? manyPieces : pieces;
      const env = { MARKS: marks, WHO: name, COUNT: `${count}` };
      return [
        name,
        await bench.start({ file: join(flowsDirectory, 'tenplain.py'), flow, env, clusterId }),
      ] as const;
    });
    const ids = new Map(await Promise.all(starting));
    const of = (name: string) => bench.run(ids.get(name) ?? assert.fail(name));
    const cancelled = ['late', 'early 1', 'early 2', 'early 3'].map(async (name) => {
      // Early: as soon as it has submitted anything, or even before; late: in the midst of it.
      if (name === 'late') await bench.until(() => done(of(name)) >= 1);
      else if (name !== 'early 3') await bench.until(() => total(of(name)) > 0);
      await bench.runs.cancel(of(name).id);
    });
    await Promise.all(cancelled);
    for (const name of names) await bench.over(of(name).id);
    return new Map(names.map((name) => [name, of(name)]));
  }

  async function see(runs: Map<string, Run>): Promise<void> {
    const states = Object.fromEntries([...runs].map(([name, { state }]) => [name, state.kind]));
    const completed = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, 'completed']));
    const cancelled = Object.fromEntries(
      ['late', 'early 1', 'early 2', 'early 3'].map((name) => [name, 'cancelled']),
    );
    assert.deepEqual(states, { ...completed, ...cancelled, fails: 'failed' });
    for (const name of Object.keys(completed)) {
      const all = Array.from({ length: pieces }, (_, i) => String(i)).sort();
      assert.deepEqual((await marksOf(name, 'start')).sort(), all, name);
      assert.deepEqual((await marksOf(name, 'end')).sort(), all, name);
    }
    for (const name of Object.keys(cancelled)) {
      const started = await marksOf(name, 'start');
      assert.ok(started.length < manyPieces, `${name} had begun ${started.length}`);
      assert.deepEqual((await marksOf(name, 'end')).sort(), started.sort(), name);
    }
    for (const name of Object.keys(completed)) {
      // The last counts of a cluster of ours may come after the run's last word.
      const id = runs.get(name)?.id ?? '';
      await bench.until(() => done(bench.run(id)) === pieces);
    }
  }

  it('of ours: each ends in its state, whichever are cancelled in between', async () => {
    const clusterId = await bench.startStatic({ n_workers: 2, threads_per_worker: 2 });
    await see(await runTen(clusterId));
    assert.equal(bench.cluster(clusterId)?.state.kind, 'running');
    await bench.manager.stop(clusterId, { force: false });
  });

  it('of others: each ends in its state, whichever are cancelled in between', async () => {
    bed = await startBed({ version: 'latest', protocol: 'tls', workers: 4 });
    const { address, security } = bed;
    const clusterId = bench.manager.attach({ name: 'theirs', address, ...(security && { security }) });
    await bench.until(() => bench.cluster(clusterId)?.state.kind === 'running');
    await see(await runTen(clusterId));
    assert.equal(bench.cluster(clusterId)?.state.kind, 'running');
    bench.manager.detach(clusterId);
  });
});
