import assert from 'node:assert/strict';
import type { FlowDef } from '../../../src/core/flow.ts';
import { flowAt } from '../../../src/core/flowAt.ts';

const flow = (name: string, line: number): FlowDef => ({
  api: 'prefect',
  name,
  entry: { how: 'import', path: name },
  line,
  parameters: [],
});

describe('the flow at the cursor', () => {
  const flows = [flow('second', 20), flow('first', 3)];

  it('is the last one that starts above, in whatever order they come', () => {
    assert.equal(flowAt(flows, 3)?.name, 'first');
    assert.equal(flowAt(flows, 19)?.name, 'first');
    assert.equal(flowAt(flows, 400)?.name, 'second');
  });

  it('is none above the first', () => {
    assert.equal(flowAt(flows, 2), undefined);
    assert.equal(flowAt([], 9), undefined);
  });
});
