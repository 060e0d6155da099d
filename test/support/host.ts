import { delimiter, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LocalBackend } from '../../src/backends/local.ts';
import type { Cluster } from '../../src/core/cluster.ts';
import type { FlowDef } from '../../src/core/flow.ts';
import type { Logger } from '../../src/core/log.ts';
import { ClusterManager, type Watch } from '../../src/core/manager.ts';
import { isOver, type Run } from '../../src/core/run.ts';
import { Store } from '../../src/core/store.ts';
import { makeHostDirectory } from '../../src/host/directories.ts';
import { PythonHost } from '../../src/host/pythonHost.ts';
import type { HostEvent, RunEvent } from '../../src/protocol/host.ts';
import { RunChannels } from '../../src/runs/channel.ts';
import { ClusterOutputs } from '../../src/runs/clusterOutputs.ts';
import type { RunRequest } from '../../src/runs/request.ts';
import { RunService } from '../../src/runs/service.ts';

/** One thing that the fake host does; see `fakeHost.mjs`. */
export type Step =
  | { readonly say: HostEvent | Record<string, unknown> }
  | { readonly write: string }
  | { readonly complain: string }
  | { readonly showEnvironment: true }
  | { readonly sleep: number }
  | { readonly connect: true }
  | { readonly event: RunEvent | Record<string, unknown> }
  | { readonly print: string }
  | { readonly await: 'go' | 'stop' }
  | { readonly leave: true }
  | { readonly daemon: number }
  | { readonly exit: number }
  | { readonly kill: NodeJS.Signals };

/** What the fake host does at its start and for each request. */
export type Scenario = Readonly<Record<string, readonly Step[] | boolean>>;

/** A limit costs time only where something is broken: it is for a machine that has much else to do. */
export const patienceMs = 100_000;

/** Keeps what is logged. */
export class MemoryLog implements Logger {
  readonly lines: string[] = [];
  trace(): void {}
  debug(message: string): void {
    this.lines.push(`debug ${message}`);
  }
  info(message: string): void {
    this.lines.push(`info ${message}`);
  }
  warn(message: string): void {
    this.lines.push(`warn ${message}`);
  }
  error(message: string): void {
    this.lines.push(`error ${message}`);
  }
}

export const packages = {
  dask: '2026.8.0',
  distributed: '2026.8.0',
  prefect: '3.8.8',
  'prefect-dask': '0.3.7',
};

export const hello: Step = {
  say: { event: 'hello', pid: 1, executable: '/env/bin/python', python: '3.11.2', packages, mode: 'fork' },
};
export const ready: Step = { say: { event: 'ready', seconds: 0.1 } };
export const clusterStarted: Step = {
  say: {
    event: 'cluster.started',
    cluster: '$cluster',
    address: 'tcp://127.0.0.1:1',
    dashboard: 'http://127.0.0.1:2/status',
    n_workers: 2,
    pid: 0,
    pgid: null,
    seconds: 0.1,
  },
};
export const clusterClosed: Step = {
  say: { event: 'cluster.ended', cluster: '$cluster', reason: 'closed' },
};
export const runStarted: Step = { say: { event: 'run.started', run: '$run', pid: 0, pgid: null } };
export const runKilled: Step = { say: { event: 'run.exited', run: '$run', code: null, signal: 9 } };
export const runExited: Step = { say: { event: 'run.exited', run: '$run', code: 0, signal: null } };

/** A host with which everything goes well: the run waits for its cluster, then is left to the scenario. */
export const goodScenario: Scenario = {
  start: [hello, ready],
  'prefect.start': [{ say: { event: 'prefect.server', state: 'ready', url: 'http://127.0.0.1:4200/api' } }],
  check: [{ say: { event: 'checked', id: '$id' } }],
  'cluster.start': [
    { say: { event: 'cluster.stage', cluster: '$cluster', stage: 'scheduler' } },
    clusterStarted,
  ],
  'cluster.close': [clusterClosed],
  'run.start': [
    { connect: true },
    runStarted,
    { event: { event: 'stage', stage: 'loading' } },
    { event: { event: 'stage', stage: 'waiting' } },
    { await: 'go' },
    { event: { event: 'stage', stage: 'running' } },
  ],
  'run.kill': [runKilled],
};

/** Steps of `goodScenario` for one request, with more after them. */
export function followedBy(op: string, ...steps: Step[]): Scenario {
  return { ...goodScenario, [op]: [...(goodScenario[op] as Step[]), ...steps] };
}

