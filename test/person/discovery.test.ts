import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWindow } from '../support/personSuite.ts';
import { type Bed, startBed } from '../support/schedulerBed.ts';

describe('a cluster that somebody else has started', function () {
  this.timeout(300_000);
  let folder: string;
  let scheduler: Bed | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-discover-'));
    await mkdir(join(folder, '.vscode'));
    const settings = { 'flowClusters.discover': true };
    await writeFile(join(folder, '.vscode', 'settings.json'), JSON.stringify(settings));
  });
  after(async () => {
    await scheduler?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('is found with whose it is, can be attached to, and goes from the list when it goes', async () => {
    const workbench = await openWindow({ folder });
    await workbench.widenSidebar(500);
    scheduler = await startBed({ version: 'latest', workers: 2 });
    const place = scheduler.address.replace('tcp://', '');
    const pid = new RegExp(`running · 2 workers.*discovered \\(pid ${scheduler.pid}, since \\d\\d:\\d\\d\\)`);
    const found = workbench.row('Clusters', pid);
    await found.waitFor();
    await workbench.screenshot('discovered');

    await workbench.press(found, 'Attach to Scheduler');
    const attached = workbench.row('Clusters', new RegExp(`^${place}.*running · 2 workers.*attached`));
    await attached.waitFor();
    await found.waitFor({ state: 'detached' });
    await workbench.press(attached, 'Detach');
    await found.waitFor();

    scheduler.signal('SIGKILL');
    await workbench.row('Clusters', new RegExp(`pid ${scheduler.pid}`)).waitFor({ state: 'detached' });
  });
});
