// Builds what ships (dist/) and, with --test, what runs inside a test editor (test-output/editor/).
//   --production  minified, no source maps     --watch  rebuild on change     --test  the editor's tests too
import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
const flags = new Set(process.argv.slice(2));
const production = flags.has('--production');

/**
 * The language client costs more to load than all the rest, and others are seldom needed: each is a bundle of its own. `await import('./ui/languageClient.ts')` in the extension becomes a require of that bundle.
 * @type {esbuild.Plugin}
 */
const lazyBundles = {
  name: 'lazy-bundles',
  setup(build) {
    build.onResolve(
      { filter: /\/(languageClient|yaml|dockerode|kubernetesClient|certificateMaker)\.ts$/ },
      ({ kind, path, importer }) => {
        if (kind === 'entry-point') return undefined;
        if (kind === 'dynamic-import') return { path: `./${basename(path, '.ts')}.js`, external: true };
        return { errors: [{ text: `load it lazily: await import(...), in ${importer}` }] };
      },
    );
  },
};

/**
 * dockerode can reach an engine by `ssh2`, which has native parts; we do not use that.
 * @type {esbuild.Plugin}
 */
const withoutSsh = {
  name: 'without-ssh',
  setup(build) {
    build.onResolve({ filter: /^ssh2$/ }, () => ({ path: 'ssh2', namespace: 'empty' }));
    build.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** @type {esbuild.BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  external: ['vscode'],
  // Its module for `import` asks import.meta for its own address, which a CommonJS bundle has not.
  alias: {
    'web-tree-sitter': join(root, 'node_modules/web-tree-sitter/web-tree-sitter.cjs'),
    // Its module for `require` requires by a name that a bundler can't see.
    'jsonc-parser': join(root, 'node_modules/jsonc-parser/lib/esm/main.js'),
  },
  // A dynamic import becomes a require: all bundles are CommonJS.
  supported: { 'dynamic-import': false },
  logLevel: 'warning',
};

/** @type {esbuild.BuildOptions} */
const shipped = {
  ...common,
  entryPoints: [
    { in: 'src/extension.ts', out: 'extension' },
    { in: 'src/ui/languageClient.ts', out: 'languageClient' },
    { in: 'src/core/yaml.ts', out: 'yaml' },
    { in: 'src/backends/docker/dockerode.ts', out: 'dockerode' },
    { in: 'src/backends/kubernetes/kubernetesClient.ts', out: 'kubernetesClient' },
    { in: 'src/backends/certificateMaker.ts', out: 'certificateMaker' },
    { in: 'src/server/main.ts', out: 'server' },
  ],
  outdir: 'dist',
  minify: production,
  sourcemap: !production,
  plugins: [lazyBundles, withoutSsh],
};

/** What the panel's page loads. @type {esbuild.BuildOptions} */
const webview = {
  absWorkingDir: root,
  bundle: true,
  platform: 'browser',
  target: 'chrome134',
  format: 'iife',
  entryPoints: [{ in: 'src/webview/executorPanel/main.ts', out: 'executorPanel' }],
  outdir: 'dist',
  minify: production,
  sourcemap: !production,
  logLevel: 'warning',
};

/** @type {esbuild.BuildOptions} */
const editorTests = {
  ...common,
  entryPoints: ['test/editor/*.ts'],
  outdir: 'test-output/editor',
  sourcemap: 'inline',
  // Mocha loads its own files at run time; the extension under test is the built one.
  external: ['vscode', 'mocha'],
};

/** What is shipped as it is: the Python helpers and the two wasm files of the parser. */
async function copyAssets() {
  await cp(join(root, 'src/python'), join(root, 'dist/python'), {
    recursive: true,
    filter: async (from) => (await stat(from)).isDirectory() || from.endsWith('.py'),
  });
  await rm(join(root, 'dist/python/__pycache__'), { recursive: true, force: true });
  for (const wasm of ['web-tree-sitter/web-tree-sitter.wasm', 'tree-sitter-python/tree-sitter-python.wasm']) {
    await cp(join(root, 'node_modules', wasm), join(root, 'dist', basename(wasm)));
  }
}

async function reportSizes() {
  for (const entry of await readdir(join(root, 'dist'), { withFileTypes: true })) {
    if (!entry.isFile() || entry.name.endsWith('.map')) continue;
    const { size } = await stat(join(root, 'dist', entry.name));
    console.log(`  ${entry.name.padEnd(26)} ${(size / 1024).toFixed(0).padStart(6)} KiB`);
  }
}

if (!flags.has('--watch')) await rm(join(root, 'dist'), { recursive: true, force: true });
await mkdir(join(root, 'dist'), { recursive: true });
await copyAssets();
const builds = flags.has('--test') ? [shipped, webview, editorTests] : [shipped, webview];
if (flags.has('--watch')) {
  for (const options of builds) await (await esbuild.context({ ...options, logLevel: 'info' })).watch();
} else {
  const results = await Promise.allSettled(builds.map((options) => esbuild.build(options)));
  // esbuild has said what is wrong.
  if (results.some(({ status }) => status === 'rejected')) process.exitCode = 1;
  else await reportSizes();
}
