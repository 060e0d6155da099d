import { openWindow } from '../support/personSuite.ts';

describe('a flow that fails', function () {
  this.timeout(300_000);

  it('says why on its row and in a message, shows the traceback, and goes to the line', async () => {
    const workbench = await openWindow({ file: 'failing.py' });
    await workbench.widenSidebar(420);
    await workbench.lens('Run with local').first().click();

    await workbench.row('Runs', /^ledger.*failed.*division by zero/).waitFor({ timeout: 60_000 });
    await workbench.row('Runs', /^share.*1 failed/).waitFor();
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
    await workbench.lens('failed').first().waitFor();
    await workbench.screenshot('run failed');

    await workbench.lens('failed').first().click();
    await workbench.page.getByRole('button', { name: /^Ln 9, Col/ }).waitFor();

    // Without the panel there is room for the message.
    await workbench.page.keyboard.press('Control+J');
    const message = await workbench.notification(/ledger.*failed.*division by zero/);
    await message.getByRole('button', { name: 'Go to Line' }).waitFor();
    await workbench.screenshot('run failed message');
  });
});