/** A {@link PythonHost} on the fake host, disposed of with {@link Bench.dispose}. */
export async function fakeHost(
  scenario: Scenario,
  log: Logger = new MemoryLog(),
  directory?: string,
): Promise<PythonHost> {
  return new PythonHost({
    python: fileURLToPath(new URL('fakeHost.mjs', import.meta.url)),
    script: 'cluster_host.py',
    config: { directory: directory ?? (await makeHostDirectory()), workspace: process.cwd() },
    env: {
      ...process.env,
      PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      FAKE_HOST: JSON.stringify(scenario),
    },
    log,
  });
}

export const daskFlow: FlowDef = {
  api: 'dask',
  name: 'script',
  entry: { how: 'script' },
  line: 0,
  parameters: [],
};

/** The extension's parts around one host, without the editor. */
export class Bench {
  readonly store = new Store();
  readonly log: MemoryLog;
  readonly channels = new RunChannels();
  readonly manager: ClusterManager;
  readonly outputs: ClusterOutputs;
  readonly runs: RunService;
  readonly host: PythonHost;
  /** Every state that a run or cluster went through, in order: `run queued`, `cluster running`. */
  readonly history: string[] = [];

  constructor(
    host: PythonHost,
    watch: Watch = () => ({ dispose: () => undefined }),
    log: MemoryLog = new MemoryLog(),
  ) {
    this.host = host;
    this.log = log;
    this.manager = new ClusterManager({ store: this.store, watch, log: this.log });
    const { store, manager, channels } = this;
    this.outputs = new ClusterOutputs({ store, manager, channels });
    this.runs = new RunService({
      store: this.store,
      manager: this.manager,
      channels: this.channels,
      outputs: this.outputs,
      log: this.log,
    });
    this.store.onDidChange((event) => {
      if (event.type === 'run.state') this.history.push(`run ${event.state.kind}`);
      if (event.type === 'cluster.state') this.history.push(`cluster ${event.state.kind}`);
      if (event.type === 'cluster.removed') this.history.push('cluster removed');
    });
  }

  static async fake(scenario: Scenario): Promise<Bench> {
    const log = new MemoryLog();
    return new Bench(await fakeHost(scenario, log), undefined, log);
  }

  get backend(): LocalBackend {
    return new LocalBackend(this.host);
  }

  /** Starts a run on a temporary cluster, or on the one that is named. */
  start(request: Partial<RunRequest> & { clusterId?: string } = {}): Promise<string> {
    const { clusterId, ...rest } = request;
    return this.runs.start({
      uri: 'file:///flow.py',
      file: '/flow.py',
      workspace: this.host.workspace,
      flow: daskFlow,
      parameters: {},
      host: this.host,
      target: clusterId
        ? { kind: 'cluster', clusterId }
        : { kind: 'executor', executor: { name: 'local', kind: 'local' }, backend: this.backend },
      ...rest,
    });
  }

  /** Starts a static cluster and waits for it. */
  async startStatic(options: { n_workers?: number; threads_per_worker?: number } = {}): Promise<string> {
    const { id, started } = await this.outputs.start({
      executor: { name: 'local', kind: 'local', ...options },
      backend: this.backend,
      name: 'local',
      lifetime: 'static',
    });
    await started;
    return id;
  }

  run(id: string): Run {
    const run = this.store.snapshot.runs.get(id);
    if (!run) throw new Error(`no run ${id}`);
    return run;
  }

  cluster(id: string): Cluster | undefined {
    return this.store.snapshot.clusters.get(id);
  }

  /** Resolves as soon as `condition` holds; rejects with the history after `timeoutMs`. */
  until(condition: () => boolean, timeoutMs = patienceMs): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        listening.dispose();
        reject(
          new Error(`waited in vain: ${this.history.join(', ')}\n${this.log.lines.slice(-20).join('\n')}`),
        );
      }, timeoutMs);
      const listening = this.store.onDidChange(() => {
        if (!condition()) return;
        clearTimeout(timer);
        listening.dispose();
        resolve();
      });
    });
  }

  async over(id: string, timeoutMs?: number): Promise<Run> {
    await this.until(() => isOver(this.run(id)), timeoutMs);
    return this.run(id);
  }

  /** All that a run has printed that is over: its last words come by another way than its end. */
  async printed(id: string): Promise<string> {
    const output = this.runs.output(id);
    await new Promise<void>((resolve) => output?.onEnd(resolve) ?? resolve());
    return output?.text() ?? '';
  }

  /** As the extension's `deactivate`. */
  async dispose(): Promise<void> {
    this.runs.dispose();
    await this.manager.dispose();
    this.channels.dispose();
    await this.host.dispose();
  }
}
