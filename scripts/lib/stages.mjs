import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { root } from './checkout.mjs';
import { ensureChromium } from './chromium.mjs';
import { dockerEnvironment, ensureImages, withDocker } from './docker.mjs';
import { ensureNodeImages, kubernetesEnvironment, withKubernetes } from './kubernetes.mjs';
import { run } from './processes.mjs';
import { counts, filesToRunAgain } from './secondChance.mjs';
import { ensureTestPython } from './testBed.mjs';
import { ensureVenv, findPython } from './venv.mjs';
import { ensureVscodeServer } from './vscodeServer.mjs';

/**
 * @typedef {object} Counts how many tests ended which way
 * @property {number} passed @property {number} failed @property {number} skipped
 * @property {readonly string[]} [again] titles of those that failed, and passed when they ran once more
 *
 * @typedef {object} Stage
 * @property {string} name
 * @property {number} limitMs
 * @property {readonly string[]} [before] stages that need this one first
 * @property {(context: {countsFile: string, timeoutMs: number}) => Promise<Counts>} run rejects where it failed
 *   without being able to count
 */

const bin = (/** @type {string} */ name) => join(root, 'node_modules', '.bin', name);
const MINUTE_MS = 60_000;
/** The Node that the tools run on: the one among the packages, else ours. */
const modernPath = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`;

/**
 * A stage of mocha's.
 * @param {string} name @param {number} minutes
 * @returns {Stage}
 */
function mochaStage(name, minutes) {
  return {
    name,
    limitMs: minutes * MINUTE_MS,
    run: async (context) => counts(await reported([bin('mocha'), `test/${name}/**/*.test.ts`], context)),
  };
}

/**
 * A stage of mocha's on real parts.
 * @param {string} name @param {number} minutes
 * @returns {Stage}
 */
function liveStage(name, minutes) {
  return { name, limitMs: minutes * MINUTE_MS, run: (context) => liveMocha(name, context) };
}

/**
 * @param {string} name @param {{countsFile: string, timeoutMs: number}} context
 * @param {NodeJS.ProcessEnv} [more] environment
 */
const liveMocha = (name, context, more) =>
  live(name, [bin('mocha')], `test/${name}/**/*.test.ts`, context, more);

/**
 * Runs tests on real parts: where a few fail, their files run once more, by themselves. What passes then is named in
 * the summary.
 * @param {string} name @param {[string, ...string[]]} command what takes files of tests @param {string} tests all of them
 * @param {{countsFile: string, timeoutMs: number}} context
 * @param {NodeJS.ProcessEnv} [more] environment
 * @returns {Promise<Counts>}
 */
async function live(name, command, tests, { countsFile, timeoutMs }, more) {
  const until = performance.now() + timeoutMs;
  const first = await reported([...command, tests], { countsFile, timeoutMs }, more);
  const files = filesToRunAgain(first);
  if (files.length === 0) return counts(first);
  console.log(`\n━━ ${name}, once more: ${files.map((file) => relative(root, file)).join(', ')}`);
  const context = { countsFile: `${countsFile}-again`, timeoutMs: until - performance.now() };
  return counts(first, await reported([...command, ...files], context, more));
}

/**
 * Runs a command that leaves a report of its tests.
 * @param {[string, ...string[]]} command @param {{countsFile: string, timeoutMs: number}} context
 * @param {NodeJS.ProcessEnv} [more] environment
 * @returns {Promise<import('./secondChance.mjs').Report>}
 */
async function reported([command, ...args], { countsFile, timeoutMs }, more) {
  const env = { ...process.env, PATH: modernPath, FLOW_CLUSTERS_TEST_COUNTS: countsFile, ...more };
  /** @type {unknown} */
  let failure;
  await run(command, args, { cwd: root, env, timeoutMs }).catch((error) => {
    failure = error;
  });
  /** @type {import('./secondChance.mjs').Report | undefined} */
  const report = await readFile(countsFile, 'utf8').then(JSON.parse, () => undefined);
  // Ended badly although no test failed: a crash, a limit, a hook's leftovers.
  if (!report || (failure && counts(report).failed === 0))
    throw failure ?? new Error('no tests were counted');
  return report;
}

/** Each check counts where it fails, and only there: they are no tests. */
async function checks(/** @type {{timeoutMs: number}} */ { timeoutMs }) {
  const commands = [
    [bin('biome'), 'ci', '--colors=off', '--diagnostic-level=error', '.'],
    [bin('tsc'), '--noEmit'],
    [bin('tsc'), '--noEmit', '-p', 'src/webview'],
    [bin('knip'), '--no-progress'],
  ];
  return allOf(commands, { timeoutMs });
}

/**
 * Runs all, even after one has failed. @param {string[][]} commands @param {{timeoutMs: number}} options
 * @returns {Promise<Counts>}
 */
async function allOf(commands, { timeoutMs }) {
  let failed = 0;
  for (const [command = '', ...args] of commands) {
    await run(command, args, { cwd: root, env: { ...process.env, PATH: modernPath }, timeoutMs }).catch(
      (error) => {
        failed += 1;
        console.log(error.message.trim());
      },
    );
  }
  return { passed: 0, failed, skipped: 0 };
}

/** ruff and pytest on the helpers that the user's interpreter runs. @type {Stage['run']} */
async function python({ countsFile, timeoutMs }) {
  const requirementsFile = join(root, 'test', 'python', 'requirements', 'tools.txt');
  const venv = await ensureVenv({
    name: 'python-tools',
    requirementsFile,
    onProgress: (line) => console.log(line),
  });
  /** @type {(...args: string[]) => [string, ...string[]]} */
  const module = (...args) => [venv.python, '-m', ...args];
  const lint = await allOf([module('ruff', 'check', '.'), module('ruff', 'format', '--check', '.')], {
    timeoutMs,
  });
  const all = await live('python', module('pytest'), 'test/python', { countsFile, timeoutMs });
  return { ...all, failed: all.failed + lint.failed };
}

/** What ships is small and complete. @type {Stage['run']} */
async function packaging({ timeoutMs }) {
  return allOf([[process.execPath, 'scripts/package.mjs']], { timeoutMs });
}

/**
 * Makes what tests run on: a new machine takes minutes for it, and the time limits of tests are for what they test.
 * @type {Stage['run']}
 */
async function environments({ timeoutMs }) {
  const { python } = await findPython();
  const made = await allOf([[python, 'test/python/environments.py']], { timeoutMs });
  const support = join(root, 'test', 'support', 'requirements');
  for (const file of await readdir(support)) {
    await ensureVenv({ name: basename(file, '.txt'), requirementsFile: join(support, file) });
  }
  await ensureTestPython();
  return made;
}

/** Images that containers of tests are made from. @type {Stage['run']} */
async function images() {
  await withDocker(({ host }) => ensureImages(host));
  return { passed: 0, failed: 0, skipped: 0 };
}

/** Tests beside a Docker engine of their own. @type {Stage['run']} */
function docker(context) {
  return withDocker(({ host }) => liveMocha('docker', context, dockerEnvironment(host)));
}

/** The programs of a Kubernetes, and its images. @type {Stage['run']} */
async function kubernetesBed() {
  await withKubernetes(ensureNodeImages);
  return { passed: 0, failed: 0, skipped: 0 };
}

/** Tests beside a Kubernetes of their own. @type {Stage['run']} */
function kubernetes(context) {
  return withKubernetes((cluster) => liveMocha('kubernetes', context, kubernetesEnvironment(cluster)));
}

/** A VS Code, and a browser to see it in. @type {Stage['run']} */
async function editors() {
  await ensureVscodeServer();
  await ensureChromium();
  return { passed: 0, failed: 0, skipped: 0 };
}

/** The bundles that other stages start. @type {Stage} */
export const build = {
  name: 'build',
  limitMs: MINUTE_MS,
  run: ({ timeoutMs }) => allOf([[process.execPath, 'esbuild.config.mjs']], { timeoutMs }),
};

/** @type {readonly Stage[]} */
export const stages = [
  { name: 'checks', limitMs: 5 * MINUTE_MS, run: checks },
  mochaStage('unit', 5),
  mochaStage('server', 3),
  mochaStage('fuzz', 5),
  {
    name: 'environments',
    limitMs: 15 * MINUTE_MS,
    before: ['python', 'live', 'docker', 'kubernetes', 'editor', 'person', 'kill'],
    run: environments,
  },
  { name: 'python', limitMs: 20 * MINUTE_MS, run: python },
  liveStage('live', 20),
  { name: 'images', limitMs: 20 * MINUTE_MS, before: ['docker'], run: images },
  { name: 'kubernetesBed', limitMs: 30 * MINUTE_MS, before: ['kubernetes'], run: kubernetesBed },
  {
    name: 'editors',
    limitMs: 15 * MINUTE_MS,
    before: ['docker', 'kubernetes', 'editor', 'person'],
    run: editors,
  },
  {
    name: 'editor',
    limitMs: 15 * MINUTE_MS,
    run: async (context) => counts(await reported([process.execPath, 'scripts/editor-tests.mjs'], context)),
  },
  { name: 'docker', limitMs: 20 * MINUTE_MS, run: docker },
  { name: 'kubernetes', limitMs: 45 * MINUTE_MS, run: kubernetes },
  liveStage('person', 20),
  liveStage('kill', 10),
  { name: 'package', limitMs: 3 * MINUTE_MS, run: packaging },
];
