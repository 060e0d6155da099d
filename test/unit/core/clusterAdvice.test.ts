import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Cluster } from '../../../src/core/cluster.ts';
import { adviseCluster } from '../../../src/core/clusterAdvice.ts';
import { readExecutors } from '../../../src/core/executor.ts';
import type { ClusterUse, Run, RunState } from '../../../src/core/run.ts';
import { emptySnapshot } from '../../../src/core/store.ts';
import { aCluster, aRun, aWorker, infoOf } from './samples.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const nowMs = 1_000 * 24 * hour;

interface Told {
  readonly fromMs: number;
  readonly tookMs: number;
  readonly kind?: 'completed' | 'failed' | 'cancelled' | 'running';
  readonly flow?: string;
  readonly clusterId?: string;
  readonly use: Partial<ClusterUse> & Pick<ClusterUse, 'lifetime'>;
}

function aRunOf(
  { fromMs, tookMs, kind = 'completed', flow = 'etl', clusterId = 'c1', use }: Told,
  i: number,
): Run {
  const times = { startedMs: fromMs, endedMs: fromMs + tookMs };
  const state: RunState =
    kind === 'running'
      ? { kind, startedMs: fromMs }
      : kind === 'failed'
        ? { kind, ...times, failure: { message: 'no' } }
        : { kind, ...times };
  return {
    ...aRun,
    ...{ id: `r${i}`, flow: { ...aRun.flow, name: flow }, clusterId, createdMs: fromMs, state },
    clusterUse: { executor: 'pods', upSinceMs: fromMs, ...use },
  };
}

/** Runs on temporary clusters, one after the other with a pause between, the last up to now. */
const temporary = (
  n: number,
  { waitMs = 48 * second, workMs = 20 * second, pauseMs = minute } = {},
): Told[] =>
  Array.from({ length: n }, (_, i) => ({
    fromMs: nowMs - (n - i) * (waitMs + workMs + pauseMs),
    tookMs: waitMs + workMs,
    clusterId: `t${i}`,
    use: { lifetime: 'temporary', startupMs: waitMs },
  }));

const upSinceMs = nowMs - 26 * hour;
/** Runs on one static cluster, evenly spread over the time since it came up. */
const onStatic = (n: number, { workMs = 5 * minute, startupMs = 1_800, workers = 4 } = {}): Told[] =>
  Array.from({ length: n }, (_, i) => ({
    fromMs: upSinceMs + (i * 26 * hour) / n,
    tookMs: workMs,
    use: { lifetime: 'static', startupMs, upSinceMs, workers },
  }));

const staticCluster: Cluster = {
  ...aCluster,
  executor: 'pods',
  state: { kind: 'running', sinceMs: upSinceMs, address: 'tls://10.0.0.1:8786', dashboard: null },
};

const fieldsOf: Readonly<Record<string, object>> = {
  kubernetes: { image: 'etl' },
  clusterClass: { cluster_class: 'my_clusters.make' },
};

function advice(
  told: readonly Told[],
  { clusters = [] as Cluster[], price = 0, kind = 'kubernetes', more = {} } = {},
) {
  const executors = readExecutors([{ name: 'pods', kind, ...fieldsOf[kind], ...more }], '');
  assert.deepEqual(executors.problems, []);
  return adviseCluster(
    'pods',
    {
      ...emptySnapshot,
      runs: new Map(told.map((one, i) => [`r${i}`, aRunOf(one, i)])),
      clusters: new Map(clusters.map((one) => [one.id, one])),
      executors: { ...executors, ...(price > 0 && { workerHourPrice: price }) },
    },
    nowMs,
  );
}
const running = { clusters: [staticCluster] };

describe('advice to use a static cluster', () => {
  it('comes with the figures of the runs that have waited', () => {
    assert.deepEqual(advice(temporary(12)), {
      to: 'static',
      message:
        'Its last 12 runs typically waited 48 s for a cluster and worked 20 s: a static cluster would have saved about 8.8 min',
    });
  });

  it('counts runs that failed, and not those that were cancelled', () => {
    const failed = temporary(12).map((one) => ({ ...one, kind: 'failed' as const }));
    assert.equal(advice(failed)?.to, 'static');
    assert.equal(advice(failed.map((one) => ({ ...one, kind: 'cancelled' as const }))), undefined);
  });

  it('does not come where starts are short, or little beside the work', () => {
    assert.equal(advice(temporary(40, { waitMs: 4_000, workMs: 1_000 })), undefined);
    assert.equal(advice(temporary(12, { workMs: 50 * second })), undefined);
  });

  it('does not come where a static cluster would have idled between the runs, or had to be shared', () => {
    assert.equal(advice(temporary(12, { pauseMs: 2 * hour })), undefined);
    assert.equal(advice(temporary(12, { pauseMs: -minute })), undefined);
  });

  it('is over when there is a static cluster, also one that starts', () => {
    assert.equal(advice(temporary(12), running), undefined);
    const starting = { ...staticCluster, state: aCluster.state };
    assert.equal(advice(temporary(12), { clusters: [starting] }), undefined);
    const failed = {
      ...staticCluster,
      state: { kind: 'failed', sinceMs: 0, failure: { message: 'no' } },
    } as const;
    assert.equal(advice(temporary(12), { clusters: [failed] })?.to, 'static');
  });

  it('goes by the last 30 days, and by runs that tell of their cluster', () => {
    const old = temporary(12).map((one) => ({ ...one, fromMs: one.fromMs - 31 * 24 * hour }));
    assert.equal(advice(old), undefined);
    const snapshot = {
      ...emptySnapshot,
      runs: new Map(Array.from({ length: 12 }, (_, i) => [`r${i}`, aRun])),
    };
    assert.equal(adviseCluster('local', snapshot, nowMs), undefined);
  });
});

