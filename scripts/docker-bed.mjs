// node scripts/docker-bed.mjs COMMAND …: runs it beside a Docker engine of its own, which has the test images.
import { join } from 'node:path';
import { root } from './lib/checkout.mjs';
import { ensureImages, withDocker } from './lib/docker.mjs';
import { run, stopAllOnSignals } from './lib/processes.mjs';

const [command = 'true', ...args] = process.argv.slice(2);
stopAllOnSignals();
process.exitCode = await withDocker(async ({ host, pid }) => {
  await ensureImages(host);
  const env = {
    ...process.env,
    PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}`,
    DOCKER_HOST: host,
    FLOW_CLUSTERS_TEST_DOCKER: host,
    FLOW_CLUSTERS_TEST_DOCKERD: `${pid}`,
  };
  return run(command, args, { env }).then(
    () => 0,
    (error) => {
      console.error(error.message.trim());
      return 1;
    },
  );
});
