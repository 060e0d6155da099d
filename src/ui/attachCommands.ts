import { homedir } from 'node:os';
import { isAbsolute } from 'node:path';
import * as vscode from 'vscode';
import { clientCertificates } from '../backends/kubernetes/deployment/clients.ts';
import type { SchedulerLink } from '../backends/kubernetes/schedulerLink.ts';
import { executorAt, offersOf, readAddresses } from '../core/attached.ts';
import type { Cluster } from '../core/cluster.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import { type ExistingExecutor, plural } from '../core/executor.ts';
import { toFailure } from '../core/failure.ts';
import { type PodScheduler, podText } from '../core/podScheduler.ts';
import type { Store } from '../core/store.ts';
import type { TreeNode } from '../core/tree.ts';
import { type DaskConfig, readDaskConfig } from '../dask/daskConfig.ts';
import { type FoundScheduler, locateScheduler } from '../dask/locate.ts';
import { type Attachments, beforeKey, type Given } from '../runs/attachments.ts';
import { isBehindGateway } from '../runs/gatewayClusters.ts';
import { askAddress, type Wanted } from './attachPick.ts';
import { askCertificates } from './certificates.ts';
import { requireTrust } from './flowCommands.ts';
import { showError } from './messages.ts';
import { withLateProgress } from './progress.ts';
import type { Interpreters } from './python.ts';

export interface AttachCommandsOptions {
  readonly store: Store;
  readonly attachments: Attachments;
  readonly interpreters: Interpreters;
  readonly memory: vscode.Memento;
  readonly log: vscode.LogOutputChannel;
  link(pods: PodScheduler): Promise<SchedulerLink>;
  /** Asks the gateway of an address for what clients need. */
  askGateway(address: string, signal: AbortSignal): Promise<Given>;
  /** Takes up a cluster of ours that another window has started; false if its certificates are not here. */
  takeUp(cluster: string): Promise<boolean>;
}

interface Connected {
  readonly found: FoundScheduler;
  readonly given: Given | undefined;
}

/** Runs one attempt: with progress of its own, or within that of a run. */
type Attempt = <T>(work: (signal: AbortSignal, stage: (text: string) => void) => Promise<T>) => Promise<T>;

/** Attaches to clusters that are there already, and lets go of them. */
export class AttachCommands implements vscode.Disposable {
  readonly #options: AttachCommandsOptions;
  readonly #trusted: vscode.Disposable;

  constructor(options: AttachCommandsOptions) {
    this.#options = options;
    const restore = () => {
      options.attachments.restore().catch((error: unknown) => void showError(error, options.log));
    };
    this.#trusted = vscode.workspace.onDidGrantWorkspaceTrust(restore);
    if (vscode.workspace.isTrusted) restore();
  }

  dispose(): void {
    this.#trusted.dispose();
  }

