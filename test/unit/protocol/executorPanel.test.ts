import assert from 'node:assert/strict';
import { readDraft, readFromPanel, readPanelState } from '../../../src/protocol/executorPanel.ts';

const draft = {
  saved: 'laptop',
  kind: 'docker',
  values: { name: 'laptop', env: [['LEVEL', '1']] },
  others: { local: { name: 'laptop' } },
};

describe('a message of the panel', () => {
  it('is read as it was sent', () => {
    const messages = [
      { type: 'ready' },
      { type: 'changed', drawing: 3, draft },
      { type: 'kind', kind: 'local', drawing: 3, draft },
      { type: 'open', key: 'laptop' },
      { type: 'act', action: 'save', drawing: 3, draft },
      { type: 'act', action: 'check', drawing: 3, draft },
      { type: 'mend', finding: 0, action: 1 },
      {
        type: 'changed',
        drawing: 3,
        draft: { ...draft, leftOut: ['a'] },
        code: { title: 'Dask', text: 'Client()' },
      },
      { type: 'restore', drawing: 3, draft },
      { type: 'code', action: 'copy', title: 'Dask', drawing: 3, draft },
    ];
    for (const message of messages) assert.deepEqual(readFromPanel(message), message);
  });

  it('is none if anything about it is wrong', () => {
    const wrong: unknown[] = [
      ...[undefined, null, 'ready', {}, { type: 'other' }, { type: 'changed' }],
      { type: 'act', action: 'format the disk', drawing: 3, draft },
      { type: 'mend', finding: 'first', action: 1 },
      { type: 'changed', drawing: 3, draft, code: 'Client()' },
      { type: 'changed', drawing: 3, draft: { ...draft, values: { name: 5 } } },
      { type: 'changed', drawing: 3, draft: { ...draft, values: { env: [['LEVEL']] } } },
    ];
    for (const message of wrong) assert.equal(readFromPanel(message), undefined, JSON.stringify(message));
  });
});

describe('a draft that was kept', () => {
  it('is read again; what an older version has kept may be none', () => {
    const whole = { ...draft, base: { name: 'laptop', kind: 'local', n_workers: 2 } };
    assert.deepEqual(readDraft(whole), whole);
    const { saved, ...fresh } = draft;
    assert.equal(saved, 'laptop');
    assert.deepEqual(readDraft(fresh), fresh);
    for (const kept of [undefined, {}, { kind: 'local' }, draft]) assert.equal(readDraft(kept), undefined);
  });
});

describe('what a panel has kept', () => {
  it('is the executor that it showed, and code that the form did not follow', () => {
    const state = { saved: 'laptop', tab: 'Dask', code: { title: 'Dask', text: 'Client(' } };
    assert.deepEqual(readPanelState(state), state);
    for (const kept of [undefined, 'laptop', { code: 'Client(' }]) assert.deepEqual(readPanelState(kept), {});
  });
});
