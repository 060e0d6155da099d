import assert from 'node:assert/strict';
import { openWindow } from '../support/personSuite.ts';

describe('a person with a flow', function () {
  this.timeout(300_000);

  it('runs it by one click, watches its tasks, and the cluster is gone afterwards', async () => {
    const workbench = await openWindow({ file: 'etl.py' });
    await workbench.widenSidebar(420);

    await workbench.lens('Run with local').first().click();

    await workbench.row('Clusters', /^local.*(starting|running)/).waitFor();
    await workbench.row('Clusters', /^local.*running · \d+ worker/).waitFor({ timeout: 60_000 });
    await workbench.row('Runs', /^transform, [1-9]\d*\/18/).waitFor({ timeout: 60_000 });
    // The terminal has taken the room where the flow was.
    await workbench.goToLine(28);
    await workbench.screenshot('run in progress');

    await workbench.row('Runs', /^etl.*completed/).waitFor({ timeout: 60_000 });
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
    await workbench.lens('completed').first().waitFor();
    await workbench.screenshot('run completed');
    assert.deepEqual(workbench.errors, []);
  });
});
