import { readFile, readlink } from 'node:fs/promises';

import { isAlive } from './directories.ts';

/** A window of VS Code by its extension host: numbers of processes are used again, so when it began belongs to it. */
export interface WindowId {
  readonly pid: number;
  /** As {@link startOf} has it; undefined where the system does not tell. */
  readonly started: string | undefined;
}

/**
 * When a process began, as a text to compare: boot, namespace of process numbers, clock ticks since the boot. Undefined
 * if it is gone, or where there is no `/proc`.
 */
export async function startOf(pid: number): Promise<string | undefined> {
  try {
    const [stat, boot, namespace] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
    ]);
    // The name in the second field may hold spaces and brackets.
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return ticks && `${boot.trim()}.${namespace.replace(/\D/g, '')}.${ticks}`;
  } catch {
    // Gone, or not Linux.
    return undefined;
  }
}

/** This process as a window. */
export const thisWindow = async (): Promise<WindowId> => ({
  pid: process.pid,
  started: await startOf(process.pid),
});

/**
 * Whether a window of this machine is there. In doubt it is: one in another container of this machine can't be asked, and
 * where the system tells no start the number decides.
 */
export async function isWindowAlive({ pid, started }: WindowId): Promise<boolean> {
  if (started !== undefined) {
    const own = await startOf(process.pid);
    if (own !== undefined) {
      const [boot, namespace] = started.split('.');
      const [ownBoot, ownNamespace] = own.split('.');
      if (boot !== ownBoot) return false;
      if (namespace !== ownNamespace) return true;
      return (await startOf(pid)) === started;
    }
  }
  return Number.isInteger(pid) && pid > 0 && isAlive(pid);
}
