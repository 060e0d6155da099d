import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { DockerBackend, EngineLeftovers } from '../backends/docker/dockerBackend.ts';
import type { Leftover } from '../backends/docker/removal.ts';
import { toFailure } from '../core/failure.ts';
import { formatSpan } from '../core/format.ts';
import type { Store } from '../core/store.ts';
import type { Memory } from '../runs/attachments.ts';
import { requireTrust } from './flowCommands.ts';
import { withLateProgress } from './progress.ts';

export interface LeftoversOptions {
  readonly store: Store;
  readonly docker: DockerBackend;
  /** Of this installation. */
  readonly memory: Memory;
  readonly log: vscode.LogOutputChannel;
}

/** Key in the installation's memory: Docker has been used, so there may be something to look for. */
const usedKey = 'dockerUsed';
/** Not while VS Code still starts. */
const quietMs = 8_000;

interface Item extends vscode.QuickPickItem {
  readonly place: EngineLeftovers['place'];
  readonly leftover: Leftover;
}

/** Removes what windows that are gone have left in Docker: by itself where that is safe, else by command. */
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
    const { memory, docker } = this.#options;
    if (memory.get(usedKey) !== true) return;
    const { signal } = this.#life;
    await sleep(quietMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (!signal.aborted && vscode.workspace.isTrusted) await docker.sweep(this.#engines());
  }

  /** Shows what is there, and removes what the user chooses. */
  async clean(): Promise<void> {
    requireTrust();
    const { docker } = this.#options;
    const { found, unreachable } = await withLateProgress('Looking for leftovers in Docker', (signal) =>
      docker.leftovers(this.#engines(), signal),
    );
    const items = found.flatMap((one) => one.leftovers.map((leftover) => this.#item(one.place, leftover)));
    const [problem] = unreachable;
    if (items.length === 0) {
      if (found.length === 0 && problem) throw problem;
      const but = problem ? ` ${problem.message}.` : '';
      await vscode.window.showInformationMessage(`Nothing is left over in Docker.${but}`);
      return;
    }
    const chosen = await vscode.window.showQuickPick(items, {
      canPickMany: true,
      title: 'Clean up which leftovers of windows that are closed?',
      placeHolder: problem ? problem.message : 'A static cluster that still runs idles out by itself',
    });
    if (!chosen || chosen.length === 0) return;
    const count = await withLateProgress('Cleaning up', async (signal, stage) => {
      for (const { place, leftover } of chosen) {
        signal.throwIfAborted();
        stage(leftover.name);
        await docker.removeLeftover(place, leftover, signal);
      }
      return chosen.length;
    });
    this.#options.log.info(`leftovers removed: ${chosen.map(({ leftover }) => leftover.cluster).join(', ')}`);
    vscode.window.setStatusBarMessage(`Removed ${count} of ${items.length} leftovers in Docker`, 5000);
  }

  /** Those of the configured executors, and the one that `docker` would use. */
  #engines() {
    const { executors } = this.#options.store.snapshot.executors;
    return [...executors.filter((one) => one.kind === 'docker'), {}];
  }

  #item(place: Item['place'], leftover: Leftover): Item {
    const { name, lifetime, createdMs, containers, running, safe } = leftover;
    const age =
      createdMs === undefined ? 'of unknown age' : `${formatSpan((Date.now() - createdMs) / 1000)} old`;
    const parts =
      containers === 0
        ? 'a network only'
        : `${containers} container${containers === 1 ? '' : 's'}, ${running} running`;
    return {
      label: name,
      description: [lifetime, age, parts].join(' · '),
      detail: safe
        ? `${leftover.cluster} at ${place.host}`
        : `${leftover.cluster} at ${place.host}: still runs, and may be used from another window`,
      picked: safe,
      ...{ place, leftover },
    };
  }
}
