import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copySamples } from '../../scripts/lib/testBed.mjs';
import { bed, openWindow } from '../support/personSuite.ts';

const themes = [
  { name: 'dark', theme: 'Dark Modern', kind: '.vs-dark' },
  { name: 'high contrast', theme: 'Default High Contrast', kind: '.hc-black' },
];

describe('the sidebar', function () {
  this.timeout(300_000);

  for (const { name, theme, kind } of themes) {
    it(`can be read in a ${name} theme`, async () => {
      const folder = await copySamples(join(dirname((await bed()).workspace), name.replace(' ', '-')));
      await mkdir(join(folder, '.vscode'));
      await writeFile(
        join(folder, '.vscode', 'settings.json'),
        JSON.stringify({ 'workbench.colorTheme': theme }),
      );
      const workbench = await openWindow({ folder, file: 'failing.py' });
      await workbench.page.locator(`.monaco-workbench${kind}`).waitFor();
      await workbench.widenSidebar(420);

      await workbench.lens('Run with local').first().click();
      await workbench.row('Runs', /^ledger.*failed/).waitFor({ timeout: 60_000 });
      await workbench.openFile('etl.py');
      await workbench.lens('Run with local').first().click();
      await workbench.row('Runs', /^transform, [1-9]\d*\/18/).waitFor({ timeout: 60_000 });
      await workbench.screenshot(`theme ${name}`);
    });
  }
});
