import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { aptInstall, which } from '../../scripts/lib/debian.mjs';

const run = promisify(execFile);
const startLimitMs = 60_000;

/** A real ssh server on this machine, and an `ssh` on PATH that knows it and nobody else: nobody's ~/.ssh is touched. */
export class SshBed {
  readonly port: number;
  readonly #home: string;
  readonly #pathBefore = process.env.PATH ?? '';
  #server: ChildProcess | undefined;

  private constructor(home: string, port: number) {
    this.#home = home;
    this.port = port;
  }

  static async start(): Promise<SshBed> {
    const missing = [];
    if (!(await which('sshd')) && !(await exists('/usr/sbin/sshd'))) missing.push('openssh-server');
    if (!(await which('ssh'))) missing.push('openssh-client');
    if (missing.length > 0) await aptInstall(missing, 'Engines over ssh');
    const bed = new SshBed(await mkdtemp(join(tmpdir(), 'ssh-bed-')), await freePort());
    try {
      await bed.#prepare();
      await bed.startServer();
      return bed;
    } catch (error) {
      await bed.dispose();
      throw error;
    }
  }

  /** As `docker_host` has it. */
  urlOf(socket: string, { port = this.port } = {}): string {
    return `ssh://${userInfo().username}@127.0.0.1:${port}${socket}`;
  }

  /** A key that it does not know. */
  get strangeKey(): string {
    return join(this.#home, 'strange_key');
  }

  /** As `asyncssh.connect` takes it. */
  get connectOptions(): Record<string, unknown> {
    const [key, knownHosts] = [join(this.#home, 'key'), join(this.#home, 'known_hosts')];
    const login = { port: this.port, username: userInfo().username, client_keys: [key] };
    return { ...login, known_hosts: knownHosts, config: null };
  }

  /** Instead of what it knows: another key, or no known hosts. */
  async configure({ key = 'key', knownHosts = 'known_hosts' } = {}): Promise<void> {
    const at = (name: string) => join(this.#home, name);
    const lines = [`IdentityFile ${at(key)}`, 'IdentitiesOnly yes', `UserKnownHostsFile ${at(knownHosts)}`];
    await writeFile(at('config'), ['Host *', ...lines, 'GlobalKnownHostsFile none', ''].join('\n'));
  }

  /** Processes of `ssh` that serve this bed, whoever started them. */
  async clients(): Promise<number[]> {
    const { stdout } = await run('ps', ['-eo', 'pid=,stat=,args=']);
    return stdout
      .split('\n')
      .filter((line) => line.includes(join(this.#home, 'config')) && !/^\s*\d+ Z/.test(line))
      .map((line) => Number(/\d+/.exec(line)?.[0]));
  }

  /** @param options as `-o` takes them; the first that says something counts */
  async startServer(options: readonly string[] = []): Promise<void> {
    const args = [
      '-D',
      '-e',
      '-f',
      join(this.#home, 'sshd_config'),
      ...options.flatMap((one) => ['-o', one]),
    ];
    const server = spawn('/usr/sbin/sshd', args, {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    this.#server = server;
    for (const began = performance.now(); !(await accepts(this.port)); await sleep(50)) {
      if (performance.now() - began > startLimitMs) throw new Error(`sshd did not start:\n${said}`);
    }
  }

  /** Takes no new connections; those that there are go on. */
  async stopServer(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill();
    await ended;
  }

  async dispose(): Promise<void> {
    process.env.PATH = this.#pathBefore;
    await this.stopServer();
    await rm(this.#home, { recursive: true, force: true });
  }

  async #prepare(): Promise<void> {
    const at = (name: string) => join(this.#home, name);
    for (const name of ['host_key', 'key', 'strange_key'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
    await writeFile(at('authorized_keys'), await readFile(at('key.pub')));
    const known = await readFile(at('host_key.pub'), 'utf8');
    const strange = await readFile(at('strange_key.pub'), 'utf8');
    await writeFile(at('known_hosts'), `[127.0.0.1]:${this.port} ${known}`);
    await writeFile(at('other_hosts'), `[127.0.0.1]:${this.port} ${strange}`);
    await writeFile(at('no_hosts'), '');
    const settings = [
      ...[`Port ${this.port}`, 'ListenAddress 127.0.0.1', `HostKey ${at('host_key')}`, 'PidFile none'],
      ...[
        `AuthorizedKeysFile ${at('authorized_keys')}`,
        'StrictModes no',
        'UsePAM no',
        'PermitRootLogin yes',
      ],
      ...['AllowTcpForwarding yes', 'AllowStreamLocalForwarding yes', 'PasswordAuthentication no'],
    ];
    await writeFile(at('sshd_config'), `${settings.join('\n')}\n`);
    await mkdir('/run/sshd', { recursive: true }); // where sshd locks up who has not yet logged in
    await this.configure();
    const ssh = await which('ssh');
    await mkdir(at('bin'));
    await writeFile(at('bin/ssh'), `#!/bin/sh\nexec ${ssh} -F ${at('config')} "$@"\n`);
    await chmod(at('bin/ssh'), 0o755);
    process.env.PATH = [at('bin'), this.#pathBefore].join(delimiter);
  }
}

const exists = (path: string) =>
  readFile(path).then(
    () => true,
    () => false,
  );

export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });

/** Below those that the system gives to whoever asks for any: nobody else has it before it is used. */
export async function freePort(): Promise<number> {
  const port = 15_000 + Math.floor(Math.random() * 15_000);
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!isFree) return freePort();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
