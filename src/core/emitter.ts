/** Something to let go of when it is no longer needed; letting go twice is harmless. */
export interface Disposable {
  dispose(): void;
}

/**
 * Tells its listeners, in the order they came. The core's own, as the editor's is out of its reach. A listener that
 * throws stops neither the others nor whoever has something to tell: its error is thrown to the process.
 */
export class Emitter<T> {
  readonly #listeners = new Set<(value: T) => void>();

  /** Calls `listener` for each value until disposed. */
  on(listener: (value: T) => void): Disposable {
    // A wrapper of its own, so that the same function may be added twice and removed once.
    const entry = (value: T) => listener(value);
    this.#listeners.add(entry);
    return { dispose: () => void this.#listeners.delete(entry) };
  }

  fire(value: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  dispose(): void {
    this.#listeners.clear();
  }
}
