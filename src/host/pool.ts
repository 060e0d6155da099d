import { posix, win32 } from 'node:path';
import type { Logger } from '../core/log.ts';
import { makeHostDirectory } from './directories.ts';
import { PythonHost } from './pythonHost.ts';

const idleCheckMs = 60_000;

/**
 * One warm host for each interpreter and workspace folder, made when first asked for and again after it died.
 * One that nobody has asked for in half an hour, and that runs nothing, is let go: it holds memory.
 */
export class HostPool {
  readonly #script: string;
  readonly #log: Logger;
  readonly #cache: string | undefined;
  readonly #idleMs: number;
  readonly #hosts = new Map<string, Promise<PythonHost>>();
  readonly #lastUsedMs = new Map<string, number>();
  readonly #idleCheck: NodeJS.Timeout;
  #disposed = false;

  /** `cache`: a folder of ours that stays, where hosts remember which modules runs import late. */
  constructor(options: { script: string; log: Logger; cache?: string; idleMs?: number }) {
    this.#script = options.script;
    this.#cache = options.cache;
    this.#log = options.log;
    this.#idleMs = options.idleMs ?? 30 * 60_000;
    this.#idleCheck = setInterval(() => void this.dropIdle(Date.now()), idleCheckMs);
    this.#idleCheck.unref();
  }

  /** The host, perhaps still warming up. Rejects only if its folder cannot be made. */
  async get(python: string, workspace: string): Promise<PythonHost> {
    if (this.#disposed) throw new Error('the window is closing');
    const key = `${python}\n${workspace}`;
    this.#lastUsedMs.set(key, Date.now());
    const making = this.#hosts.get(key);
    const known = await making;
    if (known?.usable) return known;
    // Two callers at once must not make two: whoever comes second takes what the first has put here.
    if (this.#disposed || this.#hosts.get(key) !== making) return this.get(python, workspace);
    const made = this.#make(python, workspace);
    this.#hosts.set(key, made);
    // A folder that could not be made may be possible next time.
    made.catch(() => this.#hosts.delete(key));
    return made;
  }

  /** Ends the hosts that nothing runs in and that nobody has asked for in the idle time before `nowMs`. */
  async dropIdle(nowMs: number): Promise<void> {
    for (const [key, making] of this.#hosts) {
      const host = await making.catch(() => undefined);
      if (!host) continue;
      if (host.busy) this.#lastUsedMs.set(key, nowMs);
      if (nowMs - (this.#lastUsedMs.get(key) ?? 0) < this.#idleMs) continue;
      this.#hosts.delete(key);
      this.#log.info('the cluster host is idle: letting it go');
      await host.dispose();
    }
  }

  /** Ends all hosts; they start again when next needed. */
  async restart(): Promise<void> {
    const hosts = [...this.#hosts.values()];
    this.#hosts.clear();
    // One whose folder could not be made is none; whoever asked for it was told.
    await Promise.allSettled(hosts.map(async (host) => (await host).dispose()));
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    clearInterval(this.#idleCheck);
    await this.restart();
  }

  async #make(python: string, workspace: string): Promise<PythonHost> {
    const directory = await makeHostDirectory();
    this.#log.info(`starting a cluster host: ${python}`);
    const host = new PythonHost({
      python,
      script: this.#script,
      config: { directory, workspace, ...(this.#cache && { cache: this.#cache }) },
      env: hostEnvironment(python, process.env, process.platform),
      log: this.#log,
    });
    void host.ended.then(async (exit) => {
      this.#log.info(`cluster host ended: ${exit.signal ?? exit.code ?? 'not started'}`);
      await host.dispose();
    });
    return host;
  }
}

/**
 * The editor's environment without its own variables, with the interpreter's scripts first on the path, and with the
 * terminal that runs print to: VS Code's, which knows colours.
 */
export function hostEnvironment(
  python: string,
  editor: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(editor)) {
    if (!/^(VSCODE_|ELECTRON_)/.test(name) && name !== 'NODE_OPTIONS') env[name] = value;
  }
  const { dirname, delimiter } = platform === 'win32' ? win32 : posix;
  // Windows spells it `Path`, and takes either of two that differ in case only.
  const isPath = (name: string) => (platform === 'win32' ? name.toUpperCase() : name) === 'PATH';
  const path = Object.keys(env).find(isPath) ?? 'PATH';
  if (/[\\/]/.test(python)) env[path] = [dirname(python), env[path]].filter(Boolean).join(delimiter);
  return { ...env, TERM: 'xterm-256color', COLORTERM: 'truecolor' };
}
