// A process that starts a cluster of an image, told as its argument, and says each stage as it comes.
import { dockerBackend } from './docker.ts';

const nothing = () => undefined;
const executor = { name: 'docker', kind: 'docker', image: process.argv[2] ?? '', n_workers: 2 } as const;
void dockerBackend().start(executor, {
  ...{ clusterId: 'c1', lifetime: 'temporary', signal: new AbortController().signal, inherit: {} },
  ...{ stage: (text) => process.stdout.write(`${text}\n`), worker: nothing, scaling: nothing },
});
