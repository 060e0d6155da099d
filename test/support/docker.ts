import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { DockerBackend, type DockerBackendOptions } from '../../src/backends/docker/dockerBackend.ts';
import { removeOrphans } from '../../src/backends/docker/removal.ts';
import type { DockerExecutor } from '../../src/core/dockerExecutor.ts';
import { MemoryLog } from './host.ts';

/** The tests' own engine, started by the stage `docker` or by `scripts/docker-bed.mjs`. */
export function testEngine(): Docker {
  const host = process.env.FLOW_CLUSTERS_TEST_DOCKER;
  if (!host) throw new Error('run it by: npm test -- docker, or node scripts/docker-bed.mjs npx mocha …');
  return new Docker({ socketPath: host.replace('unix://', '') });
}

/** What is ours at the engine, whoever else tests there: labels of this process, and of those that it starts. */
const owner = process.env.FLOW_CLUSTERS_TEST_OWNER ?? `test-${process.pid}`;
process.env.FLOW_CLUSTERS_TEST_OWNER = owner;
export const testOwner = owner;
export const ownLabel = `flow-clusters/owner=${owner}`;

export function dockerBackend(options: Partial<DockerBackendOptions> = {}): DockerBackend {
  return new DockerBackend({
    ...options,
    log: new MemoryLog(),
    pythonFolder: fileURLToPath(new URL('../../src/python', import.meta.url)),
    owner: { machine: owner, pid: process.pid },
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

/** What processes of these tests have left that are gone. */
export const removeTestOrphans = (engine: Docker) => removeOrphans(engine, { machine: owner });

/** What there is of these tests: names of containers, in whatever state, and of networks. */
export async function leftovers(engine: Docker): Promise<string[]> {
  const filters = { label: [ownLabel] };
  const containers = await engine.listContainers({ all: true, filters });
  const networks = await engine.listNetworks({ filters });
  return [...containers.map(({ Names }) => Names[0] ?? ''), ...networks.map(({ Name }) => Name)];
}
