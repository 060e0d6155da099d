import assert from 'node:assert/strict';
import * as vscode from 'vscode';

const EXTENSION = 'flow-clusters.flow-clusters';

/** The extension under test, started. */
async function activated(): Promise<vscode.Extension<unknown>> {
  const extension = vscode.extensions.getExtension(EXTENSION);
  assert.ok(extension, `${EXTENSION} is not there`);
  await extension.activate();
  return extension;
}

describe('the extension', () => {
  it('activates', async () => {
    const extension = await activated();
    assert.equal(extension.isActive, true);
  });

  it('registers exactly the commands that package.json names', async () => {
    const extension = await activated();
    const contributed: { command: string }[] = extension.packageJSON.contributes.commands;
    // Views register commands of their own (focus, open, ...), named after the view.
    const views = Object.values<{ id: string }[]>(extension.packageJSON.contributes.views).flat();
    const registered = (await vscode.commands.getCommands(true))
      .filter((command) => command.startsWith('flowClusters.'))
      .filter((command) => !views.some(({ id }) => command.startsWith(`${id}.`)));
    assert.deepEqual(registered.sort(), contributed.map(({ command }) => command).sort());
  });

  it('gives every setting a default and a description that can be read', async () => {
    const extension = await activated();
    const properties = extension.packageJSON.contributes.configuration.properties ?? {};
    for (const [key, schema] of Object.entries<Record<string, unknown>>(properties)) {
      const text = schema.markdownDescription ?? schema.description;
      assert.match(String(text), /^[A-Z`]/, key);
      assert.equal(vscode.workspace.getConfiguration().inspect(key)?.defaultValue !== undefined, true, key);
    }
  });
});
