// A Docker Engine of the tests' own, with images made from Debian's and Python's package mirrors alone: no registry.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from './checkout.mjs';
import { aptInstall, which } from './debian.mjs';
import { run, start } from './processes.mjs';
import { step } from './steps.mjs';
import { cacheDirectory } from './venv.mjs';

const SUITE = 'bookworm';
/** Change it with whatever the base image is made of. */
export const baseImage = `flow-clusters-test/python:${SUITE}-1`;
const START_LIMIT_MS = 60_000;
const CA_BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

const requirements = (/** @type {string} */ name) =>
  join(root, 'test', 'python', 'requirements', `${name}.txt`);
/** What tests run in, by the requirements file that each has. */
export const imageNames = /** @type {const} */ (['dask-latest', 'prefect3', 'prefect2', 'prefect1']);

/**
 * The reference of a test image, whether or not it has been made.
 * @param {string} name of a requirements file
 */
export async function imageOf(name) {
  const hash = createHash('sha256')
    .update(baseImage)
    .update(await readFile(requirements(name)));
  return `flow-clusters-test/${name}:${hash.digest('hex').slice(0, 12)}`;
}

const home = () => join(cacheDirectory(), 'docker');
const socket = () => join(home(), 'docker.sock');

/**
 * Runs an engine while `work` does: on a socket and with data of its own, so that what tests do to it happens to
 * nobody else, and what it has pulled and built is there the next time.
 * @template T
 * @param {(engine: {host: string}) => Promise<T>} work `host` as `DOCKER_HOST` has it
 * @returns {Promise<T>}
 * @throws {Error} where there can be none, saying what to do
 */
export async function withDocker(work) {
  // Started by another of these, which ends it.
  if (await answers()) return work({ host: `unix://${socket()}` });
  const dockerd = await ensureEngine();
  await mkdir(home(), { recursive: true });
  const log = join(home(), 'dockerd.log');
  const engine = await startEngine(dockerd, log);
  try {
    return await work({ host: `unix://${socket()}` });
  } finally {
    await engine.stop();
  }
}

async function ensureEngine() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('The tests on Docker start an engine of their own: that takes Linux, and root.');
  }
  const wanted = { dockerd: 'docker.io', iptables: 'iptables', ip: 'iproute2', debootstrap: 'debootstrap' };
  const missing = [];
  for (const [program, debian] of Object.entries(wanted)) if (!(await which(program))) missing.push(debian);
  if (missing.length > 0) await aptInstall(missing, 'Docker');
  const dockerd = await which('dockerd');
  if (!dockerd) throw new Error('There is no dockerd, although docker.io is installed.');
  return dockerd;
}

/** What tests on an engine have in their environment. @param {string} host */
export const dockerEnvironment = (host) => ({ DOCKER_HOST: host, FLOW_CLUSTERS_TEST_DOCKER: host });

/** @param {string} dockerd @param {string} log where it writes */
async function startEngine(dockerd, log) {
  await rm(join(home(), 'dockerd.pid'), { force: true });
  const pools = ['--bip', '10.217.0.1/24', '--default-address-pool', 'base=10.218.0.0/16,size=24'];
  const places = ['--data-root', join(home(), 'data'), '--exec-root', join(home(), 'run')];
  const args = [
    '--host',
    `unix://${socket()}`,
    '--pidfile',
    join(home(), 'dockerd.pid'),
    ...places,
    ...pools,
  ];
  const file = await open(log, 'w');
  const engine = start(dockerd, args, { output: file.fd });
  let ended = false;
  void engine.exited.then(() => {
    ended = true;
    void file.close();
  });
  for (
    const began = performance.now();
    performance.now() - began < START_LIMIT_MS && !ended;
    await delay(100)
  ) {
    if (await answers()) return engine;
  }
  await engine.stop();
  throw new Error(`The Docker engine did not start:\n${(await readFile(log, 'utf8')).slice(-2_000)}`);
}

