import type { Frame, Locator } from 'playwright-core';
import type { Workbench } from './workbench.ts';

const patienceMs = 20_000;

/** The editor tab "Executors" as a person sees it. */
export class ExecutorPanelPage {
  readonly #workbench: Workbench;

  constructor(workbench: Workbench) {
    this.#workbench = workbench;
  }

  /** Opens it by the button in the title of the view of executors. */
  static async open(workbench: Workbench): Promise<ExecutorPanelPage> {
    await workbench.openSidebar();
    await workbench.runCommand('Flow Clusters: Focus on Executors View');
    const view = workbench.view('Executors');
    await view.locator('.pane-header').hover();
    await view.locator('.pane-header').getByRole('button', { name: 'Configure Executors' }).click();
    const panel = new ExecutorPanelPage(workbench);
    await panel.list.waitFor();
    return panel;
  }

  get list(): Locator {
    return this.#in('select#executor');
  }

  /** A control by the option's name. */
  field(path: string): Locator {
    return this.#in(`[data-control="${path}"]`);
  }

  /** What has the focus when one types into a field. */
  input(path: string): Locator {
    return this.field(path).locator('input, textarea').first();
  }

  /** What stands under a field that is wrong. */
  problem(path: string): Locator {
    return this.#in(`[data-path="${path}"] > .problem`);
  }

  kind(name: string): Locator {
    return this.#workbench.webview().getByRole('radio', { name, exact: true });
  }

  async choose(kind: string): Promise<void> {
    await this.#in('.kinds label')
      .filter({ hasText: new RegExp(`^${kind}$`) })
      .click();
    await this.#in(`#fields[data-kind="${kind}"]`).waitFor();
  }

  /** Types into the field of an option. */
  async fill(path: string, text: string): Promise<void> {
    await this.field(path).locator('input, textarea').first().fill(text);
  }

  /** Leaves the field of an option, as who goes on to another one. */
  async leave(path: string): Promise<void> {
    await this.input(path).press('Tab');
  }

  /** What stands beside the names of all fields of arguments, in their order. */
  get arguments(): Locator {
    return this.#in('[data-path="cluster_kwargs"] .field > .head > .key');
  }

  /** Waits until this stands in the field of an option. */
  async has(path: string, text: string): Promise<void> {
    await this.#is(this.input(path), text);
  }

  /** Waits until an executor of the settings is the one that is shown. */
  async shows(key: string): Promise<void> {
    await this.#is(this.list, key);
  }

  /** Waits until the field of an option has the focus. */
  async hasFocus(path: string): Promise<void> {
    const input = this.input(path);
    await this.#until(() => input.evaluate((one) => one.matches(':focus')), `the focus comes to ${path}`);
  }

  /** Waits until a button can be pressed. */
  async enabled(name: string): Promise<void> {
    await this.#until(() => this.button(name).isEnabled(), `${name} can be pressed`);
  }

  /** Opens what is seldom needed. */
  async unfold(): Promise<void> {
    const closed = this.#in('details:not([open]) > summary');
    while ((await closed.count()) > 0) await closed.first().click();
  }

  /** Begins a new executor. */
  async make(kind: string, fields: Readonly<Record<string, string>>): Promise<void> {
    await this.button('New').click();
    await this.shows('');
    await this.choose(kind);
    await this.unfold();
    for (const [path, text] of Object.entries(fields)) await this.fill(path, text);
  }

  /** Has it checked, until this is found. */
  async check(text: string): Promise<void> {
    await this.button('Check').click();
    await this.checked.filter({ hasText: text }).waitFor({ timeout: 60_000 });
  }

  button(name: string): Locator {
    return this.#workbench.webview().getByRole('button', { name, exact: true });
  }

  tab(name: string): Locator {
    return this.#workbench.webview().getByRole('tab', { name });
  }

  /** The code that is shown, where it can be changed. */
  get code(): Locator {
    return this.#in('vscode-tab-panel:not([hidden]) textarea.code');
  }

  /** Waits until the code that is shown has this in it. */
  async showsCode(text: string): Promise<void> {
    const panel = this.#in('vscode-tab-panel:not([hidden])');
    let now = '';
    const isThere = async () => {
      now = await panel.evaluate((one) => {
        const area = one.querySelector('textarea');
        return (area && !area.hidden ? area.value : one.querySelector('pre')?.textContent) ?? '';
      });
      return now.includes(text);
    };
    await this.#until(isThere, () => `"${text}" comes into the code, which is\n${now}`);
  }

  /** What the check has found, one below the other. */
  get checked(): Locator {
    return this.#in('#checked-findings li');
  }

  /** What is to be known of the executor. */
  finding(text: string): Locator {
    return this.#in('.findings li').filter({ hasText: text });
  }

  /** Puts other code in the place of what is shown, and goes on to something else. */
  async writeCode(code: string): Promise<void> {
    await this.code.fill(code);
    await this.code.press('Tab');
  }

  /** Why the form does not follow the code that is shown. */
  get codeProblem(): Locator {
    return this.#in('vscode-tab-panel:not([hidden]) .problem');
  }

  /** What stands under the kinds where the executor is of none of them. */
  get kindProblem(): Locator {
    return this.#in('#kind-problem');
  }

  /** What says that the settings have changed. */
  get outdated(): Locator {
    return this.#in('.outdated');
  }

  get status(): Locator {
    return this.#in('[role=status]');
  }

  /** The page itself, to run something in it. */
  async frame(): Promise<Frame> {
    const frame = await (await this.list.elementHandle())?.ownerFrame();
    if (!frame) throw new Error('the panel is not to be seen');
    return frame;
  }

  async #is(control: Locator, value: string): Promise<void> {
    let now = '';
    const isThere = async () => {
      now = await control.inputValue();
      return now === value;
    };
    await this.#until(isThere, () => `"${value}" comes where "${now}" stands`);
  }

  async #until(isSo: () => Promise<boolean>, what: string | (() => string)): Promise<void> {
    const until = Date.now() + patienceMs;
    while (!(await isSo())) {
      if (Date.now() > until) throw new Error(`Not so in time: ${typeof what === 'string' ? what : what()}`);
      await this.#workbench.page.waitForTimeout(100);
    }
  }

  #in(selector: string): Locator {
    return this.#workbench.webview().locator(selector);
  }
}
