import type { Page } from 'playwright-core';
import { openWindow } from '../support/personSuite.ts';
import type { Workbench } from '../support/workbench.ts';

/** What the runs of an earlier time were like. */
interface Past {
  readonly lifetime: 'temporary' | 'static';
  readonly startupMs: number;
  readonly tookMs: number;
  readonly everyMs: number;
}

/**
 * Makes twelve of the one run that the workspace remembers: what is advised on takes hours to come about. In a browser
 * the workspace's memory is a database of the page.
 */
function ageHistory(page: Page, past: Past): Promise<unknown> {
  return page.evaluate(`(async ({ lifetime, startupMs, tookMs, everyMs }) => {
    const done = (request) => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    for (const { name } of await indexedDB.databases()) {
      if (!name.startsWith('vscode-web-state-db-')) continue;
      const db = await done(indexedDB.open(name));
      try {
        const key = 'flow-clusters.flow-clusters';
        const table = () => db.transaction('ItemTable', 'readwrite').objectStore('ItemTable');
        const memory = JSON.parse((await done(table().get(key))) ?? '{}');
        if (memory.runs?.length !== 1) continue;
        const [run] = memory.runs;
        const aged = (_, i) => {
          const createdMs = run.createdMs - (12 - i) * everyMs;
          const state = { ...run.state, startedMs: createdMs, endedMs: createdMs + tookMs };
          const upSinceMs = lifetime === 'static' ? 1 : createdMs;
          const clusterUse = { ...run.clusterUse, lifetime, startupMs, upSinceMs, workers: 2 };
          return { ...run, id: 'aged' + i, clusterId: 'c7', createdMs, state, clusterUse };
        };
        memory.runs = Array.from({ length: 12 }, aged);
        await done(table().put(JSON.stringify(memory), key));
        return;
      } finally {
        db.close();
      }
    }
    throw new Error('no workspace remembers one run');
  })(${JSON.stringify(past)})`);
}

/** A window whose workspace has such runs behind it, with its executors shown. */
async function windowWithPast(past: Past): Promise<Workbench> {
  const workbench = await openWindow({ file: 'plain_dask.py' });
  await workbench.openSidebar();
  await workbench.lens('Run with local').first().click();
  await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 60_000 });
  await workbench.runCommand('Flow Clusters: Temporary or Static Clusters?');
  await workbench.notification('gives no reason to change');
  await ageHistory(workbench.page, past);
  await workbench.page.reload();
  await workbench.ready();
  await workbench.openSidebar();
  await workbench.view('Executors').locator('.pane-header').click();
  await workbench.row('Executors', /^local/).waitFor();
  return workbench;
}

describe('advice on temporary or static clusters', function () {
  this.timeout(300_000);

  it('stands under its executor, comes after a run, and its button starts a static cluster for runs', async () => {
    const workbench = await windowWithPast({
      ...{ lifetime: 'temporary', startupMs: 48_000, tookMs: 68_000, everyMs: 120_000 },
    });
    const waited = /typically waited 48 s for a cluster and worked 20 s: a static cluster would have saved/;
    await workbench.row('Executors', waited).waitFor();
    await workbench.lens('Run with local').first().click();
    await workbench.row('Executors', /Its last 13 runs/).waitFor({ timeout: 60_000 });
    const offer = await workbench.notification(waited);
    await workbench.screenshot('advice for a static cluster');
    await offer.getByRole('button', { name: 'Start Static Cluster' }).click();
    await workbench.row('Clusters', /^local.*running.*static.*used for runs/).waitFor({ timeout: 60_000 });
    await workbench.lens('Run with local (static)').first().waitFor();
    await workbench.row('Executors', waited).waitFor({ state: 'detached' });
  });

  it('is told by a click on its row, and its button goes back to temporary clusters', async () => {
    const workbench = await windowWithPast({
      ...{ lifetime: 'static', startupMs: 1_800, tookMs: 60_000, everyMs: 3_600_000 },
    });
    await workbench.runCommand('Flow Clusters: Start Cluster');
    await workbench.row('Clusters', /^local.*running.*static/).waitFor({ timeout: 60_000 });
    await workbench.press(workbench.row('Clusters', /^local.*running/), 'Use for Runs');
    await workbench.lens('Run with local (static)').first().waitFor();
    const idle = /used 2% of the 11 h that they were up: a temporary one starts in 1\.8 s/;
    // A row that once had no rows under it stays closed when they come.
    await workbench.row('Executors', /^local.*temporary may suit it better/).click();
    await workbench.row('Executors', idle).click();
    const offer = await workbench.notification(idle);
    await workbench.screenshot('advice for temporary clusters');
    await offer.getByRole('button', { name: 'Use Temporary Clusters' }).click();
    await workbench
      .lens(/Run with local$/)
      .first()
      .waitFor();
    const left = await workbench.notification('local is not used for runs now, and still there');
    await left.getByRole('button', { name: 'Stop Cluster' }).click();
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
  });
});
