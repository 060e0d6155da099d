import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'flow-clusters-';
const ownerFile = 'owner.json';

/**
 * Makes a folder for one host under the system's temporary folder (short, as paths of Unix sockets are limited to
 * about 100 characters; mode 0700) and notes whose it is.
 */
export async function makeHostDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), prefix));
  await writeFile(join(directory, ownerFile), JSON.stringify({ pid: process.pid }));
  return directory;
}

/** Removes folders whose window is gone: what is left when a machine or everything at once was killed. */
export async function removeOrphanDirectories(): Promise<number> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(prefix));
  const removed = await Promise.all(names.map((name) => removeIfOrphan(join(tmpdir(), name))));
  return removed.filter(Boolean).length;
}

/** The process whose folder it is: an extension host of a window. Rejects if that can't be read. */
export async function ownerOf(directory: string): Promise<number | undefined> {
  const owner = JSON.parse(await readFile(join(directory, ownerFile), 'utf8')) as { pid?: unknown };
  return typeof owner.pid === 'number' ? owner.pid : undefined;
}

async function removeIfOrphan(directory: string): Promise<boolean> {
  try {
    const owner = await ownerOf(directory);
    if (owner === undefined || isAlive(owner)) return false;
    await rm(directory, { recursive: true, force: true });
    return true;
  } catch {
    // No owner file, or another user's folder: not ours to remove.
    return false;
  }
}

/** Whether a process of this machine is there, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
