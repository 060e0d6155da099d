// Runs test/editor inside a VS Code: desktop VS Code where there is a screen and it can be downloaded, the VS Code
// server with a headless browser otherwise. One entry, @vscode/test-electron's, for both.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { downloadAndUnzipVSCode, runTests } from '@vscode/test-electron';
import { root } from './lib/checkout.mjs';
import { hasDesktop } from './lib/desktop.mjs';
import { run, stopAllOnSignals } from './lib/processes.mjs';
import { copySamples, ensureTestPython, prefectHome } from './lib/testBed.mjs';
import { cacheDirectory } from './lib/venv.mjs';
import { quietEditor } from './lib/vscodeServer.mjs';

/** @returns {Promise<string | undefined>} a desktop VS Code, or undefined where there is none to be had */
async function desktop() {
  if (!hasDesktop() || process.env.FLOW_CLUSTERS_EDITOR === 'server') return undefined;
  try {
    return await downloadAndUnzipVSCode({
      cachePath: join(cacheDirectory(), 'vscode-desktop'),
      version: 'stable',
    });
  } catch (error) {
    console.log(
      `Desktop VS Code cannot be had (${error instanceof Error ? error.message : error}): using the server.`,
    );
    return undefined;
  }
}

/** @param {string} directory @returns {Promise<number>} */
async function runAll(directory) {
  const workspace = await copySamples(directory);
  const settings = { 'flowClusters.python': await ensureTestPython(), ...quietEditor };
  const userData = join(directory, 'user-data');
  await mkdir(join(userData, 'User'), { recursive: true });
  await writeFile(join(userData, 'User', 'settings.json'), JSON.stringify(settings));
  // Installed, as they are for a user: a window has one extension under development.
  const extensions = join(directory, 'extensions');
  await cp(join(root, 'test', 'fixtures', 'extensions'), extensions, { recursive: true });
  return runTests({
    vscodeExecutablePath: (await desktop()) ?? join(root, 'scripts', 'code-launcher.mjs'),
    extensionDevelopmentPath: root,
    extensionTestsPath: join(root, 'test-output', 'editor', 'index.js'),
    launchArgs: [
      workspace,
      '--disable-workspace-trust',
      `--user-data-dir=${userData}`,
      `--extensions-dir=${extensions}`,
    ],
    extensionTestsEnv: {
      FLOW_CLUSTERS_TEST_REPORTER: join(root, 'scripts', 'lib', 'countingReporter.cjs'),
      FLOW_CLUSTERS_TEST_SETTINGS: JSON.stringify(settings),
      PREFECT_HOME: prefectHome(),
    },
  });
}

stopAllOnSignals();
await run(process.execPath, [join(root, 'esbuild.config.mjs'), '--test'], { cwd: root, quiet: true });
const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-host-tests-'));
try {
  process.exitCode = await runAll(directory);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
