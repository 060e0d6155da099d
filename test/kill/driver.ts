// Stands for the extension host: starts what its first argument (JSON) says with the product's own parts, tells on stdout
// what happens, a JSON line each, and hears on stdin `cancel` and `close`. The tests kill it, or what it has started.
import { createInterface } from 'node:readline';
import { ClusterClassBackend } from '../../src/backends/clusterClass.ts';
import { liveBench } from '../support/hostLive.ts';
import type { DriverOptions } from './support.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as DriverOptions;
const tell = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);

async function main(): Promise<void> {
  const bench = await liveBench({ python: options.python, workspace: options.workspace });
  bench.host.onEvent((event) => tell(event));
  bench.store.onDidChange((event) => {
    if (event.type !== 'cluster.info') tell(event);
  });
  await bench.host.hello;
  tell({ event: 'host', pid: bench.host.pid });
  if (options.what === 'host') return;
  const cluster = { name: 'local', kind: 'local', n_workers: 2, threads_per_worker: 1 } as const;
  const clusterId = options.what === 'static' ? await bench.startStatic(cluster) : undefined;
  const { clusterClass } = options;
  const target =
    options.what === 'written'
      ? ({ kind: 'written' } as const)
      : clusterClass
        ? ({
            kind: 'executor',
            executor: clusterClass,
            backend: new ClusterClassBackend(bench.host),
          } as const)
        : ({ kind: 'executor', executor: cluster, backend: bench.backend } as const);
  const id = await bench.start({
    file: options.file,
    flow: options.flow,
    env: options.env,
    ...(clusterId ? { clusterId } : { target }),
  });
  createInterface(process.stdin).on('line', (line) => {
    if (line === 'cancel') void bench.runs.cancel(id);
    if (line === 'close') void bench.dispose();
  });
}

void main();
