import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { start } from '../../scripts/lib/processes.mjs';

const run = promisify(execFile);
const startLimitMs = 60_000;

export interface OwnEngineOptions {
  /** What networks are made from: `base=10.219.0.0/24,size=24`. */
  readonly pool: string;
  /** Its data lies in memory, so much of it. */
  readonly dataMiB: number;
}

/**
 * An engine that a test may stop and fill: with a socket, data and a network namespace of its own, so that the ports of its
 * containers are not reached from here, and no other engine's rules are touched.
 */
export class OwnEngine {
  readonly docker: Docker;
  readonly host: string;
  readonly data: string;
  readonly #home: string;
  readonly #pool: string;
  #engine: ReturnType<typeof start> | undefined;

  private constructor(home: string, pool: string) {
    this.#home = home;
    this.#pool = pool;
    this.data = join(home, 'data');
    const socketPath = join(home, 'docker.sock');
    this.host = `unix://${socketPath}`;
    this.docker = new Docker({ socketPath });
  }

  static async start({ pool, dataMiB }: OwnEngineOptions): Promise<OwnEngine> {
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'own-engine-')), pool);
    await mkdir(engine.data);
    await run('mount', ['-t', 'tmpfs', '-o', `size=${dataMiB}m`, 'tmpfs', engine.data]);
    try {
      await engine.start();
    } catch (error) {
      await engine.dispose();
      throw error;
    }
    return engine;
  }

  /** After a {@link stop}, with what it has kept. */
  async start(): Promise<void> {
    const at = (name: string) => join(this.#home, name);
    const args = [
      ...['--host', this.host, '--pidfile', at('pid'), '--data-root', this.data, '--exec-root', at('run')],
      ...['--bridge', 'none', '--default-address-pool', this.#pool],
    ];
    const log = await open(at('log'), 'w');
    const inside = 'ip link set lo up && exec dockerd "$@"';
    const engine = start('unshare', ['--net', 'sh', '-c', inside, 'sh', ...args], { output: log.fd });
    this.#engine = engine;
    let ended = false;
    void engine.exited.then(() => {
      ended = true;
      return log.close();
    });
    const began = performance.now();
    while (!ended && performance.now() - began < startLimitMs) {
      if (await this.docker.ping().catch(() => undefined)) return;
      await sleep(100);
    }
    throw new Error(`the engine did not start:\n${(await readFile(at('log'), 'utf8')).slice(-2000)}`);
  }

  async stop(): Promise<void> {
    await this.#engine?.stop();
    this.#engine = undefined;
  }

  /** An image with nothing in it; returns its name. */
  async emptyImage(): Promise<string> {
    const nothing = join(this.#home, 'nothing');
    const tar = join(this.#home, 'nothing.tar');
    await writeFile(nothing, '');
    await run('tar', ['-C', this.#home, '-cf', tar, 'nothing']);
    await run('docker', ['--host', this.host, 'import', tar, 'empty:1']);
    return 'empty:1';
  }

  async dispose(): Promise<void> {
    await this.stop();
    // What containers and images had mounted goes with their engine; a moment later at times.
    for (let n = 0; n < 50; n += 1) {
      if (await run('umount', [this.data]).then(Boolean, () => false)) break;
      await sleep(100);
    }
    await rm(this.#home, { recursive: true, force: true });
  }
}