describe('advice to use temporary clusters', () => {
  it('comes with the share of the time that a static one was used', () => {
    assert.deepEqual(advice(onStatic(10), running), {
      to: 'temporary',
      message:
        'Its static clusters were used 3% of the 26 h that they were up: a temporary one starts in 1.8 s',
    });
    const little = advice(onStatic(10, { workMs: second }), running)?.message;
    assert.match(little ?? '', /were used less than 1% of the 26 h/);
  });

  it('says what idle workers cost where a price is set, and their number is known', () => {
    const message = (workers: Partial<ClusterUse>, kind = 'kubernetes') =>
      advice(
        onStatic(10).map((one) => ({ ...one, use: { ...one.use, ...workers } })),
        { ...running, price: 0.14, kind },
      )?.message ?? '';
    assert.match(message({}), /, which is about 14\.09 for idle workers: /);
    assert.doesNotMatch(message({ workers: 0 }), /for idle workers/);
    assert.doesNotMatch(message({}, 'local'), /for idle workers/);
  });

  it('says no cost of a class whose workers are on this machine', () => {
    const there = (address: string, ...workers: readonly string[]): Cluster => ({
      ...staticCluster,
      state: { kind: 'running', sinceMs: upSinceMs, address, dashboard: null },
      info: infoOf(...workers.map((one, n) => aWorker(n, { address: one }))),
    });
    const isPriced = (cluster: Cluster, more = {}) =>
      advice(onStatic(10), {
        clusters: [cluster],
        price: 0.14,
        kind: 'clusterClass',
        more,
      })?.message.includes('for idle workers');
    assert.equal(isPriced(there('tcp://127.0.0.1:1', 'tcp://127.0.0.1:2', 'tcp://127.0.0.1:3')), false);
    assert.equal(isPriced(there('tcp://[::1]:1', 'tcp://[::1]:2')), false);
    // By a forwarded port, and where the workers of another machine are beside their scheduler.
    assert.equal(isPriced(there('tcp://127.0.0.1:1', 'tcp://10.0.0.2:2')), true);
    assert.equal(isPriced(there('tcp://10.0.0.1:1', 'tcp://127.0.0.1:2')), true);
    for (const cluster_class of ['distributed.LocalCluster', 'dask.distributed:LocalCluster'])
      assert.equal(isPriced(there('tcp://10.0.0.1:1', 'tcp://10.0.0.1:2'), { cluster_class }), false);
  });

  it('does not come for one that adapts, nor where nobody knows its workers', () => {
    const adaptive = onStatic(10).map(({ use: { workers: _, ...use }, ...told }) => ({ ...told, use }));
    assert.equal(advice(adaptive, running), undefined);
  });

  it('takes the time of clusters that have gone up to their last run', () => {
    const [first, ...rest] = onStatic(10);
    assert.ok(first);
    // The last of them began 2.6 hours ago, and the cluster was there from the first on.
    const gone = { ...staticCluster, state: { ...staticCluster.state, sinceMs: nowMs } } as Cluster;
    assert.match(advice([first, ...rest], { clusters: [gone] })?.message ?? '', /4% of the 23\.5 h/);
  });

  it('does not come while it is used, has just come up, or takes long to start', () => {
    assert.equal(advice(onStatic(10, { workMs: 20 * minute }), running), undefined);
    const young = onStatic(10).map((one) => ({
      ...one,
      fromMs: nowMs - hour + (one.fromMs - upSinceMs) / 30,
    }));
    assert.equal(advice(young, running), undefined);
    assert.equal(advice(onStatic(10, { startupMs: 3 * minute }), running), undefined);
    assert.equal(advice(onStatic(10, { startupMs: 2 * minute }), running)?.to, 'temporary');
  });

  it('counts as use whatever run is on it, live ones too', () => {
    const live: Told = {
      ...{ fromMs: upSinceMs, tookMs: 0, kind: 'running' },
      use: { lifetime: 'static', startupMs: 1_800, upSinceMs, workers: 4 },
    };
    assert.equal(advice([...onStatic(10), live], running), undefined);
  });

  it('does not come once its static clusters have gone', () => {
    assert.equal(advice(onStatic(10)), undefined);
  });

  it('comes where runs that share the workers take twice as long', () => {
    const at = (startMinute: number, tookMs: number, flow = 'etl'): Told => ({
      ...{ fromMs: nowMs - hour + startMinute * minute, tookMs, flow },
      use: { lifetime: 'static', startupMs: 1_800, upSinceMs },
    });
    const alone = [at(0, 20_000), at(2, 20_000), at(4, 21_000)];
    const shared = [at(6, 41_000), at(6.1, 44_000), at(10, 20_000)];
    assert.deepEqual(advice([...alone, ...shared], running), {
      to: 'temporary',
      message:
        '2 of its last 6 runs shared their workers with other runs and took 41 s instead of 20 s: a temporary cluster of their own starts in 1.8 s',
    });
    // As slow, and alone: that has another reason. Nor is another flow a measure.
    assert.equal(advice([...alone, at(6, 41_000), at(10, 44_000)], running), undefined);
    assert.equal(advice([...alone, at(6, 41_000, 'a'), at(6.1, 44_000, 'b')], running), undefined);
  });
});

