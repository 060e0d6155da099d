import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';

const code = /^from distributed import Client\nclient = Client\("(tcp:\/\/127\.0\.0\.1:\d+)"\)$/m;

describe('client code of a cluster', function () {
  this.timeout(180_000);
  let folder: string;
  const run = (command: string) => vscode.commands.executeCommand(`flowClusters.cluster.${command}`);

  before(async function () {
    // Terminals are made with a shell.
    if (process.platform === 'win32') this.skip();
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-client-'));
    await run('start');
  });
  after(async () => {
    await vscode.commands.executeCommand('workbench.action.closeAllEditors');
    await run('stop');
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  // What the others of this suite have opened.
  beforeEach(() => vscode.commands.executeCommand('workbench.action.closeAllEditors'));
  const closeEditor = () => vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');

  it('goes to the cursor of the editor', async () => {
    const document = await vscode.workspace.openTextDocument({ language: 'python', content: 'x = 1\n' });
    const editor = await vscode.window.showTextDocument(document);
    const end = new vscode.Position(1, 0);
    editor.selection = new vscode.Selection(end, end);
    await run('insertClient');
    assert.match(document.getText(), code);
    assert.match(document.getText(), /^x = 1\nfrom/);
    await closeEditor();
  });

  it('goes to the cell of a notebook, to one of its own if there is none', async () => {
    const cell = new vscode.NotebookCellData(vscode.NotebookCellKind.Code, '', 'python');
    for (const cells of [[cell], []]) {
      const data = new vscode.NotebookData(cells);
      const notebook = await vscode.workspace.openNotebookDocument('jupyter-notebook', data);
      await vscode.window.showNotebookDocument(notebook);
      await run('insertClient');
      assert.deepEqual(
        notebook.getCells().map(({ document }) => code.test(document.getText())),
        [true],
      );
      await closeEditor();
    }
  });

  it('goes to the clipboard where there is no editor', async () => {
    await vscode.env.clipboard.writeText('');
    await run('insertClient');
    assert.match(await vscode.env.clipboard.readText(), code);
  });

  it('is not needed in terminals that are opened while the cluster is active', async () => {
    await run('insertClient');
    const address = code.exec(await vscode.env.clipboard.readText())?.[1];
    await run('makeActive');
    assert.equal(await inTerminal('active'), address);
    await run('clearActive');
    assert.equal(await inTerminal('cleared'), '');
    await run('makeActive');
    await run('stop');
    assert.equal(await inTerminal('stopped'), '', 'it goes with the cluster');
  });

  /** The variable as a new terminal has it. */
  async function inTerminal(name: string): Promise<string> {
    const file = join(folder, name);
    const script = `printf '%s.' "$DASK_SCHEDULER_ADDRESS" > '${file}'`;
    const terminal = vscode.window.createTerminal({ shellPath: '/bin/sh', shellArgs: ['-c', script] });
    for (let i = 0; i < 1_200; i += 1) {
      const text = await readFile(file, 'utf8').catch(() => '');
      terminal.show();
      if (text.endsWith('.')) return text.slice(0, -1);
      await sleep(50);
    }
    throw new Error('the terminal did not run');
  }
});
