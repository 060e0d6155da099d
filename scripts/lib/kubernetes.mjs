// A Kubernetes of the tests' own: one node of real components (scripts/kubernetes/node.sh), with the images of Docker's
// tests. No registry.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from './checkout.mjs';
import { aptInstall, which } from './debian.mjs';
import { ensureImages, imageNames, imageOf, withDocker } from './docker.mjs';
import { ensurePrograms, kubernetesHome } from './kubernetesPrograms.mjs';
import { run, start } from './processes.mjs';
import { step } from './steps.mjs';

const sources = join(root, 'scripts', 'kubernetes');
/** As node.sh has them. */
const NODE = 'test-node';
const ADDRESS = '10.219.0.2';
const pauseImage = 'flow-clusters-test/pause:1';
const RUNS_ALREADY = 75;
const START_LIMIT_MS = 90_000;

const kubeconfigFile = () => join(kubernetesHome(), 'keys', 'admin.conf');
const containerd = () => ['-a', join(kubernetesHome(), 'containerd.sock'), '-n', 'k8s.io'];

/**
 * @typedef {object} Kubernetes
 * @property {string} kubeconfig the path of a file with all rights
 * @property {string} programs the folder of `hyper`, of which `hyper kubectl` is one
 */

/**
 * Runs a new and empty cluster of one node while `work` does: in namespaces of its own, so that what tests do to it
 * happens to nobody else. Its images are kept. Where another process runs one, that is joined, and ends when the last
 * of both is done with it.
 * @template T
 * @param {(cluster: Kubernetes) => Promise<T>} work
 * @returns {Promise<T>}
 * @throws {Error} where there can be none, saying what to do
 */
export async function withKubernetes(work) {
  const programs = await ensureKubernetes();
  const cluster = { kubeconfig: kubeconfigFile(), programs };
  const leave = await enter(cluster);
  try {
    return await work(cluster);
  } finally {
    await leave();
  }
}

/** What tests on a cluster have in their environment. @param {Kubernetes} cluster */
export const kubernetesEnvironment = ({ kubeconfig, programs }) => ({
  KUBECONFIG: kubeconfig,
  FLOW_CLUSTERS_TEST_KUBERNETES: programs,
});

/** Makes what a cluster takes, but for images: minutes on a new machine. @returns its programs' folder */
export async function ensureKubernetes() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('The tests on Kubernetes start a node of their own: that takes Linux, and root.');
  }
  const wanted = {
    ...{ containerd: 'containerd', runc: 'runc', '/usr/lib/cni/bridge': 'containernetworking-plugins' },
    ...{ iptables: 'iptables', conntrack: 'conntrack', ipset: 'ipset', ip: 'iproute2', openssl: 'openssl' },
  };
  const missing = [];
  for (const [program, debian] of Object.entries(wanted)) if (!(await has(program))) missing.push(debian);
  if (missing.length > 0) await aptInstall(missing, 'Kubernetes');
  const programs = await ensurePrograms();
  await ensureKeys();
  return programs;
}

/** @param {string} program a name, or a path */
const has = async (program) => (program.startsWith('/') ? isThere(program) : Boolean(await which(program)));

