import assert from 'node:assert/strict';
import { openWindow } from '../support/personSuite.ts';
import type { Workbench } from '../support/workbench.ts';

describe('a person without a mouse', function () {
  this.timeout(300_000);

  it('runs the flow by keys; the sidebar shows it, the focus stays; cancels it by keys', async () => {
    const workbench = await openWindow({ file: 'etl.py' });
    const { keyboard } = workbench.page;
    await workbench.lens('Run with local').first().waitFor();
    await keyboard.press('Control+1');

    await chord(workbench, 'F5');

    await workbench.row('Runs', /^etl/).waitFor({ timeout: 60_000 });
    assert.match(await focused(workbench), /monaco-editor/);
    await workbench.row('Runs', /^transform/).waitFor({ timeout: 60_000 });
    await chord(workbench, 'Shift+F5');
    await workbench.row('Runs', /^etl.*cancelled/).waitFor();
    await workbench.row('Clusters', /^local/).waitFor({ state: 'detached' });
  });

  it('keeps the focus on the row of a task while it makes progress', async () => {
    const workbench = await openWindow({ file: 'etl.py' });
    await workbench.openSidebar();
    await workbench.lens('Run with local').first().click();
    await workbench.row('Runs', /^transform/).waitFor({ timeout: 60_000 });

    await command(workbench, 'Flow Clusters: Focus on Runs View');
    await walkTo(workbench, /^transform/);
    await workbench.row('Runs', /^etl.*completed/).waitFor({ timeout: 60_000 });
    assert.ok(await isFocused(workbench, /^transform/));
  });

  it('walks to a failed run by the arrow keys, and Enter shows the line where it failed', async () => {
    const workbench = await openWindow({ file: 'failing.py' });
    const { keyboard } = workbench.page;
    await workbench.lens('Run with local').first().waitFor();
    await keyboard.press('Control+1');
    await command(workbench, 'Flow Clusters: Run Flow');
    await workbench.openSidebar();
    await workbench.row('Runs', /^ledger.*failed/).waitFor({ timeout: 60_000 });

    await command(workbench, 'Flow Clusters: Focus on Runs View');
    await workbench.view('Runs').locator('.monaco-list:focus').waitFor();
    await walkTo(workbench, /^share.*1 failed/);
    await keyboard.press('Enter');

    await workbench.page.getByRole('button', { name: /^Ln 9, Col/ }).waitFor();
    await workbench.page.getByText('ZeroDivisionError: division by zero').first().waitFor();

    await command(workbench, 'Flow Clusters: Clear History');
    await workbench.row('Runs', /^ledger/).waitFor({ state: 'detached' });
  });
});

/** The keys of a command of ours: Ctrl+K, then its own. */
async function chord({ page }: Workbench, key: string): Promise<void> {
  await page.keyboard.press('Control+K');
  await page.keyboard.press(key);
}

/** Presses the down arrow till a row of the view "Runs" has the focus. Looks between: a list that has just opened may miss a key. */
async function walkTo(workbench: Workbench, name: RegExp): Promise<void> {
  for (let presses = 0; !(await isFocused(workbench, name)); presses += 1) {
    assert.ok(presses < 20, `${name} is not to be reached`);
    await workbench.page.keyboard.press('ArrowDown');
    await workbench.page.waitForTimeout(200);
  }
}

async function isFocused(workbench: Workbench, name: RegExp): Promise<boolean> {
  return (await workbench.row('Runs', name).and(workbench.page.locator('.focused')).count()) > 0;
}

/** A command by the palette, chosen with Enter. */
async function command(workbench: Workbench, title: string): Promise<void> {
  const { page } = workbench;
  await page.keyboard.press('F1');
  await page.keyboard.type(title);
  await page
    .locator('.quick-input-list .monaco-list-row.focused')
    .filter({ hasText: title })
    .first()
    .waitFor();
  await page.keyboard.press('Enter');
}

/** The classes of the element with the focus and of what it stands in. */
function focused({ page }: Workbench): Promise<string> {
  return page.evaluate(`(() => {
    const names = [];
    for (let node = document.activeElement; node; node = node.parentElement) names.push(node.className);
    return names.join(' ');
  })()`);
}
