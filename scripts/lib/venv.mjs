import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MINIMUM = [3, 9];
const probe = `import sys, json
print(json.dumps([sys.executable, sys.version, sys.base_prefix, sys.version_info[:2]]))`;

/** Where what the project's scripts download or make is kept: `$FLOW_CLUSTERS_CACHE`, else `~/.cache/flow-clusters`. */
export function cacheDirectory() {
  return process.env.FLOW_CLUSTERS_CACHE || join(homedir(), '.cache', 'flow-clusters');
}

/**
 * The interpreter that environments are made with: `$FLOW_CLUSTERS_PYTHON`, else `python3`, else `python`.
 * @returns {Promise<{python: string, identity: string}>} its path, and a text that changes with its version or place
 * @throws {Error} if there is none of Python 3.9 or later
 */
export async function findPython() {
  const chosen = process.env.FLOW_CLUSTERS_PYTHON;
  /** @type {string[]} */
  const refused = [];
  for (const candidate of chosen ? [chosen] : ['python3', 'python']) {
    try {
      const { stdout } = await promisify(execFile)(candidate, ['-c', probe], { timeout: 20_000 });
      const [python, version, prefix, [major, minor]] = JSON.parse(stdout);
      if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) {
        return { python, identity: `${version} ${prefix}` };
      }
      refused.push(`${candidate} is Python ${major}.${minor}`);
    } catch (error) {
      refused.push(`${candidate}: ${/** @type {Error} */ (error).message.split('\n')[0]}`);
    }
  }
  throw new Error(
    `Python ${MINIMUM.join('.')} or later is needed (${refused.join('; ')}). Install it, or set FLOW_CLUSTERS_PYTHON to its path.`,
  );
}

/**
 * A virtual environment with exactly these requirements: made at the first call, found at later ones.
 * Several processes may call it at once; one that was interrupted while making leaves nothing that is reused.
 * @param {object} options
 * @param {string} options.name a word for people that starts the directory's name
 * @param {string} options.requirementsFile path of a pip requirements file; a change of it makes a new environment
 * @param {(line: string) => void} [options.onProgress] told each step of the making, a line at a time
 * @param {AbortSignal} [options.signal] gives up the making
 * @returns {Promise<{python: string, directory: string}>}
 * @throws {Error} with the last lines of pip's output
 */
export async function ensureVenv({ name, requirementsFile, onProgress, signal }) {
  const { python: base, identity } = await findPython();
  const hash = createHash('sha256')
    .update(await readFile(requirementsFile))
    .update(identity);
  const directory = join(cacheDirectory(), 'python', `${name}-${hash.digest('hex').slice(0, 12)}`);
  const python = join(
    directory,
    ...(process.platform === 'win32' ? ['Scripts', 'python.exe'] : ['bin', 'python']),
  );
  if (!(await isThere(join(directory, '.ready'))) || !(await isThere(python))) {
    await make(base, directory, requirementsFile, onProgress, signal);
  }
  return { python, directory };
}

/** @param {string} path */
const isThere = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * @param {string} base @param {string} directory @param {string} requirementsFile
 * @param {((line: string) => void) | undefined} onProgress @param {AbortSignal | undefined} signal
 */
async function make(base, directory, requirementsFile, onProgress, signal) {
  const script = fileURLToPath(new URL('make_venv.py', import.meta.url));
  const child = spawn(base, ['-u', script, directory, requirementsFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  /** @type {string[]} */
  const tail = [];
  const lines = createInterface(child.stdout);
  lines.on('line', (line) => {
    tail.push(line);
    if (tail.length > 20) tail.shift();
    onProgress?.(line);
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`Making ${directory} failed:\n${tail.join('\n')}`);
}
