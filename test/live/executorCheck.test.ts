import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Executor } from '../../src/core/executor.ts';
import type { PythonHost } from '../../src/host/pythonHost.ts';
import { type CheckMeans, checkExecutor } from '../../src/runs/executorCheck.ts';
import { liveHost, pythonOf } from '../support/hostLive.ts';
import { startBed } from '../support/schedulerBed.ts';

describe('the check of an executor', function () {
  this.timeout(180_000);
  let host: PythonHost;

  before(async function () {
    this.timeout(600_000);
    host = await liveHost({ python: await pythonOf('dask-latest') });
  });
  after(() => host.dispose());

  async function check(
    executor: Executor,
    signal = new AbortController().signal,
    flow?: CheckMeans['flow'],
  ): Promise<string[]> {
    const findings = await checkExecutor(executor, {
      ...{ signal, stage: () => undefined, ...(flow && { flow }) },
      host: async () => host,
      security: async () => undefined,
    });
    return findings.map(({ severity, message }) => `${severity}: ${message}`);
  }

  it('sees whether the interpreter has what it needs', async () => {
    const [has, ...more] = await check({ name: 'a', kind: 'local' });
    assert.match(has ?? '', /^good: Python 3\.\d+\.\d+ of \S+ has distributed 20\d\d\.\d/);
    assert.deepEqual(more, []);
    assert.match(
      (await check({ name: 'a', kind: 'localDask' }))[0] ?? '',
      /^error: Prefect is not installed/,
    );
  });

  it('imports a class, and holds its arguments against its signature', async () => {
    const of = (cluster_class: string, cluster_kwargs: Record<string, unknown> = {}) =>
      check({ name: 'a', kind: 'clusterClass', cluster_class, cluster_kwargs });
    const good = await of('distributed.LocalCluster', { n_workers: 1 });
    assert.deepEqual(good.slice(1), [
      'good: distributed.LocalCluster can be imported',
      'good: LocalCluster takes what it is to be called with',
    ]);
    assert.deepEqual((await of('my_clusters.takes', { delta: 1 })).slice(0, 1), ['error: choice is needed']);
    assert.deepEqual(await of('my_cluster.make'), ['error: There is no module my_cluster.']);
  });

  it('asks a scheduler that is there, and its workers; says who does not answer', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'check-'));
    const bed = await startBed({ version: 'latest', python: await pythonOf('dask-latest'), workers: 1 });
    const executor: Executor = { name: 'a', kind: 'existing', address: bed.address };
    try {
      const found = await check(executor);
      assert.ok(found.includes(`good: The scheduler at ${bed.address} answers`), found.join('\n'));
      assert.deepEqual(
        found.filter((text) => text.startsWith('error')),
        [],
      );
      // For a flow its modules are looked for as well.
      const file = join(folder, 'needs.py');
      await writeFile(file, 'import nowhere_to_be_found\nimport dask\n');
      const forFlow = await check(executor, undefined, { file, api: 'dask' });
      assert.match(forFlow.join('\n'), /nowhere_to_be_found/);
    } finally {
      await rm(folder, { recursive: true });
      await bed.stop();
    }
    assert.match((await check(executor))[0] ?? '', /^error: Can’t connect to tcp:/);
  });

  it('ends when it is cancelled', async () => {
    await assert.rejects(check({ name: 'a', kind: 'local' }, AbortSignal.abort()), { name: 'AbortError' });
  });
});
