// A window in a pod: runs a script on a cluster of its own in the namespace that is its argument, and says how that was.
import { runImage } from '../../src/core/imageExecutor.ts';
import { MemoryLog } from './host.ts';
import { liveBench } from './hostLive.ts';
import { kubernetesBackend, kubernetesExecutor } from './kubernetes.ts';
import { startStory } from './stories.ts';

/** What it says, as a line of JSON. */
export interface InsideReport {
  /** Of the scheduler, as the run had it. */
  readonly addresses: readonly string[];
  readonly run: string;
  readonly tasks: readonly (readonly [string, number | undefined])[];
  readonly log: readonly string[];
}

async function main(): Promise<void> {
  // That of its image, which is the one of the workers.
  const bench = await liveBench({ python: '/usr/bin/python3' });
  await bench.host.whenReady();
  const log = new MemoryLog();
  const addresses: string[] = [];
  bench.store.onDidChange((event) => {
    if (event.type === 'cluster.state' && event.state.kind === 'running') addresses.push(event.state.address);
  });
  const executor = await kubernetesExecutor('dask-latest', process.argv[2] ?? 'default', {
    // Of this pod.
    image: runImage,
    n_workers: 1,
  });
  const backend = kubernetesBackend({ log });
  const id = await startStory(bench, 'dask', ['plain.py'], { kind: 'executor', executor, backend });
  const run = await bench.over(id, 120_000);
  const tasks = run.tasks.map(({ name, counts }) => [name, counts.completed] as const);
  await bench.until(() => bench.store.snapshot.clusters.size === 0, 60_000);
  await bench.dispose();
  const report: InsideReport = {
    ...{ addresses, run: JSON.stringify(run.state), tasks, log: log.lines },
  };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

void main();
