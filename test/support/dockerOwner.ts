// A process that starts a cluster of one worker, temporary or `static`, says so, and waits to be killed.
import { setTimeout as sleep } from 'node:timers/promises';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { dockerBackend, dockerExecutor } from './docker.ts';

async function main(): Promise<void> {
  const nothing = () => undefined;
  const lifetime = process.argv[2] === 'static' ? 'static' : 'temporary';
  const hold = process.env.FLOW_CLUSTERS_TEST_HOLD;
  const backend = dockerBackend(hold ? { holdSeconds: Number(hold) } : {});
  const handle = await backend.start(await dockerExecutor('dask-latest', { n_workers: 1 }), {
    ...{ clusterId: 'c1', lifetime, signal: new AbortController().signal, inherit: {} },
    ...{ stage: nothing, worker: nothing, scaling: nothing },
  });
  // Before that it would wait for a scheduler till its death timeout.
  const client = new SchedulerClient(handle.address, { security: handle.security });
  while ((await client.identity()).workers.length < 1) await sleep(50);
  const keepsake = handle.keepsake?.();
  process.stdout.write(`${handle.address}\n${keepsake ? JSON.stringify(keepsake) : ''}\n`);
  setInterval(nothing, 1000);
}

void main();
