// A forwarded port of a pod: megabytes per second down and up, and how long a small question and its answer take:
//   node scripts/kubernetes-bed.mjs npx tsx bench/forwards.ts [rounds]
// By a WebSocket for each connection (`forward`), by sessions that outlive these (`sessions`), and by `kubectl
// port-forward`, in turn. Writes bench/results/forwards.json.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CoreV1Api } from '@kubernetes/client-node';
import { openKubernetes } from '../src/backends/kubernetes/kubernetesApi.ts';
import { openPodPort, PortForward } from '../src/backends/kubernetes/portForward.ts';
import { ResumablePort } from '../src/backends/kubernetes/sessions.ts';
import { sessionsPort } from '../src/backends/memberProtocol.ts';
import { kubernetesExecutor, testCluster, testNamespace, until } from '../test/support/kubernetes.ts';
import { forwarded } from './kubectl.ts';
import { summary } from './starts.ts';

const megabytes = 192;
const megabyte = 1024 * 1024;
const questions = 300;
const target = 8000;
const pod = 'server';
const script = fileURLToPath(import.meta.url);
const folder = fileURLToPath(new URL('.', import.meta.url));

async function startServer(namespace: string): Promise<void> {
  const core = testCluster().makeApiClient(CoreV1Api);
  const { image } = await kubernetesExecutor('dask-latest', namespace);
  const [code, sessions] = await Promise.all(
    ['forwarded_server.py', '../src/python/flow_clusters/sessions.py'].map((name) =>
      readFile(join(folder, name), 'utf8'),
    ),
  );
  const body = {
    metadata: { name: pod },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          ...{ name: pod, image, imagePullPolicy: 'IfNotPresent' },
          command: ['python3', '-c', code ?? '', String(megabytes)],
          env: [{ name: 'SESSIONS', value: sessions ?? '' }],
        },
      ],
    },
  };
  await core.createNamespacedPod({ namespace, body });
  await until(
    async () => (await core.readNamespacedPod({ namespace, name: pod })).status?.phase === 'Running',
  );
  await sleep(1_000);
}

async function opened(port: number, what: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  socket.write(what);
  return socket;
}

async function down(port: number): Promise<number> {
  const began = performance.now();
  const socket = await opened(port, 'D');
  let received = 0;
  socket.on('data', (data) => {
    received += data.length;
  });
  await once(socket, 'close');
  if (received !== megabytes * megabyte) throw new Error(`${received} bytes`);
  return received / 1e3 / (performance.now() - began);
}

async function up(port: number): Promise<number> {
  const began = performance.now();
  const socket = await opened(port, 'U');
  const answer = once(socket, 'data');
  const chunk = Buffer.alloc(megabyte);
  for (let n = 0; n < megabytes; n += 1) if (!socket.write(chunk)) await once(socket, 'drain');
  await answer;
  const rate = (megabytes * megabyte) / 1e3 / (performance.now() - began);
  socket.destroy();
  return rate;
}

/** Milliseconds. */
async function question(port: number): Promise<number> {
  const socket = await opened(port, 'E');
  const times = [];
  for (let n = 0; n < questions; n += 1) {
    const began = performance.now();
    socket.write('0123456789');
    await once(socket, 'data');
    times.push(performance.now() - began);
  }
  socket.destroy();
  return times.sort((a, b) => a - b)[questions / 2] ?? 0;
}

const measures: Readonly<Record<string, (port: number) => Promise<number>>> = { down, up, question };

/** In a process of its own, as users' programs are: this one has the forwards. */
async function elsewhere(measured: string, port: number): Promise<number> {
  const args = [...process.execArgv, script, measured, String(port)];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

async function measure(namespace: string, rounds: number) {
  await startServer(namespace);
  const api = await openKubernetes({ namespace });
  const forward = new PortForward(api, () => pod, target);
  const sessions = new ResumablePort({
    open: (events) => openPodPort(api, pod, sessionsPort, events),
    ...{ target, onTrouble: (error) => console.log(error) },
  });
  const kubectl = await forwarded(namespace, `pod/${pod}`, target);
  const ways = {
    forward: await forward.listen(),
    sessions: await sessions.listen(),
    kubectl: kubectl.port,
  };
  const taken: { measured: string; way: string; value: number }[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    for (const measured of Object.keys(measures)) {
      for (const [way, port] of Object.entries(ways)) {
        const value = await elsewhere(measured, port);
        // The first of each warms up.
        if (round > 0) taken.push({ measured, way, value });
      }
    }
  }
  forward.close();
  sessions.close();
  await kubectl.end();
  const of = (measured: string, way: string) =>
    summary(taken.filter((one) => one.measured === measured && one.way === way).map(({ value }) => value));
  const summaries = Object.keys(measures).map((measured) => [
    measured,
    Object.fromEntries(Object.keys(ways).map((way) => [way, of(measured, way)])),
  ]);
  return {
    machine: { cores: cpus().length, load: Number((loadavg()[0] ?? 0).toFixed(2)) },
    ...{ units: { down: 'MB/s', up: 'MB/s', question: 'ms' }, megabytes },
    ...Object.fromEntries(summaries),
  };
}

async function main([first, port]: readonly string[]): Promise<void> {
  const take = measures[first ?? ''];
  if (take) {
    process.stdout.write(String(await take(Number(port))));
    return;
  }
  const { namespace, remove } = await testNamespace('forwards', {});
  try {
    const result = await measure(namespace, Number(first ?? 5));
    await mkdir(join(folder, 'results'), { recursive: true });
    await writeFile(join(folder, 'results', 'forwards.json'), `${JSON.stringify(result, null, 2)}\n`);
    console.log(JSON.stringify(result, null, 1));
  } finally {
    await remove();
  }
}

void main(process.argv.slice(2));
