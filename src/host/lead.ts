import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isWindowAlive, thisWindow, type WindowId } from './windowLife.ts';

interface Note extends WindowId {
  readonly holder: string;
}

/**
 * Which of several windows of this machine sees to a thing that they share: the one that last changed it, and when that is
 * gone, the first that asks.
 */
export class Lead {
  readonly #file: string;
  readonly #holder = randomUUID();

  /** @param name of the shared thing; a file name */
  constructor(name: string) {
    this.#file = join(tmpdir(), `${name}.lead`);
  }

  /** From now on this window leads. Without a place to note it, each does: as if there were no others. */
  async take(): Promise<void> {
    const note: Note = { ...(await thisWindow()), holder: this.#holder };
    await writeFile(this.#file, JSON.stringify(note), { mode: 0o600 }).catch(() => undefined);
  }

  /** Whether this window leads; it does from now on if nobody else does. */
  async isMine(): Promise<boolean> {
    const note = await this.#read();
    if (note?.holder === this.#holder) return true;
    if (note && (await isWindowAlive(note))) return false;
    await this.take();
    return true;
  }

  /** Lets another lead, if it was this one. */
  async giveUp(): Promise<void> {
    if ((await this.#read())?.holder === this.#holder) await this.forget();
  }

  /** Removes the note: the shared thing is gone. */
  async forget(): Promise<void> {
    await rm(this.#file, { force: true }).catch(() => undefined);
  }

  async #read(): Promise<Note | undefined> {
    try {
      return JSON.parse(await readFile(this.#file, 'utf8')) as Note;
    } catch {
      // Nobody has led, or it was not noted to its end.
      return undefined;
    }
  }
}
