import type { Backend, BackendContext, ClusterHandle, Keepsake } from '../../core/backend.ts';
import { UserError } from '../../core/errors.ts';
import { runImage } from '../../core/imageExecutor.ts';
import type { KubernetesExecutor } from '../../core/kubernetesExecutor.ts';
import { Lead } from '../../host/lead.ts';
import { type BackendOptions, newClusterId } from '../clusterOptions.ts';
import { noRunImage, toldRunImage } from '../runImage.ts';
import { apiError, startError } from './failures.ts';
import { type ApiChoice, type KubernetesApi, openKubernetes } from './kubernetesApi.ts';
import { type Kept, KubernetesCluster } from './kubernetesCluster.ts';
import { findLeftovers, type PodLeftover } from './leftovers.ts';
import { ownPod } from './ownPod.ts';
import { removeCluster } from './removal.ts';

/** One cluster that is left over, and how it is reached. */
export interface PlacedLeftover {
  /** In words. */
  readonly place: string;
  readonly choice: ApiChoice;
  readonly leftover: PodLeftover;
}

const lookMs = 10_000;

/** Clusters in pods, made by this extension alone (`plain.ts`) or by Dask's operator (`operator.ts`). */
export class KubernetesBackend implements Backend<KubernetesExecutor> {
  readonly #options: BackendOptions;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  async start(executor: KubernetesExecutor, context: BackendContext): Promise<ClusterHandle> {
    const { signal, stage } = context;
    signal.throwIfAborted();
    stage('connecting to Kubernetes');
    const api = await openKubernetes(executor);
    const own = await withRunImage(executor, context, api);
    const id = (this.#options.newId ?? newClusterId)();
    const cluster = new KubernetesCluster({ ...this.#options, ...{ id, api, executor: own, context } });
    try {
      return await cluster.start();
    } catch (error) {
      await cluster.close().catch((left: Error) => {
        this.#options.log.warn(`${left.message}: what is left ends by itself`);
      });
      signal.throwIfAborted();
      throw startError(error, own, api.place);
    }
  }

  /**
   * What windows that are gone have left where some executors have their pods, each place once. One that does not answer
   * is told with the reason. What was temporary ends by itself within minutes.
   */
  async leftovers(
    choices: readonly ApiChoice[],
    signal: AbortSignal,
  ): Promise<{ readonly found: readonly PlacedLeftover[]; readonly unreachable: readonly UserError[] }> {
    const found = new Map<string, PlacedLeftover>();
    const unreachable: UserError[] = [];
    const { machine } = this.#options.owner;
    await Promise.all(
      choices.map(async (choice) => {
        try {
          const api = await openKubernetes(choice);
          const { context, server } = api.place;
          const looking = findLeftovers(api, machine, AbortSignal.any([signal, AbortSignal.timeout(lookMs)]));
          const leftovers = await looking.catch((error: unknown) => {
            signal.throwIfAborted();
            throw apiError(error, api.place, 'the executor');
          });
          for (const one of leftovers) {
            found.set(`${server} ${one.namespace} ${one.cluster}`, {
              place: `${context} · ${one.namespace}`,
              choice,
              leftover: one,
            });
          }
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          unreachable.push(error);
        }
      }),
    );
    return { found: [...found.values()], unreachable };
  }

  /** Removes one of {@link leftovers}. */
  async removeLeftover({ choice, leftover }: PlacedLeftover): Promise<void> {
    const api = await openKubernetes(choice);
    const { cluster, namespace, way } = leftover;
    await removeCluster(api, { id: cluster, namespace, way }).catch((error: unknown) => {
      throw error instanceof UserError ? error : apiError(error, api.place, 'the executor');
    });
    await new Lead(cluster).forget();
  }

  /** Takes up a static cluster that an earlier window, or another one, has started. */
  async adopt({ id, secret }: Keepsake, context: BackendContext): Promise<ClusterHandle | undefined> {
    const kept = JSON.parse(secret) as Kept;
    const { executor, place } = kept;
    const api = await openKubernetes({ ...executor, ...place });
    const cluster = new KubernetesCluster({ ...this.#options, ...{ id, api, executor, context } });
    try {
      return await cluster.adopt(kept);
    } catch (error) {
      cluster.leave();
      context.signal.throwIfAborted();
      throw startError(error, executor, api.place);
    }
  }
}

/** The executor with the name of an image, where it says that the run's own is meant. */
async function withRunImage(
  executor: KubernetesExecutor,
  { inherit, signal }: BackendContext,
  api: KubernetesApi,
): Promise<KubernetesExecutor> {
  if (executor.image !== runImage) return executor;
  const image = toldRunImage(inherit.env ?? {}) ?? (await ownPod(api, signal))?.spec?.containers[0]?.image;
  if (image) return { ...executor, image };
  throw noRunImage(executor, 'a pod of the same cluster');
}
