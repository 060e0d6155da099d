import assert from 'node:assert/strict';
import {
  describeExecutor,
  type Executor,
  plural,
  readExecutors,
  warningDetail,
} from '../../../src/core/executor.ts';

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
      [
        { name: 'a' },
        'a: kind must be "local", "docker", "kubernetes", "clusterClass", "existing" or "localDask"',
      ],
      [
        { name: 'a', kind: 'k8s' },
        'a: kind must be "local", "docker", "kubernetes", "clusterClass", "existing" or "localDask"',
      ],
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

  it('say what a field must be by the kind that it is of', () => {
    const pods = { name: 'a', kind: 'kubernetes', image: 'etl' };
    assert.deepEqual(problemsOf([{ ...pods, volumes: ['/a:/b'] }]), [
      'a: volumes must be a list of volumes, as pods have them',
    ]);
    assert.deepEqual(problemsOf([{ ...pods, scheduler: 'threads' }]), [
      'a: scheduler must be an object with "requests", "limits" and "pod_template"',
    ]);
    const docker = { name: 'a', kind: 'docker', image: 'etl' };
    assert.deepEqual(problemsOf([{ ...docker, volumes: [{}] }]), [
      'a: volumes must be a list of "source:/target" or "source:/target:ro"',
    ]);
    assert.deepEqual(problemsOf([{ ...docker, memory_limit: 'auto' }]), [
      'a: memory_limit must be a number of bytes, or text such as "4GiB"',
    ]);
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
    assert.deepEqual(problemsOf([{ name: 'a', kind: 'cloud' }]), [
      'a: kind must be "local", "docker", "kubernetes", "clusterClass", "existing" or "localDask"',
    ]);
  });

  it('may need no cluster: Prefect 1 has its own way', () => {
    const threads = { name: 'threads', kind: 'localDask' };
    const processes = { name: 'processes', kind: 'localDask', scheduler: 'processes', num_workers: 4 };
    assert.deepEqual(readExecutors([threads, processes], '').problems, []);
    assert.equal(describeExecutor(threads as Executor), 'localDask · a thread per core · no cluster');
    assert.equal(describeExecutor(processes as Executor), 'localDask · 4 processes · no cluster');
    assert.deepEqual(problemsOf([{ ...threads, scheduler: 'sync', n_workers: 2 }]), [
      'threads: scheduler must be "threads" or "processes"; unknown option "n_workers"',
    ]);
    assert.deepEqual(problemsOf([{ ...threads, num_workers: 0 }]), [
      'threads: num_workers must be a whole number from 1 to 1024',
    ]);
  });

  it('may adapt to the work, within limits that make sense', () => {
    const adaptive = (adapt_kwargs: unknown) => problemsOf([{ name: 'a', kind: 'local', adapt_kwargs }]);
    for (const good of [{}, { minimum: 0 }, { minimum: null, maximum: 8 }, { minimum: 2, maximum: 2 }])
      assert.deepEqual(adaptive(good), []);
    const shape =
      'a: adapt_kwargs must be an object with "minimum" and "maximum", each a whole number or null';
    for (const bad of [true, { minimum: '1' }, { maximum: 1.5 }]) assert.deepEqual(adaptive(bad), [shape]);
    assert.deepEqual(adaptive({ interval: '1s' }), ['a: unknown option "interval"']);
    assert.deepEqual(adaptive({ minimum: 4, maximum: 2 }), [
      'a: adapt_kwargs: The maximum (2) is below the minimum (4): Dask would always keep 4 and never adapt.',
    ]);
    assert.match(adaptive({ maximum: 0 })[0] ?? '', /The maximum must be a whole number from 1/);
  });

  it('come with what is to be known before they are started', () => {
    const machine = { cores: 4, memoryBytes: 8 * 1024 ** 3 };
    const advice = (options: object) =>
      (readExecutors([{ name: 'a', kind: 'local', ...options }], '', machine).advice?.a ?? []).map(
        ({ severity, message }) => `${severity}: ${message}`,
      );
    assert.deepEqual(advice({}), []);
    assert.deepEqual(advice({ n_workers: 4 }), []);
    assert.deepEqual(advice({ n_workers: 4, threads_per_worker: 2, memory_limit: '4GiB' }), [
      'info: 4 workers × 2 threads are more than the 4 cores of this machine.',
      'info: 4 workers may take 16 GiB of memory; this machine has 8 GiB.',
    ]);
    assert.deepEqual(advice({ n_workers: 4, memory_limit: 0.5 }), [
      'info: 4 workers may take 16 GiB of memory; this machine has 8 GiB.',
    ]);
    assert.deepEqual(advice({ n_workers: 4, memory_limit: 'auto' }), []);
    assert.match(advice({ adapt_kwargs: {} })[0] ?? '', /^warning: Without a maximum/);
    assert.match(
      advice({ adapt_kwargs: { minimum: 0, maximum: 4 } })[0] ?? '',
      /^warning: With a minimum of 0/,
    );
    assert.deepEqual(advice({ n_workers: 4, adapt_kwargs: { minimum: 1, maximum: 2 } }), [
      'info: It starts with 4 workers; adaptive scaling then goes within its limits.',
    ]);
    const read = readExecutors([{ name: 'a', kind: 'local', adapt_kwargs: { maximum: 9 } }], '', machine);
    assert.match(
      warningDetail(read, 'a').detail ?? '',
      /^With a minimum of 0 [^.]*\.$/,
      'the warnings alone',
    );
    assert.deepEqual(warningDetail(read, 'local'), {});
    const existing = { name: 'b', kind: 'existing', address: 'tcp://10.0.0.5:8786' };
    assert.equal(readExecutors([existing], '', machine).advice, undefined);
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
    const adapt_kwargs = { minimum: 1, maximum: 8 };
    assert.equal(described({ adapt_kwargs }), 'local · 1–8 workers, adaptive');
    assert.equal(
      described({ adapt_kwargs, n_workers: 2, threads_per_worker: 2 }),
      'local · 1–8 workers, adaptive · 2 threads per worker',
    );
    assert.equal(plural(1_000, 'task'), '1,000 tasks');
  });
});
