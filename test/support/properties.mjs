// Loaded by mocha: properties are tried with the same values each time, so that a test fails for what was changed and
// not by chance. `FLOW_CLUSTERS_SEED=random` (or a number) looks for more.
import { createRequire } from 'node:module';

// Tests are loaded as CommonJS: they have another copy of it than an import here would give.
/** @type {typeof import('fast-check')} */
const fc = createRequire(import.meta.url)('fast-check');

const wanted = process.env.FLOW_CLUSTERS_SEED ?? '1';
if (wanted !== 'random') fc.configureGlobal({ seed: Number(wanted) });
