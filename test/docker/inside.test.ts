import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { imageOf } from '../../scripts/lib/docker.mjs';
import { removeCluster } from '../../src/backends/docker/removal.ts';
import { testEngine } from '../support/docker.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);

describe('a window in a container beside the engine', function () {
  this.timeout(60_000);

  it('reaches its cluster by the cluster’s own network', async () => {
    const engine = testEngine();
    const owner = `inside-${process.pid}`;
    const socket = process.env.DOCKER_HOST?.replace('unix://', '') ?? assert.fail('no DOCKER_HOST');
    const folders = [root, dirname(process.execPath), dirname(socket)].flatMap((one) => [
      '-v',
      `${one}:${one}`,
    ]);
    const env = ['DOCKER_HOST', 'FLOW_CLUSTERS_TEST_DOCKER', `FLOW_CLUSTERS_TEST_OWNER=${owner}`].flatMap(
      (name) => ['-e', name],
    );
    const window = `window-${process.pid}`;
    const command = [process.execPath, '--import', 'tsx', 'test/support/dockerOwner.ts'];
    const image = await imageOf('dask-latest');
    const args = ['run', '--rm', '--name', window, ...folders, ...env, '-w', root, image, ...command];
    const docker = spawn('docker', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = (await once(docker.stdout, 'data')) as [Buffer];
    // It says so when a worker has come, as it hears from the scheduler itself.
    assert.match(said.toString(), /^tls:\/\/10\.\d+\.\d+\.\d+:8786/);
    await run('docker', ['kill', window]);
    const filters = { label: [`flow-clusters/owner=${owner}`] };
    while ((await engine.listContainers({ all: true, filters })).length > 0);
    // Whether a process in another container lives can't be told from here: its network stays, and goes when asked to.
    const [network] = await engine.listNetworks({ filters });
    await removeCluster(engine, network?.Name ?? assert.fail('no network'));
    assert.deepEqual(await engine.listNetworks({ filters }), []);
  });
});
