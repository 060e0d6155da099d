import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copySamples } from '../../scripts/lib/testBed.mjs';
import { bed, openWindow } from '../support/personSuite.ts';
import { type Bed, startBed } from '../support/schedulerBed.ts';

describe('a cluster that a flow would fail on', function () {
  this.timeout(300_000);
  let scheduler: Bed | undefined;

  afterEach(async () => {
    await scheduler?.stop();
    scheduler = undefined;
  });

  it('is told of before the run, by keys: what is wrong, what mends it, and Run Anyway', async () => {
    // Dask and nothing else: a Prefect flow has no chance there.
    scheduler = await startBed({ version: 'latest' });
    const folder = await copySamples(join(dirname((await bed()).workspace), 'preflight'));
    await mkdir(join(folder, '.vscode'));
    const executors = [{ name: 'prod', kind: 'existing', address: scheduler.address }];
    await writeFile(
      join(folder, '.vscode', 'settings.json'),
      JSON.stringify({ 'flowClusters.executors': executors }),
    );
    const workbench = await openWindow({ folder, file: 'etl.py' });
    const { page } = workbench;
    const finding = page.locator('.quick-input-list .monaco-list-row').filter({ hasText: 'prefect' }).first();
    const dialog = page.locator('.monaco-dialog-box');
    await workbench.openSidebar();

    await workbench.lens('Run with prod').first().click();
    await finding.waitFor({ timeout: 60_000 });
    await page.locator('.quick-input-title').filter({ hasText: 'etl on prod: 1 problem' }).waitFor();
    await workbench.screenshot('preflight list');
    await page.keyboard.press('Enter');
    await dialog.filter({ hasText: 'missing on the scheduler and both workers' }).waitFor();
    await dialog.getByRole('button', { name: 'Copy Command' }).waitFor();
    await workbench.screenshot('preflight finding');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await finding.waitFor();
    // The list has the keys again a moment after the dialog has gone.
    await page.locator('.quick-input-box input:focus').waitFor();
    await page.keyboard.press('Escape');
    await finding.waitFor({ state: 'hidden' });

    await workbench.lens('Run with prod').first().click();
    await finding.waitFor({ timeout: 60_000 });
    await workbench.pick('Run Anyway');
    await workbench.row('Runs', /^etl.*failed/).waitFor({ timeout: 60_000 });
  });

  it('is checked when asked, and all that is well is told too', async () => {
    const workbench = await openWindow({ file: 'plain_dask.py' });
    const { page } = workbench;
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Start Cluster');
    await workbench.row('Clusters', /^local.*running · \d+ worker.*static/).waitFor({ timeout: 60_000 });
    await workbench.runCommand('Flow Clusters: Check Cluster');
    await workbench.pick('plain_dask');
    await page
      .locator('.quick-input-title')
      .filter({ hasText: 'local for plain_dask.py: all is well' })
      .waitFor({ timeout: 60_000 });
    await workbench.screenshot('preflight all is well');
    await workbench.pick('Check Again');
    await page
      .locator('.quick-input-list .monaco-list-row')
      .filter({ hasText: 'The versions fit' })
      .waitFor();
    await page.keyboard.press('Escape');
  });
});
