import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import * as vscode from 'vscode';

const patienceMs = 60_000;

/** The titles of the lenses of a sample, once one matches. */
async function titles(uri: vscode.Uri, wanted: RegExp): Promise<string[]> {
  const untilMs = Date.now() + patienceMs;
  for (;;) {
    const lenses = await vscode.commands.executeCommand<vscode.CodeLens[]>(
      'vscode.executeCodeLensProvider',
      uri,
    );
    const found = lenses.flatMap(({ command }) => command?.title ?? []);
    if (found.some((title) => wanted.test(title))) return found;
    if (Date.now() > untilMs) throw new Error(`no lens like ${wanted}: ${found.join(', ')}`);
    await delay(100);
  }
}

async function configure(key: string, value: unknown): Promise<void> {
  const settings = vscode.workspace.getConfiguration('flowClusters');
  await settings.update(key, value, vscode.ConfigurationTarget.Workspace);
}

describe('the lenses of a flow', () => {
  let uri: vscode.Uri;

  before(async () => {
    const [found] = await vscode.workspace.findFiles('etl.py');
    assert.ok(found);
    uri = found;
    await vscode.window.showTextDocument(uri);
  });

  after(async () => {
    for (const key of ['executors', 'defaultExecutor']) await configure(key, undefined);
  });

  it('name the executor that the settings say', async () => {
    assert.deepEqual(await titles(uri, /Run with local/), ['▶ Run with local', 'Run with…']);
    await configure('executors', [{ name: 'laptop', kind: 'local', n_workers: 2 }]);
    await titles(uri, /Run with laptop/);
    await configure('defaultExecutor', 'local');
    await titles(uri, /Run with local/);
  });

  it('follow the command that makes an executor the default', async () => {
    await configure('executors', [{ name: 'laptop', kind: 'local', n_workers: 2 }]);
    await vscode.commands.executeCommand('flowClusters.executor.setDefault', { key: 'laptop' });
    await titles(uri, /Run with laptop/);
    const { workspaceValue } = vscode.workspace
      .getConfiguration('flowClusters')
      .inspect<string>('defaultExecutor') ?? { workspaceValue: undefined };
    assert.equal(workspaceValue, 'laptop');
  });
});
