import {
  isPython,
  type ListeningSocket,
  looksLikeDask,
  type Machine,
  type PythonProcess,
  reachable,
} from './machine.ts';
import type { Run } from './run.ts';

/** What `netstat` tells, and PowerShell of processes that are new. */
export class WindowsMachine implements Machine {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  async sockets(): Promise<readonly ListeningSocket[]> {
    return readNetstat(await this.#run('netstat', ['-ano', '-p', 'TCP']));
  }

  async owners(sockets: readonly ListeningSocket[]): Promise<ReadonlyMap<string, PythonProcess>> {
    const pythons = readTasks(await this.#run('tasklist', ['/FO', 'CSV', '/NH']));
    const ids = [...new Set(sockets.map(({ key }) => pidOf(key)))].filter((pid) => pythons.has(pid));
    if (ids.length === 0) return new Map();
    // Numbers only. What another user runs tells neither its command line nor its modules.
    const script = `Get-CimInstance Win32_Process -Filter '${ids.map((pid) => `ProcessId=${pid}`).join(' or ')}' | ForEach-Object {
      $modules = try { (Get-Process -Id $_.ProcessId).Modules.FileName } catch { @() }
      [PSCustomObject]@{ pid = $_.ProcessId; command = $_.CommandLine; modules = @($modules) }
    } | ConvertTo-Json -Depth 3 -Compress`;
    const args = ['-NoProfile', '-NonInteractive', '-Command', script];
    const processes = readProcesses(await this.#run('powershell', args));
    return new Map(
      sockets.flatMap(({ key }) => {
        const process = processes.get(pidOf(key));
        return process ? [[key, process] as const] : [];
      }),
    );
  }
}

const pidOf = (key: string): number => Number.parseInt(key, 10);

/** Reads `netstat -ano`. What listens has no peer; the word for it is translated. */
export function readNetstat(output: string): ListeningSocket[] {
  return output.split('\n').flatMap((line) => {
    const match = /^\s*TCP\s+\[?([^\s\]]+?)\]?:(\d+)\s+(?:0\.0\.0\.0|\[::\]):0\s+\S+\s+(\d+)\s*$/i.exec(line);
    const [, host = '', port = '', pid = ''] = match ?? [];
    return match ? [{ key: `${pid} ${host} ${port}`, host: reachable(host), port: Number(port) }] : [];
  });
}

/** Reads `tasklist /FO CSV /NH`: the processes that are Pythons. */
export function readTasks(output: string): Set<number> {
  return new Set(
    output.split('\n').flatMap((line) => {
      const [, image = '', pid = ''] = /^"([^"]+)","(\d+)"/.exec(line) ?? [];
      return isPython(image) ? [Number(pid)] : [];
    }),
  );
}

/** Reads the processes that PowerShell tells of as JSON: one, or a list. */
export function readProcesses(output: string): Map<number, PythonProcess> {
  if (output.trim() === '') return new Map();
  const told = JSON.parse(output) as Told | Told[];
  return new Map(
    [told].flat().map(({ pid, command, modules }) => {
      const hasDask = looksLikeDask((modules ?? []).join('\n'));
      return [pid, { pid, argv: splitCommand(command ?? ''), hasDask }] as const;
    }),
  );
}

interface Told {
  readonly pid: number;
  readonly command: string | null;
  readonly modules: readonly string[] | null;
}

/** Arguments in quotes are one. */
const splitCommand = (command: string): string[] =>
  [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
