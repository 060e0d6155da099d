import assert from 'node:assert/strict';
import { describeExecutor, type Executor, plural, readExecutors } from '../../../src/core/executor.ts';

const problemsOf = (executors: unknown, defaultName?: unknown) =>
  readExecutors(executors, defaultName).problems.map(({ where, message }) => `${where}: ${message}`);

describe('executors in the settings', () => {
  it('are the built-in one when there are none', () => {
    for (const nothing of [undefined, []]) {
      assert.deepEqual(readExecutors(nothing, ''), {
        executors: [{ name: 'local', kind: 'local' }],
        defaultName: 'local',
        problems: [],
      });
    }
  });

  it('keep their options as written; the first one is the default', () => {
    const laptop = {
      name: 'laptop',
      kind: 'local',
      n_workers: 2,
      threads_per_worker: 2,
      memory_limit: '4GiB',
    };
    const threads = {
      name: 'threads',
      kind: 'local',
      processes: false,
      memory_limit: 0.5,
      scheduler_port: 8786,
    };
    const read = readExecutors([laptop, threads], '');
    assert.deepEqual(read.executors, [laptop, threads, { name: 'local', kind: 'local' }]);
    assert.equal(read.defaultName, 'laptop');
    assert.equal(readExecutors([laptop, threads], 'threads').defaultName, 'threads');
    assert.equal(readExecutors([laptop, threads], 'local').defaultName, 'local');
  });

  it('may take the built-in name', () => {
    const own = { name: 'local', kind: 'local', n_workers: 1 };
    assert.deepEqual(readExecutors([own], undefined).executors, [own]);
  });

  it('say in words what is wrong, and leave the good ones alone', () => {
    const good = { name: 'good', kind: 'local' };
    const read = readExecutors([{ name: 'bad', kind: 'local', n_workers: 0 }, good], 'good');
    assert.deepEqual(read.executors, [good, { name: 'local', kind: 'local' }]);
    assert.equal(read.defaultName, 'good');
    const wrong: [unknown, string][] = [
      [{ kind: 'local' }, 'executor 1: name must be a name of 1 to 60 characters'],
      [{ name: '', kind: 'local' }, 'executor 1: name must be a name of 1 to 60 characters'],
      [{ name: 'a' }, 'a: kind must be "local" or "existing"'],
      [{ name: 'a', kind: 'docker' }, 'a: kind must be "local" or "existing"'],
      [{ name: 'a', kind: 'local', n_workers: '2' }, 'a: n_workers must be a whole number from 1 to 4096'],
      [{ name: 'a', kind: 'local', n_workers: 1.5 }, 'a: n_workers must be a whole number from 1 to 4096'],
      [
        { name: 'a', kind: 'local', threads_per_worker: -1 },
        'a: threads_per_worker must be a whole number from 1 to 1024',
      ],
      [{ name: 'a', kind: 'local', processes: 'no' }, 'a: processes must be true or false'],
      [
        { name: 'a', kind: 'local', memory_limit: 'lots' },
        'a: memory_limit must be "auto", a number of bytes, a fraction, or text such as "4GiB"',
      ],
      [
        { name: 'a', kind: 'local', scheduler_port: 70_000 },
        'a: scheduler_port must be a port from 0 to 65535 (0: any free one)',
      ],
      [{ name: 'a', kind: 'local', workers: 2 }, 'a: unknown option "workers"'],
      [{ name: 'a', kind: 'local', x: 1, y: 2 }, 'a: unknown option "x", "y"'],
      ['laptop', 'executor 1: must be an object'],
      [null, 'executor 1: must be an object'],
    ];
    for (const [executor, text] of wrong) assert.deepEqual(problemsOf([executor]), [text]);
  });

  it('tell of each problem of one executor', () => {
    assert.deepEqual(problemsOf([{ name: 'a', kind: 'local', n_workers: 0, processes: 1 }]), [
      'a: n_workers must be a whole number from 1 to 4096; processes must be true or false',
    ]);
  });

  it('must have names of their own', () => {
    const twice = [
      { name: 'a', kind: 'local', n_workers: 1 },
      { name: 'a', kind: 'local', n_workers: 2 },
    ];
    assert.deepEqual(problemsOf(twice), ['a: this name is taken']);
    assert.deepEqual(readExecutors(twice, '').executors[0], twice[0]);
  });

  it('fall back to the first one when the default is missing', () => {
    const read = readExecutors([{ name: 'a', kind: 'local' }], 'b');
    assert.equal(read.defaultName, 'a');
    assert.deepEqual(problemsOf([], 'b'), ['flowClusters.defaultExecutor: no executor is called "b"']);
    assert.deepEqual(problemsOf([], 3), []);
  });

  it('must be a list', () => {
    for (const wrong of [{}, 'local', 3, null]) {
      assert.deepEqual(problemsOf(wrong), ['flowClusters.executors: must be a list']);
    }
  });

  it('take what Dask takes as memory', () => {
    for (const memory_limit of ['auto', '4GiB', '4 GB', '500M', '0.5', 'AUTO', 0, 0.5, 1e9]) {
      assert.deepEqual(problemsOf([{ name: 'a', kind: 'local', memory_limit }]), [], String(memory_limit));
    }
  });

  it('may be a cluster that is there already', () => {
    const prod = {
      name: 'prod',
      kind: 'existing',
      address: 'tls://10.0.0.5:8786',
      security: { ca: 'ca.pem' },
    };
    assert.deepEqual(problemsOf([prod]), []);
    assert.equal(describeExecutor(prod as Executor), 'existing · tls://10.0.0.5:8786');
    assert.deepEqual(problemsOf([{ name: 'prod', kind: 'existing' }]), [
      'prod: address must be the address of a scheduler, such as "tcp://10.0.0.5:8786"',
    ]);
    assert.deepEqual(problemsOf([{ name: 'a', kind: 'cloud' }]), ['a: kind must be "local" or "existing"']);
  });

  it('are described in a few words', () => {
    const described = (options: object) => describeExecutor({ name: 'a', kind: 'local', ...options });
    assert.equal(described({}), 'local · sized by the cores');
    assert.equal(described({ n_workers: 2 }), 'local · 2 workers');
    assert.equal(described({ threads_per_worker: 1 }), 'local · 1 thread per worker');
    assert.equal(
      described({ n_workers: 1, threads_per_worker: 4, processes: false, memory_limit: '4GiB' }),
      'local · 1 worker × 4 threads · threads in one process · 4GiB',
    );
    assert.equal(plural(1_000, 'task'), '1,000 tasks');
  });
});
