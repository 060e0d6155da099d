// Loaded by mocha: a rejected promise that nobody awaits is a bug of ours, so it fails the test that it happens in.
process.on('unhandledRejection', (reason) => {
  throw reason instanceof Error ? reason : new Error(`unhandled rejection: ${String(reason)}`);
});
