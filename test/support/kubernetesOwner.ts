// A process that has a cluster until it is killed: its arguments are a namespace, a lifetime, a way, and `stuck` where its
// image can't be pulled.
import { kubernetesBackend, kubernetesExecutor, optionsOf } from './kubernetes.ts';

const nothing = () => undefined;
async function own(): Promise<void> {
  const [namespace = 'default', lifetime, way, stuck] = process.argv.slice(2);
  const image = stuck ? { image: '127.0.0.1:1/x:1', start_timeout: 10 } : {};
  const options = { n_workers: 1, ...image, ...optionsOf(way === 'operator' ? 'operator' : 'plain') };
  const executor = await kubernetesExecutor('dask-latest', namespace, options);
  await kubernetesBackend({ holdSeconds: 5 }).start(executor, {
    ...{
      clusterId: 'c1',
      lifetime: lifetime === 'static' ? 'static' : 'temporary',
      signal: new AbortController().signal,
      inherit: {},
    },
    ...{ stage: nothing, worker: nothing, scaling: nothing },
  });
  process.stdout.write('ready\n');
}
void own();
