import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { which } from './debian.mjs';
import { start } from './processes.mjs';
import { withoutEditor } from './vscodeServer.mjs';

/** Whether there is a screen that a window could open on. */
export function hasDesktop() {
  if (process.platform === 'darwin' || process.platform === 'win32') return !process.env.SSH_CONNECTION;
  return Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** Opens an address in the user's browser, where there is a desktop. @param {string} url */
export async function openInBrowser(url) {
  if (!hasDesktop() || process.env.CI) return;
  const opener = process.platform === 'darwin' ? 'open' : await which('xdg-open');
  // It may fail (no browser): the address is printed anyway.
  if (opener) await start(opener, [url], { output: 'ignore' }).exited;
}

/**
 * Opens the samples in desktop VS Code, with settings of their own and the user's extensions beside ours, and
 * stays until the window is closed.
 * @param {object} options
 * @param {string} options.code path of the command `code`
 * @param {string} options.root where the extension is @param {string} options.samples the folder to open
 * @param {string} options.home where that VS Code keeps its data @param {string} options.python
 * @param {NodeJS.ProcessEnv} options.env added to our environment
 * @returns {Promise<number>} exit code
 */
export async function openDesktop({ code, root, samples, home, python, env }) {
  const user = join(home, 'User');
  await mkdir(user, { recursive: true });
  await writeSettings(join(user, 'settings.json'), python);
  const args = [`--user-data-dir=${home}`, `--extensionDevelopmentPath=${root}`];
  // Windows: code.cmd would need a shell; the program beside it takes the same arguments.
  const program = process.platform === 'win32' ? join(dirname(code), '..', 'Code.exe') : code;
  const editor = start(program, [...args, '--disable-workspace-trust', '--wait', '--new-window', samples], {
    env: { ...withoutEditor(process.env), ...env },
  });
  // The command starts VS Code in a session of its own; VS Code writes the id of its main process to this file.
  process.once('exit', () => endMain(home));
  return editor.exited;
}

/** What the user has changed there since the last start stays. @param {string} file @param {string} python */
async function writeSettings(file, python) {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  try {
    const settings = {
      'workbench.startupEditor': 'readme',
      ...JSON.parse(text),
      'flowClusters.python': python,
    };
    await writeFile(file, `${JSON.stringify(settings, null, 2)}\n`);
  } catch {
    // It has comments: the user writes it by hand.
  }
}

/** Ends the VS Code that keeps its data in `home`, if it still runs. @param {string} home */
function endMain(home) {
  try {
    const pid = Number(readFileSync(join(home, 'code.lock'), 'utf8'));
    const command = execFileSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
    // The id in a forgotten file may belong to another process by now.
    if (pid > 1 && command.includes(home)) process.kill(pid, 'SIGTERM');
  } catch {
    // No file or no such process: it has ended.
  }
}
