import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copySamples } from '../../scripts/lib/testBed.mjs';
import { ExecutorPanelPage } from '../support/executorPanel.ts';
import { bed, openWindow } from '../support/personSuite.ts';

describe('an executor that cannot be used', function () {
  this.timeout(300_000);

  it('is told in a message and on its row, and both lead to its field', async () => {
    const folder = await copySamples(join(dirname((await bed()).workspace), 'settings'));
    await mkdir(join(folder, '.vscode'));
    const executors = [{ name: 'laptop', kind: 'local', n_workers: 0 }];
    await writeFile(
      join(folder, '.vscode', 'settings.json'),
      JSON.stringify({ 'flowClusters.executors': executors }),
    );
    const workbench = await openWindow({ folder, file: 'etl.py' });
    await workbench.lens('Run with local').first().waitFor();

    const message = await workbench.notification(/laptop: n_workers must be a whole number/);
    await message.getByRole('button', { name: 'Configure Executors' }).click();
    const panel = new ExecutorPanelPage(workbench);
    const problem = panel.problem('n_workers').filter({ hasText: 'n_workers must be a whole number' });
    await problem.waitFor();

    await workbench.runCommand('View: Close Editor');
    await problem.waitFor({ state: 'detached' });
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Focus on Executors View');
    await workbench.row('Executors', /^laptop, n_workers must be/).click();
    await problem.waitFor();
  });
});
