import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../../core/errors.ts';
import type { CodeApi } from '../../../core/executorCode.ts';
import type { KubernetesExecutor } from '../../../core/kubernetesExecutor.ts';
import type { Logger } from '../../../core/log.ts';
import { apiError } from '../failures.ts';
import { type ApiChoice, type ApiPlace, type KubernetesApi, openKubernetes } from '../kubernetesApi.ts';
import { carryOut, type DeployContext } from './deploy.ts';
import { daskClusterYaml } from './exports/daskCluster.ts';
import { helmValuesYaml } from './exports/helm.ts';
import { kubeClusterPython, kubeClusterRunner } from './exports/kubeCluster.ts';
import { kustomizeFiles } from './exports/kustomize.ts';
import { deploymentLabel, deploymentSelector } from './objects.ts';
import { type Change, deployedOptions, deployerOf, type Plan, planDeployment } from './plan.ts';
import { type DeploymentOptions, type DeploymentShape, deploymentShape } from './shape.ts';
import { nameOf, type ObjectName, ownObjects, plain, removeObjects } from './store.ts';

/** One that is planned, at its API server. */
export interface PlannedDeployment {
  readonly plan: Plan;
  readonly place: ApiPlace;
  /** What there is now, and what there would be, as YAML; of what changes only. */
  readonly before: string;
  readonly after: string;
  /** Who has deployed it, if that is somebody else: `ana from laptop`. */
  readonly deployer: string | undefined;
  /** Rejects as {@link carryOut} does. */
  carryOut(context: Pick<DeployContext, 'signal' | 'stage'>): Promise<void>;
}

/** One that is there. */
export interface FoundDeployment {
  readonly objects: readonly ObjectName[];
  readonly place: ApiPlace;
  /** As {@link PlannedDeployment.deployer}. */
  readonly deployer: string | undefined;
  /** Deletes these objects; the signal ends only the waiting for it. */
  remove(signal?: AbortSignal): Promise<void>;
}

/** How a cluster may be written down for others. */
export const exportForms = {
  kustomize: 'Folder for kubectl and kustomize',
  operator: 'DaskCluster of Dask’s operator',
  helm: 'Values for Dask’s Helm chart',
  python: 'Python with KubeCluster',
} as const;
export type ExportForm = keyof typeof exportForms;

/** A cluster written down: texts by the names of their files. */
export interface Exported {
  readonly files: ReadonlyMap<string, string>;
  readonly language: 'yaml' | 'python';
}

export interface DeploymentsOptions {
  /** Folder of our Python helpers. */
  readonly pythonFolder: string;
  readonly log: Logger;
  /** Who deploys from here, as `machine/user`. */
  readonly me: string;
}

/** Static clusters that live on Kubernetes by themselves. */
export class Deployments {
  readonly #options: DeploymentsOptions;

  constructor(options: DeploymentsOptions) {
    this.#options = options;
  }

  /** What was chosen for a cluster that is there; undefined if there is none of that name. */
  async options(
    executor: KubernetesExecutor,
    name: string,
    signal: AbortSignal,
  ): Promise<DeploymentOptions | undefined> {
    return this.#asked(executor, signal, (api) => deployedOptions(api, name, signal));
  }

  /** What would be done for a cluster to be as its executor says. Nothing is changed. */
  async plan(
    executor: KubernetesExecutor,
    name: string,
    options: DeploymentOptions,
    signal: AbortSignal,
  ): Promise<PlannedDeployment> {
    return this.#asked(executor, signal, async (api) => {
      const shape = deploymentShape(name, executor, options, api.library.loadYaml);
      const { log, me } = this.#options;
      const plan = await planDeployment(api, shape, await this.#preload(), me, signal);
      return {
        ...{ plan, place: api.place, deployer: this.#other(plan.deployer) },
        ...textsOf(api, plan.changes),
        carryOut: (context) => carryOut(api, plan, { ...context, log }),
      };
    });
  }

