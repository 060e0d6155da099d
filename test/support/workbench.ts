import { join } from 'node:path';
import type { FrameLocator, Locator, Page } from 'playwright-core';
import { root } from '../../scripts/lib/checkout.mjs';

/** A limit costs time only where something is broken: it is for a machine that has much else to do. */
const PATIENCE_MS = 60_000;

/** A VS Code window as a person sees it: what can be read, pressed and typed. Every wait has a limit. */
export class Workbench {
  readonly page: Page;
  /** Errors in the window's console that name the extension, and what its pages were kept from. */
  readonly errors: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', (message) => {
      if (message.type() === 'error' && /flow-?clusters|Content Security Policy/i.test(message.text()))
        this.errors.push(message.text());
    });
  }

  /** Resolves when the window is drawn and its extension host answers. */
  async ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .statusbar').waitFor();
    await this.page.getByRole('tab', { name: 'Flow Clusters' }).first().waitFor();
  }

  /** Opens the sidebar of the extension. */
  async openSidebar(): Promise<void> {
    const tab = this.page.getByRole('tab', { name: 'Flow Clusters' }).first();
    const view = this.view('Clusters');
    const seen = (timeout: number) =>
      view.waitFor({ timeout }).then(
        () => true,
        () => false,
      );
    // A window that restores its sidebar under the click has it hidden by that: one clicks again.
    for (let tries = 0; tries < 3; tries += 1) {
      if ((await tab.getAttribute('aria-selected')) !== 'true') await tab.click();
      if (await seen(5_000)) return;
    }
    await view.waitFor();
  }

  /** Opens the sidebar and draws its edge until it is so wide, in pixels. */
  async widenSidebar(width: number): Promise<void> {
    await this.openSidebar();
    const box = await this.page.locator('.part.sidebar').boundingBox();
    if (!box) throw new Error('the sidebar is not to be seen');
    const [edge, middle] = [box.x + box.width, box.y + box.height / 2];
    await this.page.mouse.move(edge, middle);
    await this.page.mouse.down();
    await this.page.mouse.move(edge + width - box.width, middle, { steps: 5 });
    await this.page.mouse.up();
  }

  /** A section of the sidebar by its title. */
  view(title: string): Locator {
    return this.page.locator(`.pane:has(> .pane-header[aria-label^="${title}"])`);
  }

  /** A row of a view by what a screen reader says: its label, then its description. */
  row(view: string, name: string | RegExp): Locator {
    return this.view(view).getByRole('treeitem', { name });
  }

  /** Presses an inline button of a row; it shows while the pointer is over the row. */
  async press(row: Locator, button: string): Promise<void> {
    await row.hover();
    await row.getByRole('button', { name: button }).click();
  }

  /** A lens by its text. */
  lens(text: string | RegExp): Locator {
    return this.page.locator('.codelens-decoration a').filter({ hasText: text });
  }

  /**
   * Runs a command by its title in the palette. Opened early, the palette lacks commands that need a trusted
   * workspace: like a person, look again.
   */
  async runCommand(title: string): Promise<void> {
    const entry = this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: title }).first();
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      await this.page.keyboard.press('F1');
      const input = this.page.locator('.quick-input-widget input').first();
      await input.waitFor();
      await input.fill(`>${title}`);
      const shown = await entry.waitFor({ timeout: 1_000 }).then(
        () => true,
        () => false,
      );
      if (shown) break;
      if (Date.now() > until) throw new Error(`the palette does not offer "${title}"`);
      await this.page.keyboard.press('Escape');
    }
    await entry.click();
  }

  /** Types into the input box (or pick) that is open, and accepts it. */
  async answer(text: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget:visible input').first();
    await input.waitFor();
    await input.fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** What the input box that is open says under it. */
  asked(text: string): Locator {
    return this.page.locator('.quick-input-message').filter({ hasText: text });
  }

  /** Chooses an entry of the pick that is open. */
  async pick(text: string | RegExp): Promise<void> {
    await this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: text }).first().click();
  }

  /** Opens a file of the workspace by its name. */
  async openFile(name: string): Promise<void> {
    await this.page.keyboard.press('Control+P');
    const input = this.page.locator('.quick-input-widget input').first();
    await input.waitFor();
    await input.fill(name);
    await this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: name }).first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.getByRole('tab', { name }).first().waitFor();
  }

  /** Brings a line of the open file (counted from 1) into view. */
  async goToLine(line: number): Promise<void> {
    await this.page.locator('.monaco-editor .view-lines').first().click();
    await this.page.keyboard.press('Control+G');
    await this.answer(`:${line}`);
  }

  /** A notification that contains a text; under the tests' driver VS Code keeps them behind the bell. */
  async notification(text: string | RegExp): Promise<Locator> {
    const item = this.page.locator('.notification-list-item').filter({ hasText: text });
    if (!(await item.isVisible())) await this.runCommand('Notifications: Show Notifications');
    await item.waitFor();
    await this.page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
    return item;
  }

  /** The inside of the webview that was opened last. */
  webview(): FrameLocator {
    return this.page.frameLocator('iframe.webview').last().frameLocator('#active-frame');
  }

  /** Saves what the window shows under test-output/screenshots. */
  async screenshot(name: string): Promise<void> {
    // Away from whatever would show a hover.
    await this.page.mouse.move(1, 1);
    const file = `${name.replaceAll(/[^\w-]+/g, '-')}.png`;
    await this.page.screenshot({ path: join(root, 'test-output', 'screenshots', file) });
  }

  /** Closes the window as a person does, so that its extension host ends. */
  async close(): Promise<void> {
    const context = this.page.context();
    await this.page.close({ runBeforeUnload: true }).catch(() => {});
    await context.close();
  }
}
