import assert from 'node:assert/strict';
import type { FlowEntry } from '../../../src/core/flow.ts';
import { flowKey } from '../../../src/protocol/lsp.ts';

describe('key of a flow', () => {
  const key = (entry: FlowEntry) => flowKey('file:///w/flow.py', { entry });

  it('tells flows of one file apart by how a runner reaches them, not by where they stand', () => {
    const entries: FlowEntry[] = [
      { how: 'import', path: 'etl' },
      { how: 'import', path: 'Pipeline.run' },
      { how: 'script', qualname: 'etl' },
      { how: 'script' },
    ];
    assert.equal(new Set(entries.map(key)).size, entries.length);
    assert.equal(key({ how: 'import', path: 'etl' }), 'file:///w/flow.py#etl');
    assert.notEqual(key({ how: 'script' }), flowKey('file:///w/other.py', { entry: { how: 'script' } }));
  });
});