  /** Attaches to the cluster of a row, of a discovered one or of an executor, or to what the user names. */
  async attach(node?: TreeNode): Promise<void> {
    requireTrust();
    const found = node && this.#options.store.snapshot.clusters.get(node.key);
    if (found?.ownership === 'discovered' && 'address' in found.state) {
      await this.#attach({ address: found.state.address });
      return;
    }
    if (found?.ownership === 'discovered' && found.pods) {
      await this.attachPods(found.pods);
      return;
    }
    const executor = this.#executor(node?.context.startsWith('executor') ? node.key : undefined);
    if (executor) {
      await this.attachTo(executor);
      return;
    }
    for (let next = await this.#ask(''); next; next = await this.#ask(next.address)) {
      try {
        await this.#attach(next);
        return;
      } catch (error) {
        if (!(await this.#wantsAgain(error))) return;
      }
    }
  }

  /** Attaches to what an executor means, which need not be in the settings. */
  async attachTo(executor: ExistingExecutor): Promise<void> {
    requireTrust();
    await this.#attachBy(executor.address, executor);
  }

  /** Lets go of an attached cluster: the row's, or one that the user picks. It goes on. */
  async detach(node?: TreeNode): Promise<void> {
    const { store, attachments } = this.#options;
    const attached = [...store.snapshot.clusters.values()].filter(
      ({ ownership }) => ownership === 'attached',
    );
    const cluster = node ? store.snapshot.clusters.get(node.key) : await pickCluster(attached);
    if (!cluster) return;
    await attachments.detach(cluster.id);
    vscode.window.setStatusBarMessage(`Detached from ${cluster.name}: it goes on`, 5000);
  }

  /** The certificates of an executor's cluster as attaching would have them, as far as the user need not give them. */
  async certificates(executor: ExistingExecutor, signal: AbortSignal): Promise<Given | undefined> {
    const { attachments, askGateway } = this.#options;
    const known = await attachments.certificates(executor.address, executor);
    if (known || !isBehindGateway(executor.address)) return known;
    return await askGateway(executor.address, signal);
  }

  /** The cluster that an executor means, for a run: the one that is attached, else it is attached now. */
  async forRun(
    executor: ExistingExecutor,
    signal: AbortSignal,
    stage: (text: string) => void,
  ): Promise<string> {
    const { store, attachments } = this.#options;
    const known = attachments.find(executor);
    if (known !== undefined && store.snapshot.clusters.get(known)?.state.kind === 'running') return known;
    const { found, given } = await this.#connect(executor.address, executor, (work) => work(signal, stage));
    const id = await attachments.add({ address: found.address, executor, given });
    await attachments.ready(id, signal);
    return id;
  }

  async #attach({ address, executor: name }: Wanted): Promise<void> {
    const { executors } = this.#options.store.snapshot.executors;
    await this.#attachBy(address, this.#executor(name) ?? executorAt(executors, address));
  }

  async #attachBy(address: string, executor: ExistingExecutor | undefined): Promise<void> {
    const title = `Attach to ${address}`;
    const { found, given } = await this.#connect(address, executor, (work) => withLateProgress(title, work));
    const id = await this.#options.attachments.add({ address: found.address, executor, given });
    // Not awaited: the command is over, its message may stay until the user has read it.
    void this.#offerUse(id);
  }

  /** Through the API server: nothing there changes by it. */
  async attachPods(pods: PodScheduler): Promise<void> {
    if (pods.maker === 'flow-clusters') {
      if (await this.#options.takeUp(pods.name)) return;
      throw new UserError(
        'not-permitted',
        `${pods.name} can't be attached to: only its window has the keys`,
        {
          hint: 'Each cluster of this extension has certificates of its own, which do not leave the machine.',
        },
      );
    }
    const title = `Attach to ${podText(pods)}`;
    const link = await this.#options.link(pods);
    try {
      await withLateProgress(title, async (signal, stage) => {
        stage(`asking Kubernetes for it`);
        await link.ready(signal);
      });
      const { found, given } = await this.#connectTo(pods, link.port, title);
      const forwarded = { pods, link };
      void this.#offerUse(await this.#options.attachments.add({ address: found.address, given, forwarded }));
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** One that was deployed has a Secret for its clients; who may not read it is asked for certificates. */
  async #connectTo(pods: PodScheduler, port: number, title: string): Promise<Connected> {
    const attempt: Attempt = (work) => withLateProgress(title, work);
    if (pods.maker !== 'deployment') return this.#connect(`tcp://127.0.0.1:${port}`, undefined, attempt);
    const security = await attempt((signal, stage) => {
      stage('reading its certificates');
      return clientCertificates(pods, signal);
    });
    return this.#connect(`tls://127.0.0.1:${port}`, undefined, attempt, security && { security });
  }

  /**
   * Finds the scheduler; asks for certificates as often as it wants others, unless the settings name them. Of one behind a
   * gateway that is asked, once.
   */
  async #connect(
    address: string,
    executor: ExistingExecutor | undefined,
    attempt: Attempt,
    known?: Given,
  ): Promise<Connected> {
    let asked = address;
    let given = known ?? (await this.#options.attachments.certificates(address, executor));
    let isAsked = false;
    for (;;) {
      const found = await attempt((signal, stage) => {
        stage(`asking ${asked}`);
        return locateScheduler(asked, { signal, security: given?.security });
      }).catch((error: unknown) => {
        throw executor ? leadingToSettings(error) : error;
      });
      if (found.kind === 'scheduler') return { found, given };
      if (executor?.security) throw leadingToSettings(found.error);
      if (isBehindGateway(found.address)) {
        if (isAsked) throw found.error;
        isAsked = true;
        given = await attempt((signal, stage) => {
          stage('asking its gateway');
          return this.#options.askGateway(found.address, signal);
        });
        continue;
      }
      const dask = (await this.#daskConfig()).tls;
      given = await askCertificates({ address: found.address, why: found.error.what, dask });
      if (!given) throw new UserError('cancelled', 'No certificates were given');
      asked = found.address;
    }
  }

  async #ask(value: string): Promise<Wanted | undefined> {
    const { store, attachments, memory, log } = this.#options;
    let config: DaskConfig = { problems: [] };
    const more = this.#daskConfig().then(
      (read) => {
        config = read;
      },
      (error: unknown) => log.warn(`no configuration of Dask: ${String(error)}`),
    );
    return await askAddress({
      value,
      more,
      offers: () =>
        offersOf({
          dask: config.address && config.source ? [{ address: config.address, source: config.source }] : [],
          executors: store.snapshot.executors.executors,
          before: readAddresses(memory.get(beforeKey)),
          attached: attachments.addresses,
        }),
      forget: (address) => {
        const left = readAddresses(memory.get(beforeKey)).filter((known) => known !== address);
        void memory.update(beforeKey, left);
      },
    });
  }

  async #daskConfig(): Promise<DaskConfig> {
    const { interpreters, log } = this.#options;
    const found = await interpreters.find(vscode.workspace.workspaceFolders?.[0]).catch((error: unknown) => {
      log.warn(`no interpreter, so its environment is not looked into: ${String(error)}`);
      return '';
    });
    const python = isAbsolute(found) ? found : undefined;
    const config = await readDaskConfig({ env: process.env, home: homedir(), python });
    for (const problem of config.problems) log.warn(`a configuration of Dask can't be read: ${problem}`);
    return config;
  }

