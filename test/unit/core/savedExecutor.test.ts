import assert from 'node:assert/strict';
import { readExecutors } from '../../../src/core/executor.ts';
import { type CodeApi, executorCode } from '../../../src/core/executorCode.ts';
import { savedExecutor } from '../../../src/core/savedExecutor.ts';
import type { WrittenExecutor } from '../../../src/core/written.ts';
import { FlowDocument } from '../../../src/flows/document.ts';
import { testParser } from '../flows/python.ts';

const base = { type: 'DaskTaskRunner', path: 'prefect_dask.DaskTaskRunner', line: 0, from: 'flow' } as const;
const fields = (values: Record<string, unknown>) => ({
  fields: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, { value }])),
});
const written = (parts: object): WrittenExecutor => ({ ...base, ...parts });

describe('an executor of the source, saved as a profile', () => {
  it('is an existing cluster by its address', () => {
    const parts = { address: { value: 'tcp://a:8786' }, client_kwargs: fields({ timeout: 3 }) };
    assert.deepEqual(savedExecutor(written(parts), 'etl'), {
      profile: { name: 'etl', kind: 'existing', address: 'tcp://a:8786' },
      leftOut: ['client_kwargs.timeout'],
    });
  });

  it('is a local one without a class, with what a profile can say', () => {
    const unread = { source: 'LIMIT', reason: 'imported from settings' };
    const cluster_kwargs = {
      fields: { ...fields({ n_workers: 2, silence_logs: 30 }).fields, memory_limit: unread },
    };
    const adapt_kwargs = fields({ minimum: 1, maximum: null, interval: '1s' });
    assert.deepEqual(savedExecutor(written({ cluster_kwargs, adapt_kwargs }), 'etl'), {
      profile: { name: 'etl', kind: 'local', n_workers: 2, adapt_kwargs: { minimum: 1, maximum: null } },
      leftOut: [
        'cluster_kwargs.silence_logs',
        'cluster_kwargs.memory_limit (imported from settings)',
        'adapt_kwargs.interval',
      ],
    });
  });

  it('is of any other class, by its import path or as a function of the file', () => {
    const unread = { source: 'IMAGE', reason: 'imported from settings' };
    const kwargs = { ...fields({ queue: null, cores: 4, asynchronous: true }).fields, image: unread };
    const parts = { cluster_kwargs: { fields: kwargs }, adapt_kwargs: fields({ maximum: 4 }) };
    const profile = {
      ...{ name: 'etl', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
      ...{ cluster_kwargs: { queue: null, cores: 4 }, adapt_kwargs: { maximum: 4 } },
    };
    const path = { path: 'dask_jobqueue.SLURMCluster' };
    assert.deepEqual(savedExecutor(written({ ...parts, cluster_class: path }), 'etl'), {
      profile,
      leftOut: ['cluster_kwargs.asynchronous', 'cluster_kwargs.image (imported from settings)'],
    });
    const own = savedExecutor(
      written({ cluster_class: { local: 'make' } }),
      'etl',
      (local) => `etl.py:${local}`,
    );
    assert.deepEqual(own, {
      profile: { name: 'etl', kind: 'clusterClass', cluster_class: 'etl.py:make' },
      leftOut: [],
    });
  });

  it('says why it can be none', () => {
    const problems: [object, string][] = [
      [{ type: 'LocalExecutor' }, 'LocalExecutor runs tasks one by one, without Dask'],
      [
        { address: { source: 'os.environ["A"]', reason: 'read from the environment when it runs' } },
        'its address, os.environ["A"], is read from the environment when it runs',
      ],
      [{ others: fields({ cluster: 'x' }) }, 'it uses a cluster that exists only in this file'],
      [{ cluster_class: { local: 'make' } }, 'its cluster_class is in a file that is not saved'],
      [
        { cluster_class: { local: 'make', importable: false } },
        'its cluster_class, make, is not there when its file is imported',
      ],
      [
        { cluster_class: { source: 'classes[0]', reason: 'computed when it runs' } },
        'its cluster_class, classes[0], is computed when it runs',
      ],
      [{ cluster_kwargs: fields({ n_workers: 0 }) }, 'n_workers must be a whole number from 1 to 4096'],
    ];
    for (const [parts, problem] of problems)
      assert.deepEqual(savedExecutor(written(parts), 'etl'), { problem }, problem);
  });

  /** Of a file, with the first executor that it has. */
  async function savedOf(text: string) {
    const [found] = new FlowDocument(await testParser(), 'etl.py').executors(text);
    assert.ok(found?.executors[0], text);
    const saved = savedExecutor(found.executors[0], 'a', (local) => `etl:${local}`);
    if ('problem' in saved) return saved.problem;
    const { name, kind, ...profile } = saved.profile;
    return { [kind]: profile, ...(saved.leftOut.length > 0 && { leftOut: saved.leftOut }) };
  }

  it('is what a cluster is told once it is there', async () => {
    const script = (lines: string) =>
      `from dask.distributed import Client, LocalCluster\nfrom dask_jobqueue import SLURMCluster\n${lines}\nClient(cluster)\n`;
    const cases: [lines: string, saved: unknown][] = [
      ['cluster = LocalCluster()\ncluster.adapt()', { local: { adapt_kwargs: {} } }],
      ['cluster = LocalCluster(n_workers=1)\ncluster.scale(8)', { local: { n_workers: 8 } }],
      [
        'cluster = LocalCluster(n_workers=0)\ncluster.adapt(minimum=0, maximum=4)',
        { local: { adapt_kwargs: { minimum: 0, maximum: 4 } } },
      ],
      ['with LocalCluster(n_workers=0) as cluster:\n    cluster.scale(n=2)', { local: { n_workers: 2 } }],
      [
        'cluster = SLURMCluster(cores=4, n_workers=1)\ncluster.scale(3)',
        {
          clusterClass: {
            ...{ cluster_class: 'dask_jobqueue.SLURMCluster', cluster_kwargs: { cores: 4 }, n_workers: 3 },
          },
        },
      ],
      [
        'cluster = SLURMCluster()\ncluster.scale(jobs=2)',
        {
          clusterClass: { cluster_class: 'dask_jobqueue.SLURMCluster' },
          leftOut: ['scale: cluster.scale(jobs=2) (not a number of workers)'],
        },
      ],
      [
        'cluster = LocalCluster()\ncluster.scale(2)\ncluster.scale(4)',
        { local: {}, leftOut: ['scale: cluster.scale(4) (called in 2 places)'] },
      ],
      [
        'cluster = LocalCluster()\ncluster.scale(2)\ncluster.adapt(maximum=N)',
        {
          local: { n_workers: 2, adapt_kwargs: {} },
          leftOut: ['adapt_kwargs.maximum (not set in this file)'],
        },
      ],
      [
        'cluster = LocalCluster()\ncluster.adapt()\ncluster.scale(2)',
        { local: { n_workers: 2, adapt_kwargs: {} } },
      ],
      ['cluster = LocalCluster(n_workers=0)', 'n_workers must be a whole number from 1 to 4096'],
    ];
    for (const [lines, saved] of cases) assert.deepEqual(await savedOf(script(lines)), saved, lines);
    const own =
      'from dask.distributed import Client\nclient = Client(n_workers=2)\nclient.cluster.scale(5)\n';
    assert.deepEqual(await savedOf(own), { local: { n_workers: 5 } });
  });

  it('scales by itself only if Prefect takes it so', async () => {
    const flow = (limits: string) =>
      `from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n\n@flow(task_runner=DaskTaskRunner(adapt_kwargs=${limits}))\ndef etl():\n    pass\n`;
    assert.deepEqual(await savedOf(flow('{}')), { local: {} });
    assert.deepEqual(await savedOf(flow('{"interval": "1s"}')), {
      local: { adapt_kwargs: {} },
      leftOut: ['adapt_kwargs.interval'],
    });
  });

  it('has the files of a Security, and no keys themselves', async () => {
    const client = (args: string) =>
      `from distributed import Client\nfrom distributed.security import Security\nCA = "ca.pem"\nClient("tls://a:1", security=Security(${args}), timeout=3)\n`;
    const of = (security?: object) => ({ address: 'tls://a:1', ...(security && { security }) });
    assert.deepEqual(
      await savedOf(client('tls_ca_file=CA, tls_client_cert="c.pem", tls_client_key="k.pem"')),
      { existing: of({ ca: 'ca.pem', cert: 'c.pem', key: 'k.pem' }), leftOut: ['client_kwargs.timeout'] },
    );
    assert.deepEqual(
      await savedOf(client('tls_ca_file=CA, tls_client_key="-----BEGIN KEY", require_encryption=False')),
      {
        existing: of({ ca: 'ca.pem' }),
        leftOut: ['security.tls_client_key', 'security.require_encryption', 'client_kwargs.timeout'],
      },
    );
    assert.deepEqual(await savedOf(client('tls_client_cert="c.pem", tls_ca_file=find()')), {
      existing: of(),
      leftOut: [
        'security.tls_client_cert',
        'security.tls_ca_file (computed when it runs)',
        'client_kwargs.timeout',
      ],
    });
    const elsewhere = client('').replace('Security()', 'Security.temporary()');
    assert.deepEqual(await savedOf(elsewhere), {
      existing: of(),
      leftOut: [
        'client_kwargs.security (read from distributed.security.Security.temporary when it runs)',
        'client_kwargs.timeout',
      ],
    });
  });

  it('is no class that importing the file does not define', async () => {
    const flow = (before: string, of: string) =>
      `from prefect import flow\nfrom prefect_dask import DaskTaskRunner\n${before}\n    @flow(task_runner=DaskTaskRunner(cluster_class=${of}))\n    def etl():\n        pass\n`;
    const inner = 'def main():\n    def make():\n        pass\n';
    const missing = 'its cluster_class, make, is not there when its file is imported';
    assert.equal(await savedOf(flow(inner, 'make')), missing);
    const guarded = inner.replace('def main()', 'if __name__ == "__main__"');
    assert.equal(await savedOf(flow(guarded, 'make')), missing);
    assert.deepEqual(await savedOf(flow('def make():\n    pass\n\nif x:', 'make')), {
      clusterClass: { cluster_class: 'etl:make' },
    });
    assert.match(String(await savedOf(flow('if x:', 'lambda: 1'))), /lambda: 1, is a function/);
  });

  const { executors } = readExecutors(
    [
      { name: 'plain', kind: 'local' },
      { name: 'sized', kind: 'local', n_workers: 2, threads_per_worker: 3, memory_limit: '2GiB' },
      { name: 'threads', kind: 'local', processes: false },
      { name: 'adaptive', kind: 'local', adapt_kwargs: { minimum: 1, maximum: 4 } },
      {
        ...{ name: 'slurm', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
        ...{ cluster_kwargs: { cores: 4, queue: null }, adapt_kwargs: { minimum: 1, maximum: 4 } },
      },
      { name: 'told', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster', n_workers: 3 },
      { name: 'there', kind: 'existing', address: 'tcp://10.0.0.5:8786' },
      {
        ...{ name: 'secret', kind: 'existing', address: 'tls://10.0.0.5:8786' },
        security: { ca: '/certs/ca.pem', cert: '/certs/cert.pem', key: '/certs/key.pem' },
      },
      { name: 'alone', kind: 'localDask', scheduler: 'processes', num_workers: 4 },
    ],
    undefined,
  );
  for (const executor of executors)
    for (const api of ['prefect3', 'prefect1', 'dask'] as CodeApi[]) {
      const code = executorCode(executor, api);
      if (code === undefined) continue;
      it(`is the profile again whose code it is: ${executor.name}, ${api}`, async () => {
        const text = fileAround(code, api);
        const [found] = new FlowDocument(await testParser(), 'etl.py').executors(text);
        assert.ok(found?.executors[0], text);
        assert.deepEqual(savedExecutor(found.executors[0], executor.name), {
          profile: executor,
          leftOut: [],
        });
      });
    }
});

/** A flow that uses the lines. */
function fileAround(code: string, api: CodeApi): string {
  if (api === 'prefect1')
    return `from prefect import Flow\n\nwith Flow("etl") as flow:\n    pass\n\n${code}\n`;
  if (api === 'dask') return `${code}\n`;
  return `from prefect import flow\n${code}\n\n@flow(task_runner=task_runner)\ndef etl():\n    pass\n`;
}
