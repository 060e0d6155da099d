import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { aptInstall, which } from './debian.mjs';
import { run, start } from './processes.mjs';
import { step } from './steps.mjs';
import { cacheDirectory } from './venv.mjs';

// code-server carries the plain VS Code server with its web workbench; we start that, not the wrapper.
const VERSION = '4.139.1';
const NODE_VERSION = '24.9.0';
const START_LIMIT_MS = 60_000;
const MAKING_LOOK_MS = 500;

/** Settings that leave out what distracts from a small workspace. */
export const quietEditor = {
  'chat.disableAIFeatures': true,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  // Browser and server are one machine: nothing needs forwarding, and each worker would be announced.
  'remote.autoForwardPorts': false,
};

/** @param {string} path */
const isThere = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * The VS Code server with the Node it runs on: installed and compiled at the first call, found at later ones.
 * @returns {Promise<{node: string, main: string}>} the paths of its Node and of its entry point
 * @throws {Error} where it cannot be had, saying what to do
 */
export async function ensureVscodeServer() {
  if (process.platform === 'win32') {
    throw new Error(
      'The VS Code server does not run on Windows: install VS Code, so that "code" is on PATH.',
    );
  }
  const home = join(cacheDirectory(), 'vscode-server', VERSION);
  const nodePackage = `node-${process.platform}-${process.arch}`;
  const modules = join(home, 'node_modules');
  const found = {
    node: join(modules, nodePackage, 'bin', 'node'),
    main: join(modules, 'code-server', 'lib', 'vscode', 'out', 'server-main.js'),
  };
  if (!(await isThere(home))) await install(home, nodePackage);
  return found;
}

/**
 * Made beside its place and renamed when complete: an interrupted install leaves nothing that looks whole.
 * @param {string} home @param {string} nodePackage
 */
async function install(home, nodePackage) {
  await ensureCompiler();
  await mkdir(dirname(home), { recursive: true });
  await removeAbandoned(dirname(home));
  if (await madeElsewhere(home)) return;
  const making = `${home}.making-${process.pid}`;
  await mkdir(making);
  await writeFile(join(making, 'package.json'), '{"private":true}\n');
  const npm = ['--no-audit', '--no-fund', '--loglevel=error'];
  await step(`Downloading the VS Code server (code-server ${VERSION})`, () =>
    run(
      'npm',
      ['install', ...npm, '--ignore-scripts', `code-server@${VERSION}`, `${nodePackage}@${NODE_VERSION}`],
      {
        cwd: making,
        quiet: true,
        timeoutMs: 600_000,
      },
    ),
  );
  const nodeHome = join(making, 'node_modules', nodePackage);
  await step('Compiling its native modules (once; 1 to 2 minutes)', () =>
    run('npm', ['install', ...npm, '--omit=dev'], {
      cwd: join(making, 'node_modules', 'code-server', 'lib', 'vscode'),
      env: {
        ...process.env,
        PATH: `${join(nodeHome, 'bin')}:${process.env.PATH}`,
        npm_config_nodedir: nodeHome,
      },
      quiet: true,
      timeoutMs: 1_200_000,
    }),
  );
  try {
    await rename(making, home);
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    // Another process may have been quicker; its copy is as good.
    if (!(await isThere(home))) throw error;
  }
}

/** Waits for a process that makes it already, as long as that lives; true if it has. @param {string} home */
async function madeElsewhere(home) {
  for (;;) {
    const names = await readdir(dirname(home));
    const makers = names.flatMap((name) => /\.making-(\d+)$/.exec(name)?.[1] ?? []);
    if (await isThere(home)) return true;
    if (!makers.some((pid) => isAlive(Number(pid)))) return false;
    await delay(MAKING_LOOK_MS);
  }
}

async function ensureCompiler() {
  const missing = [];
  if (!(await which('make')) || !(await which('g++', 'c++'))) missing.push('build-essential');
  if (process.platform === 'linux' && !(await isThere('/usr/include/gssapi/gssapi.h')))
    missing.push('libkrb5-dev');
  if (missing.length > 0) await aptInstall(missing, 'compiling the VS Code server');
}

