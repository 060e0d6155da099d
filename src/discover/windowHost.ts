import { ownerOf } from '../host/directories.ts';

/** Whose a process of the cluster host is: this window's, that of another one, or it is no such process. */
export type WindowOf = 'this' | 'other' | undefined;

/** By the command line: hosts are started with their folder, which says what process it is of. */
export async function windowOf(argv: readonly string[], ownPid: number): Promise<WindowOf> {
  const at = argv.findIndex((argument) => /[\\/]cluster_host\.py$/.test(argument));
  if (at < 0) return undefined;
  try {
    const { directory } = JSON.parse(argv[at + 1] ?? '') as { directory?: unknown };
    return typeof directory === 'string' && (await ownerOf(directory)) === ownPid ? 'this' : 'other';
  } catch {
    // Started otherwise, or its folder is gone.
    return 'other';
  }
}
