import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { testKubernetes } from '../test/support/kubernetes.ts';

/** The program whose first argument is `kubectl`. */
export const kubectlPath = () => join(testKubernetes().programs, 'hyper');

/** Resolves with the local port of a `kubectl port-forward`, and what ends it. */
export async function forwarded(namespace: string, target: string, port: number) {
  const args = ['kubectl', '-n', namespace, 'port-forward', target, `:${port}`];
  const child = spawn(kubectlPath(), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const end = async () => {
    child.kill();
    await once(child, 'exit');
  };
  return { port: Number(/:(\d+) ->/.exec(line)?.[1]), end };
}
