import {
  isPython,
  type ListeningSocket,
  looksLikeDask,
  type Machine,
  type PythonProcess,
  reachable,
} from './machine.ts';
import type { Run } from './run.ts';

/** What `lsof` and `ps` tell of this user. */
export class MacMachine implements Machine {
  readonly #user: number;
  readonly #run: Run;

  constructor(user: number, run: Run) {
    this.#user = user;
    this.#run = run;
  }

  async sockets(): Promise<readonly ListeningSocket[]> {
    const args = ['-nP', '-iTCP', '-sTCP:LISTEN', '-a', '-u', String(this.#user), '-Fpcn'];
    return readLsofSockets(await this.#run('lsof', args));
  }

  async owners(sockets: readonly ListeningSocket[]): Promise<ReadonlyMap<string, PythonProcess>> {
    const ids = [...new Set(sockets.map(({ key }) => pidOf(key)))];
    if (ids.length === 0) return new Map();
    const list = ids.join(',');
    const commands = readCommands(await this.#run('ps', ['-ww', '-o', 'pid=,command=', '-p', list]));
    const loaded = readLsofFiles(
      await this.#run('lsof', ['-nP', '-a', '-p', list, '-d', 'txt,cwd', '-Ffpn']),
    );
    return new Map(
      sockets.flatMap(({ key }) => {
        const pid = pidOf(key);
        const argv = commands.get(pid);
        const files = loaded.get(pid);
        if (!argv) return [];
        const process = { pid, argv, folder: files?.folder, hasDask: looksLikeDask(files?.loaded ?? '') };
        return [[key, process] as const];
      }),
    );
  }
}

const pidOf = (key: string): number => Number.parseInt(key, 10);

/** Reads what `lsof -Fpcn` says of sockets: fields a line, each after its letter. Those of other programs are left out. */
export function readLsofSockets(output: string): ListeningSocket[] {
  let pid = '';
  let python = false;
  const sockets = new Map<string, ListeningSocket>();
  for (const line of output.split('\n')) {
    const [field, value] = [line[0], line.slice(1)];
    if (field === 'p') pid = value;
    else if (field === 'c') python = isPython(value);
    else if (field === 'n' && python) {
      const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(value) ?? [];
      const key = `${pid} ${value}`;
      if (port) sockets.set(key, { key, host: reachable(host), port: Number(port) });
    }
  }
  return [...sockets.values()];
}

/** Reads `ps -o pid=,command=`; arguments with spaces in them can't be told apart. */
export function readCommands(output: string): Map<number, string[]> {
  return new Map(
    output.split('\n').flatMap((line) => {
      const match = /^\s*(\d+)\s+(.*)$/.exec(line);
      return match ? [[Number(match[1]), (match[2] ?? '').trim().split(/\s+/)] as const] : [];
    }),
  );
}

/** Reads what `lsof -Ffpn` says of the files that processes run and where they are. */
export function readLsofFiles(output: string): Map<number, { loaded: string; folder?: string }> {
  const files = new Map<number, { loaded: string; folder?: string }>();
  let entry: { loaded: string; folder?: string } = { loaded: '' };
  let field = '';
  for (const line of output.split('\n')) {
    const value = line.slice(1);
    if (line[0] === 'p') {
      entry = { loaded: '' };
      files.set(Number(value), entry);
    } else if (line[0] === 'f') field = value;
    else if (line[0] === 'n' && field === 'cwd') entry.folder = value;
    else if (line[0] === 'n') entry.loaded += `${value}\n`;
  }
  return files;
}
