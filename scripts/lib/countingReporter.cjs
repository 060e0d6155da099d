// Mocha's spec output; at the end also the counts of each file as JSON, in the file that $FLOW_CLUSTERS_TEST_COUNTS names.
const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

module.exports = class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const file = process.env.FLOW_CLUSTERS_TEST_COUNTS;
    if (!file) return;
    const files = {};
    const of = (test) => {
      const name = test.file ?? 'elsewhere';
      files[name] ??= { passed: 0, skipped: 0, failures: [] };
      return files[name];
    };
    runner.on('pass', (test) => (of(test).passed += 1));
    runner.on('pending', (test) => (of(test).skipped += 1));
    runner.on('fail', (test) => of(test).failures.push(test.fullTitle()));
    runner.once('end', () => writeFileSync(file, JSON.stringify(files)));
  }
};
