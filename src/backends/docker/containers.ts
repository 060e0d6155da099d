import { PassThrough, type Readable } from 'node:stream';
import type Docker from 'dockerode';

import { UserError } from '../../core/errors.ts';
import type { MemberAccess, MemberLogLine, MemberShell, TerminalSize } from '../../core/members.ts';
import { LineReader } from '../../host/lines.ts';
import { memberMark } from './members.ts';
import { openShell } from './shell.ts';

const longestLine = 100_000;
/** As engines put it in front of each line: `2026-08-01T10:41:02.123456789Z `. */
const stamped = /^(\d{4}-\d\d-\d\dT[\d:]+(?:\.\d+)?(?:Z|[+-][\d:]+)) (.*)$/s;

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
    const reader = new LineReader((line) => {
      const told = logLine(line);
      if (!signal.aborted && !told.text.startsWith(memberMark)) onLine(told);
    }, longestLine);
    const text = new PassThrough();
    text.setEncoding('utf8').on('data', (chunk: string) => reader.push(chunk));
    container.modem.demuxStream(stream, text, text);
    try {
      await new Promise<void>((resolve) => {
        for (const end of ['end', 'close', 'error']) stream.once(end, () => resolve());
      });
      reader.end();
    } finally {
      stream.on('error', () => undefined); // one that is destroyed may still say that it broke
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

/** A line as the engine gives it, with when it was printed. */
function logLine(line: string): MemberLogLine {
  const [, stamp = '', text] = stamped.exec(line) ?? [];
  return text === undefined ? { text: line } : { timeMs: Date.parse(stamp), text };
}

function shellError(name: string, error: unknown): unknown {
  if (error instanceof UserError) return error;
  const { statusCode, json } = error as { statusCode?: number; json?: { message?: unknown } };
  const text = typeof json?.message === 'string' ? json.message : (error as Error).message;
  if (statusCode === 404)
    return new UserError('unreachable', `The container ${name} is not there any more`, { cause: error });
  if (statusCode === 409 && /paused/i.test(text))
    return new UserError('unreachable', `The container ${name} is paused`, {
      hint: `“docker unpause ${name}” lets it go on.`,
      cause: error,
    });
  return new UserError('unreachable', `No shell can be opened in the container ${name}: ${text}`, {
    cause: error,
  });
}
