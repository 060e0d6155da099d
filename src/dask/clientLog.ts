import type { ClientList } from '../core/schedulerInfo.ts';
import { asRecord, asText } from './fields.ts';
import type { SchedulerEvent } from './scheduler.ts';

/** More than that no cluster has: a scheduler that tells of more must not fill the memory. */
const maxClients = 10_000;

/**
 * Who is connected, by what a scheduler remembers of its clients and workers coming and going (its topic `all`).
 * It remembers the last events only, 1,000 in recent versions: what is seen once is kept here.
 */
export class ClientLog {
  readonly #ids = new Set<string>();
  #readToMs: number | undefined;
  #partial = false;

  /**
   * Takes in the events, oldest first.
   * @param workers addresses of those that are there: if the coming of one is not remembered, others are not either
   */
  update(events: readonly SchedulerEvent[], workers: readonly string[]): ClientList {
    const readToMs = this.#readToMs;
    // The first reading has to have it all; a later one, all since then.
    if (readToMs === undefined) this.#partial = !remembersAll(events, workers);
    else if (events[0] && events[0].timeMs > readToMs) this.#partial = true;
    for (const { timeMs, message } of events) {
      if (readToMs !== undefined && timeMs <= readToMs) continue;
      const { action, client } = asRecord(message);
      const id = asText(client);
      if (id !== undefined && action === 'add-client') this.#add(id);
      if (id !== undefined && action === 'remove-client') this.#ids.delete(id);
      this.#readToMs = timeMs;
    }
    return { ids: [...this.#ids], partial: this.#partial };
  }

  #add(id: string): void {
    if (this.#ids.size < maxClients) this.#ids.add(id);
    else this.#partial = true;
  }
}

function remembersAll(events: readonly SchedulerEvent[], workers: readonly string[]): boolean {
  const came = new Set(
    events
      .map(({ message }) => asRecord(message))
      .filter(({ action }) => action === 'add-worker')
      .map(({ worker }) => worker),
  );
  return workers.every((worker) => came.has(worker));
}
