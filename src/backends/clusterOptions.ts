import { randomBytes } from 'node:crypto';
import type { BackendContext } from '../core/backend.ts';
import type { Logger } from '../core/log.ts';

/** What all clusters are made with that are not processes of this machine. */
export interface ClusterOptions {
  /** Folder of our Python helpers. */
  readonly pythonFolder: string;
  /** Who starts it: becomes labels. */
  readonly owner: { readonly machine: string; readonly pid: number };
  readonly log: Logger;
  /** For how long a temporary cluster that is held by its hub goes on without its window; tests have less patience. */
  readonly holdSeconds?: number;
}

export interface BackendOptions extends ClusterOptions {
  /** Names a cluster, as a prefix of all that is made for it; tests bring their own. */
  newId?(): string;
}

/** What one cluster is made with, by an executor's kind. */
export interface ClusterMeans<E> extends ClusterOptions {
  readonly id: string;
  readonly executor: E;
  readonly context: BackendContext;
}

/** A name that no other cluster has. */
export const newClusterId = (): string => `flow-clusters-${randomBytes(4).toString('hex')}`;

/** What is being made: a close waits for it, as only then it is known what there is to remove. */
export class Making {
  readonly #making = new Set<Promise<unknown>>();

  add<T>(promise: Promise<T>): Promise<T> {
    this.#making.add(promise);
    const done = () => void this.#making.delete(promise);
    promise.then(done, done);
    return promise;
  }

  /** Resolves when all of it is made, or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#making]);
  }
}
