// node scripts/docker-bed.mjs COMMAND …: runs it beside a Docker engine of its own, which has the test images.
import { join } from 'node:path';
import { root } from './lib/checkout.mjs';
import { dockerEnvironment, ensureImages, withDocker } from './lib/docker.mjs';
import { run, stopAllOnSignals } from './lib/processes.mjs';

const [command = 'true', ...args] = process.argv.slice(2);
stopAllOnSignals();
process.exitCode = await withDocker(async ({ host }) => {
  await ensureImages(host);
  const path = `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path, ...dockerEnvironment(host) };
  return run(command, args, { env }).then(
    () => 0,
    (error) => {
      console.error(error.message.trim());
      return 1;
    },
  );
});
