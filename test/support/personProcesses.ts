import { readdir, readFile, readlink } from 'node:fs/promises';

/** A living process of a bed. */
export interface BedProcess {
  readonly pid: number;
  readonly executable: string;
  readonly command: string;
}

/**
 * Every living process whose environment carries a mark, whoever its parent is by now (Linux).
 * Children inherit it; a process that hides its environment (another user's) is not seen.
 */
export async function processesMarked(mark: string): Promise<BedProcess[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(ids.map((id) => look(id, mark)));
  return found.filter((process) => process !== undefined);
}

async function look(id: string, mark: string): Promise<BedProcess | undefined> {
  try {
    const environment = await readFile(`/proc/${id}/environ`, 'utf8');
    if (!environment.split('\0').includes(mark)) return undefined;
    const command = (await readFile(`/proc/${id}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
    return { pid: Number(id), executable: await readlink(`/proc/${id}/exe`), command };
  } catch {
    // It ended while being looked at, or is a zombie.
    return undefined;
  }
}
