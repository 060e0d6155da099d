import { openWindow } from '../support/personSuite.ts';

describe('the log of a cluster', function () {
  this.timeout(300_000);

  it('comes by itself, whole or of one worker, and is filtered by whose lines they are', async () => {
    const workbench = await openWindow({ file: 'plain_dask.py' });
    const { page } = workbench;
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Start Cluster');
    await workbench.row('Clusters', /^local.*running · [1-9]\d* worker/).waitFor({ timeout: 60_000 });

    await workbench.runCommand('Flow Clusters: Show Logs');
    const lines = page.locator('.part.panel .view-line');
    await lines.filter({ hasText: '[scheduler]' }).first().waitFor();

    const scheduler = lines.filter({ hasText: '[scheduler]' }).first();
    await workbench.row('Clusters', /^worker 0.*MiB/).click({ button: 'right' });
    const show = page.getByRole('menuitem', { name: 'Show Logs' });
    await show.hover();
    // VS Code takes no click for the menu that comes with the one that opens it.
    await page.waitForTimeout(500);
    await show.click();
    await show.waitFor({ state: 'hidden' });
    await scheduler.waitFor({ state: 'detached' });
    await lines.filter({ hasText: /\[worker\s0\].*Registered\sto/ }).waitFor();

    await workbench.runCommand('Flow Clusters: Show Logs');
    // VS Code finds the sources out a moment after the lines.
    const source = page.getByRole('menuitemcheckbox', { name: 'scheduler' });
    for (let i = 0; i < 20 && !(await source.isVisible()); i += 1) {
      await page.keyboard.press('Escape');
      await page.locator('.part.panel .viewpane-filter .codicon-filter').click();
      await source.waitFor({ timeout: 1_000 }).catch(() => undefined);
    }
    await source.click();
    await scheduler.waitFor({ state: 'detached' });
    await lines.filter({ hasText: '[worker 0]' }).first().waitFor();
  });
});
