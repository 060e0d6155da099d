import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { addressOf, parseAddress } from '../core/address.ts';
import { type Attached, readAttached, withAddress } from '../core/attached.ts';
import { freeName } from '../core/cluster.ts';
import type { Disposable } from '../core/emitter.ts';
import { UserError } from '../core/errors.ts';
import type { ExistingExecutor, SecurityFiles } from '../core/executor.ts';
import { toFailure } from '../core/failure.ts';
import { within } from '../core/limit.ts';
import type { Logger } from '../core/log.ts';
import type { ClusterManager } from '../core/manager.ts';
import type { MembersListener } from '../core/members.ts';
import { type PodScheduler, podAddress } from '../core/podScheduler.ts';
import type { Security } from '../core/security.ts';
import type { Store } from '../core/store.ts';
import { readPage } from '../dask/dashboard.ts';

/** Where a workspace keeps things; VS Code's `Memento` fits as it is. */
export interface Memory {
  get(key: string): unknown;
  update(key: string, value: unknown): PromiseLike<void>;
}

/** Where secrets are kept; VS Code's `SecretStorage` fits as it is. */
export interface Secrets {
  get(key: string): PromiseLike<string | undefined>;
  store(key: string, value: string): PromiseLike<void>;
  delete(key: string): PromiseLike<void>;
}

/** Ports of this machine's loopback that lead to a scheduler elsewhere, and to its dashboard, until they are closed. */
export interface Link {
  readonly port: number;
  readonly dashboardPort: number;
  /** Tells of the pods of its cluster, now and as they change, until disposed. */
  onMembers(listener: MembersListener): Disposable;
  close(): void;
}

export interface AttachmentsOptions {
  readonly store: Store;
  readonly manager: ClusterManager;
  readonly memory: Memory;
  readonly secrets: Secrets;
  readonly log: Logger;
  /** Rejects with a {@link UserError} if they can't be read. */
  readCertificates(files: SecurityFiles): Promise<Security>;
  /** Rejects with a {@link UserError} if nobody knows the way; what does not answer now may do so later. */
  link(pods: PodScheduler): Promise<Link>;
}

/** Certificates, and the files that they are to be read from again; without these they are kept as a secret. */
export interface Given {
  readonly security: Security;
  readonly files?: SecurityFiles | undefined;
  /** URL of the dashboard, where whoever has given them knows of it. */
  readonly dashboard?: string | undefined;
}

/** A scheduler that has answered. */
export interface NewAttachment {
  /** As it was found, in Dask's spelling. */
  readonly address: string;
  /** The executor that means it. */
  readonly executor?: ExistingExecutor | undefined;
  readonly given?: Given | undefined;
  /** How it was reached, if not by its own address; from now on closed with its row. */
  readonly forwarded?: { readonly pods: PodScheduler; readonly link: Link } | undefined;
}

type Access = { readonly security?: Security } | { readonly problem: string };

/** Keys of the workspace's memory. */
export const attachedKey = 'attached';
export const beforeKey = 'attachedBefore';
const secretKey = (id: string): string => `attached/${id}`;
/** A lost scheduler is looked at every five seconds. */
const readyMs = 15_000;

