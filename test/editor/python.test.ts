import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';

/** The stand-in's own side: `test/fixtures/extensions`. */
interface StandIn {
  choose(path: string, broken: boolean): void;
  timesAsked(): number;
}

describe('the interpreter', function () {
  this.timeout(180_000);
  let standIn: StandIn;
  let real: string;
  let folder: string;
  const setOwn = (value: string | undefined) =>
    vscode.workspace
      .getConfiguration('flowClusters')
      .update('python', value, vscode.ConfigurationTarget.Workspace);

  before(async function () {
    // The wrappers are shell scripts.
    if (process.platform === 'win32') this.skip();
    const extension = vscode.extensions.getExtension('ms-python.python');
    assert.ok(extension, 'the stand-in is not installed');
    standIn = (await extension.activate()).standIn;
    real = vscode.workspace.getConfiguration('flowClusters').get<string>('python', '');
    assert.notEqual(real, '', 'the test bed names no interpreter');
    folder = await mkdtemp(join(tmpdir(), 'flow-clusters-interpreters-'));
  });

  afterEach(async () => {
    standIn?.choose('python', false);
    await setOwn(undefined);
  });

  after(async () => {
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  });

  /** An interpreter that leaves a mark when it is started. */
  async function marking(name: string): Promise<{ path: string; started: () => Promise<boolean> }> {
    const path = join(folder, name);
    const mark = `${path}.started`;
    await writeFile(path, `#!/bin/sh\n: > '${mark}'\nexec '${real}' "$@"\n`, { mode: 0o755 });
    const started = () =>
      readFile(mark).then(
        () => true,
        () => false,
      );
    return { path, started };
  }

  async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
    for (let i = 0; i < 1_200; i += 1) {
      if (await condition()) return;
      await sleep(50);
    }
    assert.fail(`${what} within a minute`);
  }

  async function openFlow(): Promise<vscode.Uri> {
    const root = vscode.workspace.workspaceFolders?.[0]?.uri;
    assert.ok(root);
    const uri = vscode.Uri.joinPath(root, 'plain_dask.py');
    await vscode.window.showTextDocument(uri);
    return uri;
  }

  it('is the one chosen in the Python extension, and flows run on it', async () => {
    const chosen = await marking('chosen');
    await setOwn('');
    standIn.choose(chosen.path, false);
    // As the editor's run menu does: with the file alone.
    const id = await vscode.commands.executeCommand<string>('flowClusters.flow.run', await openFlow());
    assert.match(id, /^r/);
    assert.equal(await chosen.started(), true);
    await vscode.commands.executeCommand('flowClusters.run.cancel', { key: id });
  });

  it('is warmed when another one is chosen', async () => {
    const [first, second] = [await marking('first'), await marking('second')];
    await setOwn('');
    standIn.choose(first.path, false);
    await openFlow();
    await until(first.started, 'the first was not started');
    standIn.choose(second.path, false);
    await until(second.started, 'the second was not started');
  });

  it('is used although the Python extension fails to look it up', async () => {
    const chosen = await marking('unresolved');
    await setOwn('');
    standIn.choose(chosen.path, true);
    await openFlow();
    await until(chosen.started, 'it was not started');
  });

  it('is the one of our own setting, where that is set', async () => {
    const [own, other] = [await marking('own'), await marking('other')];
    await setOwn(own.path);
    standIn.choose(other.path, false);
    await openFlow();
    await until(own.started, 'it was not started');
    assert.equal(await other.started(), false);
  });

  it('is chosen with the picker of the Python extension', async () => {
    await setOwn('');
    const before = standIn.timesAsked();
    await vscode.commands.executeCommand('flowClusters.python.select');
    assert.equal(standIn.timesAsked(), before + 1);
  });
});
