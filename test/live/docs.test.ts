import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ClusterClassBackend } from '../../src/backends/clusterClass.ts';
import { type Executor, readExecutors } from '../../src/core/executor.ts';
import type { Run } from '../../src/core/run.ts';
import { FlowDocument } from '../../src/flows/document.ts';
import type { PythonParser } from '../../src/flows/parser.ts';
import type { RunTarget } from '../../src/runs/request.ts';
import { examples, settingsOf } from '../support/docs.ts';
import type { Bench } from '../support/host.ts';
import { liveBench, prefectHome, pythonOf, removeFolder } from '../support/hostLive.ts';
import { startBed } from '../support/schedulerBed.ts';
import { testParser } from '../unit/flows/python.ts';

/** Machines of tests are shared. */
const patienceMs = 120_000;
const files = examples.filter(({ file }) => file !== undefined);

/** Executors of all guides that need nothing but this machine and its Python. */
const executors = new Map<string, Executor>();
for (const { language, text } of examples) {
  if (language !== 'jsonc') continue;
  for (const one of readExecutors(settingsOf(text)['flowClusters.executors'], '').executors) {
    const isLocal = one.kind === 'local' || one.kind === 'localDask';
    if (isLocal) assert.deepEqual(executors.get(one.name) ?? one, one, 'another one of that name');
    executors.set(one.name, one);
  }
}

/** What is run of the docs, on which executors of theirs. */
const flowsOf = {
  prefect3: { 'etl.py': ['local'] },
  prefect1: { 'etl1.py': ['local', 'here'] },
  'dask-latest': {
    'script.py': ['laptop', 'threads', 'mine', 'quiet'],
    'naps.py': ['wide'],
    'own_cluster.py': ['as written'],
  },
} as const;

/** Run beside them, or used by them. */
const others = ['client.py', 'my_module.py'];

describe('examples of the docs', function () {
  this.timeout(patienceMs);
  let parser: PythonParser;
  let folder: string;

  before(async () => {
    parser = await testParser();
    folder = await mkdtemp(join(tmpdir(), 'docs-'));
    for (const { file = '', text } of files) await writeFile(join(folder, file), `${text}\n`);
  });
  after(() => removeFolder(folder));

  it('are all run that are whole files, each by one name', () => {
    const run = [...others, ...Object.values(flowsOf).flatMap((of) => Object.keys(of))];
    assert.deepEqual(files.map(({ file }) => file).sort(), run.sort());
  });

  it('are all run that say a cluster on this machine', () => {
    const run: string[] = Object.values(flowsOf).flatMap((of) => Object.values(of).flat());
    for (const { name, kind } of executors.values())
      if (kind === 'local' || kind === 'localDask') assert.ok(run.includes(name), name);
  });

  for (const environment of ['prefect3', 'prefect1', 'dask-latest'] as const) {
    describe(`with ${environment}`, () => {
      let bench: Bench;
      let home: Awaited<ReturnType<typeof prefectHome>> | undefined;

      before(async function () {
        this.timeout(600_000);
        const python = await pythonOf(environment);
        home = environment === 'prefect3' ? await prefectHome(python) : undefined;
        bench = await liveBench({ python, workspace: folder, ...(home && { env: home.env }) });
        await bench.host.whenReady();
      });
      after(async () => {
        await bench.dispose();
        if (home) await removeFolder(home.folder);
      });

      function targetOf(name: string): RunTarget {
        if (name === 'as written') return { kind: 'written' };
        const executor = executors.get(name);
        assert.ok(executor, name);
        if (executor.kind === 'localDask') return { kind: 'alone', executor };
        const backend =
          executor.kind === 'clusterClass' ? new ClusterClassBackend(bench.host) : bench.backend;
        return { kind: 'executor', executor, backend };
      }

      /** As a click on the lens that stands above its one flow. */
      async function click(file: string, target: RunTarget): Promise<{ run: Run; output: string }> {
        const text = files.find((one) => one.file === file)?.text ?? '';
        const [flow, ...more] = new FlowDocument(parser, file).flows(text);
        assert.ok(flow && more.length === 0, file);
        assert.equal(target.kind === 'written', flow.written !== undefined);
        const id = await bench.start({ file: join(folder, file), flow, target });
        const run = await bench.over(id, patienceMs);
        const output = await bench.printed(id);
        assert.equal(run.state.kind, 'completed', `${JSON.stringify(run.state)}\n${output}`);
        return { run, output };
      }

      for (const [file, names] of Object.entries(flowsOf[environment])) {
        for (const name of names) {
          it(`${file} runs on ${name}`, async () => {
            const steps: string[] = [];
            const workers: number[] = [];
            const listening = bench.store.onDidChange((event) => {
              if (event.type === 'cluster.scaled' && event.event) steps.push(event.event.message);
              if (event.type === 'cluster.info') workers.push(event.info.workers.length);
            });
            const { run, output } = await click(file, targetOf(name));
            listening.dispose();
            const sum = { 'naps.py': '66', 'own_cluster.py': '6', 'script.py': '12' }[file];
            if (sum) assert.match(output, new RegExp(`^${sum}\\s*$`, 'm'));
            const doubled = run.tasks.find((group) => group.name === 'double');
            if (file.startsWith('etl')) assert.equal(doubled?.counts.completed, 4);
            if (file === 'naps.py') assert.match(steps.join(), /adaptive: 1 → \d \(\d+ tasks waiting\)/);
            if (name === 'mine') assert.equal(Math.max(...workers), 4);
          });
        }
      }
    });
  }

  it('client.py connects to the cluster whose address it has', async () => {
    const bed = await startBed({ version: 'latest' });
    try {
      const text = files.find(({ file }) => file === 'client.py')?.text ?? '';
      const here = text.replace('tcp://scheduler.example:8786', bed.address);
      assert.notEqual(here, text);
      const { stdout } = await promisify(execFile)(bed.python, ['-c', here], { timeout: patienceMs });
      assert.equal(stdout.trim(), '6');
    } finally {
      await bed.stop();
    }
  });
});
