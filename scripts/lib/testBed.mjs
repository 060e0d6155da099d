import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './checkout.mjs';
import { cacheDirectory, ensureVenv } from './venv.mjs';

/** A copy of the samples that tests may change. @param {string} directory @returns {Promise<string>} its path */
export async function copySamples(directory) {
  const workspace = join(directory, 'samples');
  await cp(join(root, 'samples'), workspace, {
    recursive: true,
    filter: (from) => !from.endsWith('__pycache__'),
  });
  return workspace;
}

/** The interpreter of the sample workspace. @returns {Promise<string>} */
export async function ensureTestPython() {
  const requirementsFile = join(root, 'samples', 'requirements.txt');
  const { python } = await ensureVenv({
    name: 'samples',
    requirementsFile,
    onProgress: (line) => console.log(line),
  });
  return python;
}

/** Prefect's data of the tests: kept, so that its database is made once, and apart from the user's. */
export const prefectHome = () => join(cacheDirectory(), 'test', 'prefect');
