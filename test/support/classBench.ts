import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterClassBackend } from '../../src/backends/clusterClass.ts';
import type { ClusterClassExecutor } from '../../src/core/clusterClassExecutor.ts';
import { UserError } from '../../src/core/errors.ts';
import type { FlowApiId, FlowDef } from '../../src/core/flow.ts';
import type { Run } from '../../src/core/run.ts';
import type { Bench } from './host.ts';
import {
  type EnvironmentName,
  flowsDirectory,
  liveBench,
  prefectHome,
  pythonOf,
  removeFolder,
} from './hostLive.ts';
import { Family } from './processes.ts';

/** Machines of tests are shared, and some classes take their time. */
export const patienceMs = 150_000;

export interface Sample {
  readonly file: string;
  readonly flow: FlowDef;
}

export function sample(api: FlowApiId, file: string, path?: string): Sample {
  const entry = path === undefined ? ({ how: 'script' } as const) : ({ how: 'import', path } as const);
  const name = path ?? file.replace('.py', '');
  return { file: join(flowsDirectory, file), flow: { api, name, entry, line: 0, parameters: [] } };
}

export async function until(condition: () => unknown, what: string): Promise<void> {
  for (const end = Date.now() + patienceMs; !(await condition()); await sleep(20))
    assert.ok(Date.now() < end, `did not happen: ${what}`);
}

export const plain = sample('dask', 'plain.py');

/** A host on one environment, with executors of cluster classes. */
export class ClassBench {
  readonly family = new Family();
  bench!: Bench;
  #folder = '';
  #before = new Set<number>();

  async start(
    python: string,
    more: Record<string, string>,
    home?: Awaited<ReturnType<typeof prefectHome>>,
  ): Promise<void> {
    this.#folder = home?.folder ?? (await mkdtemp(join(tmpdir(), 'class-')));
    const env = { ...home?.env, ...more, ...this.family.env, MARKS: join(this.#folder, 'marks') };
    this.bench = await liveBench({ python, env });
    await this.bench.host.whenReady();
    this.#before = new Set(this.family.members().map(({ pid }) => pid));
  }

  executor(cluster_class: string, other: Partial<ClusterClassExecutor> = {}): ClusterClassExecutor {
    return { name: 'mine', kind: 'clusterClass', cluster_class, ...other };
  }

  /** One click: runs to the end on a temporary cluster. */
  async run(executor: ClusterClassExecutor, of: Sample, env?: Record<string, string>): Promise<Run> {
    const id = await this.begin(executor, of, env);
    const run = await this.bench.over(id, patienceMs);
    await this.bench.printed(id);
    return run;
  }

  begin(executor: ClusterClassExecutor, of: Sample, env?: Record<string, string>): Promise<string> {
    const backend = new ClusterClassBackend(this.bench.host);
    return this.bench.start({ ...of, ...(env && { env }), target: { kind: 'executor', executor, backend } });
  }

  /** As "Start Cluster…"; resolves with its id when it is there. */
  async startStatic(executor: ClusterClassExecutor): Promise<string> {
    const { id, started } = await this.launch(executor);
    await started;
    return id;
  }

  launch(executor: ClusterClassExecutor) {
    const backend = new ClusterClassBackend(this.bench.host);
    const { name } = executor;
    return this.bench.outputs.start({ executor, backend, name, lifetime: 'static' });
  }

  /** Why a static cluster of it does not start. */
  async refusal(executor: ClusterClassExecutor): Promise<UserError> {
    const { id, started } = await this.launch(executor);
    const error = await started.then(
      () => assert.fail('it has started'),
      (reason: unknown) => reason,
    );
    this.bench.manager.dismiss(id);
    assert.ok(error instanceof UserError, String(error));
    return error;
  }

  /** Nothing is left of what has been started but the host, its guardian, and Prefect's server. */
  async nothingIsLeft(): Promise<void> {
    const left = () =>
      this.family
        .members()
        .filter(({ pid, command }) => !this.#before.has(pid) && !command.includes('--server'));
    const end = Date.now() + patienceMs;
    while (left().length > 0) {
      assert.ok(Date.now() < end, JSON.stringify(left()));
      await sleep(20);
    }
  }

  output(id: string): string {
    return this.bench.runs.output(id)?.text() ?? '';
  }

  async dispose(): Promise<void> {
    await this.bench.dispose();
    await this.family.gone();
    await removeFolder(this.#folder);
  }
}

/** One for the tests of a `describe`. @param more environment of its host, known when they begin */
export function useClasses(
  environment: EnvironmentName,
  more: () => Record<string, string> = () => ({}),
): ClassBench {
  const used = new ClassBench();
  before(async function () {
    this.timeout(600_000);
    const python = await pythonOf(environment);
    const withHome = environment === 'prefect2' || environment === 'prefect3';
    await used.start(python, more(), withHome ? await prefectHome(python) : undefined);
  });
  after(() => used.dispose());
  return used;
}
