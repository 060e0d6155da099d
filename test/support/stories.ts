import assert from 'node:assert/strict';
import type { Backend } from '../../src/core/backend.ts';
import type { OwnExecutor } from '../../src/core/executor.ts';
import type { FlowApiId, FlowDef } from '../../src/core/flow.ts';
import type { Run } from '../../src/core/run.ts';
import type { RunTarget } from '../../src/runs/request.ts';
import type { Bench } from './host.ts';
import { flowsDirectory, liveBench, prefectHome, pythonOf, removeFolder } from './hostLive.ts';

/** What a user of each API has: a flow that completes, and one that takes its time. */
export interface Story {
  readonly environment: 'prefect3' | 'prefect2' | 'prefect1' | 'dask-latest';
  readonly api: FlowApiId;
  readonly completes: readonly [file: string, path?: string];
  readonly slow: readonly [file: string, path?: string];
  /** Tasks of the first, by name. */
  readonly groups: Readonly<Record<string, number>>;
}

const etl = { completes: ['etl.py', 'etl'], groups: { extract: 1, transform: 4, load: 1 } } as const;

export const stories: readonly Story[] = [
  { environment: 'prefect3', api: 'prefect', slow: ['slow.py', 'slowflow'], ...etl },
  { environment: 'prefect2', api: 'prefect', slow: ['slow.py', 'slowflow'], ...etl },
  {
    ...{ environment: 'prefect1', api: 'prefect1', completes: ['etl1.py', 'flow'] },
    ...{ slow: ['slow1.py', 'flow'], groups: { n: 1, extract: 1, transform: 4, load: 1 } },
  },
  {
    ...{ environment: 'dask-latest', api: 'dask', completes: ['plain.py'], slow: ['slowplain.py'] },
    groups: { inc: 4, sum: 1 },
  },
];

/** Starts a flow of a story. Resolves with the run's id. */
export function startStory(
  bench: Bench,
  api: FlowApiId,
  [file, path]: Story['completes'],
  target: RunTarget,
): Promise<string> {
  const entry = path === undefined ? ({ how: 'script' } as const) : ({ how: 'import', path } as const);
  const flow: FlowDef = { api, name: path ?? file, entry, line: 0, parameters: [] };
  return bench.start({ env: { MARKS: '/tmp/marks' }, file: `${flowsDirectory}/${file}`, flow, target });
}

/** It runs to its end with all its tasks, and its cluster is gone after it. */
export async function assertCompletes(
  bench: Bench,
  id: string,
  groups: Story['groups'],
  limitMs: number,
): Promise<void> {
  const run = await bench.over(id, limitMs);
  assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
  const seen = Object.fromEntries(run.tasks.map((group) => [group.name, group.counts.completed]));
  assert.deepEqual(seen, groups);
  await bench.until(() => bench.store.snapshot.clusters.size === 0, limitMs);
}

/** Where temporary clusters of the stories are made, for each environment once. */
export interface StoryPlace {
  readonly backend: Backend;
  executor(): Promise<OwnExecutor>;
  /** What there is of clusters, and may still be going: it has to be gone soon after each story. */
  leftovers(): Promise<readonly string[]>;
  /** Of that what has to be gone with its run. */
  atOnce(leftover: string): boolean;
  untilGone(): Promise<void>;
  remove?(): Promise<void>;
}

/** Whether a task of it runs now. */
export const tasksRun = (run: Run): boolean => run.tasks.some(({ counts }) => (counts.running ?? 0) > 0);

/** Each story, on temporary clusters of a place: a flow to its end, and one that is cancelled. */
export function describeStories(
  where: string,
  limits: { readonly testMs: number; readonly runMs: number },
  placeOf: (environment: Story['environment']) => Promise<StoryPlace>,
): void {
  for (const { environment, api, completes, slow, groups } of stories) {
    describe(`a temporary cluster ${where}, ${environment}`, function () {
      this.timeout(limits.testMs);
      let bench: Bench;
      let place: StoryPlace;
      let folder: string | undefined;

      before(async function () {
        this.timeout(600_000);
        place = await placeOf(environment);
        const python = await pythonOf(environment);
        const home = api === 'prefect' ? await prefectHome(python) : undefined;
        folder = home?.folder;
        bench = await liveBench({ python, ...(home && { env: home.env }) });
        await bench.host.whenReady();
      });
      after(async () => {
        await bench.dispose();
        await place.remove?.();
        if (folder) await removeFolder(folder);
      });
      afterEach(() => place.untilGone());

      const start = async (flow: Story['completes']) => {
        const { backend } = place;
        const target = { kind: 'executor', executor: await place.executor(), backend } as const;
        return startStory(bench, api, flow, target);
      };

      it('runs a flow with its tasks by name, and is gone after it', async () => {
        await assertCompletes(bench, await start(completes), groups, limits.runMs);
      });

      it('ends at once when its run is cancelled', async () => {
        const id = await start(slow);
        await bench.until(() => tasksRun(bench.run(id)), 60_000);
        await bench.runs.cancel(id);
        assert.equal(bench.run(id).state.kind, 'cancelled');
        assert.deepEqual(
          (await place.leftovers()).filter((one) => place.atOnce(one)),
          [],
        );
      });
    });
  }
}
