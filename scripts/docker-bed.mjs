// node scripts/docker-bed.mjs COMMAND …: runs it beside a Docker engine of its own, which has the test images.
import { runBeside } from './lib/beside.mjs';
import { dockerEnvironment, ensureImages, withDocker } from './lib/docker.mjs';

await runBeside(withDocker, async ({ host }) => {
  await ensureImages(host);
  return { env: dockerEnvironment(host) };
});
