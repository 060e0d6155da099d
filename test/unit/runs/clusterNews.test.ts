import assert from 'node:assert/strict';
import { UserError } from '../../../src/core/errors.ts';
import { versionsOf } from '../../../src/host/versions.ts';
import { checkWorkers, versionNote } from '../../../src/runs/clusterNews.ts';

const hello = (python: string, distributed: string, cloudpickle?: string) =>
  versionsOf({
    ...{ event: 'hello', pid: 1, executable: 'python', python, mode: 'fork' },
    packages: { distributed, ...(cloudpickle && { cloudpickle }) },
  });

describe('versions of a run and its cluster', () => {
  it('are no matter when Python differs by a patch only, or one side is not known', () => {
    assert.equal(versionNote(hello('3.11.2', '2026.8.0', '3.1.2'), hello('3.11.9', '2026.8.0')), undefined);
  });

  it('are named where they differ', () => {
    assert.equal(
      versionNote(hello('3.12.1', '2026.8.0', '3.1.2'), hello('3.11.9', '2024.8.2', '3.1.2')),
      'The run and its cluster have different versions, which may make tasks fail: Python 3.12 and 3.11, distributed 2026.8.0 and 2024.8.2.',
    );
  });
});

describe('workers without Prefect', () => {
  it('are refused for flows of Prefect alone, where it is known', () => {
    for (const api of ['prefect', 'prefect1'] as const)
      assert.throws(() => checkWorkers({ missing: ['prefect'] }, api), UserError);
    checkWorkers({ missing: ['prefect'] }, 'dask');
    checkWorkers({ missing: [] }, 'prefect');
    checkWorkers({}, 'prefect');
  });
});
