import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Locator } from 'playwright-core';
import { openWindow } from '../support/personSuite.ts';
import type { Workbench } from '../support/workbench.ts';

describe('a cluster dragged into code', function () {
  this.timeout(300_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-drag-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('becomes the lines that connect to it, in an editor and in a notebook', async () => {
    const cell = { cell_type: 'code', source: ['x = 1'], metadata: {}, outputs: [], execution_count: null };
    const book = { cells: [cell], metadata: {}, nbformat: 4, nbformat_minor: 5 };
    await writeFile(join(folder, 'book.ipynb'), JSON.stringify(book));
    await writeFile(join(folder, 'code.py'), 'if True:\n    other = 2\n');
    const workbench = await openWindow({ folder, file: 'code.py' });
    const { page } = workbench;
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Start Cluster');
    const row = workbench.row('Clusters', /^local.*running · [1-9]\d* worker/);
    await row.waitFor({ timeout: 60_000 });
    const code = /from distributed import Client\n *client = Client\("tcp:\/\/127\.0\.0\.1:\d+"\)/;

    await drag(workbench, row, page.locator('.view-line').filter({ hasText: 'other' }));
    await page.locator('.view-line').filter({ hasText: 'Client(' }).waitFor();
    await page.keyboard.press('Control+S');
    const script = await saved(join(folder, 'code.py'), code);
    assert.match(script, /^if True:\n {4}other = 2\n {4}from .*\n {4}client = .*\n$/, 'on lines of its own');

    await workbench.openFile('book.ipynb');
    const line = page.locator('.notebookOverlay .view-line').first();
    // Till it is clicked into a cell may be a picture of its text, which takes no drop.
    await line.click();
    await page.locator('.notebookOverlay .monaco-editor.focused').waitFor();
    await drag(workbench, row, line);
    await page.locator('.notebookOverlay .view-line').filter({ hasText: 'Client(' }).waitFor();
    await page.keyboard.press('Control+S');
    const notebook = JSON.parse(await saved(join(folder, 'book.ipynb'), /Client\(/));
    assert.match(notebook.cells[0].source.join(''), code);
    assert.match(notebook.cells[0].source.join(''), /^x = 1$/m);
  });
});

/** Drags as a hand does: a few steps, and a moment over the target. */
async function drag({ page }: Workbench, from: Locator, to: Locator): Promise<void> {
  await to.waitFor();
  const [start, end] = [await from.boundingBox(), await to.boundingBox()];
  assert.ok(start && end, 'both are to be seen');
  await page.mouse.move(start.x + 60, start.y + start.height / 2);
  await page.mouse.down();
  await page.mouse.move(start.x + 80, start.y + start.height / 2, { steps: 5 });
  // VS Code asks the extension for what is dragged.
  await page.waitForTimeout(500);
  await page.mouse.move(end.x + 60, end.y + end.height / 2, { steps: 15 });
  await page.waitForTimeout(200);
  await page.mouse.up();
}

/** What a file holds once it has what it waits for. */
async function saved(path: string, wanted: RegExp): Promise<string> {
  for (let i = 0; i < 100; i += 1) {
    const text = await readFile(path, 'utf8');
    if (wanted.test(text.replaceAll('\\n"', '').replaceAll('\\"', '"'))) return text;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`not saved: ${await readFile(path, 'utf8')}`);
}
