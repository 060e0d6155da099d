import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Cluster } from '../../../src/core/cluster.ts';
import type { PythonHost } from '../../../src/host/pythonHost.ts';
import { preflight } from '../../../src/runs/preflight.ts';
import { fakeHost, goodScenario, packages, type Scenario } from '../../support/host.ts';
import { aCluster, aWorker, infoOf } from '../core/samples.ts';

const place = { address: 'tcp://10.0.0.2:8786', dashboard: null };
const attached: Cluster = {
  ...aCluster,
  ownership: 'attached',
  state: { kind: 'running', sinceMs: 0, ...place },
};
const facts = { ours: {}, workers: [], needs: null, api: null, seconds: 0.1 };

describe('preflight', () => {
  let host: PythonHost;

  afterEach(async () => {
    mock.timers.reset();
    await host.dispose();
  });

  async function look(scenario: Scenario, other: Partial<Parameters<typeof preflight>[0]> = {}) {
    host = await fakeHost({ ...goodScenario, ...scenario });
    const { signal } = new AbortController();
    return preflight({ host, cluster: attached, handle: place, brief: true, signal, ...other });
  }

  const answers: Scenario = { preflight: [{ say: { event: 'preflight', id: '$id', facts } }] };

  it('judges what the host has found', async () => {
    const found = await look(answers);
    assert.deepEqual(
      found.map(({ message }) => message),
      ['There are no workers: the run waits until some come'],
    );
  });

  it('does not ask what cannot differ: the workers of this interpreter', async () => {
    const owned: Cluster = { ...attached, ownership: 'owned', info: infoOf(aWorker(0)) };
    const { dask, distributed } = packages;
    const same = { Python: '3.11', dask, distributed };
    const found = await look({}, { cluster: owned, handle: { ...place, versions: same } });
    assert.deepEqual(
      found.map(({ message }) => message),
      ['1 of 2 threads is free'],
    );
    const other = { cluster: owned, handle: { ...place, versions: { ...same, Python: '3.10' } } };
    await host.dispose();
    assert.match((await look(answers, other))[0]?.message ?? '', /no workers/, 'another one is asked');
  });

  it('says why there was no answer', async () => {
    const error = { event: 'error', op: 'preflight', id: '$id', message: 'it ended' };
    await assert.rejects(look({ preflight: [{ say: error }] }), { name: 'UserError', message: /it ended/ });
  });

  it('does not wait for ever', async () => {
    host = await fakeHost({ ...goodScenario, preflight: [] });
    await host.whenReady();
    mock.timers.enable({ apis: ['setTimeout'] });
    const { signal } = new AbortController();
    const looking = preflight({ host, cluster: attached, handle: place, brief: true, signal });
    const rejected = assert.rejects(looking, { reason: 'timeout', message: 'no answer within 6 s' });
    // The question is asked a few turns later.
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
    mock.timers.tick(6_000);
    await rejected;
  });

  it('is given up at once', async () => {
    const abort = new AbortController();
    host = await fakeHost({ ...goodScenario, preflight: [] });
    await host.whenReady();
    const { signal } = abort;
    const looking = preflight({ host, cluster: attached, handle: place, brief: true, signal });
    abort.abort(new Error('by the user'));
    await assert.rejects(looking, { message: 'by the user' });
  });
});
