import { join } from 'node:path';
import { root } from './checkout.mjs';
import { run, stopAllOnSignals } from './processes.mjs';

/**
 * Runs the command that this process was given, with the project's tools on its path, beside something that it needs.
 * The process ends with 1 where the command failed.
 * @template T
 * @param {(work: (bed: T) => Promise<number>) => Promise<number>} withBed
 * @param {(bed: T) => Promise<{env: NodeJS.ProcessEnv, folder?: string}>} environmentOf what it finds it by; a folder
 *   for its path
 */
export async function runBeside(withBed, environmentOf) {
  const [command = 'true', ...args] = process.argv.slice(2);
  stopAllOnSignals();
  process.exitCode = await withBed(async (bed) => {
    const { env, folder } = await environmentOf(bed);
    const path = [join(root, 'node_modules', '.bin'), ...(folder ? [folder] : []), process.env.PATH].join(
      ':',
    );
    return run(command, args, { env: { ...process.env, PATH: path, ...env } }).then(
      () => 0,
      (error) => {
        console.error(error.message.trim());
        return 1;
      },
    );
  });
}
