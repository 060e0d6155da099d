// npm start: from a fresh clone to a VS Code with the extension and the sample flows. Only Node's own modules are
// used until the packages are installed. FLOW_CLUSTERS_EDITOR=server prefers the VS Code server to a desktop.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureNodeModules, root } from './lib/checkout.mjs';
import { which } from './lib/debian.mjs';
import { hasDesktop, openDesktop, openInBrowser } from './lib/desktop.mjs';
import { run, stopAll, stopAllOnSignals } from './lib/processes.mjs';
import { step } from './lib/steps.mjs';
import { cacheDirectory } from './lib/venv.mjs';
import { ensureVscodeServer, installExtension, quietEditor, startVscodeServer } from './lib/vscodeServer.mjs';
import { buildForProduction, packVsix } from './package.mjs';

const home = join(cacheDirectory(), 'start');
const samples = join(root, 'samples');
// The same port each time, so that the browser keeps its layout and an open tab finds the server again.
const PORTS = '41900-41999';

/** The sample's interpreter, in an environment that belongs to nobody else. */
const ensureSamplePython = () =>
  step('Preparing the Python environment of the samples (Prefect, Dask)', async (say) => {
    const script = join(root, 'scripts', 'lib', 'venvMain.mjs');
    const lines = await run(process.execPath, [script, 'samples', join(samples, 'requirements.txt')], {
      quiet: true,
      say,
      timeoutMs: 900_000,
    });
    return lines.trim().split('\n').at(-1) ?? '';
  });

/**
 * `code` where it can open a window of its own: not over a remote connection or from WSL, where it only calls back.
 * @returns {Promise<string | undefined>}
 */
async function findDesktop() {
  const { FLOW_CLUSTERS_EDITOR: wanted, VSCODE_IPC_HOOK_CLI: remote, WSL_DISTRO_NAME: wsl } = process.env;
  if (wanted === 'server' || remote || wsl || !hasDesktop()) return undefined;
  return which('code', 'code.cmd', 'codium');
}

/** Adds to the settings that the user may have changed since. @param {string} python */
async function settingsWith(python) {
  const file = join(home, 'data', 'Machine', 'settings.json');
  const kept = await readFile(file, 'utf8').then(JSON.parse, () => ({}));
  return {
    'workbench.startupEditor': 'readme',
    ...quietEditor,
    ...kept,
    'flowClusters.python': python,
  };
}

/** Packs and installs the extension unless exactly this build is installed. */
async function ensureExtension() {
  const extensions = join(home, 'extensions');
  const stamp = join(home, 'installed-build');
  const build = await hashOfBuild();
  if ((await readFile(stamp, 'utf8').catch(() => '')) === build) return extensions;
  await mkdir(home, { recursive: true });
  const vsix = join(home, 'flow-clusters.vsix');
  await step('Packing the extension', () => packVsix(vsix));
  await installExtension(vsix, extensions, home);
  await writeFile(stamp, build);
  return extensions;
}

async function hashOfBuild() {
  const hash = createHash('sha256');
  for (const name of ['dist', 'media']) {
    const entries = await readdir(join(root, name), { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((entry) => entry.isFile())) {
      hash.update(entry.name).update(await readFile(join(entry.parentPath, entry.name)));
    }
  }
  for (const name of ['package.json', 'package.nls.json']) {
    hash.update(await readFile(join(root, name)).catch(() => ''));
  }
  return hash.digest('hex');
}

/** @param {string} python @param {NodeJS.ProcessEnv} env */
async function openServer(python, env) {
  const extensionsDirectory = await ensureExtension();
  const server = await step('Starting the VS Code server', async () =>
    startVscodeServer({
      dataDirectory: home,
      extensionsDirectory,
      settings: await settingsWith(python),
      env,
      ports: PORTS,
      flags: ['--disable-workspace-trust'],
    }),
  );
  const url = `${server.origin}/?tkn=${server.token}&folder=${encodeURIComponent(samples)}`;
  process.stdout.write(
    `\nVS Code with Flow Clusters and the sample flows (for you alone; the address holds a key):\n\n`,
  );
  process.stdout.write(
    `  ${url}\n\nOpen etl.py and press "▶ Run with local". Ctrl-C here ends everything.\n`,
  );
  await openInBrowser(url);
  return server.exited;
}

/** @returns {Promise<number>} exit code */
async function main() {
  await ensureNodeModules();
  const desktop = await findDesktop();
  const [, python] = await allOrStop([
    step('Building the extension', buildForProduction),
    ensureSamplePython(),
    ...(desktop ? [] : [ensureVscodeServer()]),
  ]);
  // The samples never touch the user's own Prefect: profiles, database and results live in the cache.
  const env = { PREFECT_HOME: join(home, 'prefect') };
  if (!desktop) return openServer(python, env);
  process.stdout.write('\nVS Code opens with the sample flows: open etl.py and press "▶ Run with local".\n');
  process.stdout.write('Closing its window or Ctrl-C here ends everything.\n');
  return openDesktop({ code: desktop, root, samples, home: join(home, 'desktop'), python, env });
}

/**
 * Waits for all; when one fails the others need not go on.
 * @param {readonly Promise<any>[]} steps
 */
async function allOrStop(steps) {
  try {
    return await Promise.all(steps);
  } catch (error) {
    await stopAll();
    await Promise.allSettled(steps);
    throw error;
  }
}

stopAllOnSignals();
try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`\n${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
