// Writes the tables of bench/README.md from the JSON files in bench/results.   node bench/table.mjs [names]
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const result = async (name) => JSON.parse(await readFile(here(`results/${name}.json`), 'utf8'));
const row = (...cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(...head), row(...head.map(() => '---')), ...rows].join('\n');
const verdict = (met) => (met ? 'met' : '**missed**');
const seconds = (figure) =>
  figure ? `${figure.median.toFixed(2)} (${figure.min.toFixed(2)}–${figure.max.toFixed(2)})` : '–';

const apis = { prefect3: 'Prefect 3', prefect2: 'Prefect 2', prefect1: 'Prefect 1.4', dask: 'plain Dask' };

async function runs() {
  const { rows, machine } = await result('runs');
  const lines = rows.flatMap((r) =>
    ['firstTask', 'finished'].map((what) =>
      row(
        apis[r.api],
        what === 'firstTask' ? 'first task' : 'finished',
        seconds(r.warm[what]),
        seconds(r.peer[what]),
        `${r.ratio[what]} (${verdict(r.aim[what])}, aim ${what === 'firstTask' ? '0.10' : '0.25'})`,
        seconds(r.cold?.[what]),
        seconds(r.peerWithoutServer?.[what]),
        r.warm[what].n,
      ),
    ),
  );
  const head = [
    'API',
    'until',
    'ours, warm',
    'peer, server warm',
    'ratio',
    'ours, cold',
    'peer, no server',
    'rounds',
  ];
  return `${machine.cores} cores, ${machine.memoryGiB} GiB, load ${machine.load}.\n\n${table(head, lines)}`;
}

async function identity() {
  const { results, aimRatioP50 } = await result('identity');
  const lines = results.map((r) =>
    row(
      r.distributed,
      `${r.ours.p50Ms} ms`,
      `${r.python.p50Ms} ms`,
      `${r.ratioP50} (${verdict(r.ratioP50 <= aimRatioP50)})`,
      (r.ours.minMs / r.python.minMs).toFixed(2),
      `${r.bareSocket.p50Ms} ms`,
    ),
  );
  return table(
    [
      'distributed',
      'ours p50',
      'Python p50',
      `ratio (aim ${aimRatioP50})`,
      'ratio of minimums',
      'bare socket p50',
    ],
    lines,
  );
}

async function attach() {
  const { results, cpuPercent } = await result('attach');
  const figure = (f) => `${f.p50Ms.toFixed(0)} ms (${f.minMs.toFixed(0)}–${f.maxMs.toFixed(0)})`;
  const lines = results.map((r) => row(r.protocol, figure(r.ours), figure(r.python), r.ratioP50, r.ours.n));
  const costs = ['running', 'hung', 'gone'].map((state) => `${state} ${cpuPercent[state]} %`).join(', ');
  const met = verdict(['running', 'hung', 'gone'].every((state) => cpuPercent[state] <= cpuPercent.aim));
  const cost = `One attached cluster costs this much of a core: ${costs} (aim ${cpuPercent.aim} %: ${met}).`;
  return `${table(['protocol', 'ours', 'Python client', 'ratio', 'rounds'], lines)}\n\n${cost}`;
}

async function lens() {
  const { rows, aims } = await result('lens');
  const lines = rows.map((r) =>
    row(
      r.file,
      r.flows,
      `${r.coldMs.median} (${verdict(r.coldMs.median <= aims.coldMs)})`,
      `${r.editMs.median} (${verdict(r.editMs.median <= aims.editMs)})`,
      r.wholeParseMs.median,
    ),
  );
  return table(
    [
      '10,000 lines of',
      'flows',
      `cold, ms (aim ${aims.coldMs})`,
      `after an edit, ms (aim ${aims.editMs})`,
      'tree-sitter on the whole file, ms',
    ],
    lines,
  );
}

async function activation() {
  const { loadMs, activateMs, aims } = await result('activation');
  const figure = (f) => `${f.median.toFixed(1)} (${f.min.toFixed(1)}–${f.max.toFixed(1)})`;
  const lines = [
    row(figure(loadMs), `${figure(activateMs)} (${verdict(activateMs.median <= aims.activateMs)})`, loadMs.n),
  ];
  return table(['loading the bundle, ms', `activate, ms (aim ${aims.activateMs})`, 'windows'], lines);
}

async function manyWorkers() {
  const { workers, rows, aims, rssMiB, heapMiB, seconds, machine } = await result('manyWorkers');
  const names = { closed: 'no worker', onePage: 'a hundred workers', all: 'all workers' };
  const lines = Object.entries(rows).map(([name, r]) =>
    row(
      names[name],
      r.looksPerSecond,
      `${r.cpuPercent} (${verdict(r.cpuPercent < aims.cpuPercent)})`,
      `${r.openMs.median} (up to ${r.openMs.max}, ${verdict(r.openMs.max < aims.openMs)})`,
    ),
  );
  const head = [
    'rows that are open',
    'looks a second',
    `CPU, % of a core (aim under ${aims.cpuPercent})`,
    `to open, ms (aim under ${aims.openMs})`,
  ];
  const memory = `Over ${seconds} s: heap in use ${heapMiB.first} MiB at first and ${heapMiB.last} at last, RSS ${Math.round(rssMiB.first)} and ${Math.round(rssMiB.last)}, at most ${rssMiB.max}`;
  return `${workers.toLocaleString('en')} workers, load ${machine.load}. ${memory}.\n\n${table(head, lines)}`;
}

