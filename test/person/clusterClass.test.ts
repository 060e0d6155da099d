import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leftAfter, openWindow } from '../support/personSuite.ts';

const flow = `from distributed import LocalCluster
from prefect import flow, task


def make_cluster(n_workers=2):
    print("making", n_workers, "workers")
    return LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")


@task
def double(x):
    return 2 * x


@flow(log_prints=True)
def etl():
    print("the sum is", sum(double.map([1, 2, 3]).result()))


if __name__ == "__main__":
    etl()
`;

describe('a flow beside a function that makes a cluster', function () {
  this.timeout(300_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-class-'));
    await writeFile(join(folder, 'own-etl.py'), flow);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('runs on that by three clicks, and nothing is left', async () => {
    const workbench = await openWindow({ folder, file: 'own-etl.py' });
    await workbench.widenSidebar(420);
    await workbench.lens('Run with local').waitFor();

    await workbench.lens('Use as cluster').click();
    const title = workbench.page.locator('.quick-input-title').getByText('Name of the new executor');
    await title.waitFor();
    await workbench.screenshot('use as cluster');
    await workbench.page.keyboard.press('Enter');
    const told = await workbench.notification(/The executor make_cluster is saved/);
    await told.getByText('clusterClass · own-etl.py:make_cluster').waitFor();
    await told.getByText('Use by Default').click();

    await workbench.lens('Run with make_cluster').click();
    await workbench.row('Clusters', /^make_cluster.*running · 2 workers/).waitFor({ timeout: 60_000 });
    await workbench.row('Runs', /^etl.*completed/).waitFor({ timeout: 60_000 });
    await workbench.row('Clusters', /^make_cluster/).waitFor({ state: 'detached' });
    await workbench.screenshot('run on the cluster of a function');
    assert.deepEqual(workbench.errors, []);

    const settings = JSON.parse(await readFile(join(folder, '.vscode', 'settings.json'), 'utf8'));
    assert.deepEqual(settings['flowClusters.executors'], [
      { name: 'make_cluster', kind: 'clusterClass', cluster_class: 'own-etl.py:make_cluster' },
    ]);
    await workbench.close();
    assert.deepEqual(await leftAfter(60_000), []);
  });
});
