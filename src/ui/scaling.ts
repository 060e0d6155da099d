import * as vscode from 'vscode';
import type { Cluster } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import { plural } from '../core/executor.ts';
import type { ClusterManager } from '../core/manager.ts';
import {
  type AdaptLimits,
  type Advice,
  adviseLimits,
  adviseNumber,
  limitsText,
  type WorkerSize,
} from '../core/scaling.ts';
import type { WorkerInfo } from '../core/schedulerInfo.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { checkRetirable, type Retirements, type RetireRequest, retireRisk } from '../runs/retire.ts';
import { requireTrust } from './flowCommands.ts';
import { showError } from './messages.ts';
import { pickCluster } from './picks.ts';
import { thisMachine } from './settings.ts';

/** A worker takes a second or two to start. */
const scaleTimeoutMs = 60_000;

export interface ScalingCommandsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly retirements: Retirements;
  readonly log: vscode.LogOutputChannel;
}

interface WorkerPlace {
  readonly cluster: Cluster;
  readonly worker: WorkerInfo;
}

/** How many workers a cluster has: a fixed number, as many as its work asks for, one less. */
export class ScalingCommands {
  readonly #options: ScalingCommandsOptions;

  constructor(options: ScalingCommandsOptions) {
    this.#options = options;
  }

  /** Changes how many workers a cluster of ours has, while it runs. */
  async scale(node?: TreeNode): Promise<void> {
    requireTrust();
    const { store, manager } = this.#options;
    const fits = ({ ownership, state }: Cluster) => ownership === 'owned' && state.kind === 'running';
    const cluster = await pickCluster(store.snapshot, node, 'Scale which cluster?', fits);
    if (!cluster) return;
    const how = await pickHow(cluster);
    if (how === 'adaptive') {
      const limits = await askLimits(cluster);
      if (limits) await manager.adapt(cluster.id, limits);
    }
    if (how !== 'fixed') return;
    const wanted = await askNumber(cluster);
    if (wanted === undefined) return;
    await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Window, title: `Scaling ${cluster.name} to ${wanted}` },
      async () => {
        await manager.scale(cluster.id, wanted);
        await this.#scaled(cluster.id, wanted);
      },
    );
  }

  /** Resolves when the cluster has so many workers, or is gone. Throws a {@link UserError} if that takes too long. */
  async #scaled(id: string, wanted: number): Promise<void> {
    const { store } = this.#options;
    const cluster = () => store.snapshot.clusters.get(id);
    const workers = () => cluster()?.info?.workers.length;
    // Somebody may have asked for another number meanwhile.
    const done = () => !cluster() || workers() === wanted || cluster()?.scaling?.workers !== wanted;
    let listening: { dispose(): void } | undefined;
    let timer: NodeJS.Timeout | undefined;
    const inTime = await new Promise<boolean>((resolve) => {
      if (done()) return resolve(true);
      listening = store.onDidChange(() => done() && resolve(true));
      timer = setTimeout(() => resolve(false), scaleTimeoutMs);
    });
    listening?.dispose();
    clearTimeout(timer);
    if (inTime) return;
    const name = cluster()?.name ?? id;
    throw new UserError('timeout', `${name} has ${workers() ?? 0} workers instead of ${wanted}`, {
      hint: `Dask was asked ${scaleTimeoutMs / 1000} s ago. What it said is in the output.`,
      action: { kind: 'show-output' },
    });
  }

  /** Retires a worker: the row's, or one that the user picks. On a cluster that is not ours it asks first. */
  async retire(node?: TreeNode): Promise<void> {
    requireTrust();
    const place = await this.#worker(node, 'Retire which worker?', () => true);
    if (!place) return;
    const { cluster, worker } = place;
    checkRetirable(cluster, worker);
    if (cluster.ownership !== 'owned') {
      const retire = 'Retire Worker';
      const chosen = await vscode.window.showWarningMessage(
        `Retire ${nameOf(worker)} of ${cluster.name}?`,
        { modal: true, detail: retireRisk(cluster, worker) },
        retire,
      );
      if (chosen !== retire) return;
    }
    await this.#retire(place, { clusterId: cluster.id, worker: worker.address });
  }

  async #retire(place: WorkerPlace, request: RetireRequest): Promise<void> {
    const { retirements } = this.#options;
    const { message, severity, unfinished } = await vscode.window.withProgress(
      {
        location: vscode.ProgressLocation.Notification,
        title: `Retiring ${nameOf(place.worker)} of ${place.cluster.name}: its tasks finish first`,
        cancellable: true,
      },
      (_progress, token) => {
        token.onCancellationRequested(() => retirements.cancel(request.clusterId, request.worker));
        return retirements.retire(request);
      },
    );
    if (severity === 'info') {
      vscode.window.setStatusBarMessage(message, 5_000);
      return;
    }
    // Not awaited: the command is over, its message may stay until the user has read it.
    void this.#tellUnfinished(place, request, message, unfinished);
  }

  async #tellUnfinished(
    place: WorkerPlace,
    request: RetireRequest,
    message: string,
    unfinished: boolean,
  ): Promise<void> {
    const [wait, now] = ['Retire and Wait', 'Retire Now (Tasks Run Again)'];
    const chosen = await vscode.window.showWarningMessage(message, ...(unfinished ? [wait, now] : []));
    if (chosen === undefined) return;
    try {
      await this.#retire(place, { ...request, wait: chosen === wait });
    } catch (error) {
      await showError(error, this.#options.log);
    }
  }

  /** Gives up retiring a worker; whoever began it tells what has become of it. */
  async cancelRetire(node?: TreeNode): Promise<void> {
    const draining = ({ cluster, worker }: WorkerPlace) =>
      cluster.drains?.some((drain) => drain.worker === worker.address) ?? false;
    const place = await this.#worker(node, 'Stop retiring which worker?', draining);
    if (place) this.#options.retirements.cancel(place.cluster.id, place.worker.address);
  }

  async #worker(
    node: TreeNode | undefined,
    title: string,
    fits: (place: WorkerPlace) => boolean,
  ): Promise<WorkerPlace | undefined> {
    const places = [...this.#options.store.snapshot.clusters.values()]
      .filter(({ state }) => state.kind === 'running')
      .flatMap((cluster) => (cluster.info?.workers ?? []).map((worker) => ({ cluster, worker })));
    if (node?.worker !== undefined) {
      const found = places.find(
        ({ cluster, worker }) => cluster.id === node.key && worker.address === node.worker,
      );
      if (!found) throw new UserError('unreachable', `${node.label} is not there any more`);
      return found;
    }
    const items = places.filter(fits).map((place) => ({
      label: nameOf(place.worker),
      description: `${place.cluster.name} · ${plural(place.worker.processing, 'task')}, ${plural(place.worker.inMemory, 'result')} held`,
      place,
    }));
    if (items.length === 0) throw new UserError('unreachable', 'There is no such worker now');
    return (await vscode.window.showQuickPick(items, { title }))?.place;
  }
}

