import { PassThrough, type Readable } from 'node:stream';
import type Docker from 'dockerode';

import { UserError } from '../../core/errors.ts';
import type { MemberAccess, MemberLogLine, MemberShell, TerminalSize } from '../../core/members.ts';
import { readMemberLog } from '../memberLog.ts';
import { openShell } from './shell.ts';
import { hasStatus } from './status.ts';

/** What the engine gives of a cluster's containers, whether Dask in them answers or not. */
export class Containers implements MemberAccess {
  readonly #engine: Docker;

  constructor(engine: Docker) {
    this.#engine = engine;
  }

  async follow(
    name: string,
    { tail, signal }: { readonly tail: number; readonly signal: AbortSignal },
    onLine: (line: MemberLogLine) => void,
  ): Promise<void> {
    const container = this.#engine.getContainer(name);
    const ways = { follow: true, stdout: true, stderr: true, timestamps: true, tail } as const;
    // Typed as one that can be written to, too.
    const stream = (await container.logs(ways)) as unknown as Readable;
    const stop = () => stream.destroy();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const text = new PassThrough();
    container.modem.demuxStream(stream, text, text);
    for (const end of ['end', 'close', 'error']) stream.on(end, () => text.end());
    try {
      await readMemberLog(text, signal, onLine);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async shell(name: string, size: TerminalSize): Promise<MemberShell> {
    const container = this.#engine.getContainer(name);
    try {
      return await openShell(container, size);
    } catch (error) {
      throw shellError(name, error);
    }
  }
}

function shellError(name: string, error: unknown): unknown {
  if (error instanceof UserError) return error;
  const { json } = error as { json?: { message?: unknown } };
  const text = typeof json?.message === 'string' ? json.message : (error as Error).message;
  if (hasStatus(error, 404))
    return new UserError('unreachable', `The container ${name} is not there any more`, { cause: error });
  if (hasStatus(error, 409) && /paused/i.test(text))
    return new UserError('unreachable', `The container ${name} is paused`, {
      hint: `“docker unpause ${name}” lets it go on.`,
      cause: error,
    });
  return new UserError('unreachable', `No shell can be opened in the container ${name}: ${text}`, {
    cause: error,
  });
}
