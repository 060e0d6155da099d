import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { EngineLeftovers } from '../backends/docker/dockerBackend.ts';
import type { Leftover } from '../backends/docker/removal.ts';
import type { PlacedLeftover } from '../backends/kubernetes/kubernetesBackend.ts';
import type { UserError } from '../core/errors.ts';
import { plural } from '../core/executor.ts';
import { toFailure } from '../core/failure.ts';
import { formatSpan } from '../core/format.ts';
import type { Store } from '../core/store.ts';
import type { Memory } from '../runs/attachments.ts';
import { requireTrust } from './flowCommands.ts';
import { withLateProgress } from './progress.ts';
import type { Backends } from './targets.ts';

export interface LeftoversOptions {
  readonly store: Store;
  readonly backends: Backends;
  /** Of this installation. */
  readonly memory: Memory;
  readonly log: vscode.LogOutputChannel;
}

/** Key in the installation's memory: Docker has been used, so there may be something to look for. */
const usedKey = 'dockerUsed';
/** Not while VS Code still starts. */
const quietMs = 8_000;

interface Item extends vscode.QuickPickItem {
  readonly cluster: string;
  remove(signal: AbortSignal): Promise<void>;
}

/**
 * Removes what windows that are gone have left: in Docker by itself where that is safe, else by command. On Kubernetes
 * clusters end by themselves, and its logins may ask the user for something: there it is done by command only.
 */
export class LeftoverCommands implements vscode.Disposable {
  readonly #options: LeftoversOptions;
  readonly #life = new AbortController();

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  dispose(): void {
    this.#life.abort();
  }

  /** Docker is used from now on. */
  noteUse(): void {
    const { memory, log } = this.#options;
    if (memory.get(usedKey) === true) return;
    memory.update(usedKey, true).then(undefined, (error: unknown) => log.error(toFailure(error).message));
  }

  /** Some seconds from now, if Docker was ever used here; else nothing of it is even loaded. Never rejects. */
  async sweepLater(): Promise<void> {
    const { memory, backends } = this.#options;
    if (memory.get(usedKey) !== true) return;
    const { signal } = this.#life;
    await sleep(quietMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted && vscode.workspace.isTrusted) await backends.docker.sweep(this.#engines());
  }

  /** Shows what is there, and removes what the user chooses. */
  async clean(): Promise<void> {
    requireTrust();
    const { items, problem } = await withLateProgress('Looking for leftovers', (signal) =>
      this.#look(signal),
    );
    if (items.length === 0) {
      const but = problem ? ` ${problem.message}.` : '';
      await vscode.window.showInformationMessage(`Nothing is left over.${but}`);
      return;
    }
    const chosen = await vscode.window.showQuickPick(items, {
      canPickMany: true,
      title: 'Clean up which leftovers of windows that are closed?',
      placeHolder: problem ? problem.message : 'A static cluster that still runs idles out by itself',
    });
    if (!chosen || chosen.length === 0) return;
    const count = await withLateProgress('Cleaning up', async (signal, stage) => {
      for (const one of chosen) {
        signal.throwIfAborted();
        stage(one.label);
        await one.remove(signal);
      }
      return chosen.length;
    });
    this.#options.log.info(`leftovers removed: ${chosen.map(({ cluster }) => cluster).join(', ')}`);
    vscode.window.setStatusBarMessage(`Removed ${count} of ${items.length} leftovers`, 5000);
  }

  /** Rejects if nobody could be asked. */
  async #look(signal: AbortSignal): Promise<{ items: Item[]; problem: UserError | undefined }> {
    const { docker, kubernetes } = this.#options.backends;
    const { executors } = this.#options.store.snapshot.executors;
    const pods = executors.filter((one) => one.kind === 'kubernetes');
    const [inDocker, onKubernetes] = await Promise.all([
      docker.leftovers(this.#engines(), signal),
      kubernetes.leftovers(pods, signal),
    ]);
    const containers = inDocker.found.flatMap((one) =>
      one.leftovers.map((leftover) => this.#containers(one.place, leftover)),
    );
    const items = [...containers, ...onKubernetes.found.map((one) => this.#pods(one))];
    // Docker may be missing where nobody wants it.
    const wantsDocker = executors.some(({ kind }) => kind === 'docker') || pods.length === 0;
    const problem = onKubernetes.unreachable[0] ?? (wantsDocker ? inDocker.unreachable[0] : undefined);
    const nobody = inDocker.found.length === 0 && onKubernetes.unreachable.length === pods.length;
    if (problem && nobody && items.length === 0) throw problem;
    return { items, problem };
  }

  /** Those of the configured executors, and the one that `docker` would use. */
  #engines() {
    const { executors } = this.#options.store.snapshot.executors;
    return [...executors.filter((one) => one.kind === 'docker'), {}];
  }

  #containers(place: EngineLeftovers['place'], leftover: Leftover): Item {
    const { name, cluster, lifetime, containers, running, safe } = leftover;
    const parts =
      containers === 0 ? 'a network only' : `${plural(containers, 'container')}, ${running} running`;
    return {
      label: name,
      description: [lifetime, ageText(leftover.createdMs), parts].join(' · '),
      detail: whereText(cluster, place.host, safe),
      picked: safe,
      cluster,
      remove: (signal) => this.#options.backends.docker.removeLeftover(place, leftover, signal),
    };
  }

  #pods(placed: PlacedLeftover): Item {
    const { name, cluster, lifetime, createdMs, running } = placed.leftover;
    const safe = !(lifetime === 'static' && running);
    return {
      label: name,
      description: [lifetime, ageText(createdMs), running ? 'running' : 'ended'].join(' · '),
      detail: whereText(cluster, placed.place, safe),
      picked: safe,
      cluster,
      remove: () => this.#options.backends.kubernetes.removeLeftover(placed),
    };
  }
}

const ageText = (createdMs: number | undefined) =>
  createdMs === undefined ? 'of unknown age' : `${formatSpan((Date.now() - createdMs) / 1000)} old`;

const whereText = (cluster: string, place: string, safe: boolean) =>
  safe ? `${cluster} at ${place}` : `${cluster} at ${place}: still runs, and may be used from another window`;
