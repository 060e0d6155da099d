import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { FlowDef } from '../../src/core/flow.ts';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf } from '../support/hostLive.ts';

const flow: FlowDef = {
  api: 'prefect1',
  name: 'flow',
  entry: { how: 'import', path: 'flow' },
  line: 0,
  parameters: [],
};

describe('runs of Prefect 1 without a cluster', function () {
  this.timeout(180_000);
  let bench: Bench;

  before(async function () {
    this.timeout(600_000);
    bench = await liveBench({ python: await pythonOf('prefect1') });
    await bench.host.whenReady();
  });
  after(() => bench.dispose());

  for (const scheduler of ['threads', 'processes'] as const) {
    it(`complete in ${scheduler}, with their tasks by name, and no cluster is ever there`, async () => {
      const executor = { name: 'alone', kind: 'localDask', scheduler, num_workers: 2 } as const;
      const file = join(flowsDirectory, 'etl1.py');
      const run = await bench.over(await bench.start({ file, flow, target: { kind: 'alone', executor } }));
      assert.equal(run.state.kind, 'completed', JSON.stringify(run.state));
      const counts = Object.fromEntries(run.tasks.map(({ name, counts }) => [name, counts.completed]));
      assert.deepEqual(counts, { n: 1, extract: 1, transform: 4, load: 1 });
      assert.match(await bench.printed(run.id), /loaded \[0, 10, 20, 30\]/);
      assert.equal(bench.store.snapshot.clusters.size, 0);
      assert.ok(!bench.history.some((step) => step.startsWith('cluster')));
    });
  }
});
