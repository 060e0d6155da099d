import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SecurityFiles } from '../core/executor.ts';
import type { Security } from '../core/security.ts';

/** Longer than certificates of our clusters are valid. */
const keptMs = 60 * 24 * 3_600_000;

/**
 * Certificates of clusters of ours as files, for code of the user's that is to connect to them: written when such code is
 * asked for, readable by the user alone.
 */
export class ClientFiles {
  readonly #folder: string;

  /** @param folder of the extension alone; made when first needed */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves with their paths: the same for the same cluster, whichever window asks. */
  async put({ ca, cert, key }: Security): Promise<SecurityFiles> {
    await this.#sweep();
    const folder = this.#folderOf(ca);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const write = async (name: string, text: string) => {
      const path = join(folder, name);
      await writeFile(path, text, { mode: 0o600 });
      return path;
    };
    return {
      ca: await write('ca.pem', ca),
      ...(cert !== undefined && { cert: await write('cert.pem', cert) }),
      ...(key !== undefined && { key: await write('key.pem', key) }),
    };
  }

  /** For a cluster that has gone. Harmless where there are none. */
  async remove({ ca }: Security): Promise<void> {
    await rm(this.#folderOf(ca), { recursive: true, force: true });
  }

  #folderOf(ca: string): string {
    return join(this.#folder, createHash('sha256').update(ca).digest('hex').slice(0, 16));
  }

  /** Windows that were killed leave theirs. */
  async #sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch((): string[] => []);
    for (const name of names) {
      const path = join(this.#folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found && found.mtimeMs < Date.now() - keptMs) await rm(path, { recursive: true, force: true });
    }
  }
}
