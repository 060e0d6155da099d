import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './processes.mjs';
import { step } from './steps.mjs';

/** The project's directory. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Installs the project's Node packages, if they are not there or not the ones that package-lock.json names. */
export async function ensureNodeModules() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 12)) {
    throw new Error(`Node 20.12 or later is needed; this is ${process.version}`);
  }
  if (await isInstalled()) return;
  await step('Installing Node packages', () =>
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: root,
      quiet: true,
      timeoutMs: 600_000,
    }),
  );
}

/** npm writes what it installed into a lock file of its own. */
async function isInstalled() {
  const wanted = await packages(join(root, 'package-lock.json'));
  const installed = await packages(join(root, 'node_modules', '.package-lock.json')).catch(() => undefined);
  if (!installed) return false;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || (optional && !installed[path]) || installed[path]?.version === version,
  );
}

/** @param {string} file @returns {Promise<Record<string, {version: string, optional?: boolean}>>} */
const packages = async (file) => JSON.parse(await readFile(file, 'utf8')).packages;
