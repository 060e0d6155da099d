import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWindow } from '../support/personSuite.ts';

const script = `from distributed import Client, LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            print("the sum is", client.submit(sum, [1, 2, 3]).result())
`;

describe('a script with a cluster of its own', function () {
  this.timeout(300_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-written-'));
    await writeFile(join(folder, 'own.py'), script);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('runs as written, and is saved as an executor', async () => {
    const workbench = await openWindow({ folder, file: 'own.py' });
    await workbench.lens('Run as written').first().click();
    await workbench.openSidebar();
    await workbench
      .row('Runs', /^own\.py.*completed.*Client, as written/)
      .first()
      .waitFor({ timeout: 60_000 });
    await workbench.screenshot('run as written');

    await workbench.runCommand('Flow Clusters: Save as Executor');
    const title = workbench.page.locator('.quick-input-title').getByText('Name of the new executor');
    await title.waitFor();
    await workbench.answer('mine');
    await title.waitFor({ state: 'hidden' });
    await workbench.runCommand('Flow Clusters: Focus on Executors View');
    await workbench.row('Executors', /^mine/).waitFor();
    const told = await workbench.notification(/The executor mine is saved: local · 1 worker × 2 threads/);
    await told.getByText('Not kept: cluster_kwargs.dashboard_address').waitFor();
    const settings = JSON.parse(await readFile(join(folder, '.vscode', 'settings.json'), 'utf8'));
    assert.deepEqual(settings['flowClusters.executors'], [
      { name: 'mine', kind: 'local', n_workers: 1, threads_per_worker: 2 },
    ]);
  });
});
