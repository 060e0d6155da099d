/** The event that a line of JSON holds; undefined for anything else, as whatever shares the stream may write to it. */
export function parseLine<T extends { readonly event: string }>(line: string): T | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const isEvent = typeof value === 'object' && value !== null && 'event' in value;
    return isEvent && typeof value.event === 'string' ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}

/** Cuts a stream of text into lines. A line that never ends is cut at `maxLength`, so a peer cannot fill memory. */
export class LineReader {
  #rest = '';
  readonly #onLine: (line: string) => void;
  readonly #maxLength: number;

  constructor(onLine: (line: string) => void, maxLength = 16 * 1024 * 1024) {
    this.#onLine = onLine;
    this.#maxLength = maxLength;
  }

  push(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#onLine(line);
    if (this.#rest.length > this.#maxLength) {
      this.#onLine(this.#rest);
      this.#rest = '';
    }
  }

  /** The last line, if the stream ended without a newline. */
  end(): void {
    if (this.#rest !== '') this.#onLine(this.#rest);
    this.#rest = '';
  }
}
