import assert from 'node:assert/strict';
import { dockerBackend, dockerExecutor, leftovers, testEngine } from '../support/docker.ts';
import { describeStories } from '../support/stories.ts';

describeStories('in Docker', { testMs: 90_000, runMs: 60_000 }, async (environment) => {
  const engine = testEngine();
  return {
    backend: dockerBackend(),
    executor: () => dockerExecutor(environment),
    leftovers: () => leftovers(engine),
    atOnce: () => true,
    untilGone: async () => assert.deepEqual(await leftovers(engine), []),
  };
});
