// Time of one `identity` call, ours against the Python client's own RPC, to the same scheduler in the same run:
//   npx tsx bench/identity.ts
// and against a bare socket that sends the same bytes and reads nothing of the answer: what is the scheduler's own time
// and the kernel's. In turn, a batch each, so that all meet the same machine. Writes bench/results/identity.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { encodeMessage } from '../src/dask/codec.ts';
import { encodeStream, StreamFraming } from '../src/dask/frames.ts';
import { SchedulerClient } from '../src/dask/scheduler.ts';
import { daskVersions } from '../test/support/daskEnvs.ts';
import { startBed } from '../test/support/schedulerBed.ts';

const batches = 40;
/** Batches that are not counted: V8 compiles what is used often. */
const warmUp = 20;
const callsPerBatch = 25;
const workers = 2;

async function batch(call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < callsPerBatch; i += 1) {
    const start = performance.now();
    await call();
    times.push(performance.now() - start);
  }
  return times;
}

/** A socket that sends and waits for the end of the answer, no more. */
async function bareSocket(address: string) {
  const { hostname: host, port } = new URL(address.replace('tcp:', 'http:'));
  const bytes = (message: unknown) => encodeStream(encodeMessage(message));
  const framing = new StreamFraming();
  const socket = connect({ host, port: Number(port), noDelay: true });
  let answered: () => void = () => undefined;
  socket.on('data', (piece) => {
    framing.append(piece);
    if (framing.read() !== undefined) answered();
  });
  const exchange = (request: Uint8Array) =>
    new Promise<void>((resolve) => {
      answered = resolve;
      socket.write(request);
    });
  await once(socket, 'connect');
  await exchange(bytes({ compression: null, python: [3, 11, 0], 'pickle-protocol': 4 }));
  const request = bytes({ op: 'identity', reply: true });
  return { call: () => exchange(request), close: () => socket.destroy() };
}

/** The Python client in a process of its own. */
async function startPeer(python: string, address: string) {
  const script = fileURLToPath(new URL('identity_peer.py', import.meta.url));
  const child = spawn(python, [script, address], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? 'null');
  await next();
  return {
    measure: async (): Promise<number[]> => {
      child.stdin.write(`${callsPerBatch}\n`);
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
  const at = (share: number) => Number((sorted[Math.floor(share * sorted.length)] ?? Number.NaN).toFixed(3));
  return { p50Ms: at(0.5), p95Ms: at(0.95), minMs: at(0), calls: sorted.length };
}

async function compare(version: (typeof daskVersions)[number]) {
  const bed = await startBed({ version, workers });
  const client = new SchedulerClient(bed.address);
  const peer = await startPeer(bed.python, bed.address);
  const bare = await bareSocket(bed.address);
  const [own, python, floor]: [number[], number[], number[]] = [[], [], []];
  try {
    const { distributed } = await client.versions();
    for (let i = -warmUp; i < batches; i += 1) {
      const batchOf = [await batch(() => client.identity()), await peer.measure(), await batch(bare.call)];
      if (i < 0) continue;
      for (const [n, times] of [own, python, floor].entries()) times.push(...(batchOf[n] ?? []));
    }
    const [us, them] = [summary(own), summary(python)];
    return {
      distributed,
      workers,
      ours: us,
      python: them,
      bareSocket: summary(floor),
      ratioP50: Number((us.p50Ms / them.p50Ms).toFixed(2)),
    };
  } finally {
    await peer.stop();
    bare.close();
    client.close();
    await bed.stop();
  }
}

async function main() {
  const results = [];
  for (const version of daskVersions) results.push(await compare(version));
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    node: process.version,
    platform: process.platform,
  };
  const report = { what: 'identity call, loopback tcp', aimRatioP50: 0.7, machine, results };
  const directory = new URL('results/', import.meta.url);
  await mkdir(directory, { recursive: true });
  await writeFile(new URL('identity.json', directory), `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(JSON.stringify(report, undefined, 2));
}

void main();
