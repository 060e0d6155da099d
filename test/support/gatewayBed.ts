import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pythonOf } from './hostLive.ts';
import { freePort } from './sshBed.ts';

const startLimitMs = 120_000;
const user = 'ana';
const password = 'let me in';

/** A real Dask Gateway on this machine, with its own proxy: its clusters are processes, and its administrator has made options. */
export class GatewayBed {
  /** As an executor's `cluster_kwargs` have it. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly #folder: string;
  readonly #address: string;
  readonly #server: ChildProcess;

  private constructor(folder: string, address: string, proxy: number, server: ChildProcess) {
    this.#folder = folder;
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
    await writeFile(configuration, configurationOf(python, folder, port, proxy));
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

function configurationOf(python: string, folder: string, port: number, proxy: number): string {
  const command = (part: string) => JSON.stringify([python, '-m', `distributed.cli.dask_${part}`]);
  return `from dask_gateway_server.backends.local import UnsafeLocalBackend
from dask_gateway_server.options import Integer, Options, Select

c.DaskGateway.backend_class = UnsafeLocalBackend
c.DaskGateway.address = "127.0.0.1:0"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = ${JSON.stringify(password)}
c.Proxy.address = "127.0.0.1:${port}"
c.Proxy.tcp_address = "127.0.0.1:${proxy}"
c.UnsafeLocalBackend.clusters_directory = ${JSON.stringify(join(folder, 'clusters'))}
c.ClusterConfig.scheduler_cmd = ${command('scheduler')}
c.ClusterConfig.worker_cmd = ${command('worker')}
c.Backend.cluster_options = Options(
    Integer("worker_cores", default=1, min=1, max=4, label="Cores of a worker"),
    Select("size", ["small", "large"], default="small"),
    handler=lambda options: {"worker_cores": options.worker_cores},
)
`;
}
