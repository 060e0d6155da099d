import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const leash = fileURLToPath(new URL('leash.mjs', import.meta.url));
const GRACE_MS = 5_000;
const posix = process.platform !== 'win32';
/** Everything started here that may still live. @type {Set<Leashed>} */
const alive = new Set();

/**
 * @typedef {object} Leashed
 * @property {import('node:child_process').ChildProcess} child its stdout and stderr, where piped
 * @property {Promise<number>} exited how it ended, when nothing of its process group is left
 * @property {() => Promise<number>} stop ends the whole group: SIGTERM, and after 5 s SIGKILL
 */

/**
 * Starts a command in a process group of its own that ends with us, however we end.
 * @param {string} command @param {readonly string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd] @param {NodeJS.ProcessEnv} [options.env] whole environment, instead of ours
 * @param {'inherit' | 'pipe' | 'ignore' | number} [options.output] where stdout and stderr go; `inherit` unless told
 * @returns {Leashed}
 */
export function start(command, args, { cwd, env, output = 'inherit' } = {}) {
  const child = spawn(process.execPath, [leash, command, ...args], {
    cwd,
    env,
    detached: posix,
    stdio: ['pipe', output, output],
  });
  child.stdin?.on('error', () => {});
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
  // All output is read by then, unless somebody outside the group holds the pipes.
  const closed = new Promise((resolve) => child.once('close', resolve));
  /** @type {Leashed} */
  const leashed = {
    child,
    exited: ended.then(async (code) => {
      await endGroup(child.pid);
      await Promise.race([closed, delay(1_000, undefined, { ref: false })]);
      alive.delete(leashed);
      return code;
    }),
    stop: () => {
      signalGroup(child.pid, 'SIGTERM');
      setTimeout(() => signalGroup(child.pid, 'SIGKILL'), GRACE_MS).unref();
      return leashed.exited;
    },
  };
  alive.add(leashed);
  return leashed;
}

/** Ends everything that {@link start} started and that still lives. */
export async function stopAll() {
  await Promise.allSettled([...alive].map((leashed) => leashed.stop()));
}

/** On Ctrl-C, SIGTERM or the terminal's end: stop everything, then exit as the signal asks. */
export function stopAllOnSignals() {
  for (const [signal, code] of /** @type {const} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.once(signal, () => {
      void stopAll().finally(() => process.exit(code));
    });
  }
}

/**
 * Runs a command to its end.
 * @param {string} command @param {readonly string[]} args
 * @param {object} [options]
 * @param {string} [options.cwd] @param {NodeJS.ProcessEnv} [options.env]
 * @param {boolean} [options.quiet] show the output only when it fails
 * @param {(line: string) => void} [options.say] told each piece of quiet output
 * @param {number} [options.timeoutMs]
 * @returns {Promise<string>} the end of the output, where quiet
 * @throws {Error} when it does not end with 0 in time; quiet ones carry their last lines
 */
export async function run(command, args, { cwd, env, quiet = false, say, timeoutMs } = {}) {
  const leashed = start(command, args, { cwd, env, output: quiet ? 'pipe' : 'inherit' });
  let text = '';
  for (const stream of [leashed.child.stdout, leashed.child.stderr]) {
    stream?.on('data', (chunk) => {
      text = (text + chunk).slice(-8_000);
      say?.(text.trimEnd().split('\n').at(-1) ?? '');
    });
  }
  let late = false;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          late = true;
          void leashed.stop();
        }, timeoutMs);
  const code = await leashed.exited;
  clearTimeout(timer);
  const name = [command, ...args].join(' ');
  if (late) throw new Error(`${name} did not end within ${(timeoutMs ?? 0) / 1000} s\n${text}`);
  if (code !== 0) throw new Error(`${name} ended with ${code}\n${text}`);
  return text;
}

/** What is left of the group when its leader is gone gets 2 s, then SIGKILL. @param {number | undefined} group */
async function endGroup(group) {
  const until = Date.now() + 2_000;
  while (signalGroup(group, 0)) {
    if (Date.now() > until) signalGroup(group, 'SIGKILL');
    await delay(20);
    if (Date.now() > until + 1_000) return;
  }
}

/** @param {number | undefined} group @param {NodeJS.Signals | 0} signal @returns whether there was anyone to get it */
function signalGroup(group, signal) {
  if (group === undefined) return false;
  try {
    return posix ? process.kill(-group, signal) : process.kill(group, signal);
  } catch {
    return false;
  }
}
