import assert from 'node:assert/strict';
import type Docker from 'dockerode';
import type { FlowApiId, FlowDef } from '../../src/core/flow.ts';
import type { Run } from '../../src/core/run.ts';
import { dockerBackend, dockerExecutor, leftovers, testEngine } from '../support/docker.ts';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, prefectHome, pythonOf, removeFolder } from '../support/hostLive.ts';

interface Story {
  readonly environment: 'prefect3' | 'prefect1' | 'dask-latest';
  readonly api: FlowApiId;
  readonly completes: readonly [file: string, path?: string];
  readonly slow: readonly [file: string, path?: string];
  readonly groups: Readonly<Record<string, number>>;
}

const stories: readonly Story[] = [
  {
    ...{
      environment: 'prefect3',
      api: 'prefect',
      completes: ['etl.py', 'etl'],
      slow: ['slow.py', 'slowflow'],
    },
    groups: { extract: 1, transform: 4, load: 1 },
  },
  {
    ...{
      environment: 'prefect1',
      api: 'prefect1',
      completes: ['etl1.py', 'flow'],
      slow: ['slow1.py', 'flow'],
    },
    groups: { n: 1, extract: 1, transform: 4, load: 1 },
  },
  {
    ...{ environment: 'dask-latest', api: 'dask', completes: ['plain.py'], slow: ['slowplain.py'] },
    groups: { inc: 4, sum: 1 },
  },
];

const runs = (run: Run) => run.tasks.some(({ counts }) => (counts.running ?? 0) > 0);

for (const { environment, api, completes, slow, groups } of stories) {
  describe(`a temporary cluster in Docker, ${environment}`, function () {
    this.timeout(90_000);
    let bench: Bench;
    let engine: Docker;
    let folder: string | undefined;

    before(async function () {
      this.timeout(600_000);
      engine = testEngine();
      const python = await pythonOf(environment);
      const home = api === 'prefect' ? await prefectHome(python) : undefined;
      folder = home?.folder;
      bench = await liveBench({ python, ...(home && { env: home.env }) });
      await bench.host.whenReady();
    });
    after(async () => {
      await bench.dispose();
      if (folder) await removeFolder(folder);
    });
    afterEach(async () => assert.deepEqual(await leftovers(engine), []));

    async function start([file, path]: readonly [string, string?]): Promise<string> {
      const entry = path === undefined ? ({ how: 'script' } as const) : ({ how: 'import', path } as const);
      const flow: FlowDef = { api, name: path ?? file, entry, line: 0, parameters: [] };
      const executor = await dockerExecutor(environment);
      const target = { kind: 'executor', executor, backend: dockerBackend() } as const;
      return bench.start({ env: { MARKS: '/tmp/marks' }, file: `${flowsDirectory}/${file}`, flow, target });
    }

    it('runs a flow with its tasks by name, and is gone after it', async () => {
      const run = await bench.over(await start(completes), 60_000);
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      const seen = Object.fromEntries(run.tasks.map((group) => [group.name, group.counts.completed]));
      assert.deepEqual(seen, groups);
      await bench.until(() => bench.store.snapshot.clusters.size === 0);
    });

    it('ends at once when its run is cancelled', async () => {
      const id = await start(slow);
      await bench.until(() => runs(bench.run(id)), 60_000);
      const began = performance.now();
      await bench.runs.cancel(id);
      assert.ok(performance.now() - began < 10_000);
      assert.equal(bench.run(id).state.kind, 'cancelled');
      assert.deepEqual(await leftovers(engine), []);
    });
  });
}