/** Made once, so that a kubeconfig stays good. */
async function ensureKeys() {
  const keys = join(kubernetesHome(), 'keys');
  if (await isThere(keys)) return;
  const cluster = ['', '.default', '.default.svc', '.default.svc.cluster.local'];
  const names = ['localhost', ...cluster.map((end) => `kubernetes${end}`)].map((name) => `DNS:${name}`);
  const addresses = ['127.0.0.1', ADDRESS, '10.96.0.1'].map((address) => `IP:${address}`);
  const args = [NODE, `https://${ADDRESS}:6443`, [...names, ...addresses].join(',')];
  await mkdir(kubernetesHome(), { recursive: true });
  const work = await mkdtemp(join(kubernetesHome(), 'making-'));
  try {
    await run('bash', [join(sources, 'keys.sh'), ...args], { cwd: work, quiet: true, timeoutMs: 60_000 });
    await rename(work, keys);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Starts the node and waits until pods can be made, or joins the one that another process has started.
 * @param {Kubernetes} cluster
 * @returns {Promise<() => Promise<void>>} what to call when done with it
 */
async function enter(cluster) {
  const log = join(kubernetesHome(), 'node.log');
  for (const began = performance.now(); performance.now() - began < START_LIMIT_MS; await delay(200)) {
    const joined = await joinOther();
    if (joined) return joined;
    const code = await startNode(cluster, log);
    if (typeof code === 'function') return code;
    // That one is about to be ready, or to end.
    if (code !== RUNS_ALREADY) break;
  }
  throw new Error(`Kubernetes did not start:\n${(await readFile(log, 'utf8')).slice(-2_000)}`);
}

/**
 * @param {Kubernetes} cluster @param {string} log where it writes
 * @returns {Promise<(() => Promise<void>) | number>} what ends it, or how it ended
 */
async function startNode(cluster, log) {
  // Appended to: it may be another's.
  const file = await open(log, 'a');
  const node = start('bash', [join(sources, 'node.sh'), cluster.programs, kubernetesHome()], {
    output: file.fd,
  });
  /** @type {number | undefined} */
  let code;
  void node.exited.then((ended) => {
    code = ended;
    void file.close();
  });
  for (
    const began = performance.now();
    code === undefined && performance.now() - began < START_LIMIT_MS;
    await delay(200)
  ) {
    if (!(await isReady(cluster)) || code !== undefined) continue;
    const close = await admitOthers();
    return async () => {
      await close();
      await node.stop();
    };
  }
  return code ?? node.stop();
}

/** Where the process that has started a node lets others know that it is theirs too, while they are connected. */
const doorFile = () => join(kubernetesHome(), 'door.sock');

/** @returns what waits until nobody else is there, and lets nobody in any more */
async function admitOthers() {
  await rm(doorFile(), { force: true });
  const door = createServer((visitor) => {
    visitor.on('error', () => undefined).resume();
    visitor.write('welcome');
  });
  door.listen(doorFile());
  await once(door, 'listening');
  let others = 0;
  door.on('connection', (visitor) => {
    others += 1;
    visitor.once('close', () => {
      others -= 1;
    });
  });
  return async () => {
    if (others > 0) console.log('Others use this Kubernetes still: it ends with the last of them.');
    while (others > 0) await delay(200);
    door.close();
  };
}

/** @returns {Promise<(() => Promise<void>) | undefined>} what leaves it again, or undefined where there is none */
function joinOther() {
  return new Promise((resolve) => {
    const visit = createConnection(doorFile());
    visit.once('data', () => resolve(async () => void visit.end()));
    visit.on('error', () => undefined).once('close', () => resolve(undefined));
  });
}

/** @param {Kubernetes} cluster */
async function isReady(cluster) {
  try {
    // Each pod gets the account.
    await kubectl(cluster, ['get', 'serviceaccount', 'default', '--request-timeout=5s']);
    const status = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
    const asked = ['get', 'node', NODE, '-o', status, '--request-timeout=5s'];
    return /True/.test(await kubectl(cluster, asked));
  } catch {
    return false;
  }
}

/** @param {Kubernetes} cluster @param {string[]} args @returns the end of what it says */
export function kubectl({ kubeconfig, programs }, args) {
  const all = ['kubectl', `--kubeconfig=${kubeconfig}`, ...args];
  return run(join(programs, 'hyper'), all, { quiet: true, timeoutMs: 60_000 });
}

/**
 * Gives the node of a running cluster the images that it has not got yet: those of Docker's tests, by the same names.
 * @param {Kubernetes} cluster
 */
export async function ensureNodeImages({ programs }) {
  const listed = (await run('ctr', [...containerd(), 'images', 'ls', '-q'], { quiet: true })).split('\n');
  const wanted = [pauseImage, ...(await Promise.all(imageNames.map(imageOf)))];
  const missing = wanted.filter((image) => !listed.includes(`docker.io/${image}`));
  if (missing.length === 0) return;
  await withDocker(async ({ host }) => {
    await ensureImages(host);
    const env = { ...process.env, DOCKER_HOST: host };
    if (missing.includes(pauseImage)) {
      const tar = ['tar', '-C', programs, '-c', 'pause'];
      await piped(tar, ['docker', 'import', '--change', 'ENTRYPOINT ["/pause"]', '-', pauseImage], env);
    }
    const put = ['ctr', ...containerd(), 'images', 'import', '-'];
    await step(`Giving the node ${missing.length} images`, () =>
      piped(['docker', 'save', ...missing], put, env),
    );
  });
}

/** @param {string[]} from @param {string[]} to @param {NodeJS.ProcessEnv} env */
async function piped([from = '', ...fromArgs], [to = '', ...toArgs], env) {
  const giving = spawn(from, fromArgs, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const taking = spawn(to, toArgs, { env, stdio: [giving.stdout, 'ignore', 'inherit'] });
  const [[gave], [took]] = await Promise.all([once(giving, 'exit'), once(taking, 'exit')]);
  if (gave !== 0 || took !== 0) throw new Error(`${from} ended with ${gave}, ${to} with ${took}`);
}

const isThere = (/** @type {string} */ path) =>
  access(path).then(
    () => true,
    () => false,
  );
