import type Docker from 'dockerode';

import type { WorkerNews } from '../../core/backend.ts';
import type { WorkerPool } from '../poolScaling.ts';
import { type ContainerEnd, MemberContainer } from './container.ts';
import { endText } from './failures.ts';
import { type ClusterShape, label, workerSpec } from './members.ts';
import type { MemberWatch } from './memberWatch.ts';
import { hasStatus } from './status.ts';

export interface WorkersOptions {
  readonly engine: Docker;
  readonly shape: ClusterShape;
  readonly files: Buffer;
  readonly signal: AbortSignal;
  readonly onPrint: (text: string) => void;
  readonly onNews: (news: WorkerNews) => void;
  /** One has ended in order that was not asked to from here; how many there were before. */
  readonly onRetired: (name: string, from: number) => void;
  /** Whether this window sees to them: of several that use a static cluster, one does. */
  leads(): Promise<boolean>;
  /** Knows more of containers than how they end. */
  readonly watch: MemberWatch;
}

/** What a nanny logs when it starts its worker again, in the same container. */
const restartLine = /distributed\.nanny - WARNING - Restarting worker/;
/** A worker that ends so soon so often has a reason that a further start does not mend. */
const mostRestarts = 3;
const calmMs = 60_000;
/** By SIGKILL. */
const killed = 137;

/** Whether an engine says of a container that it has ended meanwhile. */
const isOver = (error: unknown) => hasStatus(error, 404, 409);

/** The workers of one cluster, a container each: as many as are wanted, and again where one ends unasked. */
export class DockerWorkers implements WorkerPool {
  readonly #options: WorkersOptions;
  /** By Dask's name; those that shall not run any more are not here. */
  readonly #wanted = new Map<string, MemberContainer | undefined>();
  /** Of each name: when it ended unasked, lately. */
  readonly #deaths = new Map<string, number[]>();
  readonly retiring = new Set<string>();
  #next = 0;

  constructor(options: WorkersOptions) {
    this.#options = options;
  }

  /** Names of those that it shall have, in the order of their birth. */
  get plan(): ReadonlySet<string> {
    return new Set(this.#wanted.keys());
  }

  /** New names up to that many, not yet created. */
  grow(workers: number): string[] {
    const names = [];
    while (this.#wanted.size < workers) {
      const name = String(this.#next);
      this.#next += 1;
      this.#wanted.set(name, undefined);
      names.push(name);
    }
    return names;
  }

  /** Creates the container of a worker, not started. Undefined if it is not wanted any more by then. */
  async create(name: string): Promise<MemberContainer | undefined> {
    const { engine, shape, files, signal } = this.#options;
    const container = await MemberContainer.create(engine, workerSpec(shape, [name]), files, signal);
    if (!this.#wanted.has(name) || signal.aborted) {
      await container.remove();
      return undefined;
    }
    this.#hear(container);
    this.#wanted.set(name, container);
    return container;
  }

  #hear(container: MemberContainer): void {
    const { onPrint, watch } = this.#options;
    container.onPrint = (text) => {
      if (restartLine.test(text)) watch.processRestarted(container.name);
      onPrint(text);
    };
  }

  /** Starts it and sees to it from then on. */
  async start(name: string, container: MemberContainer): Promise<void> {
    await container.start();
    this.watch(name, container);
  }

  /** Sees to a container that runs. */
  watch(name: string, container: MemberContainer): void {
    this.#wanted.set(name, container);
    const number = Number(name);
    if (Number.isInteger(number)) this.#next = Math.max(this.#next, number + 1);
    void container.ended.then((end) => this.#ended(name, container, end));
  }

  /**
   * Takes up those that run already and are not known: all of an adopted cluster, or what another window has started.
   * Those that another has ended are no longer wanted. Resolves with how many there are.
   */
  async takeUp(): Promise<number> {
    const { engine, shape } = this.#options;
    const filters = { label: [`${label.cluster}=${shape.id}`, `${label.role}=worker`] };
    const listed = await engine.listContainers({ all: true, filters });
    const here = new Set(listed.map(({ Id }) => Id));
    for (const [name, container] of this.#wanted) {
      if (container && !here.has(container.id)) this.#wanted.delete(name);
    }
    const known = new Set([...this.#wanted.values()].map((container) => container?.id));
    await Promise.all(
      listed
        .filter(({ Id, State }) => State === 'running' && !known.has(Id))
        .map(async ({ Id, Names, Labels }) => {
          const name = Labels[label.workers] ?? Id;
          const container = new MemberContainer(engine.getContainer(Id), Names[0]?.slice(1) ?? Id);
          try {
            await container.adopt({ tail: 0 });
          } catch (error) {
            if (isOver(error)) return;
            throw error;
          }
          this.#hear(container);
          this.watch(name, container);
        }),
    );
    return this.#wanted.size;
  }

  /** Hears no more of them, and lets them go on. */
  leave(): void {
    for (const container of this.#wanted.values()) container?.leave();
    this.#wanted.clear();
  }

  /** As many as `workers`; new ones are started, none is ended. */
  async scaleUp(workers: number): Promise<void> {
    await Promise.all(
      this.grow(workers).map(async (name) => {
        const container = await this.create(name);
        if (container) await this.start(name, container);
      }),
    );
  }

  /** Ends these, whatever they do. */
  async remove(names: Iterable<string>): Promise<void> {
    const gone = [...names];
    const containers = gone.map((name) => {
      const container = this.#wanted.get(name);
      this.#wanted.delete(name);
      return container;
    });
    this.#options.watch.forget(gone);
    await Promise.all(containers.map((container) => container?.remove()));
  }

  async #ended(name: string, container: MemberContainer, end: ContainerEnd): Promise<void> {
    const { signal, onNews, watch } = this.#options;
    if (this.#wanted.get(name) !== container || signal.aborted) return;
    // In order: it was retired, by us or by whoever uses the cluster.
    if (end.exitCode === 0) {
      const from = this.#wanted.size;
      this.#wanted.delete(name);
      watch.forget([name]);
      if (!this.retiring.has(name)) this.#options.onRetired(name, from);
      return;
    }
    if (!(await this.#options.leads())) {
      // Whoever leads has ended it, or starts it again: it is taken up when it matters.
      this.#wanted.delete(name);
      watch.forget([name], { ended: true });
      return;
    }
    const deaths = [...(this.#deaths.get(name) ?? []), Date.now()].filter((ms) => ms > Date.now() - calmMs);
    this.#deaths.set(name, deaths);
    const message = `the container of worker ${name} ended: ${endText(end)}`;
    // For want of memory: that is told already, with what helps.
    const told = end.exitCode === killed && (await watch.ranOutOfMemory(container.name));
    if (signal.aborted) return;
    if (!told) onNews({ what: 'died', name, message });
    if (deaths.length > mostRestarts) {
      this.#wanted.delete(name);
      onNews({
        what: 'gave-up',
        name,
        message: `worker ${name} is not started again: it ended ${deaths.length} times`,
      });
      return;
    }
    try {
      // Its name is free when the engine has removed it.
      await container.remove();
      const again = await this.create(name);
      if (!again) return;
      await this.start(name, again);
      onNews({ what: 'restarted', name, message: `worker ${name} has a new container` });
    } catch (error) {
      if (signal.aborted) return;
      this.#wanted.delete(name);
      onNews({
        what: 'gave-up',
        name,
        message: `worker ${name} can't be started again: ${(error as Error).message}`,
      });
    }
  }
}
