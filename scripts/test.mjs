// npm test: every stage in turn, with its time; `npm test -- unit server` runs the named ones. Ends with one line,
// "N passed, N failed, N skipped". With CI=true a skipped test counts as failed: what is promised must be tried.
// Tests on real parts that fail run once more, and those that pass then are named: each is a defect to be mended.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureNodeModules } from './lib/checkout.mjs';
import { stopAllOnSignals } from './lib/processes.mjs';
import { CHANCES } from './lib/secondChance.mjs';
import { build, stages } from './lib/stages.mjs';

const wanted = process.argv.slice(2);
const ci = process.env.CI === 'true';

/**
 * @param {import('./lib/stages.mjs').Stage} stage @param {string} directory for its report
 * @returns {Promise<import('./lib/stages.mjs').Counts & {name: string, seconds: string}>}
 */
async function runStage(stage, directory) {
  console.log(`\n━━ ${stage.name}`);
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  try {
    const counts = await stage.run({ countsFile: join(directory, stage.name), timeoutMs: stage.limitMs });
    return { name: stage.name, ...counts, seconds: seconds() };
  } catch (error) {
    console.log(`${stage.name}: ${error instanceof Error ? error.message.trim() : error}`);
    return { name: stage.name, passed: 0, failed: 1, skipped: 0, seconds: seconds() };
  }
}

/** @param {readonly import('./lib/stages.mjs').Stage[]} chosen */
async function runAll(chosen) {
  const directory = await mkdtemp(join(tmpdir(), 'flow-clusters-counts-'));
  try {
    const results = [];
    for (const stage of chosen) results.push(await runStage(stage, directory));
    return results;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function main() {
  const unknown = wanted.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length > 0) {
    console.error(`No stage ${unknown.join(', ')}; there are ${stages.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  await ensureNodeModules();
  const isWanted = (/** @type {string} */ name) => wanted.length === 0 || wanted.includes(name);
  const chosen = stages.filter(({ name, before = [] }) => isWanted(name) || before.some(isWanted));
  // Nothing can be tested without the bundles.
  const built = await runAll([build]);
  const results = built.some(({ failed }) => failed > 0) ? built : [...built, ...(await runAll(chosen))];
  const sum = { passed: 0, failed: 0, skipped: 0 };
  console.log('\n━━ summary');
  for (const { name, passed, failed, skipped, seconds } of results) {
    console.log(`${name.padEnd(13)} ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s`);
    sum.passed += passed;
    sum.failed += failed;
    sum.skipped += skipped;
  }
  const again = results.flatMap((result) => result.again ?? []);
  for (const title of again) console.log(`Failed, and passed when it ran once more: ${title}`);
  if (again.length > CHANCES) {
    console.log(`More than ${CHANCES} needed a second chance: they count as failed`);
    sum.passed -= again.length;
    sum.failed += again.length;
  }
  if (ci && sum.skipped > 0) console.log(`CI: ${sum.skipped} skipped tests are failures`);
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  return sum.failed > 0 || (ci && sum.skipped > 0) ? 1 : 0;
}

stopAllOnSignals();
try {
  process.exitCode = await main();
} catch (error) {
  console.log(`${error instanceof Error ? error.message : error}\n\n0 passed, 1 failed, 0 skipped`);
  process.exitCode = 1;
}
