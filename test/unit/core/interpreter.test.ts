import assert from 'node:assert/strict';
import { UserError } from '../../../src/core/errors.ts';
import { expandPath } from '../../../src/core/interpreter.ts';

const key = 'flowClusters.python';
const expanded = (value: string, folder?: string) => expandPath({ key, value, home: '/home/a$&b', folder });

describe('a path in a setting', () => {
  it('may start with the home folder', () => {
    assert.equal(expanded('~/venv/bin/python'), '/home/a$&b/venv/bin/python');
    assert.equal(expanded('/opt/~/python'), '/opt/~/python');
    assert.equal(expanded(' python3 '), 'python3');
  });

  it('may name the open folder', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code's own variable.
    assert.equal(expanded('${workspaceFolder}/.venv/bin/python', '/work $1'), '/work $1/.venv/bin/python');
  });

  it('is refused without a folder, and the error opens the setting that is meant', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code's own variable.
    const setting = { key: 'python.defaultInterpreterPath', value: '${workspaceFolder}/x', home: '/' };
    assert.throws(
      () => expandPath({ ...setting, folder: undefined }),
      (error: unknown) =>
        error instanceof UserError &&
        error.message.includes('python.defaultInterpreterPath') &&
        error.action?.kind === 'open-settings' &&
        error.action.key === 'python.defaultInterpreterPath',
    );
  });
});
