import { connect } from 'node:net';
import type { Inheritance } from '../core/backend.ts';

/** Where members print: a socket of the run's terminal, or nowhere. */
export class TerminalOutput {
  readonly #socket: ReturnType<typeof connect> | undefined;

  constructor(output: Inheritance['output']) {
    if (!output) return;
    this.#socket = connect(output.port, '127.0.0.1');
    // The run has ended before its cluster.
    this.#socket.on('error', () => undefined);
    this.#socket.write(`${output.token} output\n`);
  }

  write(text: string): void {
    this.#socket?.write(text);
  }

  end(): void {
    this.#socket?.end();
  }
}
