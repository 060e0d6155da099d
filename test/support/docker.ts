import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { DockerBackend } from '../../src/backends/docker/dockerBackend.ts';
import { removeOrphans } from '../../src/backends/docker/removal.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';

/** The tests' own engine, started by the stage `docker` or by `scripts/docker-bed.mjs`. */
function testEngine(): Docker {
  const host = process.env.FLOW_CLUSTERS_TEST_DOCKER;
  if (!host) throw new Error('run it by: npm test -- docker, or node scripts/docker-bed.mjs npx mocha …');
  return new Docker({ socketPath: host.replace('unix://', '') });
}

export function dockerBackend(owner = { machine: 'test', pid: process.pid }): DockerBackend {
  return new DockerBackend({
    pythonFolder: fileURLToPath(new URL('../../src/python', import.meta.url)),
    owner,
  });
}

/** Two workers of one thread. */
export async function dockerExecutor(
  image: Parameters<typeof imageOf>[0],
  options: Partial<DockerExecutor> = {},
): Promise<DockerExecutor> {
  return {
    ...{ name: 'docker', kind: 'docker', image: await imageOf(image), n_workers: 2, threads_per_worker: 1 },
    ...options,
  };
}

/** The engine of the tests, without what an earlier run of them may have left. */
export async function cleanEngine(): Promise<Docker> {
  const engine = testEngine();
  await removeOrphans(engine, 'test');
  return engine;
}

/** What there is with our labels: names of containers, in whatever state, and of networks. */
export async function leftovers(engine: Docker): Promise<string[]> {
  const filters = { label: ['flow-clusters/cluster'] };
  const containers = await engine.listContainers({ all: true, filters });
  const networks = await engine.listNetworks({ filters });
  return [...containers.map(({ Names }) => Names[0] ?? ''), ...networks.map(({ Name }) => Name)];
}
