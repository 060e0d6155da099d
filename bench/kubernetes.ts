// Two workers in pods until both are connected, and until no pod is left:
//   node scripts/kubernetes-bed.mjs npx tsx bench/kubernetes.ts [rounds]
// By ourselves and by Dask's operator, paired in one run with `kubectl apply` of a scheduler, a service and two workers,
// reached by `kubectl port-forward`, and with KubeCluster of dask-kubernetes: without its waits for a host name, and as
// shipped (every third round: it takes 20 s). No TLS with either. Writes bench/results/kubernetes.json.
import { execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { operatorPython, withOperator } from '../scripts/lib/kubernetesOperator.mjs';
import type { Way } from '../src/backends/kubernetes/objects.ts';
import {
  kubernetesBackend,
  kubernetesExecutor,
  optionsOf,
  testKubernetes,
  testNamespace,
} from '../test/support/kubernetes.ts';
import { forwarded, kubectlPath } from './kubectl.ts';
import { allConnected, startQuietly, summary } from './starts.ts';

const workers = 2;
const rounds = Number(process.argv[2] ?? 7);
const kubeClusterEvery = 3;
const run = promisify(execFile);
const folder = fileURLToPath(new URL('.', import.meta.url));

interface Sample {
  readonly connected: number;
  readonly tornDown: number;
}

async function ours(namespace: string, way: Way = 'plain'): Promise<Sample> {
  const executor = await kubernetesExecutor('dask-latest', namespace, optionsOf(way));
  const began = performance.now();
  const handle = await startQuietly(kubernetesBackend(), executor);
  await allConnected(workers, handle.address, handle.security);
  const connected = performance.now() - began;
  const ending = performance.now();
  await handle.close({ force: true });
  return { connected: connected / 1000, tornDown: (performance.now() - ending) / 1000 };
}

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const running = run(kubectlPath(), ['kubectl', ...args]);
  running.child.stdin?.end(input);
  return (await running).stdout;
}

const manifests = (image: string) => {
  const security = {
    ...{ runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
  };
  const pod = (name: string, role: string, args: string[], more: object = {}) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'dask', role } } },
    spec: {
      ...{ terminationGracePeriodSeconds: 5, securityContext: security },
      containers: [
        {
          ...{ name: role, image, imagePullPolicy: 'IfNotPresent', args, workingDir: '/tmp' },
          env: [{ name: 'HOME', value: '/tmp' }],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          ...more,
        },
      ],
    },
  });
  const ports = [{ name: 'comm', port: 8786 }];
  const service = { selector: { app: 'dask', role: 'scheduler' }, ports };
  const readiness = { readinessProbe: { tcpSocket: { port: 8786 }, periodSeconds: 1 } };
  const worker = (n: number) =>
    pod(`dask-worker-${n}`, 'worker', ['dask', 'worker', 'tcp://dask:8786', '--nthreads', '1']);
  const items = [
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'dask' }, spec: service },
    pod('dask-scheduler', 'scheduler', ['dask', 'scheduler', '--host', '0.0.0.0'], readiness),
    ...Array.from({ length: workers }, (_, n) => worker(n)),
  ];
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
};

async function applied(namespace: string): Promise<Sample> {
  const { image } = await kubernetesExecutor('dask-latest', namespace);
  const text = manifests(image);
  const began = performance.now();
  await kubectl(['-n', namespace, 'apply', '-f', '-'], text);
  await kubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'pod/dask-scheduler', '--timeout=60s']);
  const { port, end } = await forwarded(namespace, 'svc/dask', 8786);
  await allConnected(workers, `tcp://127.0.0.1:${port}`);
  const connected = performance.now() - began;
  await end();
  const ending = performance.now();
  await kubectl(['-n', namespace, 'delete', '--wait=true', '-f', '-'], text);
  return { connected: connected / 1000, tornDown: (performance.now() - ending) / 1000 };
}

/** KubeCluster in one process of its own, as a user's session has it. */
async function kubeCluster(namespace: string) {
  const { image } = await kubernetesExecutor('dask-latest', namespace);
  const args = [join(folder, 'kubernetes_peer.py'), namespace, image];
  const child = spawn(await operatorPython(), args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    start: async (which: 'shipped' | 'patched'): Promise<Sample | undefined> => {
      child.stdin.write(`${which}\n`);
      const { value } = (await lines.next()) as { value: string };
      const told = JSON.parse(value) as Sample & { error?: string };
      if (told.error) console.log(`KubeCluster (${which}) failed: ${told.error}`);
      return told.error ? undefined : told;
    },
    end: () => child.kill(),
  };
}

async function measure() {
  const { namespace, remove } = await testNamespace('bench', {});
  try {
    return await withOperator(testKubernetes(), namespace, () => measureIn(namespace));
  } finally {
    await remove();
  }
}

async function measureIn(namespace: string) {
  const peer = await kubeCluster(namespace);
  const kinds = {
    ours: () => ours(namespace),
    operator: () => ours(namespace, 'operator'),
    kubectl: () => applied(namespace),
    patched: () => peer.start('patched'),
    kubeCluster: () => peer.start('shipped'),
  };
  const samples = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, [] as Sample[]]));
  for (const start of [kinds.ours, kinds.operator, kinds.kubectl, kinds.patched]) await start();
  for (let round = 0; round < rounds; round += 1) {
    for (const [kind, start] of Object.entries(kinds)) {
      if (kind === 'kubeCluster' && round % kubeClusterEvery !== 0) continue;
      const sample = await start();
      if (sample) samples[kind]?.push(sample);
    }
  }
  peer.end();
  const of = (key: keyof Sample) =>
    Object.fromEntries(
      Object.entries(samples).map(([who, some]) => [who, summary(some.map((one) => one[key]))]),
    );
  return {
    machine: { cores: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(2)) },
    ...{ workers, connected: of('connected'), tornDown: of('tornDown') },
  };
}

async function main(): Promise<void> {
  const result = await measure();
  await mkdir(join(folder, 'results'), { recursive: true });
  await writeFile(join(folder, 'results', 'kubernetes.json'), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result, null, 1));
}

void main();
