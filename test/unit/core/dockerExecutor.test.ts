import assert from 'node:assert/strict';
import { type DockerExecutor, defaultSize, sizeOf } from '../../../src/core/dockerExecutor.ts';
import { describeExecutor, readExecutors } from '../../../src/core/executor.ts';

const executor = (options: Partial<DockerExecutor> = {}): DockerExecutor => ({
  ...{ name: 'docker', kind: 'docker', image: 'etl:1' },
  ...options,
});

describe('an executor in Docker', () => {
  it('is divided as Dask divides a machine, where nothing is said', () => {
    const sizes = [1, 2, 4, 6, 8, 12, 32, 7].map((cores) => Object.values(defaultSize(cores)));
    assert.deepEqual(sizes, [
      ...[
        [1, 1],
        [2, 1],
        [4, 1],
        [3, 2],
        [4, 2],
        [4, 3],
        [8, 4],
        [7, 1],
      ],
    ]);
  });

  it('keeps what is said of it', () => {
    assert.deepEqual(sizeOf(executor({ n_workers: 3, threads_per_worker: 2 }), 2), {
      workers: 3,
      threads: 2,
    });
    assert.deepEqual(sizeOf(executor({ n_workers: 2 }), 8), { workers: 2, threads: 4 });
    assert.deepEqual(sizeOf(executor({ threads_per_worker: 4 }), 8), { workers: 2, threads: 4 });
    const adapt_kwargs = { minimum: 2, maximum: 6 };
    assert.deepEqual(sizeOf(executor({ adapt_kwargs }), 8), { workers: 2, threads: 2 });
    assert.deepEqual(sizeOf(executor({ adapt_kwargs: { maximum: 3 } }), 2), { workers: 1, threads: 1 });
  });

  it('is read from settings, and refused in words', () => {
    const good = {
      ...{ name: 'd', kind: 'docker', image: 'etl', memory_limit: '2GiB', cpus: 1.5, env: { A: 'b' } },
      ...{ volumes: ['/data:/data:ro', 'C:\\data:/data', 'cache:/cache'], gpus: 'all', pull: 'never' },
    };
    assert.deepEqual(readExecutors([good], 'd').problems, []);
    const bad: [object, RegExp][] = [
      [{ image: undefined }, /image must be the name of an image/],
      [{ volumes: ['data'] }, /volumes must be a list of "source:\/target"/],
      [{ cpus: 0 }, /cpus must be a number of cores/],
      [{ memory_limit: 'auto' }, /memory_limit must be/],
      [{ pull: 'sometimes' }, /pull must be "missing", "always" or "never"/],
      [{ docker_host: 'box' }, /docker_host must be an address/],
      [{ processes: true }, /unknown option "processes"/],
    ];
    for (const [change, message] of bad) {
      const { problems } = readExecutors([{ ...good, ...change }], 'd');
      assert.match(problems[0]?.message ?? '', message);
    }
  });

  it('says what it is', () => {
    assert.equal(describeExecutor(executor({ n_workers: 2 })), 'docker · etl:1 · 2 workers');
    assert.equal(describeExecutor(executor()), 'docker · etl:1 · sized by the cores');
  });
});
