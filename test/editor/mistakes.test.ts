import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import * as vscode from 'vscode';

const patienceMs = 60_000;
const source = `from prefect import flow
from prefect_dask import DaskTaskRunner


@flow(task_runner=DaskTaskRunner(address="tcp://dask:8787"))
def etl():
    pass
`;

describe('mistakes in a flow', () => {
  let document: vscode.TextDocument;

  before(async () => {
    document = await vscode.workspace.openTextDocument({ language: 'python', content: source });
    await vscode.window.showTextDocument(document);
  });

  after(async () => {
    await switched(undefined);
    await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
  });

  /** Their codes, once there are that many. */
  async function codes(count: number): Promise<unknown[]> {
    const untilMs = Date.now() + patienceMs;
    for (;;) {
      const own = vscode.languages
        .getDiagnostics(document.uri)
        .filter(({ source: from }) => from === 'Flow Clusters');
      if (own.length === count) return own.map(({ code }) => (typeof code === 'object' ? code.value : code));
      if (Date.now() > untilMs) throw new Error(`${own.length} mistakes shown, not ${count}`);
      await delay(100);
    }
  }

  async function switched(on: boolean | undefined): Promise<void> {
    const settings = vscode.workspace.getConfiguration('flowClusters');
    await settings.update('diagnostics', on, vscode.ConfigurationTarget.Workspace);
  }

  async function actions(): Promise<vscode.CodeAction[]> {
    const { range } = document.lineAt(4);
    return vscode.commands.executeCommand('vscode.executeCodeActionProvider', document.uri, range);
  }

  it('are shown, hidden by the setting, and shown again', async () => {
    assert.deepEqual(await codes(1), ['dashboard-address']);
    await switched(false);
    await codes(0);
    await switched(undefined);
    await codes(1);
  });

  it('are mended by the light bulb, which also saves the executor', async () => {
    const found = await actions();
    const titles = found.map(({ title }) => title);
    assert.ok(titles.includes('Save as Executor…'), titles.join());
    const fix = found.find(({ title }) => title === 'Use tcp://dask:8786');
    assert.ok(fix?.edit, titles.join());
    await vscode.workspace.applyEdit(fix.edit);
    assert.match(document.getText(), /address="tcp:\/\/dask:8786"/);
    await codes(0);
  });
});
