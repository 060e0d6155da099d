import { openWindow } from '../support/personSuite.ts';

describe('a static cluster', function () {
  this.timeout(300_000);

  it('starts by the palette, survives a run, and ends when it is stopped', async () => {
    const workbench = await openWindow({ file: 'plain_dask.py' });
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Start Cluster');
    await workbench.row('Clusters', /^local.*running · \d+ worker.*static/).waitFor({ timeout: 60_000 });

    await workbench.runCommand('Flow Clusters: Run Flow With');
    await workbench.pick(/static|running/);
    await workbench.row('Runs', /^plain_dask.*completed/).waitFor({ timeout: 60_000 });
    await workbench.row('Clusters', /^local.*running/).waitFor();

    await workbench.press(workbench.row('Clusters', /^local.*running/), 'Use for Runs');
    await workbench.lens('Run with local (static)').first().waitFor();
    await workbench.press(workbench.row('Clusters', /^local.*used for runs/), 'Stop Using for Runs');
    await workbench
      .lens(/Run with local$/)
      .first()
      .waitFor();

    await workbench.press(workbench.row('Clusters', /^local.*running/), 'Stop Cluster');
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
  });

  it('is scaled, adapts, loses a worker on demand; a restart of what it runs in asks first', async () => {
    const workbench = await openWindow({ file: 'plain_dask.py' });
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Start Cluster');
    await workbench.row('Clusters', /^local.*running · 2 workers.*static/).waitFor({ timeout: 60_000 });
    await workbench.runCommand('Flow Clusters: Scale Cluster');
    await workbench.pick('Adaptive');
    await workbench.answer('1');
    await workbench.asked('Workers at most').waitFor();
    const input = workbench.page.locator('.quick-input-widget:visible input').first();
    await input.fill('0');
    await workbench.asked('The maximum must be a whole number').waitFor();
    await workbench.screenshot('limits of adaptive scaling');
    await workbench.answer('2');
    await workbench.row('Clusters', /^local.*running .* adaptive 1–2/).waitFor();
    await workbench.row('Clusters', /^set to adaptive 1–2/).waitFor();
    await workbench.row('Clusters', /^adaptive: 2 → 1 \(idle\)/).waitFor({ timeout: 60_000 });
    await workbench.runCommand('Flow Clusters: Scale Cluster');
    await workbench.pick('Fixed number');
    await workbench.answer('2');
    await workbench
      .row('Clusters', /^local.*running · 2 workers · 2 threads · static/)
      .waitFor({ timeout: 60_000 });
    await workbench.runCommand('Flow Clusters: Retire Worker');
    await workbench.pick(/^worker/);
    await workbench.row('Clusters', /^worker \d.*draining/).waitFor();
    await workbench.screenshot('retiring a worker');
    await workbench.row('Clusters', /^worker \d retired: 2 → 1/).waitFor({ timeout: 60_000 });
    await workbench.row('Clusters', /^local.*running · 1 worker /).waitFor({ timeout: 60_000 });

    await workbench.runCommand('Flow Clusters: Restart Cluster Host');
    const dialog = workbench.page.locator('.monaco-dialog-box');
    await dialog.filter({ hasText: 'Clusters: local' }).waitFor();
    await workbench.screenshot('restart asks');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await workbench.row('Clusters', /^local.*running/).waitFor();

    await workbench.press(workbench.row('Clusters', /^local.*running/), 'Open Dashboard');
    await workbench.page.getByRole('tab', { name: /Simple Browser|Integrated Browser/ }).waitFor();
    await workbench.webview().frameLocator('iframe').locator('canvas').first().waitFor();
    await workbench.screenshot('dashboard');
    await workbench.runCommand('Flow Clusters: Restart Cluster Host');
    await dialog.getByRole('button', { name: 'Restart' }).click();
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
  });
});
