// Four workers in Docker until all are connected, and until nothing is left:
//   node scripts/docker-bed.mjs npx tsx bench/docker.ts
// Paired in one run with plain `docker run` of the same image, a scheduler and four workers at once, as
// `docker compose up` starts them too; no TLS there. Writes bench/results/docker.json.
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Security } from '../src/core/security.ts';
import { SchedulerClient } from '../src/dask/scheduler.ts';
import { dockerBackend, dockerExecutor, ownLabel, testEngine } from '../test/support/docker.ts';

const workers = 4;
const rounds = 7;
const aimRatio = 0.6;
const aimTearDownSeconds = 1.5;
const run = promisify(execFile);

interface Sample {
  readonly connected: number;
  readonly tornDown: number;
  /** MiB of a worker's container at its peak, the file cache included. */
  readonly peakMiB: number;
}

async function allConnected(address: string, security?: Security): Promise<void> {
  const client = new SchedulerClient(address, { security });
  const count = () =>
    client.identity({ timeoutMs: 2_000 }).then(
      (identity) => identity.workers.length,
      () => 0,
    );
  while ((await count()) < workers) await sleep(10);
  client.close();
}

async function peakMiB(ids: readonly string[]): Promise<number> {
  const stats = await Promise.all(
    ids.map(async (id) => (await testEngine().getContainer(id).stats({ stream: false })).memory_stats),
  );
  const peaks = stats.map(({ max_usage, usage }) => (max_usage || usage) / 2 ** 20);
  return peaks.reduce((sum, one) => sum + one, 0) / peaks.length;
}

async function ours(): Promise<Sample> {
  const executor = await dockerExecutor('dask-latest', { n_workers: workers });
  const nothing = () => undefined;
  const began = performance.now();
  const handle = await dockerBackend().start(executor, {
    ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
    ...{ stage: nothing, worker: nothing, scaling: nothing },
  });
  await allConnected(handle.address, handle.security);
  const connected = performance.now() - began;
  const filters = { label: [ownLabel, 'flow-clusters/role=worker'] };
  const peak = await peakMiB((await testEngine().listContainers({ filters })).map(({ Id }) => Id));
  const ending = performance.now();
  await handle.close({ force: true });
  return { connected: connected / 1000, tornDown: (performance.now() - ending) / 1000, peakMiB: peak };
}

async function plain(): Promise<Sample> {
  const { image } = await dockerExecutor('dask-latest');
  const name = `plain-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
  const docker = async (...args: string[]) => (await run('docker', args)).stdout.trim();
  const began = performance.now();
  await docker('network', 'create', name);
  const start = (what: string, ...args: string[]) =>
    docker('run', '-d', '--rm', '--network', name, '--name', `${name}-${what}`, ...args);
  const scheduler = start(
    'scheduler',
    '--network-alias',
    'scheduler',
    '-p',
    '127.0.0.1::8786',
    image,
    'dask',
    'scheduler',
  );
  const started = Array.from({ length: workers }, (_, i) =>
    start(`worker-${i}`, image, 'dask', 'worker', 'tcp://scheduler:8786', '--nthreads', '1'),
  );
  await scheduler;
  const port = (await docker('port', `${name}-scheduler`, '8786')).split('\n')[0]?.split(':').at(-1);
  await allConnected(`tcp://127.0.0.1:${port}`);
  const connected = performance.now() - began;
  const ids = await Promise.all(started);
  const peak = await peakMiB(ids);
  const ending = performance.now();
  await docker('rm', '-f', `${name}-scheduler`, ...ids);
  await docker('network', 'rm', name);
  return { connected: connected / 1000, tornDown: (performance.now() - ending) / 1000, peakMiB: peak };
}

function summary(samples: readonly Sample[], key: keyof Sample) {
  const sorted = samples.map((sample) => sample[key]).toSorted((a, b) => a - b);
  const at = (share: number) =>
    Number((sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(2));
  return { median: at(0.5), min: at(0), max: at(1), n: sorted.length };
}

async function main(): Promise<void> {
  const samples: { ours: Sample[]; plain: Sample[] } = { ours: [], plain: [] };
  await ours();
  await plain();
  for (let round = 0; round < rounds; round += 1) {
    samples.ours.push(await ours());
    samples.plain.push(await plain());
  }
  const of = (key: keyof Sample) => ({
    ours: summary(samples.ours, key),
    plain: summary(samples.plain, key),
  });
  const [connected, tornDown, peakMiBs] = [of('connected'), of('tornDown'), of('peakMiB')];
  const ratio = Number((connected.ours.median / connected.plain.median).toFixed(2));
  const result = {
    machine: { cores: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(2)) },
    ...{ workers, aimRatio, aimTearDownSeconds, ratio, connected, tornDown, peakMiB: peakMiBs },
  };
  const folder = fileURLToPath(new URL('results/', import.meta.url));
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}docker.json`, `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result, null, 1));
}

void main();
