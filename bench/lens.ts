// How long lenses take on 10,000-line files: opening one, and after a keystroke. Run: npx tsx bench/lens.ts
// The code is bundled as it ships; each file has a process of its own, so that "first" is what a user meets.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import type { LensRow, Spread } from './lensOne.ts';

const AIMS = { coldMs: 30, editMs: 5 };
const resolve = createRequire(__filename).resolve;

function measure(directory: string): LensRow[] {
  const bundle = join(directory, 'lensOne.js');
  buildSync({
    entryPoints: [join(__dirname, 'lensOne.ts')],
    outfile: bundle,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    alias: { 'web-tree-sitter': resolve('web-tree-sitter') },
  });
  for (const wasm of ['web-tree-sitter/web-tree-sitter.wasm', 'tree-sitter-python/tree-sitter-python.wasm'])
    copyFileSync(resolve(wasm), join(directory, wasm.split('/')[1] ?? wasm));
  const run = (name: string) =>
    JSON.parse(execFileSync(process.execPath, [bundle, name], { encoding: 'utf8' }));
  const names: string[] = run('');
  return names.map(run);
}

const directory = mkdtempSync(join(tmpdir(), 'flow-clusters-bench-'));
try {
  const rows = measure(directory);
  const results = join(__dirname, 'results');
  mkdirSync(results, { recursive: true });
  const machine = `${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`;
  writeFileSync(
    join(results, 'lens.json'),
    `${JSON.stringify({ machine, aims: AIMS, rows }, undefined, 2)}\n`,
  );
  const cell = ({ median, p95 }: Spread) => `${median} / ${p95}`;
  console.log('ms: median / 95th percentile');
  console.table(
    rows.map(
      ({ file, lines, flows, warmUpMs, firstMs, coldMs, editMs, mistakesMs, layoutMs, wholeParseMs }) => ({
        file,
        lines,
        flows,
        'warm-up': warmUpMs,
        first: firstMs,
        cold: cell(coldMs),
        edit: cell(editMs),
        mistakes: cell(mistakesMs),
        layout: cell(layoutMs),
        'whole parse': cell(wholeParseMs),
      }),
    ),
  );
} finally {
  rmSync(directory, { recursive: true });
}
