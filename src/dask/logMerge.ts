import type { LogLine } from './scheduler.ts';

/** One server's log as it was just asked for. */
export interface ServerLog {
  /** Unique among servers of a kind. */
  readonly address: string;
  /** Of the worker, for a worker and its nanny alike. */
  readonly name: string;
  /** Oldest first. */
  readonly lines: readonly LogLine[];
}

type Server = Pick<ServerLog, 'address' | 'name'>;

/** A line and whose it may be: of several where servers share a process, as these share its log. */
export interface MergedLine extends LogLine {
  readonly servers: readonly Server[];
}

/** Enough to find the place again: lines of one server that agree in time and text are rare. */
const rememberedLines = 20;
/** Beyond what servers of one process can say between two looks. */
const rememberedKeys = 5000;
/** Those that have gone are kept for a while, as a nanny is out of reach while its worker restarts. */
const rememberedServers = 5000;

/** Gives each line of a server's log once, however often the same log is read. It goes by order, not by clocks. */
class Follower {
  #seen: string[] = [];

  /** What has come since the last time; undefined if nothing that was seen is in it, so that lines may be missing. */
  next(lines: readonly LogLine[]): readonly LogLine[] | undefined {
    const keys = lines.map(keyOf);
    const known = this.#seen.length === 0 ? 0 : this.#place(keys);
    if (known === undefined) return undefined;
    this.skip(lines);
    return lines.slice(known);
  }

  /** Takes these lines as seen. */
  skip(lines: readonly LogLine[]): void {
    if (lines.length > 0) this.#seen = [...this.#seen, ...lines.map(keyOf)].slice(-rememberedLines);
  }

  /** How many lines from the start are known: those that end as what was seen ends. */
  #place(keys: readonly string[]): number | undefined {
    const ends = (count: number) => {
      const known = this.#seen.slice(-count);
      return known.every((key, i) => key === keys[count - known.length + i]);
    };
    for (let count = this.#seen.length; count <= keys.length; count += 1) if (ends(count)) return count;
    // The log may have dropped its first lines since.
    for (let count = Math.min(this.#seen.length - 1, keys.length); count > 0; count -= 1) {
      if (ends(count)) return count;
    }
    return undefined;
  }
}

/** Merges the logs of servers of one kind into one, without doubles and without gaps. Its memory is bounded. */
export class LogMerge {
  readonly #followers = new Map<string, Follower>();
  /** Of the lines given lately, with a server that had it: the servers of a process have the same ones. */
  #given = new Map<string, string>();
  /** By server, those that share its process, itself among them. */
  readonly #processes = new Map<string, Map<string, Server>>();

  /**
   * The lines that are new, by time.
   * @returns also the servers whose log must be read whole, as lines may be missing
   */
  add(logs: readonly ServerLog[], whole: boolean): { lines: readonly MergedLine[]; gaps: readonly string[] } {
    const gaps: string[] = [];
    const found: { line: LogLine; address: string }[] = [];
    for (const { address, name, lines } of logs) {
      const follower = this.#follower(address);
      this.#process(address).set(address, { address, name });
      let fresh = follower.next(lines);
      if (fresh === undefined && !whole) {
        gaps.push(address);
        continue;
      }
      if (fresh === undefined) {
        // Restarted, or more has come than a server keeps.
        follower.skip(lines);
        fresh = lines;
      }
      for (const [key, line] of numbered(fresh)) {
        const other = this.#given.get(key);
        if (other === undefined) found.push({ line, address });
        else this.#join(address, other);
        this.#given.set(key, address);
      }
    }
    this.#trim();
    const lines = found.map(({ line, address }) => ({
      ...line,
      servers: [...this.#process(address).values()],
    }));
    return { lines: lines.sort((a, b) => a.timeMs - b.timeMs), gaps };
  }

  /** Whether a server's log was read before. */
  knows(address: string): boolean {
    return this.#followers.has(address);
  }

  #follower(address: string): Follower {
    const known = this.#followers.get(address) ?? new Follower();
    // In the order of their last use.
    this.#followers.delete(address);
    this.#followers.set(address, known);
    return known;
  }

  #process(address: string): Map<string, Server> {
    const known = this.#processes.get(address) ?? new Map<string, Server>();
    this.#processes.set(address, known);
    return known;
  }

  /** Two servers have had the same line. */
  #join(address: string, other: string): void {
    const [mine, theirs] = [this.#process(address), this.#process(other)];
    if (mine === theirs) return;
    for (const server of mine.values()) {
      theirs.set(server.address, server);
      this.#processes.set(server.address, theirs);
    }
  }

  #trim(): void {
    for (const address of this.#followers.keys()) {
      if (this.#followers.size <= rememberedServers) break;
      this.#followers.delete(address);
      this.#processes.get(address)?.delete(address);
      this.#processes.delete(address);
    }
    if (this.#given.size > 2 * rememberedKeys) this.#given = new Map([...this.#given].slice(-rememberedKeys));
  }
}

const keyOf = ({ timeMs, text }: LogLine): string => `${timeMs} ${text}`;

/** Lines by a key each: a clock may stand still between two that say the same. */
function* numbered(lines: readonly LogLine[]): Generator<[string, LogLine]> {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const key = keyOf(line);
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    yield [count === 0 ? key : `${key} ${count}`, line];
  }
}
