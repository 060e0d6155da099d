/** Answers of a scheduler with many workers, each as distributed 2026.8 gives it (recorded, then numbered). */
export function manyWorkers(count: number): Readonly<Record<string, unknown>> {
  const numbers = Array.from({ length: count }, (_, n) => n);
  const byAddress = (of: (n: number) => unknown) =>
    Object.fromEntries(numbers.map((n) => [addressOf(n), of(n)]));
  return {
    identity: {
      type: 'Scheduler',
      id: 'Scheduler-91121faa-60a6-4af2-8696-464ab9ce97a9',
      address: 'tcp://10.0.0.1:8786',
      services: { dashboard: 8787 },
      started: 1_795_594_340.277_728_8,
      n_workers: count,
      total_threads: 2 * count,
      total_memory: count * 4_294_967_296,
      workers: byAddress(worker),
    },
    versions: { host: {}, packages: { python: '3.11.2.final.0', distributed: '2026.8.0' } },
    get_task_prefix_states: { nap: { memory: 0, erred: 0, released: 0, processing: count, waiting: 0 } },
    processing: byAddress((n) => [`nap-${n}`]),
    // It remembers the last thousand.
    events: numbers
      .map((n) => [1_795_594_341 + n / 1000, { action: 'add-worker', worker: addressOf(n) }])
      .slice(-1000),
  };
}

const addressOf = (n: number): string => `tcp://10.0.${n >> 8}.${n & 255}:${40_000 + n}`;

function worker(n: number) {
  const seen = 1_795_594_786.324_100_5 + n / 1000;
  return {
    type: 'Worker',
    id: `w${n}`,
    host: `10.0.${n >> 8}.${n & 255}`,
    resources: {},
    local_directory: `/tmp/dask-scratch-space/worker-${n.toString(36)}`,
    name: `w${n}`,
    nthreads: 2,
    memory_limit: 4_294_967_296,
    last_seen: seen,
    services: { dashboard: 8790 },
    metrics: {
      task_counts: { executing: 1 },
      bandwidth: { total: 100_000_000, workers: {}, types: {} },
      digests_total_since_heartbeat: {
        'tick-duration': 0.501_130_342_483_520_5,
        'profile-duration': 0.002_743_959_426_879_883,
        latency: 0.015_358_686_447_143_555,
      },
      managed_bytes: 0,
      spilled_bytes: { memory: 0, disk: 0 },
      transfer: {
        incoming_bytes: 0,
        incoming_count: 0,
        incoming_count_total: 0,
        outgoing_bytes: 0,
        outgoing_count: 0,
        outgoing_count_total: 0,
      },
      event_loop_interval: 0.020_737_080_574_035_643,
      cpu: 5.9,
      memory: 50_688_000 + n,
      time: seen,
      host_net_io: { read_bps: 1354.171_688_923_040_8, write_bps: 1354.171_688_923_040_8 },
      host_disk_io: { read_bps: 0.5, write_bps: 0 },
      num_fds: 20,
    },
    status: 'running',
    nanny: `tcp://10.0.${n >> 8}.${n & 255}:${30_000 + n}`,
  };
}
