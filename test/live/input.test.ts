import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Bench } from '../support/host.ts';
import { flowsDirectory, liveBench, pythonOf } from '../support/hostLive.ts';

describe('what is typed into a run', function () {
  this.timeout(60_000);
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
    await bench.until(() => bench.run(id).state.kind === 'running', 30_000);
    bench.runs.input(id, 'two\n');
    bench.runs.endInput(id);
    const run = await bench.over(id, 30_000);
    assert.equal(run.state.kind, 'completed');
    const output = bench.runs.output(id);
    await new Promise<void>((resolve) => output?.onEnd(resolve));
    assert.match(output?.text() ?? '', /ready\r?\n8\r?\n$/);
  });
});
