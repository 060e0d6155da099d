// Stands for a window that has a cluster until it is killed: its first argument (JSON) says which one. It tells on stdout, a
// line each, how the start goes, and “ready”; it hears on stdin `close`.
import { createInterface } from 'node:readline';
import type { KubernetesExecutor } from '../../src/core/kubernetesExecutor.ts';
import { kubernetesBackend, kubernetesExecutor, ownerHoldSeconds } from './kubernetes.ts';

export interface OwnerOptions {
  readonly namespace: string;
  readonly lifetime: 'temporary' | 'static';
  readonly options: Partial<KubernetesExecutor>;
  /** Absent: a new one. */
  readonly id?: string;
}

const tell = (line: string) => void process.stdout.write(`${line}\n`);

async function own(): Promise<void> {
  const { namespace, lifetime, options, id } = JSON.parse(process.argv[2] ?? '{}') as OwnerOptions;
  const executor = await kubernetesExecutor('dask-latest', namespace, { n_workers: 1, ...options });
  const backend = kubernetesBackend({ holdSeconds: ownerHoldSeconds, ...(id && { newId: () => id }) });
  const handle = await backend.start(executor, {
    ...{ clusterId: 'c1', lifetime, signal: new AbortController().signal, inherit: {} },
    ...{ stage: tell, worker: () => undefined, scaling: () => undefined },
  });
  createInterface(process.stdin).once('line', () => void handle.close({ force: true }));
  tell('ready');
}
void own();
