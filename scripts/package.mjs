// npm run package: builds for production, checks what would be packed, makes flow-clusters-<version>.vsix.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, stopAllOnSignals } from './lib/processes.mjs';
import { step } from './lib/steps.mjs';

const LIMIT_BYTES = 2_000_000;
/** Every file that may be packed looks like one of these. */
const EXPECTED = [
  /^(package|package\.nls(\.[a-z-]+)?)\.json$/,
  /^(README|CHANGELOG)\.md$/,
  /^LICENSE$/,
  /^dist\/(extension|languageClient|yaml|dockerode|kubernetesClient|certificateMaker|server|executorPanel)\.js$/,
  /^dist\/executorPanel\.css$/,
  /^dist\/(web-tree-sitter|tree-sitter-python)\.wasm$/,
  /^dist\/python\/[\w/]+\.py$/,
  /^media\/[\w./-]+\.(svg|png|md)$/,
];
/** Without these the extension cannot work. */
const NEEDED = [
  'package.json',
  'dist/extension.js',
  'dist/languageClient.js',
  'dist/yaml.js',
  'dist/dockerode.js',
  'dist/kubernetesClient.js',
  'dist/certificateMaker.js',
  'dist/server.js',
  'dist/executorPanel.js',
  'dist/executorPanel.css',
  'dist/web-tree-sitter.wasm',
  'dist/tree-sitter-python.wasm',
];
const root = fileURLToPath(new URL('..', import.meta.url));

/** @throws {Error} naming each file that should not be packed or is missing */
async function checkContents() {
  // Loaded late: this module is also imported before anything is installed.
  const { listFiles, PackageManager } = await import('@vscode/vsce');
  const files = await listFiles({ cwd: root, packageManager: PackageManager.None });
  const unexpected = files.filter((file) => !EXPECTED.some((pattern) => pattern.test(file)));
  const missing = NEEDED.filter((file) => !files.includes(file));
  if (unexpected.length > 0)
    throw new Error(`These files must not be in the package:\n  ${unexpected.join('\n  ')}`);
  if (missing.length > 0) throw new Error(`The package lacks ${missing.join(', ')}`);
}

/**
 * Packs what dist/ holds now.
 * @param {string} [file] where to; in the project's directory unless told
 * @returns {Promise<{file: string, bytes: number}>}
 * @throws {Error} on unexpected or missing files, and above the size limit
 */
export async function packVsix(file) {
  const { name, version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  const out = file ?? join(root, `${name}-${version}.vsix`);
  await checkContents();
  const vsce = join(root, 'node_modules', '@vscode', 'vsce', 'vsce');
  // The README's links to docs and images, which are not packed, become those of the repository.
  await run(process.execPath, [vsce, 'package', '--no-dependencies', '--out', out], {
    cwd: root,
    quiet: true,
    timeoutMs: 120_000,
  });
  const { size } = await stat(out);
  if (size > LIMIT_BYTES) throw new Error(`${out} has ${size} bytes; the limit is ${LIMIT_BYTES}`);
  return { file: out, bytes: size };
}

/** Builds dist/ as it is shipped. */
export async function buildForProduction() {
  await run(process.execPath, [join(root, 'esbuild.config.mjs'), '--production'], {
    cwd: root,
    quiet: true,
    timeoutMs: 120_000,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  stopAllOnSignals();
  await step('Building for production', buildForProduction);
  const { file, bytes } = await step('Packing', () => packVsix());
  process.stdout.write(`${file}: ${(bytes / 1e6).toFixed(2)} MB of ${LIMIT_BYTES / 1e6} MB allowed\n`);
}
