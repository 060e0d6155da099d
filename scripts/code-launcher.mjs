#!/usr/bin/env node
// Takes desktop VS Code's arguments for extension tests (--extensionDevelopmentPath=, --extensionTestsPath=,
// --extensions-dir=, --disable-workspace-trust, a folder) and plays them in the VS Code server and a headless Chromium, so that @vscode/test-electron can drive
// either. Ends with the tests' exit code.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import { chromiumFlags, ensureChromium } from './lib/chromium.mjs';
import { stopAllOnSignals } from './lib/processes.mjs';
import { startVscodeServer, workbenchUrl } from './lib/vscodeServer.mjs';

const LIMIT_MS = 10 * 60_000;

const { values, positionals } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: {
    extensionDevelopmentPath: { type: 'string' },
    extensionTestsPath: { type: 'string' },
    'extensions-dir': { type: 'string' },
    'disable-workspace-trust': { type: 'boolean' },
  },
});

/** @param {string} dataDirectory @returns {Promise<number>} */
async function play(dataDirectory) {
  const executablePath = await ensureChromium();
  const settings = JSON.parse(process.env.FLOW_CLUSTERS_TEST_SETTINGS ?? '{}');
  const server = await startVscodeServer({
    dataDirectory,
    settings,
    extensionsDirectory: /** @type {string | undefined} */ (values['extensions-dir']),
    flags: [
      ...(values['disable-workspace-trust'] ? ['--disable-workspace-trust'] : []),
      ...['--enable-smoke-test-driver', '--reconnection-grace-time', '1'],
    ],
  });
  const browser = await chromium.launch({ executablePath, args: chromiumFlags });
  try {
    const page = await browser.newPage();
    await page.exposeFunction('codeAutomationLog', logFromTests());
    const ended = new Promise((resolve, reject) => {
      void page.exposeFunction('codeAutomationExit', resolve);
      page.once('crash', () => reject(new Error('the page crashed')));
      void server.exited.then((code) => reject(new Error(`the VS Code server ended with ${code}`)));
      setTimeout(
        () => reject(new Error(`the tests did not end within ${LIMIT_MS / 60_000} minutes`)),
        LIMIT_MS,
      ).unref();
    });
    await page.goto(
      workbenchUrl(server, {
        folder: positionals[0],
        developmentPath: /** @type {string} */ (values.extensionDevelopmentPath),
        testsPath: /** @type {string} */ (values.extensionTestsPath),
      }),
    );
    return await ended;
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Prints what the window logs from the moment the tests begin; before that, the workbench talks to itself. */
function logFromTests() {
  let begun = false;
  return (/** @type {string} */ _type, /** @type {unknown[]} */ args) => {
    if (begun) console.log(...args);
    begun ||= String(args[0]).includes('Extension tests begin');
  };
}

stopAllOnSignals();
const data = await mkdtemp(join(tmpdir(), 'flow-clusters-editor-'));
try {
  process.exitCode = await play(data);
} finally {
  await rm(data, { recursive: true, force: true });
}
process.exit();
