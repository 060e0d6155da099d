import { Emitter } from '../core/emitter.ts';

const keptCharacters = 1024 * 1024;

/** What a run printed: the last megabyte is kept, so that a terminal opened late shows it too. */
export class RunOutput {
  #chunks: string[] = [];
  #length = 0;
  #dropped = false;
  readonly #written = new Emitter<string>();
  readonly #end = new Emitter<void>();
  #ended = false;

  write(text: string): void {
    if (text === '') return;
    this.#chunks.push(text);
    this.#length += text.length;
    while (this.#length > keptCharacters && this.#chunks.length > 1) {
      this.#length -= this.#chunks.shift()?.length ?? 0;
      this.#dropped = true;
    }
    this.#written.fire(text);
  }

  /** All that is kept. */
  text(): string {
    return (this.#dropped ? '… (older output was dropped)\n' : '') + this.#chunks.join('');
  }

  onWrite(listener: (text: string) => void): { dispose(): void } {
    return this.#written.on(listener);
  }

  /** Nothing more will come: the run and its workers are gone. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#end.fire();
    this.#end.dispose();
    this.#written.dispose();
  }

  /** Calls `listener` once: when nothing more will come, at once if that is so already. */
  onEnd(listener: () => void): { dispose(): void } {
    if (!this.#ended) return this.#end.on(listener);
    listener();
    return { dispose: () => undefined };
  }
}