  #executor(name: string | undefined): ExistingExecutor | undefined {
    const { executors } = this.#options.store.snapshot.executors;
    return executors.filter((executor) => executor.kind === 'existing').find((one) => one.name === name);
  }

  /** Shows why it did not work; true if the user wants to change the address. What is no UserError is a bug: thrown. */
  async #wantsAgain(error: unknown): Promise<boolean> {
    if (!(error instanceof UserError) || error.action) throw error;
    if (error.reason === 'cancelled') return false;
    const { message, hint } = toFailure(error);
    this.#options.log.warn([message, hint].filter(Boolean).join('\n'));
    const again = 'Change Address';
    const text = [message.replace(/\.$/, ''), hint].filter(Boolean).join('. ');
    return (await vscode.window.showErrorMessage(text, again)) === again;
  }

  /** Attaching alone changes nothing about runs: that is for the user to say. */
  async #offerUse(id: string): Promise<void> {
    const { store, attachments, log } = this.#options;
    try {
      await attachments.ready(id);
      const cluster = store.snapshot.clusters.get(id);
      if (!cluster || store.snapshot.targetClusterId === id) return;
      const use = 'Use for Runs';
      const workers = plural(cluster.info?.workers.length ?? 0, 'worker');
      const chosen = await vscode.window.showInformationMessage(
        `Attached to ${cluster.name} (${workers}). Run flows on it from now on?`,
        use,
      );
      if (chosen === use && store.snapshot.clusters.has(id))
        store.dispatch({ type: 'target', clusterId: id });
    } catch (error) {
      await showError(error, log);
    }
  }
}

/** What is wrong with an executor is to be mended where it is written. */
function leadingToSettings(error: unknown): unknown {
  if (!(error instanceof UserError) || error.reason === 'cancelled') return error;
  const { reason, message, hint } = error;
  return new UserError(reason, message, {
    ...(hint && { hint }),
    action: executorSettings,
    cause: error,
  });
}

async function pickCluster(clusters: readonly Cluster[]): Promise<Cluster | undefined> {
  if (clusters.length <= 1) return clusters[0];
  const items = clusters.map((cluster) => ({
    label: cluster.name,
    description: cluster.state.kind,
    cluster,
  }));
  return (await vscode.window.showQuickPick(items, { title: 'Detach from which cluster?' }))?.cluster;
}