function answers() {
  return new Promise((resolve) => {
    const asked = request({ socketPath: socket(), path: '/_ping' }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    asked.on('error', () => resolve(false)).end();
  });
}

/**
 * Makes the images that are not there yet: minutes on a new machine, nothing on the next run.
 * @param {string} host of the engine
 */
export async function ensureImages(host) {
  const docker = engineClient(host);
  if (!(await docker.has(baseImage)))
    await step(`Making the image ${baseImage}`, (say) => makeBase(docker, say));
  for (const name of imageNames) {
    const image = await imageOf(name);
    if (!(await docker.has(image)))
      await step(`Making the image ${image}`, (say) => makeImage(docker, name, image, say));
  }
}

/** The `docker` command on one engine. @param {string} host */
function engineClient(host) {
  const env = { ...process.env, DOCKER_HOST: host, DOCKER_BUILDKIT: '0' };
  return {
    env,
    has: (/** @type {string} */ image) =>
      run('docker', ['image', 'inspect', image], { env, quiet: true }).then(
        () => true,
        () => false,
      ),
    /** @param {string[]} args @param {(line: string) => void} say */
    run: (args, say) => run('docker', args, { env, quiet: true, say, timeoutMs: 900_000 }),
  };
}

/** @typedef {ReturnType<typeof engineClient>} EngineClient */

/**
 * Debian with its Python, and the way to package indexes that this machine has: its authorities, and pip's settings.
 * @param {EngineClient} docker @param {(line: string) => void} say
 */
async function makeBase(docker, say) {
  const rootfs = join(home(), `rootfs-${process.pid}`);
  const packages = 'python3,python3-pip,python3-venv,ca-certificates';
  const options = ['--variant=minbase', `--include=${packages}`];
  try {
    await run('debootstrap', [...options, SUITE, rootfs], { quiet: true, say, timeoutMs: 900_000 });
    if (await isThere(CA_BUNDLE)) await cp(CA_BUNDLE, join(rootfs, CA_BUNDLE));
    await writeFile(join(rootfs, 'etc', 'pip.conf'), await pipConfig());
    await rm(join(rootfs, 'var', 'cache', 'apt'), { recursive: true, force: true });
    await importTree(docker.env, rootfs, baseImage);
  } finally {
    await rm(rootfs, { recursive: true, force: true });
  }
}

/** What pip on this machine knows of indexes, but for folders. */
async function pipConfig() {
  const listed = await run('python3', ['-m', 'pip', 'config', 'list'], { quiet: true }).catch(() => '');
  const known = new Map(
    [
      ...listed.matchAll(
        /^(?:global|install|user|:env:)\.(index-url|extra-index-url|trusted-host|proxy|cert)='(.*)'$/gm,
      ),
    ].map(([, key, value]) => [key, value]),
  );
  const lines = [...known].map(([key, value]) => `${key} = ${value}`);
  return ['[global]', 'break-system-packages = true', 'root-user-action = ignore', ...lines, ''].join('\n');
}

/** @param {NodeJS.ProcessEnv} env @param {string} rootfs @param {string} image */
function importTree(env, rootfs, image) {
  const tar = spawn('tar', ['-C', rootfs, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const put = spawn('docker', ['import', '-', image], { env, stdio: [tar.stdout, 'ignore', 'inherit'] });
  return new Promise((resolve, reject) => {
    put.once('error', reject);
    put.once('exit', (code) =>
      code === 0 ? resolve(undefined) : reject(new Error(`docker import ended with ${code}`)),
    );
  });
}

/** @param {EngineClient} docker @param {string} name @param {string} image @param {(line: string) => void} say */
async function makeImage(docker, name, image, say) {
  const context = join(home(), `context-${process.pid}`);
  await mkdir(context, { recursive: true });
  try {
    await cp(requirements(name), join(context, 'requirements.txt'));
    // Compiled once, in the image: not anew by each container.
    const lines = [
      `FROM ${baseImage}`,
      'COPY requirements.txt /tmp/requirements.txt',
      'RUN python3 -m pip install --no-cache-dir --compile -r /tmp/requirements.txt',
      'CMD ["python3"]',
    ];
    await writeFile(join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
    await docker.run(['build', '--network', 'host', '-t', image, context], say);
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

const isThere = (/** @type {string} */ path) =>
  access(path).then(
    () => true,
    () => false,
  );