  /** Names of those in the namespace of a choice. */
  async names(choice: ApiChoice, signal: AbortSignal): Promise<string[]> {
    return this.#asked(choice, signal, async (api) => {
      const query = { namespace: api.namespace, labelSelector: deploymentSelector };
      const { items } = await api.apps.listNamespacedDeployment(query, api.until(signal));
      return items.flatMap(({ metadata }) => metadata?.labels?.[deploymentLabel] ?? []).sort();
    });
  }

  /** What belongs to a cluster, who has deployed it, and its removal. */
  async found(choice: ApiChoice, name: string, signal: AbortSignal): Promise<FoundDeployment> {
    return this.#asked(choice, signal, async (api) => {
      const live = await ownObjects(api, name, signal);
      const objects = live.map(nameOf);
      const remove = (stop?: AbortSignal) =>
        removeObjects(api, name, objects, stop).catch((error: unknown) => {
          stop?.throwIfAborted();
          return failed(error, api, choice);
        });
      return { objects, place: api.place, deployer: this.#other(deployerOf(live, name)), remove };
    });
  }

  /** Writes a cluster down. No API server is asked. */
  async export(
    executor: KubernetesExecutor,
    name: string,
    options: DeploymentOptions,
    form: ExportForm,
  ): Promise<Exported> {
    const { loadYaml, dumpYaml } = await import('../kubernetesClient.ts');
    const dump = (value: unknown) => dumpYaml(value, { noRefs: true, lineWidth: 120, skipInvalid: true });
    const shape = deploymentShape(name, executor, options, loadYaml);
    if (form === 'kustomize')
      return { files: kustomizeFiles(shape, await this.#preload(), dump), language: 'yaml' };
    const [file, text] = textOf(shape, form, dump);
    return { files: new Map([[file, text]]), language: form === 'python' ? 'python' : 'yaml' };
  }

  /**
   * A cluster written down as one text: the resource of Dask's operator where the executor wants that, else all objects of a
   * deployment, one after the other. No API server is asked.
   */
  async manifests(executor: KubernetesExecutor, name: string): Promise<string> {
    const form = executor.operator ? 'operator' : 'kustomize';
    const { files } = await this.export(executor, name, { networkPolicy: true, dashboard: false }, form);
    if (form === 'operator') return [...files.values()].join('---\n');
    const objects = [...files].filter(([file]) => file.endsWith('.yaml') && file !== 'kustomization.yaml');
    const note = `# Its secrets are made by the script of the folder that “Export for Kubernetes…” writes.\n`;
    return note + objects.map(([, text]) => text).join('---\n');
  }

  /** A cluster as Python with `KubeCluster`: a script, or what Prefect's flows make it by. No API server is asked. */
  async code(executor: KubernetesExecutor, name: string, api: CodeApi): Promise<string> {
    const { loadYaml } = await import('../kubernetesClient.ts');
    const shape = deploymentShape(name, executor, { networkPolicy: false, dashboard: false }, loadYaml);
    return api === 'dask' ? kubeClusterPython(shape) : kubeClusterRunner(shape, api);
  }

  /** In words; undefined if it is who deploys from here, or not known. */
  #other(deployer: string | undefined): string | undefined {
    if (deployer === undefined || deployer === this.#options.me) return undefined;
    const [machine, user] = deployer.split('/');
    return user === undefined ? deployer : `${user} from ${machine}`;
  }

  #preload(): Promise<string> {
    return readFile(join(this.#options.pythonFolder, 'adaptive_preload.py'), 'utf8');
  }

  async #asked<T>(
    choice: ApiChoice,
    signal: AbortSignal,
    ask: (api: KubernetesApi) => Promise<T>,
  ): Promise<T> {
    const api = await openKubernetes(choice);
    await api.login();
    signal.throwIfAborted();
    try {
      return await ask(api);
    } catch (error) {
      signal.throwIfAborted();
      return failed(error, api, choice);
    }
  }
}

function failed(error: unknown, api: KubernetesApi, choice: ApiChoice & { readonly name?: string }): never {
  if (error instanceof UserError) throw error;
  const { name } = choice;
  throw name === undefined
    ? apiError(error, api.place, 'the context')
    : apiError(error, api.place, `the executor "${name}"`, name);
}

function textOf(
  shape: DeploymentShape,
  form: Exclude<ExportForm, 'kustomize'>,
  dump: (value: unknown) => string,
): readonly [string, string] {
  switch (form) {
    case 'operator':
      return [`${shape.name}.yaml`, daskClusterYaml(shape, dump)];
    case 'helm':
      return ['values.yaml', helmValuesYaml(shape, dump)];
    case 'python':
      return [`${shape.name}.py`, kubeClusterPython(shape)];
    default:
      return form satisfies never;
  }
}

/** What is secret is not in them. */
function textsOf(api: KubernetesApi, changes: readonly Change[]): { before: string; after: string } {
  const all = (pick: (change: Change) => Change['before']) =>
    changes
      .flatMap((change) => {
        const object = pick(change);
        return object
          ? [api.library.dumpYaml(plain(object), { noRefs: true, lineWidth: 120, skipInvalid: true })]
          : [];
      })
      .join('---\n');
  return { before: all(({ before }) => before), after: all(({ after }) => after) };
}
