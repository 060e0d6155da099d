import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, Exec } from 'dockerode';

import type { MemberShell, TerminalSize } from '../../core/members.ts';
import { shellCommand } from '../memberProtocol.ts';

/** Marks what was started from a shell: engines can't signal what runs in a container beside its main process. */
const marker = 'FLOW_CLUSTERS_SHELL';
/** Hangs up what carries the mark, as the end of a terminal does. A worker's image has a Python in any case. */
const hangUp = `
import os, signal, sys
mark = sys.argv[1].encode()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open("/proc/%s/environ" % pid, "rb") as environ:
            marked = mark in environ.read().split(b"\\0")
        if marked:
            os.kill(int(pid), signal.SIGHUP)
            os.kill(int(pid), signal.SIGCONT)
    except OSError:
        pass
`;
const closeMs = 3_000;

/** Opens a shell at a terminal of its own in a running container. Rejects with the engine's error. */
export async function openShell(container: Container, size: TerminalSize): Promise<MemberShell> {
  const mark = `${marker}=${randomBytes(8).toString('hex')}`;
  const exec = await container.exec({
    ...{ Cmd: [...shellCommand], Env: [mark, 'TERM=xterm-256color'] },
    ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: true },
  });
  const stream = await exec.start({ hijack: true, stdin: true, Tty: true });
  const shell = new Shell(container, exec, stream, mark);
  await shell.resize(size);
  return shell;
}

class Shell implements MemberShell {
  readonly ended: Promise<number | undefined>;
  readonly #container: Container;
  readonly #exec: Exec;
  readonly #stream: Duplex;
  readonly #mark: string;
  #isOver = false;

  constructor(container: Container, exec: Exec, stream: Duplex, mark: string) {
    this.#container = container;
    this.#exec = exec;
    this.#stream = stream;
    this.#mark = mark;
    const over = new Promise<void>((resolve) => {
      for (const end of ['end', 'close', 'error']) stream.once(end, () => resolve());
    });
    stream.on('error', () => undefined); // the engine's end or the container's: then it is over
    this.ended = over.then(async () => {
      this.#isOver = true;
      stream.destroy();
      // The container may have gone with it.
      const facts = await exec.inspect().catch(() => undefined);
      return facts?.ExitCode ?? undefined;
    });
  }

  onData(listener: (text: string) => void): void {
    // A character may be cut in two.
    const decoder = new StringDecoder('utf8');
    this.#stream.on('data', (chunk: Buffer) => listener(decoder.write(chunk)));
  }

  write(text: string): void {
    if (!this.#isOver) this.#stream.write(text);
  }

  async resize({ rows, columns }: TerminalSize): Promise<void> {
    // One that has ended has no terminal to resize.
    if (!this.#isOver) await this.#exec.resize({ h: rows, w: columns }).catch(() => undefined);
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    const wait = new AbortController();
    const late = sleep(closeMs, undefined, { signal: wait.signal }).catch(() => undefined);
    await Promise.race([this.#hangUp(), late]);
    await Promise.race([this.ended, late]);
    wait.abort();
    this.#stream.destroy();
  }

  async #hangUp(): Promise<void> {
    try {
      const exec = await this.#container.exec({ Cmd: ['python3', '-c', hangUp, this.#mark] });
      // Nobody reads what it says: the connection would stay open.
      (await exec.start({ Detach: true })).destroy();
    } catch {
      // The container has ended, and its shell with it; or it is paused, and the shell ends with it.
    }
  }
}
