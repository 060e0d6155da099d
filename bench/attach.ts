// From an address to the whole row of a cluster, against a Python client that connects and asks for the workers, to the
// same scheduler in turn. And what an attached cluster costs this process while it runs, hangs, and is gone:
//   npx tsx bench/attach.ts
// Writes bench/results/attach.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ClusterManager } from '../src/core/manager.ts';
import { Store } from '../src/core/store.ts';
import { clusterNodes } from '../src/core/tree.ts';
import { locateScheduler } from '../src/dask/locate.ts';
import { watchScheduler } from '../src/dask/watch.ts';
import { MemoryLog } from '../test/support/host.ts';
import { type Bed, startBed } from '../test/support/schedulerBed.ts';

const rounds = 40;
/** Rounds that are not counted: V8 compiles what is used often. */
const warmUp = 5;
const watchMs = 20_000;
const protocols = ['tcp', 'tls'] as const;

function window() {
  const store = new Store();
  return { store, manager: new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() }) };
}

/** As the command does it: asks who is there, then attaches; until the row has its workers. */
async function ours({ address, security }: Bed): Promise<number> {
  const { store, manager } = window();
  const start = performance.now();
  const found = await locateScheduler(address, { security });
  if (found.kind !== 'scheduler') throw found.error;
  const drawn = Promise.withResolvers<void>();
  store.onDidChange((event) => {
    if (event.type === 'cluster.info' && clusterNodes(store.snapshot, Date.now())[0]?.children)
      drawn.resolve();
  });
  manager.attach({ name: 'prod', address: found.address, ...(security && { security }) });
  await drawn.promise;
  const tookMs = performance.now() - start;
  await manager.dispose();
  return tookMs;
}

/** The Python client in a process of its own. */
async function startPeer({ python, address, certificates }: Bed) {
  const script = fileURLToPath(new URL('attach_peer.py', import.meta.url));
  const files = certificates ? Object.values(certificates.files) : [];
  const child = spawn(python, [script, address, ...files], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? 'null');
  await next();
  return {
    measure: async (): Promise<number> => {
      child.stdin.write('\n');
      return await next();
    },
    stop: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

function summary(times: number[]) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => Number((sorted[Math.floor(share * sorted.length)] ?? Number.NaN).toFixed(2));
  return {
    p50Ms: at(0.5),
    minMs: at(0),
    maxMs: Number((sorted.at(-1) ?? Number.NaN).toFixed(2)),
    n: sorted.length,
  };
}

async function compare(protocol: (typeof protocols)[number]) {
  const bed = await startBed({ version: 'latest', protocol, workers: 2 });
  const peer = await startPeer(bed);
  const [own, python]: [number[], number[]] = [[], []];
  try {
    for (let i = -warmUp; i < rounds; i += 1) {
      const pair = [await ours(bed), await peer.measure()] as const;
      if (i < 0) continue;
      own.push(pair[0]);
      python.push(pair[1]);
    }
  } finally {
    await peer.stop();
    await bed.stop();
  }
  const [us, them] = [summary(own), summary(python)];
  return { protocol, ours: us, python: them, ratioP50: Number((us.p50Ms / them.p50Ms).toFixed(2)) };
}

/** Percent of a core, for a while. */
async function cost(): Promise<number> {
  const [cpu, began] = [process.cpuUsage(), performance.now()];
  await sleep(watchMs);
  const { user, system } = process.cpuUsage(cpu);
  return Number(((user + system) / 10 / (performance.now() - began)).toFixed(2));
}

async function costs() {
  const bed = await startBed({ version: 'latest', workers: 2 });
  const { manager } = window();
  manager.attach({ name: 'prod', address: bed.address });
  await sleep(3000);
  const running = await cost();
  bed.signal('SIGSTOP');
  const hung = await cost();
  await bed.stop();
  const gone = await cost();
  await manager.dispose();
  return { seconds: watchMs / 1000, aim: 2, running, hung, gone };
}

async function main() {
  const results = [];
  for (const protocol of protocols) results.push(await compare(protocol));
  const cpuPercent = await costs();
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    platform: process.platform,
  };
  const report = { what: 'attach to a scheduler with two workers, loopback', machine, results, cpuPercent };
  const directory = new URL('results/', import.meta.url);
  await mkdir(directory, { recursive: true });
  await writeFile(new URL('attach.json', directory), `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(JSON.stringify(report, undefined, 2));
}

void main();
