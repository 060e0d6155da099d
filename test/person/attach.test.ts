import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copySamples } from '../../scripts/lib/testBed.mjs';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { GatewayBed } from '../support/gatewayBed.ts';
import { pythonOf } from '../support/hostLive.ts';
import { bed, openWindow } from '../support/personSuite.ts';
import { type Bed, startBed } from '../support/schedulerBed.ts';

describe('a cluster that is there already', function () {
  this.timeout(180_000);
  let scheduler: Bed | undefined;

  afterEach(async () => {
    await scheduler?.stop();
    scheduler = undefined;
  });

  it('is attached to by the palette, runs a script, is there again in the next window, and is let go alive', async () => {
    scheduler = await startBed({ version: 'latest' });
    const { address } = scheduler;
    const place = address.replace('tcp://', '');
    const workbench = await openWindow({ file: 'plain_dask.py' });
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Attach to Scheduler');
    await workbench.answer(place);
    await workbench.row('Clusters', new RegExp(`^${place}.*running · 2 workers.*attached`)).waitFor();

    const offer = await workbench.notification(`Attached to ${place}`);
    await workbench.screenshot('attached');
    await offer.getByRole('button', { name: 'Use for Runs' }).click();
    await workbench.lens(`Run with ${place} (attached)`).first().click();
    await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 60_000 });

    // What a workspace remembers is kept by the browser.
    await workbench.page.reload();
    await workbench.ready();
    await workbench.openSidebar();
    const row = workbench.row(
      'Clusters',
      new RegExp(`^${place}.*running · 2 workers.*attached.*used for runs`),
    );
    await row.waitFor();
    await workbench.press(row, 'Detach');
    await workbench.row('Clusters', new RegExp(`^${place}`)).waitFor({ state: 'detached' });
    await workbench
      .lens(/Run with local$/)
      .first()
      .waitFor();

    const client = new SchedulerClient(address);
    assert.equal((await client.identity()).workers.length, 2);
    client.close();
  });

  it('is behind a gateway: that is asked with the login of an executor, a wrong name is told, and a script runs', async () => {
    const gateway = await GatewayBed.start();
    const owner = await gateway.someoneElse();
    try {
      const folder = await copySamples(join(dirname((await bed()).workspace), 'gateway'));
      const settings = join(folder, '.vscode', 'settings.json');
      const executor = {
        ...{ name: 'gateway', kind: 'clusterClass', cluster_class: 'dask_gateway.GatewayCluster' },
        cluster_kwargs: gateway.kwargs,
      };
      await mkdir(dirname(settings));
      await writeFile(
        settings,
        JSON.stringify({
          'flowClusters.executors': [executor],
          'flowClusters.python': await pythonOf('clouds'),
        }),
      );
      const workbench = await openWindow({ folder, file: 'plain_dask.py' });
      await workbench.openSidebar();
      await workbench.runCommand('Flow Clusters: Attach to Scheduler');
      await workbench.answer(owner.address.replace(/[^/]+$/, 'nobody'));
      const refused = await workbench.notification('tells nothing of nobody');
      await refused.getByRole('button', { name: 'Change Address' }).click();
      await workbench.answer(owner.address);
      const place = owner.address.replace('gateway://', '');
      await workbench.row('Clusters', new RegExp(`^${place}.*running · 1 worker.*attached`)).waitFor();
      const offer = await workbench.notification(`Attached to ${place}`);
      await offer.getByRole('button', { name: 'Use for Runs' }).click();
      await workbench.lens(`Run with ${place} (attached)`).first().click();
      await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 60_000 });
      await workbench.screenshot('attached through a gateway');
      assert.deepEqual(await owner.says(), { status: 'running', workers: 1 });
    } finally {
      await owner.end();
      await gateway.dispose();
    }
  });

  it('is an executor: its lens attaches, a wrong address is told and leads to the settings', async () => {
    scheduler = await startBed({ version: 'latest' });
    const folder = await copySamples(join(dirname((await bed()).workspace), 'existing'));
    const settings = join(folder, '.vscode', 'settings.json');
    const write = (address: string) =>
      writeFile(
        settings,
        JSON.stringify({ 'flowClusters.executors': [{ name: 'prod', kind: 'existing', address }] }),
      );
    await mkdir(dirname(settings));
    await write('127.0.0.1:1');
    const workbench = await openWindow({ folder, file: 'plain_dask.py' });
    await workbench.openSidebar();
    await workbench.lens('Run with prod').first().click();
    const message = await workbench.notification('Can’t connect to tcp://127.0.0.1:1: nothing listens there');
    await message.getByRole('button', { name: 'Open Settings' }).waitFor();

    await write(scheduler.address);
    // The settings are read when the file's change is seen.
    await workbench.runCommand('Flow Clusters: Focus on Executors View');
    await workbench.row('Executors', new RegExp(`^prod.*existing · ${scheduler.address}`)).waitFor();
    await workbench.lens('Run with prod').first().click();
    await workbench.row('Runs', /^plain_dask.*completed.*prod/).waitFor({ timeout: 60_000 });
    await workbench.row('Clusters', /^prod.*running · 2 workers.*attached/).waitFor();
  });
});
