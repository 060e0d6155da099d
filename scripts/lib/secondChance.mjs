/**
 * @typedef {object} FileCounts what became of the tests of one file
 * @property {number} passed @property {number} skipped @property {readonly string[]} failures their titles
 * @typedef {Readonly<Record<string, FileCounts>>} Report by file
 */

/**
 * How many tests may need a second chance in all: now and then one does on a loaded machine, more than that is no chance.
 */
export const CHANCES = 3;

/** @param {Report} report */
const failuresOf = (report) => Object.values(report).flatMap(({ failures }) => failures);

/**
 * Which files to run once more, by themselves: those with failures, where there are few enough.
 * @param {Report} report
 */
export function filesToRunAgain(report) {
  if (failuresOf(report).length > CHANCES) return [];
  return Object.keys(report).filter((file) => (report[file]?.failures.length ?? 0) > 0);
}

/**
 * The counts after a second run of some files, whose outcome is the one that counts.
 * @param {Report} first @param {Report} [second]
 * @returns {import('./stages.mjs').Counts}
 */
export function counts(first, second = {}) {
  const last = Object.values({ ...first, ...second });
  const stillFailing = new Set(failuresOf(second));
  const failed = last.reduce((sum, { failures }) => sum + failures.length, 0);
  return {
    passed: last.reduce((sum, { passed }) => sum + passed, 0),
    failed,
    skipped: last.reduce((sum, { skipped }) => sum + skipped, 0),
    again: Object.keys(second).flatMap((file) =>
      (first[file]?.failures ?? []).filter((title) => !stillFailing.has(title)),
    ),
  };
}
