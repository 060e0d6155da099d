import assert from 'node:assert/strict';
import { bed, leftAfter, openWindow } from '../support/personSuite.ts';

describe('a person who changes their mind', function () {
  this.timeout(300_000);

  it('cancels a run by its row: the run is cancelled and its cluster gone', async () => {
    const workbench = await openWindow({ file: 'etl.py' });
    await workbench.openSidebar();
    await workbench.lens('Run with local').first().click();
    await workbench.row('Runs', /^transform/).waitFor({ timeout: 60_000 });

    await workbench.press(workbench.row('Runs', /^etl.*running/), 'Cancel Run');

    await workbench.row('Runs', /^etl.*cancelled/).waitFor();
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
  });

  it('closes the window in the middle of a run: nothing of ours is left running', async () => {
    const workbench = await openWindow({ file: 'etl.py' });
    await workbench.openSidebar();
    await workbench.lens('Run with local').first().click();
    await workbench.row('Runs', /^transform/).waitFor({ timeout: 60_000 });
    const { length } = await (await bed()).processes();
    assert.ok(length > 0, 'the run has processes');

    await workbench.close();

    assert.deepEqual(await leftAfter(60_000), []);
  });
});
