import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { findPython } from '../../../scripts/lib/venv.mjs';
import type { Executor } from '../../../src/core/executor.ts';
import { type CodeApi, executorCode, whyNoCode, withoutFiles } from '../../../src/core/executorCode.ts';

const code = (executor: object, api: CodeApi) =>
  executorCode({ name: 'mine', ...executor } as Executor, api)?.split('\n');

describe('an executor as code', () => {
  it('is a task runner of Prefect 2 and 3, an executor of Prefect 1, a cluster of Dask', () => {
    const executor = {
      ...{ kind: 'local', n_workers: 4 },
      adapt_kwargs: { minimum: null, maximum: 8 },
    } as const;
    assert.deepEqual(code(executor, 'prefect3'), [
      'from prefect_dask import DaskTaskRunner',
      '',
      'task_runner = DaskTaskRunner(',
      '    cluster_kwargs={"n_workers": 4},',
      '    adapt_kwargs={"minimum": None, "maximum": 8},',
      ')',
      '# @flow(task_runner=task_runner)',
    ]);
    assert.deepEqual(code({ kind: 'local', processes: false }, 'prefect1'), [
      'from prefect.executors import DaskExecutor',
      '',
      'flow.executor = DaskExecutor(cluster_kwargs={"processes": False})',
    ]);
    assert.deepEqual(code(executor, 'dask')?.slice(-4), [
      'if __name__ == "__main__":',
      '    cluster = LocalCluster(n_workers=4)',
      '    cluster.adapt(minimum=None, maximum=8)',
      '    client = Client(cluster)',
    ]);
  });

  it('says no more than the executor does', () => {
    assert.match(code({ kind: 'local' }, 'prefect3')?.join('\n') ?? '', /= DaskTaskRunner\(\)$/m);
  });

  it('gives certificates to those that connect to a cluster that is there', () => {
    const executor = { kind: 'existing', address: 'tls://10.0.0.5:8786', security: { ca: '/certs/ca.pem' } };
    assert.deepEqual(code(executor, 'prefect1'), [
      'from distributed.security import Security',
      'security = Security(tls_ca_file="/certs/ca.pem", require_encryption=True)',
      '',
      'from prefect.executors import DaskExecutor',
      '',
      'flow.executor = DaskExecutor(',
      '    address="tls://10.0.0.5:8786",',
      '    client_kwargs={"security": security},',
      ')',
    ]);
    assert.deepEqual(code({ kind: 'existing', address: 'tcp://a:1' }, 'dask'), [
      'from distributed import Client',
      'client = Client("tcp://a:1")',
    ]);
  });

  it('has addresses as Dask takes them, over TLS where there are certificates', () => {
    const security = { ca: '/certs/ca.pem' };
    const addressOf = (executor: object) =>
      code({ kind: 'existing', ...executor }, 'dask')
        ?.at(-1)
        ?.replace('client = ', '');
    assert.equal(addressOf({ address: 'host' }), 'Client("tcp://host:8786")');
    assert.equal(addressOf({ address: 'ws://host:80/' }), 'Client("ws://host:80")');
    for (const [address, secured] of [
      ['host:8786', 'tls://host:8786'],
      ['tcp://[::1]', 'tls://[::1]:8786'],
      ['ws://host:80', 'wss://host:80'],
    ] as const) {
      assert.equal(addressOf({ address, security }), `Client("${secured}", security=security)`);
      const runner = code({ kind: 'existing', address, security }, 'prefect3')?.join('\n') ?? '';
      assert.match(runner, /tls_ca_file="\/certs\/ca\.pem"/);
      assert.ok(runner.includes(`address="${secured}"`), runner);
    }
    const unnamed = withoutFiles({ name: 'a', kind: 'existing', address: 'host:8786', security });
    assert.match(
      code(unnamed, 'dask')?.join('\n') ?? '',
      /# Put the paths .*Client\("tls:\/\/host:8786", security/s,
    );
  });

  it('is none of a dashboard, and says why', () => {
    for (const address of ['http://host:8787/status', 'host:8787/status']) {
      const executor: Executor = { name: 'a', kind: 'existing', address, security: { ca: 'ca.pem' } };
      assert.equal(executorCode(executor, 'dask'), undefined);
      assert.equal(executorCode(withoutFiles(executor), 'prefect3'), undefined);
      assert.match(
        whyNoCode(executor, 'dask') ?? '',
        /the dashboard, not the scheduler|tcp:\/\/127\.0\.0\.1:8786/,
      );
    }
  });

  it('scales by itself without limits too', () => {
    const last = (executor: object, api: CodeApi) =>
      code({ adapt_kwargs: {}, ...executor }, api)?.join('\n') ?? '';
    const slurm = { kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' };
    for (const executor of [{ kind: 'local' }, slurm]) {
      for (const api of ['prefect1', 'prefect3'] as const)
        assert.match(last(executor, api), /adapt_kwargs=\{"minimum": 0\}/);
      assert.match(last(executor, 'dask'), /cluster\.adapt\(\)/);
    }
  });

  it('names classes after a colon as each takes them', () => {
    const of = (cluster_class: string, api: CodeApi) =>
      code({ kind: 'clusterClass', cluster_class }, api)?.join('\n') ?? '';
    assert.match(of('my.module:make', 'prefect1'), /cluster_class="my\.module\.make"/);
    assert.match(of('my.module:make', 'prefect3'), /cluster_class="my\.module\.make"/);
    assert.match(
      of('my.module:Makers.small', 'dask'),
      /from my\.module import Makers\n.* = Makers\.small\(\)/s,
    );
    const nested = { name: 'a', kind: 'clusterClass', cluster_class: 'my.module:Makers.small' } as const;
    assert.match(whyNoCode(nested, 'prefect3') ?? '', /not Makers\.small/);
  });

  it('gives arguments that Python has no word for in a dict', async () => {
    const cluster_kwargs = { 'job-extra': [1], class: 'a', cores: 4, größe: null, '': 0 };
    const executor = { kind: 'clusterClass', cluster_class: 'x.Y', cluster_kwargs };
    const lines = code(executor, 'dask') ?? [];
    assert.ok(
      lines.includes('    cluster = Y(cores=4, größe=None, **{"job-extra": [1], "class": "a", "": 0})'),
      lines.join('\n'),
    );
    const { python } = await findPython();
    execFileSync(python, ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: lines.join('\n') });
  });

  it('names a cluster class as Prefect takes it, and calls it for Dask', () => {
    const slurm = { kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' };
    const executor = { ...slurm, cluster_kwargs: { cores: 4, queue: null }, adapt_kwargs: { maximum: 9 } };
    assert.deepEqual(code(executor, 'prefect1')?.slice(2), [
      'flow.executor = DaskExecutor(',
      '    cluster_class="dask_jobqueue.SLURMCluster",',
      '    cluster_kwargs={"cores": 4, "queue": None},',
      '    adapt_kwargs={"maximum": 9},',
      ')',
    ]);
    assert.deepEqual(code({ ...slurm, n_workers: 2 }, 'dask'), [
      'from distributed import Client',
      'from dask_jobqueue import SLURMCluster',
      '',
      '# Workers are processes that import this file: nothing may start outside of this.',
      'if __name__ == "__main__":',
      '    cluster = SLURMCluster()',
      '    cluster.scale(2)',
      '    client = Client(cluster)',
    ]);
    assert.equal(code({ ...slurm, n_workers: 2 }, 'prefect3'), undefined, 'it has no word for that');
    const made = { a: [{ $import: 'datetime.timedelta', args: [] }] };
    assert.equal(code({ ...slurm, cluster_kwargs: made }, 'dask'), undefined);
  });

  it('is none where there is no such class', () => {
    assert.equal(code({ kind: 'docker', image: 'an-image' }, 'prefect3'), undefined);
    assert.equal(code({ kind: 'localDask' }, 'prefect3'), undefined);
    assert.match(code({ kind: 'localDask', num_workers: 3 }, 'prefect1')?.at(-1) ?? '', /\(num_workers=3\)$/);
  });
});