async function preflight() {
  const { rows, aimMs, machine } = await result('preflight');
  const figure = (f) => `${f.median} (${f.min}–${f.max})`;
  const lines = rows.map((r) =>
    row(
      apis[r.api === 'prefect' ? 'prefect3' : r.api],
      r.workers,
      `${figure(r.oursMs)} (${verdict(r.oursMs.median <= aimMs)})`,
      figure(r.getVersionsMs),
      r.oursMs.n,
    ),
  );
  const head = ['flow', 'workers', `preflight, ms (aim ${aimMs})`, 'get_versions, ms', 'rounds'];
  return `${machine.cores} cores, load ${machine.load}.\n\n${table(head, lines)}`;
}

async function existing() {
  const { rows, aim, machine } = await result('existing');
  const lines = rows.map((r) =>
    row(
      apis[r.api],
      seconds(r.ours),
      seconds(r.peer),
      `${r.ratio} (${verdict(r.aim)})`,
      seconds(r.cancel),
      r.ours.n,
    ),
  );
  const head = ['API', 'ours, warm', 'peer', `ratio (aim ${aim})`, 'end of a cancel', 'rounds'];
  return `${machine.cores} cores, load ${machine.load}.\n\n${table(head, lines)}`;
}

async function docker() {
  const { machine, workers, aimRatio, aimTearDownSeconds, ratio, connected, tornDown, peakMiB } =
    await result('docker');
  const fast = `${ratio} (${verdict(ratio <= aimRatio)}, aim ${aimRatio})`;
  const gone = `${verdict(tornDown.ours.median <= aimTearDownSeconds)}, aim ${aimTearDownSeconds} s`;
  const lines = [
    row(`${workers} workers connected, s`, seconds(connected.ours), seconds(connected.plain), fast),
    row('nothing left, s', seconds(tornDown.ours), seconds(tornDown.plain), gone),
    row('peak of a worker, MiB', seconds(peakMiB.ours), seconds(peakMiB.plain), ''),
  ];
  const head = ['until', 'ours, TLS', 'plain `docker run`', 'ratio'];
  return `${machine.cores} cores, load ${machine.load}, ${connected.ours.n} rounds.\n\n${table(head, lines)}`;
}

async function kubernetes() {
  const { machine, workers, connected, tornDown } = await result('kubernetes');
  const share = (who, peer, aim) => {
    const ratio = Number((connected[who].median / connected[peer].median).toFixed(2));
    return `${ratio} (${verdict(ratio <= aim)}, aim ${aim})`;
  };
  const line = (name, who, ...shares) =>
    row(name, seconds(connected[who]), seconds(tornDown[who]), ...shares);
  const lines = [
    line('ours, TLS', 'ours', share('ours', 'kubectl', 0.85), '', share('ours', 'kubeCluster', 0.16)),
    line(
      'ours by the operator, TLS',
      'operator',
      '',
      share('operator', 'patched', 1),
      share('operator', 'kubeCluster', 0.2),
    ),
    line('`kubectl apply`', 'kubectl', '', '', ''),
    line('`KubeCluster`, patched', 'patched', '', '', ''),
    line('`KubeCluster`', 'kubeCluster', '', '', ''),
  ];
  const head = [
    ...['', `${workers} workers connected, s`, 'no pod left, s'],
    ...['of `kubectl`', 'of `KubeCluster`, patched', 'of `KubeCluster`'],
  ];
  return `${machine.cores} cores, load ${machine.load}, ${connected.ours.n} rounds.\n\n${table(head, lines)}`;
}

async function forwards() {
  const { machine, megabytes, units, ...measures } = await result('forwards');
  const names = { down: 'down', up: 'up', question: 'a question' };
  const lines = Object.entries(names).map(([key, name]) =>
    row(
      `${name}, ${units[key]}`,
      ...['forward', 'sessions', 'kubectl'].map((way) => seconds(measures[key][way])),
    ),
  );
  const head = [`${megabytes} MiB, one connection`, 'forward', 'session', '`kubectl port-forward`'];
  return `${machine.cores} cores, load ${machine.load}, ${measures.down.forward.n} rounds.\n\n${table(head, lines)}`;
}

const tables = {
  runs,
  existing,
  docker,
  kubernetes,
  forwards,
  identity,
  attach,
  manyWorkers,
  preflight,
  lens,
  activation,
};
const wanted = process.argv.slice(2);
let text = await readFile(here('README.md'), 'utf8');
for (const [name, make] of Object.entries(tables)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const block = new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`);
  if (!block.test(text)) throw new Error(`bench/README.md has no block ${name}`);
  const made = await make();
  text = text.replace(block, (_, begin, end) => `${begin}\n${made}\n\n${end}`);
}
await writeFile(here('README.md'), text);
