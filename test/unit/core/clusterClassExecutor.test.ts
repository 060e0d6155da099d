import assert from 'node:assert/strict';
import {
  type ClusterClassExecutor,
  classStartSeconds,
  definitionPath,
  kwargsWithImage,
  splitImportPath,
} from '../../../src/core/clusterClassExecutor.ts';
import { describeExecutor, type Executor, readExecutors } from '../../../src/core/executor.ts';
import { runImage } from '../../../src/core/imageExecutor.ts';
import { classText } from '../../../src/protocol/classText.ts';

const slurm: ClusterClassExecutor = {
  ...{ name: 'slurm', kind: 'clusterClass', cluster_class: 'dask_jobqueue.SLURMCluster' },
  cluster_kwargs: { cores: 4, memory: '8GiB' },
};

describe('an executor of a cluster class', () => {
  it('is read from settings, and refused in words', () => {
    const timedelta = { $import: 'datetime.timedelta', kwargs: { minutes: 5 } };
    const good = [
      slurm,
      { ...slurm, name: 'b', cluster_class: 'mine:make', adapt_kwargs: { minimum: null, maximum: 10 } },
      { ...slurm, name: 'c', cluster_class: 'größe.häufen', cluster_kwargs: { a: [{ b: timedelta }] } },
      { ...slurm, name: 'e', cluster_class: 'flows/my-etl.py:make' },
      { ...slurm, name: 'f', cluster_class: 'C:/a b/etl.py:make' },
      { ...slurm, name: 'd', cluster_kwargs: undefined, n_workers: 3, start_timeout: 60 },
    ];
    assert.deepEqual(readExecutors(good, 'slurm').problems, []);
    const imported = (value: object) => ({ cluster_kwargs: { deep: [value] } });
    const bad: [object, RegExp][] = [
      [{ cluster_class: 'LocalCluster' }, /cluster_class must be the import path of a cluster class/],
      [{ cluster_class: 'os.system("rm")' }, /cluster_class must be the import path/],
      [{ cluster_class: 'etl.py:' }, /cluster_class must be the import path/],
      [{ cluster_class: undefined }, /cluster_class must be the import path/],
      [{ cluster_kwargs: [] }, /cluster_kwargs must be an object/],
      [{ cluster_kwargs: { asynchronous: true } }, /"asynchronous" is not to be given/],
      [{ cluster_kwargs: { n_workers: 1 }, n_workers: 2 }, /n_workers: is in "cluster_kwargs" too/],
      [imported({ $import: 'timedelta' }), /"\$import" must be an import path/],
      [imported({ $import: 3 }), /"\$import" must be an import path/],
      [imported({ $import: 'a.b', arg: [] }), /may have "args" and "kwargs" besides, not "arg"/],
      [imported({ $import: 'a.b', args: {} }), /"args" of a value with "\$import" must be a list/],
      [imported({ $import: 'a.b', kwargs: [] }), /"kwargs" of a value with "\$import" must be an object/],
      [{ adapt_kwargs: { minimum: 4, maximum: 2 } }, /adapt_kwargs/],
      [{ start_timeout: 0 }, /start_timeout must be a whole number of seconds/],
      [{ start_timeout: 9_999_999 }, /start_timeout must be a whole number of seconds from 1 to 604800/],
      [{ threads_per_worker: 2 }, /unknown option "threads_per_worker"/],
    ];
    for (const [change, message] of bad) {
      const { problems } = readExecutors([{ ...slurm, ...change }], 'slurm');
      assert.match(problems[0]?.message ?? '', message);
    }
  });

  it('is named by an import path where there is one, else by its file', () => {
    const path = (file: string, ...packages: string[]) => definitionPath(file, 'make', new Set(packages));
    assert.equal(path('etl.py'), 'etl.make');
    assert.equal(path('my-etl.py'), 'my-etl.py:make');
    assert.equal(path('flows/etl.py'), 'flows/etl.py:make');
    assert.equal(path('flows/etl.py', 'flows'), 'flows.etl.make');
    assert.equal(path('flows/deep/etl.py', 'flows/deep'), 'flows/deep/etl.py:make');
    assert.equal(path('flows/__init__.py', 'flows'), 'flows.make');
    assert.equal(path('/home/ana/etl.py'), '/home/ana/etl.py:make');
    assert.deepEqual(splitImportPath('C:/flows/etl.py:make'), { module: 'C:/flows/etl.py', name: 'make' });
  });

  it('says what it is', () => {
    const text = (change: Partial<ClusterClassExecutor>) =>
      describeExecutor({ ...slurm, ...change } as Executor);
    assert.equal(text({}), 'clusterClass · dask_jobqueue.SLURMCluster');
    assert.equal(text({ n_workers: 1 }), 'clusterClass · dask_jobqueue.SLURMCluster · 1 worker');
    assert.match(text({ cluster_kwargs: { n_workers: 2 } }), /· 2 workers$/);
    assert.match(text({ adapt_kwargs: { minimum: 1, maximum: 10 } }), /· 1–10 workers, adaptive$/);
    assert.equal(classStartSeconds(slurm), 300);
  });

  it('has the run’s image wherever that is wanted', () => {
    const kwargs = { image: runImage, pods: [{ image: runImage, tag: 'x' }], cores: 4, none: null };
    assert.deepEqual(kwargsWithImage(kwargs, 'etl:1'), {
      ...{ image: 'etl:1', pods: [{ image: 'etl:1', tag: 'x' }], cores: 4, none: null },
    });
    assert.equal(kwargsWithImage(kwargs, undefined), undefined);
    assert.deepEqual(kwargsWithImage({ cores: 4 }, undefined), { cores: 4 });
  });

  it('tells people what its class takes', () => {
    const text = classText('mine.make', {
      ...{ name: 'make', kind: 'function', doc: 'Makes one.', open: true },
      parameters: [
        { name: 'hosts', required: true, of: 'make', annotation: 'list[str]', doc: 'Where.' },
        { name: 'mode', required: false, of: 'Base', default: "'`a`'", choices: ['FAST', 'SLOW'] },
      ],
    });
    assert.equal(
      text,
      [
        ...['# mine.make', '', 'Makes one.', ''],
        ...['It takes more than is listed here, such as options of its workers: see its documentation.', ''],
        ...['## cluster_kwargs', '', '- **hosts** · `list[str]` · **needed** · of make', '  Where.'],
        ...['- **mode** · one of `"FAST"`, `"SLOW"` · default `` \'`a`\' `` · of Base', ''],
      ].join('\n'),
    );
  });
});