/** Removes what interrupted installs left. @param {string} directory */
async function removeAbandoned(directory) {
  for (const name of await readdir(directory)) {
    const pid = Number(/\.making-(\d+)$/.exec(name)?.[1]);
    if (pid && !isAlive(pid)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * A secret that the browser must show to the server, kept in a file for its owner alone, so that the address
 * of an earlier start (a bookmark, an open tab) still works.
 * @param {string} file
 */
async function ensureToken(file) {
  if (await isThere(file)) return (await readFile(file, 'utf8')).trim();
  const token = randomBytes(24).toString('hex');
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, token, { mode: 0o600 });
  return token;
}

/**
 * Starts a VS Code server on the loopback interface; every request must carry its token.
 * @param {object} options
 * @param {string} options.dataDirectory what the server keeps: machine settings, state, logs, its token
 * @param {string} [options.extensionsDirectory] installed extensions; inside the data directory unless told
 * @param {Record<string, unknown>} [options.settings] machine settings
 * @param {NodeJS.ProcessEnv} [options.env] added to our environment
 * @param {string} [options.ports] a port or a range (`8000-8010`); any free one unless told
 * @param {readonly string[]} [options.flags] further arguments
 * @returns {Promise<{origin: string, authority: string, token: string, pid: number | undefined,
 *   exited: Promise<number>, stop: () => Promise<number>}>}
 *   `origin` is the address to open, `authority` names the server in `vscode-remote://` URIs
 * @throws {Error} when it does not listen within a minute; with its output
 */
export async function startVscodeServer({
  dataDirectory,
  extensionsDirectory,
  settings,
  env,
  ports = '0',
  flags = [],
}) {
  const { node, main } = await ensureVscodeServer();
  const tokenFile = join(dataDirectory, 'token');
  const token = await ensureToken(tokenFile);
  const machine = join(dataDirectory, 'data', 'Machine');
  await mkdir(machine, { recursive: true });
  await writeFile(join(machine, 'settings.json'), `${JSON.stringify(settings ?? {}, null, 2)}\n`);
  const args = [
    main,
    ...['--host', '127.0.0.1', '--port', ports, '--connection-token-file', tokenFile],
    ...[
      '--server-data-dir',
      dataDirectory,
      '--extensions-dir',
      extensionsDirectory ?? join(dataDirectory, 'extensions'),
    ],
    ...['--accept-server-license-terms', '--telemetry-level', 'off', ...flags],
  ];
  const signpost = await startSignpost();
  const server = start(node, args, {
    env: { ...withoutEditor(process.env), VSCODE_PROXY_URI: signpost.template, ...env },
    output: 'pipe',
  });
  server.exited.then(signpost.close, signpost.close);
  const port = await listeningPort(server);
  const authority = `localhost:${port}`;
  return {
    ...{ origin: `http://${authority}`, authority, token, pid: server.child.pid },
    ...{ exited: server.exited, stop: server.stop },
  };
}

/**
 * Sends a browser on to another port of this machine, Dask's dashboard for example. Without it the editor would name
 * the proxy of code-server, which is not there, and it takes no address that has its port where ports stand.
 * @returns {Promise<{template: string, close: () => void}>}
 */
async function startSignpost() {
  const signpost = createServer((request, response) => {
    const [, port, path] = /^\/(\d{1,5})(\/.*)$/.exec(request.url ?? '') ?? [];
    if (port) response.writeHead(302, { location: `http://127.0.0.1:${port}${path}` }).end();
    else response.writeHead(404).end();
  });
  signpost.listen(0, '127.0.0.1').unref();
  await once(signpost, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (signpost.address());
  return { template: `http://127.0.0.1:${port}/{{port}}/`, close: () => void signpost.close() };
}

/** The environment without what the terminal of another VS Code puts there. @param {NodeJS.ProcessEnv} env */
export function withoutEditor(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(VSCODE_|ELECTRON_RUN_AS_NODE$|NODE_OPTIONS$)/.test(name)),
  );
}

/** @param {import('./processes.mjs').Leashed} server @returns {Promise<number>} */
function listeningPort(server) {
  let output = '';
  return new Promise((resolve, reject) => {
    const fail = (/** @type {string} */ how) => {
      void server.stop();
      reject(new Error(`The VS Code server ${how}:\n${output.slice(-2_000)}`));
    };
    const timer = setTimeout(() => fail(`did not listen within ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
    for (const stream of [server.child.stdout, server.child.stderr]) {
      if (!stream) continue;
      createInterface(stream).on('line', (line) => {
        output = `${output}${line}\n`.slice(-8_000);
        const port = /Extension host agent listening on (\d+)/.exec(line)?.[1];
        if (port) {
          clearTimeout(timer);
          resolve(Number(port));
        }
      });
    }
    server.exited.then((code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    }, reject);
  });
}

/**
 * Installs a packed extension into a directory of extensions.
 * @param {string} vsix @param {string} extensionsDirectory @param {string} dataDirectory
 */
export async function installExtension(vsix, extensionsDirectory, dataDirectory) {
  const { node, main } = await ensureVscodeServer();
  await step(`Installing ${basename(vsix)}`, () =>
    run(
      node,
      [
        main,
        '--install-extension',
        vsix,
        '--force',
        '--extensions-dir',
        extensionsDirectory,
        '--server-data-dir',
        dataDirectory,
      ],
      { env: withoutEditor(process.env), quiet: true, timeoutMs: 60_000 },
    ),
  );
}

/**
 * The address of a workbench with an extension under development; needs the flag `--enable-smoke-test-driver`,
 * without which a built workbench ignores the payload.
 * @param {{origin: string, authority: string, token: string}} server
 * @param {object} options
 * @param {string} options.developmentPath the extension's directory
 * @param {string} [options.folder] the folder to open
 * @param {string} [options.testsPath] the module whose `run` is called in the extension host
 * @param {string} [options.file] the file to open
 * @returns {string}
 */
export function workbenchUrl(server, { developmentPath, folder, testsPath, file }) {
  const uri = (/** @type {string} */ path) => `vscode-remote://${server.authority}${path}`;
  const payload = [
    ['extensionDevelopmentPath', uri(developmentPath)],
    ['skipWelcome', 'true'],
    ...(testsPath ? [['extensionTestsPath', uri(testsPath)]] : []),
    ...(file ? [['openFile', uri(file)]] : []),
  ];
  const query = new URLSearchParams({ tkn: server.token, payload: JSON.stringify(payload) });
  if (folder) query.set('folder', folder);
  else query.set('ew', 'true');
  return `${server.origin}/?${query}`;
}
