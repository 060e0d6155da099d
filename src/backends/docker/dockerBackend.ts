import type Docker from 'dockerode';

import type { Backend, BackendContext, ClusterHandle, Keepsake } from '../../core/backend.ts';
import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import { within } from '../../core/limit.ts';
import { Lead } from '../../host/lead.ts';
import { type BackendOptions, newClusterId } from '../clusterOptions.ts';
import { type Books, DockerCluster, type Kept, removeTimeoutMs, slow } from './dockerCluster.ts';
import { type EngineChoice, type EnginePlace, findEngine, isOverSsh, openEngine } from './engine.ts';
import { startError } from './failures.ts';
import { findReach } from './reach.ts';
import { findLeftovers, type Leftover, removeCluster, removeOrphans } from './removal.ts';
import { withRunImage } from './runImage.ts';
import { closeSshEngines } from './sshEngine.ts';

export interface DockerBackendOptions extends BackendOptions {
  /** Docker is used in this installation from now on. */
  onUse?(): void;
}

/** What an engine has of clusters without a window. */
export interface EngineLeftovers {
  readonly place: EnginePlace;
  readonly leftovers: readonly Leftover[];
}

/** Clusters in containers of a Docker engine: a network, a scheduler and a container for each worker. */
export class DockerBackend implements Backend<DockerExecutor> {
  readonly #options: DockerBackendOptions;
  readonly #books: Books = { held: new Set(), givenUp: new Set() };

  constructor(options: DockerBackendOptions) {
    this.#options = options;
  }

  async start(executor: DockerExecutor, context: BackendContext): Promise<ClusterHandle> {
    const { signal, stage } = context;
    signal.throwIfAborted();
    stage('connecting to Docker');
    const place = await findEngine(executor);
    const engine = await openEngine(place, signal);
    const own = await withRunImage(executor, { engine, env: context.inherit.env ?? {}, signal });
    const reach = await findReach(engine, place);
    this.#options.onUse?.();
    const sweep = this.#sweep(engine, place);
    sweep.catch(() => undefined); // it is told in the log
    const id = (this.#options.newId ?? newClusterId)();
    const means = { ...{ engine, place, reach, executor: own, context, sweep, id }, books: this.#books };
    const cluster = new DockerCluster({ ...means, ...this.#options });
    try {
      return await cluster.start();
    } catch (error) {
      const isGone = await cluster.close().then(
        () => false,
        (left: Error) => {
          this.#options.log.warn(`${left.message}: what is left is removed at the next start`);
          return true;
        },
      );
      signal.throwIfAborted();
      throw startError(error, own, place, { isGone, image: cluster.image });
    }
  }

  /** Takes up a static cluster that an earlier window, or another one, has started. */
  async adopt({ id, secret }: Keepsake, context: BackendContext): Promise<ClusterHandle | undefined> {
    const { signal } = context;
    const kept = JSON.parse(secret) as Kept;
    const { executor } = kept;
    const now = await findEngine(executor);
    const place = now.host === kept.host ? now : { host: kept.host, by: 'an earlier window' };
    const engine = await openEngine(place, signal);
    const reach = await findReach(engine, place);
    const means = { ...{ engine, place, reach, executor, context, id }, books: this.#books };
    const cluster = new DockerCluster({ ...means, ...this.#options, sweep: Promise.resolve() });
    try {
      return await cluster.adopt(kept);
    } catch (error) {
      cluster.leave();
      signal.throwIfAborted();
      throw startError(error, executor, place);
    }
  }

  /**
   * What windows that are gone have left at the engines of some executors, each engine once. One that does not answer is
   * told with the reason.
   * @param options without `overSsh`, engines that are reached by it are left out
   */
  async leftovers(
    choices: readonly EngineChoice[],
    signal?: AbortSignal,
    { overSsh = true } = {},
  ): Promise<{ readonly found: readonly EngineLeftovers[]; readonly unreachable: readonly UserError[] }> {
    const places = new Map<string, EnginePlace>();
    const unreachable: UserError[] = [];
    const note = (error: unknown) => {
      signal?.throwIfAborted();
      if (!(error instanceof UserError)) throw error;
      unreachable.push(error);
    };
    for (const choice of choices) {
      await findEngine(choice).then((place) => places.set(place.host, place), note);
    }
    const asked = [...places.values()].filter((place) => overSsh || !isOverSsh(place));
    const looks = asked.map(async (place) => {
      try {
        const engine = await openEngine(place, signal);
        const looking = findLeftovers(engine, this.#owners);
        return [{ place, leftovers: await within(looking, removeTimeoutMs, () => slow(place)) }];
      } catch (error) {
        note(error);
        return [];
      }
    });
    return { found: (await Promise.all(looks)).flat(), unreachable };
  }

  /** Removes one of {@link leftovers}. */
  async removeLeftover(place: EnginePlace, { cluster }: Leftover, signal?: AbortSignal): Promise<void> {
    const engine = await openEngine(place, signal);
    await within(removeCluster(engine, cluster), removeTimeoutMs, () => slow(place));
    await new Lead(cluster).forget();
    this.#books.givenUp.delete(cluster);
  }

  /**
   * Removes what windows that are gone have left at the engines of some executors; never rejects. Nobody has asked for it:
   * so no machine is logged in to, which could want a touch of the user's key, or be refused by a network. A start there
   * looks, and so does the command.
   */
  async sweep(choices: readonly EngineChoice[]): Promise<void> {
    const { found } = await this.leftovers(choices, undefined, { overSsh: false }).catch((error: Error) => {
      this.#options.log.warn(`leftovers in Docker were not looked for: ${error.message}`);
      return { found: [] };
    });
    for (const { place } of found) {
      await openEngine(place).then(
        (engine) => this.#sweep(engine, place).catch(() => undefined), // it is told in the log
        () => undefined, // it has gone since: the next start or window looks again
      );
    }
  }

  /** Ends the connections to engines on other machines, after all clusters are closed or left. */
  async dispose(): Promise<void> {
    await closeSshEngines();
  }

  async #sweep(engine: Docker, place: EnginePlace): Promise<void> {
    const { log } = this.#options;
    try {
      const sweeping = removeOrphans(engine, this.#owners);
      for (const { cluster, name, containers } of await within(sweeping, removeTimeoutMs, () =>
        slow(place),
      )) {
        this.#books.givenUp.delete(cluster);
        await new Lead(cluster).forget();
        log.info(`removed what was left of ${name} (${cluster}, containers: ${containers})`);
      }
    } catch (error) {
      log.warn(`leftovers at ${place.host} were not removed: ${(error as Error).message}`);
      throw error;
    }
  }

  get #owners() {
    return { machine: this.#options.owner.machine, ...this.#books };
  }
}
