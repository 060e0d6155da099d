// Time of a preflight on ten workers that are processes of their own, on loopback:
//   npx tsx bench/preflight.ts
// Paired with what Dask itself offers, `Client(address)` and `get_versions(check=True)`, which knows neither of modules nor
// of the API, in a Python that has imported everything. Writes bench/results/preflight.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../src/core/cluster.ts';
import type { FlowApiId } from '../src/core/flow.ts';
import { preflight } from '../src/runs/preflight.ts';
import { startClusterBed } from '../test/support/clusterBed.ts';
import { type EnvironmentName, liveHost, pythonOf } from '../test/support/hostLive.ts';

const workers = 10;
const rounds = 20;
const warmUp = 3;
const aimMs = 1000;

/** Modules that the flow imports, each of a hundred lines: a workspace as they are. */
const ownModules = 20;

const cluster: Cluster = {
  id: 'c1',
  name: 'bench',
  executor: 'bench',
  lifetime: 'static',
  ownership: 'attached',
  state: { kind: 'running', sinceMs: 0, address: '', dashboard: null },
};

async function startPeer(python: string, address: string) {
  const script = fileURLToPath(new URL('preflight_peer.py', import.meta.url));
  const child = spawn(python, [script, address], { stdio: ['pipe', 'pipe', 'inherit'] });
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
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN);
  return { median: at(0.5), min: at(0), max: at(1), n: sorted.length };
}

async function writeWorkspace(folder: string, api: FlowApiId): Promise<string> {
  const names = Array.from({ length: ownModules }, (_, i) => `part${i}`);
  const body = Array.from({ length: 50 }, (_, i) => `def f${i}(x):\n    return json.dumps(x)`).join('\n');
  for (const name of names)
    await writeFile(join(folder, `${name}.py`), `import json\nimport dask\n${body}\n`);
  const head = api === 'prefect' ? 'from prefect import flow, task' : 'import dask';
  const flow = api === 'prefect' ? '@task\ndef t(x): return x\n@flow\ndef etl(): t.submit(1)' : '';
  const file = join(folder, 'flow.py');
  await writeFile(file, `${head}\n${names.map((name) => `import ${name}`).join('\n')}\n${flow}\n`);
  return file;
}

async function measure(name: EnvironmentName, api: FlowApiId) {
  const python = await pythonOf(name);
  const workspace = await mkdtemp(join(tmpdir(), 'bench-preflight-'));
  const file = await writeWorkspace(workspace, api);
  const parts = Array.from({ length: workers }, (_, i) => ({ python, name: String(i) }));
  const bed = await startClusterBed({ scheduler: { python }, workers: parts });
  const host = await liveHost({ python, workspace });
  const peer = await startPeer(python, bed.address);
  try {
    await host.whenReady();
    const { packages } = await host.hello;
    // As before a run: the API is there.
    if (api === 'prefect') await host.prefectApi(() => undefined);
    const look = async (): Promise<number> => {
      const start = performance.now();
      const { signal } = new AbortController();
      const handle = { address: bed.address };
      const findings = await preflight({ host, cluster, handle, flow: { file, api }, brief: true, signal });
      const bad = findings.filter(({ severity }) => severity !== 'good');
      if (bad.length > 0) throw new Error(JSON.stringify(bad));
      return performance.now() - start;
    };
    const [ours, theirs]: [number[], number[]] = [[], []];
    for (let i = -warmUp; i < rounds; i += 1) {
      const [own, other] = [await look(), await peer.measure()];
      if (i < 0) continue;
      ours.push(own);
      theirs.push(other);
    }
    return {
      api,
      distributed: packages.distributed,
      prefect: packages.prefect,
      workers,
      ownModules,
      oursMs: summary(ours),
      getVersionsMs: summary(theirs),
    };
  } finally {
    await peer.stop();
    await host.dispose();
    await bed.stop();
    await rm(workspace, { recursive: true });
  }
}

async function main() {
  const rows = [await measure('prefect3', 'prefect'), await measure('dask-latest', 'dask')];
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    load: Number(loadavg()[0]?.toFixed(2)),
    node: process.version,
    platform: process.platform,
  };
  const report = { what: 'preflight of a live cluster, loopback tcp', aimMs, machine, rows };
  const directory = new URL('results/', import.meta.url);
  await mkdir(directory, { recursive: true });
  await writeFile(new URL('preflight.json', directory), `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(JSON.stringify(report, undefined, 2));
}

void main();
