import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EnvironmentName, pythonOf } from './hostLive.ts';
import { freePort } from './sshBed.ts';

const startLimitMs = 120_000;
const user = 'ana';
const password = 'let me in';
/** What schedulers, workers and runs of its clusters may run in: the option "environment" of its administrator. */
export const gatewayEnvironments = [
  'clouds',
  'prefect3',
  'prefect2',
  'prefect1',
] as const satisfies EnvironmentName[];
/** The client of a gateway, and what it takes beside Dask. */
const clientPackages = [
  ...['dask_gateway', 'aiohttp', 'aiohappyeyeballs', 'aiosignal', 'attr', 'attrs', 'frozenlist', 'multidict'],
  ...['propcache', 'yarl', 'idna', 'typing_extensions.py'],
];

/** Says the address of its cluster when that has a worker; then, for each line that it is sent, how that is. */
const ownerScript = `
import json, sys
from dask_gateway import BasicAuth, GatewayCluster

with GatewayCluster(auth=BasicAuth(*sys.argv[2:]), **json.loads(sys.argv[1])) as cluster:
    cluster.scale(1)
    cluster.get_client().wait_for_workers(1)
    print(cluster.scheduler_address, flush=True)
    for _ in sys.stdin:
        assert not cluster._watch_worker_status_task.done()
        print(json.dumps({"status": cluster.status, "workers": len(cluster.scheduler_info["workers"])}), flush=True)
`;

/** A real Dask Gateway on this machine, with its own proxy: its clusters are processes, and its administrator has made options. */
export class GatewayBed {
  /** As an executor's `cluster_kwargs` have it. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** What environments without a gateway's client have to have on their `PYTHONPATH`. */
  readonly client: string;
  readonly #folder: string;
  readonly #address: string;
  readonly #server: ChildProcess;

  private constructor(folder: string, address: string, proxy: number, server: ChildProcess) {
    this.#folder = folder;
    this.client = join(folder, 'client');
    this.#address = address;
    this.#server = server;
    this.kwargs = {
      ...{ address, proxy_address: `gateway://127.0.0.1:${proxy}` },
      auth: { $import: 'dask_gateway.BasicAuth', args: [user, password] },
    };
  }

  static async start(): Promise<GatewayBed> {
    const python = await pythonOf('clouds');
    const folder = await mkdtemp(join(tmpdir(), 'gateway-bed-'));
    const [port, proxy] = [await freePort(), await freePort()];
    const configuration = join(folder, 'config.py');
    await linkClient(python, join(folder, 'client'));
    await writeFile(configuration, await configurationOf(folder, port, proxy));
    const log = join(folder, 'log');
    const command = `exec "$0" -m dask_gateway_server -f "$1" >"$2" 2>&1`;
    const server = spawn('sh', ['-c', command, python, configuration, log], {
      cwd: folder,
      env: { ...process.env, PATH: `${dirname(python)}:${process.env.PATH}` },
      // With its proxy and its clusters it is ended as one.
      detached: true,
      stdio: 'ignore',
    });
    const bed = new GatewayBed(folder, `http://127.0.0.1:${port}`, proxy, server);
    for (const began = performance.now(); !(await bed.#answers()); await sleep(100)) {
      if (performance.now() - began < startLimitMs && server.exitCode === null) continue;
      const said = await readFile(log, 'utf8').catch(() => '');
      await bed.dispose();
      throw new Error(`The gateway did not start:\n${said}`);
    }
    return bed;
  }

  /** Names of the clusters that it has. */
  async clusters(): Promise<string[]> {
    return Object.keys(await this.#get('/api/v1/clusters/'));
  }

  /** A cluster of one worker that somebody else has made, in a process of theirs. */
  async someoneElse() {
    const python = await pythonOf('clouds');
    const call = { address: this.#address, proxy_address: this.kwargs.proxy_address };
    const args = ['-c', ownerScript, JSON.stringify(call), user, password];
    const owner = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface(owner.stdout)[Symbol.asyncIterator]();
    const heard = async () => (await lines.next()).value as string | undefined;
    return {
      address: (await heard()) ?? assert.fail('it has no cluster'),
      /** What its own connection to the scheduler tells, which there can be one of only. */
      says: async (): Promise<unknown> => {
        owner.stdin.write('\n');
        return JSON.parse((await heard()) ?? 'null');
      },
      /** Ends the cluster as its owner does. */
      end: async (): Promise<void> => {
        owner.stdin.end();
        await heard();
      },
    };
  }

  /** As an administrator, or the gateway itself after a while without work. */
  async stop(cluster: string): Promise<void> {
    await this.#request(`/api/v1/clusters/${cluster}`, 'DELETE');
  }

  async dispose(): Promise<void> {
    const { pid } = this.#server;
    if (pid !== undefined && this.#server.exitCode === null) {
      const ended = new Promise((resolve) => this.#server.once('exit', resolve));
      process.kill(-pid, 'SIGTERM');
      await Promise.race([ended, sleep(5_000)]);
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // It is gone, which is what was wanted.
      }
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #answers(): Promise<boolean> {
    return this.#get('/api/v1/clusters/').then(
      () => true,
      () => false,
    );
  }

  async #get(path: string): Promise<Record<string, unknown>> {
    return (await (await this.#request(path, 'GET')).json()) as Record<string, unknown>;
  }

  async #request(path: string, method: string): Promise<Response> {
    const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
    const answer = await fetch(this.#address + path, { method, headers: { authorization } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer;
  }
}

/** All environments are of one Python: to install these in each would take longer than to run a flow there. */
async function linkClient(python: string, folder: string): Promise<void> {
  const library = join(dirname(dirname(python)), 'lib');
  const [version = ''] = await readdir(library);
  await mkdir(folder);
  for (const name of clientPackages)
    await symlink(join(library, version, 'site-packages', name), join(folder, name));
}

async function configurationOf(folder: string, port: number, proxy: number): Promise<string> {
  const pythons = await Promise.all(gatewayEnvironments.map(async (name) => [name, await pythonOf(name)]));
  return `from dask_gateway_server.backends.local import UnsafeLocalBackend
from dask_gateway_server.options import Integer, Options, Select

c.DaskGateway.backend_class = UnsafeLocalBackend
c.DaskGateway.address = "127.0.0.1:0"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = ${JSON.stringify(password)}
c.Proxy.address = "127.0.0.1:${port}"
c.Proxy.tcp_address = "127.0.0.1:${proxy}"
c.UnsafeLocalBackend.clusters_directory = ${JSON.stringify(join(folder, 'clusters'))}
c.ClusterConfig.environment = {"PYTHONPATH": ${JSON.stringify(join(folder, 'client'))}}
pythons = ${JSON.stringify(Object.fromEntries(pythons))}


def configured(options):
    command = [pythons[options.environment], "-m"]
    return {
        "worker_cores": options.worker_cores,
        "scheduler_cmd": [*command, "distributed.cli.dask_scheduler"],
        "worker_cmd": [*command, "distributed.cli.dask_worker"],
    }


c.Backend.cluster_options = Options(
    Integer("worker_cores", default=1, min=1, max=4, label="Cores of a worker"),
    Select("size", ["small", "large"], default="small"),
    Select("environment", list(pythons), default="clouds"),
    handler=configured,
)
`;
}
