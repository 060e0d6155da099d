import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowDef } from '../../src/core/flow.ts';
import { clusterNodes, type TreeNode } from '../../src/core/tree.ts';
import type { PythonHost } from '../../src/host/pythonHost.ts';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, liveHost, pythonOf, removeFolder } from '../support/hostLive.ts';

const script: FlowDef = { api: 'dask', name: 'script', entry: { how: 'script' }, line: 0, parameters: [] };

describe('workers of live clusters', function () {
  this.timeout(180_000);
  let bench: Bench;
  let other: PythonHost;
  let folder: string;

  before(async function () {
    this.timeout(600_000);
    folder = await mkdtemp(join(tmpdir(), 'workers-'));
    const python = await pythonOf('dask-latest');
    bench = await liveBench({ python });
    other = await liveHost({ python, workspace: folder });
    await Promise.all([bench.host.whenReady(), other.whenReady()]);
  });

  after(async () => {
    try {
      await Promise.all([bench.dispose(), other.dispose()]);
    } finally {
      await removeFolder(folder);
    }
  });

  function start(file: string, env: Record<string, string>, more: Partial<Parameters<Bench['start']>[0]>) {
    return bench.start({ flow: script, file: join(flowsDirectory, file), env, ...more });
  }

  const incidents = (): TreeNode[] =>
    clusterNodes(bench.store.snapshot, Date.now()).flatMap(({ children = [] }) =>
      children.filter(({ context }) => context === 'incident'),
    );

  it('say in the tree and with the run how they died, still when they are back', async () => {
    const executor = { name: 'local', kind: 'local', n_workers: 1, threads_per_worker: 1 } as const;
    const target = { kind: 'executor', executor, backend: bench.backend } as const;
    const id = await start('dies.py', { HOW: 'kill', MARKS: join(folder, 'once') }, { target });
    const message = 'worker 0 was killed (signal 9) while working on deadly';
    await bench.until(() => incidents().some(({ label }) => label === message));
    await bench.until(() => /^restarted · \d\d:\d\d$/.test(incidents()[0]?.description ?? ''));
    const run = await bench.over(id);
    assert.equal(run.state.kind, 'completed');
    assert.deepEqual(run.notes, [message]);
    assert.ok(bench.runs.output(id)?.text().includes(message), 'in its terminal as well');
    await bench.until(() => bench.store.snapshot.clusters.size === 0);
  });

  it('say why a run fails whose task kills each of them, on a static cluster that goes on', async () => {
    const clusterId = await bench.startStatic({ n_workers: 1, threads_per_worker: 1 });
    const id = await start('dies.py', { HOW: 'always', MARKS: '' }, { clusterId });
    const run = await bench.over(id);
    assert.ok(run.state.kind === 'failed', JSON.stringify(run.state));
    assert.match(run.state.failure.message, /KilledWorker/);
    const count = (pattern: RegExp) => bench.run(id).notes.filter((note) => pattern.test(note)).length;
    await bench.until(
      () => count(/deadly was given up: 4 workers/) === 1 && count(/killed \(signal 9\)/) === 4,
    );
    assert.equal(bench.cluster(clusterId)?.state.kind, 'running');
    await bench.until(() => incidents().length === 5); // they stay with the cluster
    await bench.manager.stop(clusterId, { force: false });
  });

  it('of a static cluster print to its logs, and to the terminal of the only run', async () => {
    const clusterId = await bench.startStatic({ n_workers: 2, threads_per_worker: 1 });
    const logs = () => bench.outputs.of(clusterId)?.text() ?? '';
    const terminal = (id: string) => bench.runs.output(id)?.text() ?? '';
    const alone = await start('printsplain.py', { WHO: 'alone' }, { clusterId });
    assert.equal((await bench.over(alone)).state.kind, 'completed');
    assert.match(await bench.printed(alone), /Cluster local is shared: [\s\S]*task says alone/);
    assert.match(logs(), /task says alone/);
    const waits = await start('reads.py', {}, { clusterId });
    while (!terminal(waits).includes('name? ')) await sleep(10);
    const second = await start('printsplain.py', { WHO: 'second' }, { clusterId });
    assert.equal((await bench.over(second)).state.kind, 'completed');
    while (!logs().includes('task says second')) await sleep(10);
    assert.doesNotMatch(terminal(second) + terminal(waits), /task says/, 'whose it is cannot be told');
    bench.runs.input(waits, 'Ada\n');
    assert.equal((await bench.over(waits)).state.kind, 'completed');
    await bench.manager.stop(clusterId, { force: true });
    assert.equal(bench.outputs.of(clusterId), undefined);
  });

  it('are counted for a run that another folder has made', async () => {
    const clusterId = await bench.startStatic({ n_workers: 2, threads_per_worker: 1 });
    const id = await start('plain.py', {}, { clusterId, host: other, workspace: folder });
    const run = await bench.over(id);
    assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
    // The last counts come up to a fifth of a second after the end.
    await bench.until(() =>
      bench.run(id).tasks.some(({ name, counts }) => name === 'sum' && counts.completed),
    );
    const done = bench.run(id).tasks.map(({ name, counts }) => [name, counts.completed]);
    assert.deepEqual(Object.fromEntries(done), { inc: 4, sum: 1 });
    assert.deepEqual(run.notes, [], 'same versions: nothing to say');
    await bench.manager.stop(clusterId, { force: true });
  });
});
