// What it costs the extension host to show a cluster of 1,000 workers, looked at once a second:
//   npx tsx bench/manyWorkers.ts [workers] [seconds]
// A real scheduler with real, light workers in other processes; this one holds what the extension host holds: the
// watch, the manager, the store, the rows, and a stand-in for VS Code that asks for rows as its tree does. Measures
// its own CPU time and memory. Writes bench/results/manyWorkers.json.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DrawnRows } from '../src/core/drawnRows.ts';
import { ClusterManager } from '../src/core/manager.ts';
import { Store } from '../src/core/store.ts';
import { clusterNodes, type TreeNode } from '../src/core/tree.ts';
import { watchScheduler } from '../src/dask/watch.ts';
import { daskEnv } from '../test/support/daskEnvs.ts';
import { MemoryLog } from '../test/support/host.ts';

const [workers = 1000, seconds = 300] = process.argv.slice(2).map(Number);
const processes = 4;
const warmUpMs = 20_000;
const openings = 40;
const MiB = 2 ** 20;

async function startScheduler() {
  const { python } = await daskEnv('latest');
  const script = fileURLToPath(new URL('many_workers.py', import.meta.url));
  const args = [script, String(workers), String(processes)];
  const child = spawn(python, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const { address } = JSON.parse((await lines.next()).value ?? '{}') as { address: string };
  return {
    address,
    stop: async () => {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}

/** As `ui/views.ts` and VS Code's tree: asks for the rows of what is open, makes an item of each and sends it. */
class View {
  readonly open = new Set<string>();
  redraws = 0;
  items = 0;
  readonly #drawn: DrawnRows;
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store) {
    this.#drawn = new DrawnRows(() => clusterNodes(store.snapshot, Date.now()));
    store.onDidChange(() => {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        const changed = this.#drawn.changed();
        if (changed.includes(undefined)) this.draw();
        else for (const row of changed) if (row) this.#redraw(row);
      }, 250);
    });
  }

  draw(): void {
    this.redraws += 1;
    this.#draw();
  }

  #redraw(row: TreeNode): void {
    this.items += JSON.stringify(item(this.#drawn.latest(row))).length > 0 ? 1 : 0;
    if (this.open.has(row.id)) this.#draw(row);
  }

  #draw(node?: TreeNode): void {
    const rows = this.#drawn.children(node);
    this.items += JSON.stringify(rows.map(item)).length > 0 ? rows.length : 0;
    for (const row of rows) if (this.open.has(row.id)) this.#draw(row);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

const item = (node: TreeNode) => ({
  label: node.label,
  id: node.id,
  contextValue: node.context,
  iconPath: { id: node.icon, color: node.color },
  description: node.description,
  tooltip: node.tooltip ?? [node.label, node.description].filter(Boolean).join(' · '),
  accessibilityInformation: { label: [node.label, node.description].filter(Boolean).join(', ') },
  collapsibleState: 'children' in node ? 1 : 0,
});

/** CPU time of this process as a share of one core, while it goes on for that long. */
async function cpuPercent(store: Store, forMs: number) {
  let looks = 0;
  const listening = store.onDidChange((event) => {
    if (event.type === 'cluster.info') looks += 1;
  });
  const [before, started] = [process.cpuUsage(), performance.now()];
  await sleep(forMs);
  const { user, system } = process.cpuUsage(before);
  const tookMs = performance.now() - started;
  listening.dispose();
  return {
    cpuPercent: round((user + system) / 10 / tookMs),
    looksPerSecond: round((1000 * looks) / tookMs),
  };
}

function opening(view: View, ids: readonly string[]) {
  const times = Array.from({ length: openings }, () => {
    view.open.clear();
    const started = performance.now();
    for (const id of ids) view.open.add(id);
    view.draw();
    return performance.now() - started;
  }).toSorted((a, b) => a - b);
  return { median: round(times[openings / 2] ?? 0), max: round(times.at(-1) ?? 0) };
}

const round = (n: number) => Number(n.toFixed(2));

/** What is in use after all that is not has been collected. */
function heapMiB(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return round((heapUsed + arrayBuffers) / MiB);
}

async function main() {
  const scheduler = await startScheduler();
  const store = new Store();
  const manager = new ClusterManager({ store, watch: watchScheduler, log: new MemoryLog() });
  const view = new View(store);
  try {
    const id = manager.attach({ name: 'many', address: scheduler.address });
    while (store.snapshot.clusters.get(id)?.info?.workers.length !== workers) await sleep(100);
    const pages = Array.from({ length: Math.ceil(workers / 100) }, (_, n) => `${id}/workers/${n * 100}`);
    const shapes = {
      closed: [id],
      onePage: [id, `${id}/workers`, ...pages.slice(0, 1)],
      all: [id, `${id}/workers`, ...pages],
    };
    view.open.add(id);
    await sleep(warmUpMs);
    const opened = Object.fromEntries(
      Object.entries(shapes).map(([name, ids]) => [name, opening(view, ids)]),
    );
    const heap = { first: heapMiB(), last: 0 };
    const rss: number[] = [];
    const sampling = setInterval(() => rss.push(Math.round(process.memoryUsage().rss / MiB)), 1000);
    const rows: Record<string, unknown> = {};
    for (const [name, ids] of Object.entries(shapes)) {
      view.open.clear();
      for (const open of ids) view.open.add(open);
      [view.redraws, view.items] = [0, 0];
      const figures = await cpuPercent(store, (1000 * seconds) / 3);
      rows[name] = { ...figures, redraws: view.redraws, items: view.items, openMs: opened[name] };
    }
    clearInterval(sampling);
    heap.last = heapMiB();
    const tenth = Math.ceil(rss.length / 10);
    const mean = (values: readonly number[]) => round(values.reduce((a, b) => a + b, 0) / values.length);
    const report = {
      what: 'a cluster of many workers, looked at and shown once a second',
      aims: { cpuPercent: 3, openMs: 100 },
      machine: {
        cpu: cpus()[0]?.model,
        cores: cpus().length,
        node: process.version,
        load: round(loadavg()[0] ?? 0),
      },
      workers,
      seconds,
      rows,
      rssMiB: { first: mean(rss.slice(0, tenth)), last: mean(rss.slice(-tenth)), max: Math.max(...rss) },
      heapMiB: heap,
    };
    const directory = new URL('results/', import.meta.url);
    await mkdir(directory, { recursive: true });
    await writeFile(new URL('manyWorkers.json', directory), `${JSON.stringify(report, undefined, 2)}\n`);
    console.log(JSON.stringify(report, undefined, 2));
  } finally {
    view.stop();
    await manager.dispose();
    await scheduler.stop();
  }
}

void main();
