// Four workers in Docker until all are connected, and until nothing is left:
//   node scripts/docker-bed.mjs npx tsx bench/docker.ts
// Paired in one run with plain `docker run` of the same image, a scheduler and four workers at once, as
// `docker compose up` starts them too; no TLS there. Writes bench/results/docker.json.
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dockerBackend, dockerExecutor, ownLabel, testEngine } from '../test/support/docker.ts';
import { allConnected, startQuietly, summary } from './starts.ts';

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

async function peakMiB(ids: readonly string[]): Promise<number> {
  const stats = await Promise.all(
    ids.map(async (id) => (await testEngine().getContainer(id).stats({ stream: false })).memory_stats),
  );
  const peaks = stats.map(({ max_usage, usage }) => (max_usage || usage) / 2 ** 20);
  return peaks.reduce((sum, one) => sum + one, 0) / peaks.length;
}

async function ours(): Promise<Sample> {
  const executor = await dockerExecutor('dask-latest', { n_workers: workers });
  const began = performance.now();
  const handle = await startQuietly(dockerBackend(), executor);
  await allConnected(workers, handle.address, handle.security);
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
  await allConnected(workers, `tcp://127.0.0.1:${port}`);
  const connected = performance.now() - began;
  const ids = await Promise.all(started);
  const peak = await peakMiB(ids);
  const ending = performance.now();
  await docker('rm', '-f', `${name}-scheduler`, ...ids);
  await docker('network', 'rm', name);
  return { connected: connected / 1000, tornDown: (performance.now() - ending) / 1000, peakMiB: peak };
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
    ours: summary(samples.ours.map((one) => one[key])),
    plain: summary(samples.plain.map((one) => one[key])),
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
