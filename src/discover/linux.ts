import { open, readdir, readFile, readlink, stat } from 'node:fs/promises';
import {
  isPython,
  type ListeningSocket,
  looksLikeDask,
  type Machine,
  type PythonProcess,
  reachable,
} from './machine.ts';

/** What `/proc` tells of this user. Nothing is started for it. */
export class LinuxMachine implements Machine {
  readonly #user: number;

  constructor(user: number) {
    this.#user = user;
  }

  async sockets(): Promise<readonly ListeningSocket[]> {
    const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readListening));
    return tables
      .flatMap((table) => readSocketTable(table, this.#user))
      .sort((a, b) => Number(a.key) - Number(b.key));
  }

  async owners(sockets: readonly ListeningSocket[]): Promise<ReadonlyMap<string, PythonProcess>> {
    const wanted = new Set(sockets.map(({ key }) => key));
    const owners = new Map<string, PythonProcess>();
    for (const pid of await this.#pythons()) {
      const keys = (await socketsOf(pid)).filter((key) => wanted.has(key) && !owners.has(key));
      const process = keys.length > 0 ? await look(pid) : undefined;
      if (process) for (const key of keys) owners.set(key, process);
    }
    return owners;
  }

  /** Oldest first: what a process has forked shares its sockets. */
  async #pythons(): Promise<number[]> {
    const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const found = await Promise.all(
      ids.map(async (id) => ((await this.#isPython(id)) ? Number(id) : undefined)),
    );
    return found.filter((pid) => pid !== undefined).sort((a, b) => a - b);
  }

  async #isPython(id: string): Promise<boolean> {
    try {
      const { uid } = await stat(`/proc/${id}`);
      return uid === this.#user && isPython((await readlink(`/proc/${id}/exe`)).replace(/ \(deleted\)$/, ''));
    } catch {
      // It has ended, or is not ours to look at.
      return false;
    }
  }
}

/** The inodes of the sockets that a process has; none if it has ended. */
async function socketsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

async function look(pid: number): Promise<PythonProcess | undefined> {
  const [command, maps, folder] = await Promise.all([
    readOrNothing(`/proc/${pid}/cmdline`),
    readOrNothing(`/proc/${pid}/maps`),
    readlink(`/proc/${pid}/cwd`).catch(() => undefined),
  ]);
  if (command === '') return undefined;
  const argv = command.replace(/\0$/, '').split('\0');
  return { pid, argv, folder, hasDask: looksLikeDask(maps) };
}

const readOrNothing = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

const listening = '0A';
const pieceBytes = 4096;

/** The beginning of a table of sockets: the system names those that listen first, and may have thousands of others. */
async function readListening(path: string): Promise<string> {
  const file = await open(path).catch(() => undefined);
  if (!file) return '';
  try {
    let text = '';
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(pieceBytes), 0, pieceBytes);
      text += buffer.toString('latin1', 0, bytesRead);
      const last = text.split('\n').at(-2)?.trim().split(/\s+/)[3];
      if (bytesRead === 0 || (last !== listening && last !== 'st')) return text;
    }
  } finally {
    await file.close();
  }
}

/**
 * The listening sockets of a user in the text of `/proc/net/tcp` or `tcp6`; the key is the inode.
 * Addresses are in hexadecimal, by words of the machine's byte order, which is little-endian wherever VS Code runs.
 */
export function readSocketTable(table: string, user: number): ListeningSocket[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , uid, , inode] = line.trim().split(/\s+/);
      if (state !== listening || Number(uid) !== user || inode === undefined || inode === '0') return [];
      const [address = '', port = ''] = local.split(':');
      return [{ key: inode, host: reachable(readAddress(address)), port: Number.parseInt(port, 16) }];
    });
}

function readAddress(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => [...Buffer.from(word, 'hex').reverse()]);
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  );
  const text = groups.join(':');
  if (text === '0:0:0:0:0:0:0:0') return '::';
  // An IPv4 address inside IPv6.
  return text.startsWith('0:0:0:0:0:ffff:') ? bytes.slice(12).join('.') : text.replace(/^(0:){7}/, '::');
}