describe('advice on clusters', () => {
  const kinds = ['completed', 'failed', 'cancelled', 'running'] as const;
  const anyRun = fc
    .record({
      agoMs: fc.nat(40 * 24 * hour),
      tookMs: fc.nat(2 * hour),
      kind: fc.constantFrom(...kinds),
      flow: fc.constantFrom('a', 'b'),
      clusterId: fc.constantFrom('c1', 'c2'),
      lifetime: fc.constantFrom('temporary' as const, 'static' as const),
      startupMs: fc.option(fc.nat(5 * minute), { nil: undefined }),
      workers: fc.option(fc.nat(8), { nil: undefined }),
    })
    .map(({ agoMs, lifetime, startupMs, workers, ...told }): Told => {
      const known = {
        ...(startupMs !== undefined && { startupMs }),
        ...(workers !== undefined && { workers }),
      };
      return { ...told, fromMs: nowMs - agoMs, use: { lifetime, upSinceMs, ...known } };
    });
  const options = fc.record({
    clusters: fc.constantFrom<Cluster[]>([], [staticCluster]),
    price: fc.constantFrom(0, 0.14),
  });

  it('is given by no less than five runs, and only away from what is there', () => {
    fc.assert(
      fc.property(fc.array(anyRun, { maxLength: 30 }), options, (told, given) => {
        const found = advice(told, given);
        if (!found) return;
        assert.ok(told.length >= 5);
        assert.equal(found.to, given.clusters.length > 0 ? 'temporary' : 'static');
        assert.doesNotMatch(found.message, /NaN|Infinity|undefined|-\d/);
      }),
    );
  });

  it('is not taken back by longer waits, nor by more idle time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 20 }),
        fc.nat(120),
        fc.nat(120),
        fc.nat(120),
        (n, wait, more, work) => {
          const runs = (waitMs: number) => temporary(n, { waitMs, workMs: work * second });
          if (advice(runs(wait * second))) assert.ok(advice(runs((wait + more) * second)));
          const used = (seconds: number) => onStatic(n, { workMs: seconds * second, startupMs: second });
          if (advice(used((wait + more) * 20), running)) assert.ok(advice(used(wait * 20), running));
        },
      ),
    );
  });

  it('that was followed is not taken back at once', () => {
    // The same runs on the other kind of cluster: each waits for a start, or finds a cluster that is there.
    fc.assert(
      fc.property(
        fc.integer({ min: 5, max: 20 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 600 }),
        (n, start, work) => {
          const [startupMs, workMs] = [start * second, work * second];
          const toStatic = advice(temporary(n, { waitMs: startupMs, workMs, pauseMs: minute }));
          const toTemporary = advice(onStatic(n, { workMs, startupMs }), running);
          assert.ok(!(toStatic && toTemporary));
        },
      ),
    );
  });
});

describe('advice on an existing cluster', () => {
  const existing = readExecutors([{ name: 'shared', kind: 'existing', address: 'tcp://10.0.0.1:8786' }], '');
  const ran = (...missing: readonly (readonly string[])[]) =>
    adviseCluster(
      'shared',
      {
        ...emptySnapshot,
        executors: existing,
        runs: new Map(
          missing.map((modules, i) => [
            `r${i}`,
            {
              ...{ ...aRun, id: `r${i}`, executor: 'shared', createdMs: nowMs - (missing.length - i) * hour },
              ...(modules.length > 0 && { missing: modules }),
            },
          ]),
        ),
      },
      nowMs,
    );

  it('names the modules that workers lack, run after run', () => {
    assert.deepEqual(ran(['lightgbm'], [], ['lightgbm'], ['lightgbm', 'fiona']), {
      to: 'temporary',
      message:
        '3 of its last 4 runs lacked modules on the workers (fiona and lightgbm): a temporary cluster on this machine has what your own Python has',
    });
  });

  it('does not come of an accident, nor when the modules are there by now', () => {
    assert.equal(ran(['lightgbm'], [], ['lightgbm']), undefined);
    assert.equal(ran(['lightgbm'], ['lightgbm'], ['lightgbm'], []), undefined);
  });
});