const nameOf = ({ name, address }: WorkerInfo) => (name === address ? address : `worker ${name}`);

async function pickHow(cluster: Cluster): Promise<'fixed' | 'adaptive' | undefined> {
  const { adaptive } = cluster.scaling ?? {};
  const items = [
    {
      label: 'Fixed number of workers',
      description: adaptive ? '' : `now ${fixedNumber(cluster)}`,
      how: 'fixed' as const,
    },
    {
      label: 'Adaptive',
      description: adaptive ? `now ${limitsText(adaptive)}` : 'as many as the work asks for',
      how: 'adaptive' as const,
    },
  ];
  const title = `Scale ${cluster.name}`;
  return (await vscode.window.showQuickPick(adaptive ? items.reverse() : items, { title }))?.how;
}

const fixedNumber = ({ scaling, info }: Cluster) => scaling?.workers ?? info?.workers.length ?? 1;

async function askNumber(cluster: Cluster): Promise<number | undefined> {
  const typed = await vscode.window.showInputBox({
    title: `Scale ${cluster.name}`,
    prompt: 'Number of workers',
    value: String(fixedNumber(cluster)),
    validateInput: (text) => worst(adviseNumber(readCount(text), thisMachine(), sizeOf(cluster))),
  });
  return typed === undefined ? undefined : readCount(typed);
}

/** Asks for the limits one after the other; each says what is to be known of both. */
async function askLimits(cluster: Cluster): Promise<AdaptLimits | undefined> {
  const now = cluster.scaling?.adaptive;
  const advise = (limits: AdaptLimits) => worst(adviseLimits(limits, thisMachine(), sizeOf(cluster)));
  const title = `Scale ${cluster.name}: adaptive`;
  const least = await vscode.window.showInputBox({
    title: `${title} (1/2)`,
    prompt: 'Workers at least; empty: none',
    value: limitText(now ? now.minimum : 1),
    // The maximum is not known yet: it is the next question.
    validateInput: (text) => {
      const minimum = readLimit(text);
      return advise({ minimum, maximum: Math.max(minimum ?? 1, 1) });
    },
  });
  if (least === undefined) return undefined;
  const minimum = readLimit(least);
  const most = await vscode.window.showInputBox({
    title: `${title} (2/2)`,
    prompt: 'Workers at most; empty: none. Dask asks for as many as would finish the known work in 5 s.',
    value: limitText(now ? now.maximum : Math.max(minimum ?? 0, thisMachine().cores)),
    validateInput: (text) => advise({ minimum, maximum: readLimit(text) }),
  });
  return most === undefined ? undefined : { minimum, maximum: readLimit(most) };
}

const limitText = (limit: number | null | undefined) => (limit ? String(limit) : '');

/** Not a number for what is none, which is then said. */
const readCount = (text: string) => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN);
const readLimit = (text: string) => (text.trim() === '' ? null : readCount(text));

/** What a worker of the cluster takes, by the first one. */
function sizeOf({ info }: Cluster): WorkerSize {
  const worker = info?.workers[0];
  return { threads: worker?.threads, memoryBytes: worker?.memoryLimitBytes };
}

function worst([first]: readonly Advice[]): vscode.InputBoxValidationMessage | undefined {
  if (!first) return undefined;
  const { Error: error, Warning, Info } = vscode.InputBoxValidationSeverity;
  return { message: first.message, severity: { error, warning: Warning, info: Info }[first.severity] };
}
