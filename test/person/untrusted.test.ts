import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExecutorPanelPage } from '../support/executorPanel.ts';
import { PersonBed } from '../support/person.ts';
import type { Workbench } from '../support/workbench.ts';

describe('a person who does not trust a folder yet', function () {
  this.timeout(300_000);
  let bed: PersonBed;
  let workbench: Workbench;

  before(async () => {
    bed = await PersonBed.start({}, true);
    await mkdir(join(bed.workspace, '.vscode'), { recursive: true });
    await writeFile(folderSettings(), ofFolder);
    workbench = await bed.open({ file: 'plain_dask.py' });
  });

  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await workbench.screenshot('failed untrusted');
  });

  after(async () => {
    await workbench?.close();
    await bed?.close();
  });

  const ofFolder = '{ "flowClusters.defaultExecutor": "local" }\n';
  const folderSettings = () => join(bed.workspace, '.vscode', 'settings.json');

  /** The interpreters that the extension has started. */
  const pythons = async () => (await bed.processes()).filter(({ executable }) => /python/.test(executable));

  it('sees lenses, and nothing of theirs runs', async () => {
    await workbench.lens('Run with local').first().waitFor();
    await workbench.lens('Run with local').first().click();
    const message = await workbench.notification('This workspace is not trusted');
    await message.getByRole('button', { name: 'Manage Trust' }).waitFor();
    assert.deepEqual(await pythons(), []);
  });

  it('may edit executors, into the own settings, and nothing starts', async () => {
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.fill('n_workers', '3');
    await panel.status.filter({ hasText: 'Save writes to the user settings' }).waitFor();
    await panel.button('Start Cluster').click();
    await workbench.notification('This workspace is not trusted');
    await panel.button('Save').click();
    await workbench.row('Executors', /^local.*3 workers/).waitFor();
    await panel.status.filter({ hasText: 'In the user settings' }).waitFor();
    await panel.fill('name', 'mine');
    await panel.button('Save').click();
    await workbench.row('Executors', /^mine.*3 workers/).waitFor();
    // The folder's default was the executor that has another name now.
    assert.equal(await readFile(folderSettings(), 'utf8'), ofFolder);
    await workbench.runCommand('View: Close Editor');
    assert.deepEqual(await pythons(), []);
  });

  it('has no class imported and nothing checked in the panel; code is read all the same', async () => {
    const panel = await ExecutorPanelPage.open(workbench);
    await panel.make('clusterClass', { name: 'own', cluster_class: 'my_clusters.make_cluster' });
    await panel.leave('cluster_class');
    await panel.problem('cluster_class').filter({ hasText: 'nothing is imported' }).waitFor();
    await panel.button('Check').click();
    await workbench.notification('This workspace is not trusted');
    await panel.writeCode('DaskTaskRunner(cluster_kwargs={"n_workers": 2})');
    await panel.has('n_workers', '2');
    await panel.button('Discard Changes').click();
    await workbench.runCommand('View: Close Editor');
    assert.deepEqual(await pythons(), []);
  });

  it('trusts it by the message, and Python is warmed for the open flow', async () => {
    const message = await workbench.notification('This workspace is not trusted');
    await message.getByRole('button', { name: 'Manage Trust' }).click();
    await workbench.page.getByRole('button', { name: 'Trust', exact: true }).click();
    const until = Date.now() + 60_000;
    while ((await pythons()).length === 0 && Date.now() < until) await workbench.page.waitForTimeout(200);
    assert.notEqual((await pythons()).length, 0, 'no interpreter was started');
  });
});
