// How long the built extension takes to load and to activate, each time in a fresh window of a real VS Code.
//   node bench/activation.mjs [windows]
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { runTests } from '@vscode/test-electron';
import * as esbuild from 'esbuild';
import { root } from '../scripts/lib/checkout.mjs';
import { quietEditor } from '../scripts/lib/vscodeServer.mjs';

const windows = Number(process.argv[2] ?? 7);
execFileSync(process.execPath, [join(root, 'esbuild.config.mjs'), '--production'], { cwd: root });
const probe = join(root, 'test-output', 'bench', 'index.js');
await esbuild.build({
  entryPoints: [join(root, 'bench/activationProbe.ts')],
  outfile: probe,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  external: ['vscode'],
  logLevel: 'warning',
});

const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-activation-'));
try {
  const out = join(directory, 'out.jsonl');
  const workspace = join(directory, 'empty');
  await mkdir(workspace);
  for (let i = 0; i < windows; i += 1) {
    await runTests({
      vscodeExecutablePath: join(root, 'scripts', 'code-launcher.mjs'),
      extensionDevelopmentPath: root,
      extensionTestsPath: probe,
      launchArgs: [workspace, '--disable-workspace-trust'],
      extensionTestsEnv: {
        FLOW_CLUSTERS_BENCH_OUT: out,
        FLOW_CLUSTERS_TEST_SETTINGS: JSON.stringify(quietEditor),
      },
    });
  }
  const runs = (await readFile(out, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const of = (key) => {
    const values = runs.map((run) => run[key]).sort((a, b) => a - b);
    return { median: values[values.length >> 1], min: values[0], max: values.at(-1), n: values.length };
  };
  const result = {
    machine: { cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), load: loadavg()[0] },
    aims: { activateMs: 30 },
    node: runs[0].node,
    loadMs: of('loadMs'),
    activateMs: of('activateMs'),
    withRoundTripsMs: of('totalMs'),
  };
  await writeFile(join(root, 'bench/results/activation.json'), `${JSON.stringify(result, null, 2)}\n`);
  console.log(result);
} finally {
  await rm(directory, { recursive: true, force: true });
}