/** The clusters that this workspace is attached to: remembered from window to window until they are detached. */
export class Attachments {
  readonly #options: AttachmentsOptions;
  readonly #listening: Disposable;
  /** By the id of their rows. */
  readonly #entries = new Map<string, Attached>();
  /** Of those of them that are reached by one. */
  readonly #links = new Map<string, Link>();
  #restoring = false;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
    this.#listening = options.store.onDidChange((event) => {
      if (event.type === 'target' && this.#entries.size > 0) this.#keep();
      if (event.type === 'executors') void this.#followExecutors();
    });
  }

  /** From now on nothing is remembered or forgotten; before the rows go with their window. */
  dispose(): void {
    this.#listening.dispose();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  /** Brings back what earlier windows were attached to: each has its row at once, whether it answers or not. */
  async restore(): Promise<void> {
    const { memory } = this.#options;
    const known = readAttached(memory.get(attachedKey));
    if (known.length === 0) return;
    this.#restoring = true;
    const ways = await Promise.all(known.map((attached) => this.#way(attached)));
    for (const [i, attached] of known.entries()) {
      const { link, access = {} } = ways[i] ?? {};
      // The user may have been quicker.
      if (this.#rowAt(attached.address)) link?.close();
      else this.#show(attached, access, { link });
    }
    this.#restoring = false;
    await this.#followExecutors();
    this.#keep();
  }

  /** Takes a cluster up, or takes up anew the one that is there already; returns the id of its row. */
  async add({ address: found, executor, given, forwarded }: NewAttachment): Promise<string> {
    const { memory, secrets, manager } = this.#options;
    const pods = forwarded?.pods;
    const address = pods ? podAddress(pods) : found;
    const row = this.#rowAt(address) ?? (executor && this.#rowOf(executor.name));
    const before = row === undefined ? undefined : this.#entries.get(row);
    const kept = before?.address === address ? before : undefined;
    const attached: Attached = {
      id: before?.id ?? randomUUID(),
      name: executor?.name ?? kept?.name ?? pods?.name ?? address.replace(/^[a-z]+:\/\//, ''),
      ...{ address, pods },
      executor: executor ? { name: executor.name, address: executor.address } : kept?.executor,
      files: given?.files,
      secret: given && !given.files,
      dashboard: given?.dashboard,
    };
    if (attached.secret) await secrets.store(secretKey(attached.id), JSON.stringify(given?.security));
    else if (before?.secret) await secrets.delete(secretKey(attached.id));
    const security = given?.security;
    const asItIs =
      row !== undefined &&
      !forwarded &&
      isEqual(before, attached) &&
      isEqual(manager.access(row)?.security, security);
    const access = security ? { security } : {};
    const id = asItIs ? row : this.#show(attached, access, { replaced: row, link: forwarded?.link });
    this.#keep();
    if (!pods) await memory.update(beforeKey, withAddress(memory.get(beforeKey), address));
    return id;
  }

  /** Lets go of a cluster and forgets it, with its secret. The cluster goes on. */
  async detach(clusterId: string): Promise<void> {
    const attached = this.#entries.get(clusterId);
    this.#entries.delete(clusterId);
    this.#release(clusterId);
    this.#keep();
    if (attached?.secret) await this.#options.secrets.delete(secretKey(attached.id));
  }

  /** The row of an executor's cluster, if it is attached as the executor now says. */
  find(executor: ExistingExecutor): string | undefined {
    const own = this.#rowOf(executor.name);
    const attached = own === undefined ? undefined : this.#entries.get(own);
    if (attached && !isChanged(attached, executor)) return own;
    if (readPage(executor.address)) return undefined;
    return this.#rowAt(parseAddress(executor.address).text);
  }

  /** The addresses that are attached. */
  get addresses(): readonly string[] {
    return [...this.#entries.values()].map(({ address }) => address);
  }

  /** Where the certificates of an attached cluster are read from, as the settings say it; undefined for secrets. */
  files(clusterId: string): SecurityFiles | undefined {
    return this.#entries.get(clusterId)?.files;
  }

  /**
   * The certificates that are known for an executor, or for an address that is attached.
   * @throws UserError if those that the settings name can't be read
   */
  async certificates(address: string, executor?: ExistingExecutor): Promise<Given | undefined> {
    const named = executor?.security;
    if (named) return { security: await this.#options.readCertificates(named), files: named };
    const row = (executor && this.#rowOf(executor.name)) ?? this.#rowAt(address);
    const attached = row === undefined ? undefined : this.#entries.get(row);
    // Those that are lost are asked for again.
    const security = attached && (await this.#read(attached).catch(() => undefined));
    const { files, dashboard } = attached ?? {};
    return security && { security, files, ...(dashboard !== undefined && { dashboard }) };
  }

  /**
   * Resolves when the cluster runs, which takes a moment after it has been attached.
   * @throws UserError `unreachable` with the reason if it does not, `cancelled`
   */
  async ready(clusterId: string, signal?: AbortSignal): Promise<void> {
    const { store, manager } = this.#options;
    let listening: Disposable | undefined;
    const running = new Promise<void>((resolve, reject) => {
      const look = () => {
        const cluster = store.snapshot.clusters.get(clusterId);
        if (cluster?.state.kind === 'running') resolve();
        if (!cluster) reject(new UserError('cancelled', 'The cluster was detached'));
      };
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      listening = store.onDidChange(look);
      look();
    });
    try {
      await within(running, readyMs, () => new UserError('timeout', 'The cluster does not answer'));
    } catch (error) {
      // It knows best what is the matter with a cluster that is lost.
      if (error instanceof UserError && error.reason === 'timeout') manager.handle(clusterId);
      else throw error;
    } finally {
      listening?.dispose();
    }
  }

  #rowAt(address: string): string | undefined {
    return [...this.#entries].find(([, attached]) => attached.address === address)?.[0];
  }

  #rowOf(executor: string): string | undefined {
    return [...this.#entries].find(([, attached]) => attached.executor?.name === executor)?.[0];
  }

  /** Gives it a row, in place of the one that it had; it stays the one for runs. */
  #show(
    attached: Attached,
    access: Access,
    { replaced, link }: { readonly replaced?: string | undefined; readonly link?: Link | undefined } = {},
  ): string {
    const { store, manager } = this.#options;
    const used = replaced === undefined ? attached.used : store.snapshot.targetClusterId === replaced;
    if (replaced !== undefined) {
      this.#entries.delete(replaced);
      this.#release(replaced);
    }
    const name = freeName(attached.name, store.snapshot.clusters.values());
    const { pods, secret, files, dashboard } = attached;
    const scheme = secret || files ? 'tls' : 'tcp';
    const address = link ? addressOf(scheme, '127.0.0.1', link.port).text : attached.address;
    const forwarded = pods && {
      pods,
      ...(link && {
        dashboardPort: link.dashboardPort,
        onMembers: (listener: MembersListener) => link.onMembers(listener),
      }),
    };
    const id = manager.attach({
      ...{ name, address, ...access },
      ...(forwarded && { forwarded }),
      ...(dashboard !== undefined && { dashboard }),
    });
    this.#entries.set(id, attached);
    if (link) this.#links.set(id, link);
    if (used) store.dispatch({ type: 'target', clusterId: id });
    return id;
  }

  #release(id: string): void {
    this.#options.manager.detach(id);
    this.#links.get(id)?.close();
    this.#links.delete(id);
  }

  async #way(attached: Attached): Promise<{ readonly link?: Link; readonly access: Access }> {
    const access = await this.#access(attached);
    if (!attached.pods || 'problem' in access) return { access };
    try {
      return { access, link: await this.#options.link(attached.pods) };
    } catch (error) {
      return { access: { problem: toFailure(error).message } };
    }
  }

  /** The settings have changed: a cluster goes by what its executor says now. */
  async #followExecutors(): Promise<void> {
    const { store, log } = this.#options;
    const executors = store.snapshot.executors.executors.filter((executor) => executor.kind === 'existing');
    for (const [id, attached] of this.#entries) {
      const executor = executors.find(({ name }) => name === attached.executor?.name);
      // Where a dashboard is named, the next run has to ask it.
      if (!executor || !isChanged(attached, executor) || readPage(executor.address)) continue;
      try {
        const next: Attached = {
          ...attached,
          address: parseAddress(executor.address).text,
          executor: { name: executor.name, address: executor.address },
          files: executor.security ?? attached.files,
        };
        const access = await this.#access(next);
        if (this.#entries.get(id) === attached) this.#show(next, access, { replaced: id });
        this.#keep();
      } catch (error) {
        // The next run that uses it says so to the user.
        log.warn(`executor ${executor.name}: ${toFailure(error).message}`);
      }
    }
  }

  async #access(attached: Attached): Promise<Access> {
    try {
      const security = await this.#read(attached);
      return security ? { security } : {};
    } catch (error) {
      return { problem: toFailure(error).message };
    }
  }

  async #read({ id, files, secret }: Attached): Promise<Security | undefined> {
    if (files) return await this.#options.readCertificates(files);
    if (!secret) return undefined;
    const text = await this.#options.secrets.get(secretKey(id));
    if (text !== undefined) return JSON.parse(text) as Security;
    throw new UserError('setting', 'its certificates are not kept on this machine', {
      hint: 'Detach it, and attach it again',
    });
  }

  #keep(): void {
    if (this.#restoring) return;
    const { memory, store } = this.#options;
    const all = [...this.#entries].map(([id, attached]) => ({
      ...attached,
      used: store.snapshot.targetClusterId === id,
    }));
    // A failed write is VS Code's to report; the cluster itself is not affected.
    void memory.update(attachedKey, all);
  }
}

/** Whether the executor says something else than when it was attached. */
function isChanged({ executor: then, files }: Attached, { address, security }: ExistingExecutor): boolean {
  if (then?.address !== address) return true;
  return (
    security !== undefined && JSON.stringify(ordered(security)) !== JSON.stringify(files && ordered(files))
  );
}

function isEqual(one: object | undefined, other: object | undefined): boolean {
  const plain = (value: object | undefined) =>
    value && JSON.parse(JSON.stringify({ ...value, used: undefined }));
  return isDeepStrictEqual(plain(one), plain(other));
}

const ordered = ({ ca, cert, key }: SecurityFiles) => [ca, cert, key];
