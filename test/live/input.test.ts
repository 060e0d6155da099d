import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf } from '../support/hostLive.ts';

describe('what is typed into a run', function () {
  this.timeout(180_000);
  let bench: Bench;

  before(async function () {
    this.timeout(300_000);
    bench = await liveBench({ python: await pythonOf('dask-latest') });
  });

  after(() => bench?.dispose());

  it('is read to its end, what was typed too early with it', async () => {
    const file = join(flowsDirectory, 'reads_all.py');
    const id = await bench.start({ file, uri: `file://${file}` });
    bench.runs.input(id, 'one\n');
    await bench.until(() => bench.run(id).state.kind === 'running');
    bench.runs.input(id, 'two\n');
    bench.runs.endInput(id);
    const run = await bench.over(id);
    assert.equal(run.state.kind, 'completed');
    assert.match(await bench.printed(id), /ready\r?\n8\r?\n$/);
  });
});
