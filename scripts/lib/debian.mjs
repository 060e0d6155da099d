import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { run } from './processes.mjs';
import { step } from './steps.mjs';

/**
 * Looks a program up on PATH.
 * @param {...string} names the first that is there wins
 * @returns {Promise<string | undefined>} its path
 */
export async function which(...names) {
  for (const name of names) {
    for (const directory of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(directory, name);
      if (directory && (await isExecutable(path))) return path;
    }
  }
  return undefined;
}

/** @param {string} path */
const isExecutable = (path) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/**
 * Installs Debian packages where we may (root, apt-get there), and otherwise says what to type.
 * @param {readonly string[]} packages
 * @param {string} purpose what needs them
 * @throws {Error} with the exact command, where we may not or cannot
 */
export async function aptInstall(packages, purpose) {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  const apt = await which('apt-get');
  if (!apt)
    throw new Error(
      `${purpose} needs ${packages.join(', ')}: install them with your system's package manager.`,
    );
  if (process.getuid?.() !== 0)
    throw new Error(`${purpose} needs ${packages.join(', ')}: run "sudo ${command}" and try again.`);
  await step(`Installing ${packages.join(', ')} (${purpose} needs them)`, async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    // Somebody else may be installing: that ends.
    const wait = ['-o', 'DPkg::Lock::Timeout=300'];
    await run(apt, [...wait, 'update', '-qq'], { env, quiet: true, timeoutMs: 300_000 });
    await run(apt, [...wait, ...command.split(' ').slice(1)], { env, quiet: true, timeoutMs: 600_000 });
  });
}
