import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type Docker from 'dockerode';

import { executorSettings, UserError } from '../../core/errors.ts';
import { type SshEngine, sshEngine } from './sshEngine.ts';

/** A Docker engine, or Podman, and how it is reached. */
export interface EnginePlace {
  /** As `DOCKER_HOST` has it: `unix:///var/run/docker.sock`. */
  readonly host: string;
  /** Files of a TLS connection to it. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  /** What said so: `DOCKER_HOST`, `the Docker context "dev"`. */
  readonly by: string;
}

/** What an executor says of its engine. */
export interface EngineChoice {
  readonly docker_host?: string | undefined;
  readonly docker_context?: string | undefined;
}

/** The machine that this runs on; tests bring their own. */
export interface EngineEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

/**
 * The engine that the `docker` command would use: the executor's own host or context, else `DOCKER_HOST`, else
 * `DOCKER_CONTEXT` or the current context, else the first socket that is there (Docker's, Docker Desktop's, a rootless
 * one, Podman's).
 * @throws UserError `setting` if a context is named that does not exist, or an address can't be used
 */
export async function findEngine(
  choice: EngineChoice,
  machine: EngineEnvironment = { env: process.env, home: homedir(), platform: process.platform },
): Promise<EnginePlace> {
  const { env } = machine;
  if (choice.docker_host) return { host: choice.docker_host, by: 'docker_host of the executor' };
  if (choice.docker_context) return contextPlace(choice.docker_context, machine);
  if (env.DOCKER_HOST) {
    const tls = env.DOCKER_TLS_VERIFY
      ? await readTls(env.DOCKER_CERT_PATH ?? dockerFolder(machine))
      : undefined;
    return { host: env.DOCKER_HOST, ...(tls && { tls }), by: 'DOCKER_HOST' };
  }
  const context = env.DOCKER_CONTEXT ?? (await currentContext(machine));
  if (context && context !== 'default') return contextPlace(context, machine);
  return { host: await defaultHost(machine), by: 'this machine' };
}

const dockerFolder = ({ env, home }: EngineEnvironment) => env.DOCKER_CONFIG ?? join(home, '.docker');

async function currentContext(machine: EngineEnvironment): Promise<string | undefined> {
  const config = await readJson(join(dockerFolder(machine), 'config.json'));
  return typeof config?.currentContext === 'string' ? config.currentContext : undefined;
}

/** Contexts lie in folders named by the hash of their name (docker/cli, `cli/context/store`). */
async function contextPlace(name: string, machine: EngineEnvironment): Promise<EnginePlace> {
  const by = `the Docker context "${name}"`;
  if (name === 'default') return { host: await defaultHost(machine), by };
  const id = createHash('sha256').update(name).digest('hex');
  const folder = join(dockerFolder(machine), 'contexts');
  const meta = await readJson(join(folder, 'meta', id, 'meta.json'));
  const endpoints = meta?.Endpoints as { docker?: { Host?: unknown } } | undefined;
  const host = endpoints?.docker?.Host;
  if (typeof host !== 'string' || host === '') {
    throw new UserError('setting', `There is no Docker context "${name}"`, {
      hint: '“docker context ls” lists those that there are.',
      action: executorSettings,
    });
  }
  const tls = await readTls(join(folder, 'tls', id, 'docker')).catch(() => undefined);
  return { host, ...(tls && { tls }), by };
}

async function readTls(folder: string): Promise<NonNullable<EnginePlace['tls']>> {
  const read = (file: string) => readFile(join(folder, file), 'utf8');
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
  return { ca, cert, key };
}

async function readJson(file: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch {
    // Not there, or not Docker's: as if nobody had chosen.
    return undefined;
  }
}

async function defaultHost({ env, home, platform }: EngineEnvironment): Promise<string> {
  if (platform === 'win32') return 'npipe:////./pipe/docker_engine';
  const runtime = env.XDG_RUNTIME_DIR;
  const sockets = [
    '/var/run/docker.sock',
    join(home, '.docker', 'run', 'docker.sock'),
    ...(runtime ? [join(runtime, 'docker.sock'), join(runtime, 'podman', 'podman.sock')] : []),
    '/run/podman/podman.sock',
  ];
  for (const socket of sockets) if (await isThere(socket)) return `unix://${socket}`;
  return `unix://${sockets[0]}`;
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** How dockerode is told. @throws UserError `setting` for an address of a kind that can't be used */
export function connectionOptions({ host, tls, by }: EnginePlace): Record<string, unknown> {
  const url = /^(\w+):\/\/(.*)$/.exec(host);
  const [, scheme = '', rest = ''] = url ?? [];
  if (scheme === 'unix' || scheme === 'npipe') return { socketPath: rest };
  if (scheme === 'tcp' || scheme === 'http' || scheme === 'https') {
    const { hostname, port } = new URL(`http://${rest}`);
    const protocol = tls || scheme === 'https' ? 'https' : 'http';
    return { protocol, host: hostname, port: Number(port || (tls ? 2376 : 2375)), ...tls };
  }
  // The name is for the requests' headers only.
  if (scheme === 'ssh') return { protocol: 'http', host: 'docker', port: 80, agent: sshEngine(host, by) };
  throw new UserError('setting', `Engines can't be reached by "${scheme || host}", which ${by} names`, {
    hint: 'By unix://, npipe:// or tcp:// they are; those on other machines by ssh://user@host.',
    action: executorSettings,
  });
}

/** Whether the engine's loopback is this machine's, so that a port published there can be reached from here. */
export function isLocal({ host }: EnginePlace): boolean {
  if (/^(unix|npipe):/.test(host)) return true;
  // Whole: “localhost-build” or “127.example.org” may be any machine.
  return /^(tcp|https?):\/\/(localhost|127(\.\d+){3}|\[::1\])(:\d*)?(\/|$)/i.test(host);
}

/** Whether the engine is on another machine, and it and its ports are reached by tunnels. */
export const isOverSsh = ({ host }: EnginePlace): boolean => host.startsWith('ssh://');

/** Connects, and sees that somebody answers. @throws UserError `unreachable`, with what to do */
export async function openEngine(place: EnginePlace, signal?: AbortSignal): Promise<Docker> {
  const { Docker: Engine } = await import('./dockerode.ts');
  const options = connectionOptions(place);
  const engine = new Engine(options);
  try {
    await Promise.race([engine.ping(), late(isOverSsh(place) ? sshPingTimeoutMs : pingTimeoutMs, signal)]);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof UserError) throw error;
    if (isOverSsh(place)) throw await (options.agent as SshEngine).problem();
    throw unreachable(place, error);
  }
  return engine;
}

const pingTimeoutMs = 5_000;
/** With the time that a tunnel may take, which says itself what it failed of. */
const sshPingTimeoutMs = 35_000;

function late(timeoutMs: number, signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    timer.unref();
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** @param error of Node's connection, or of dockerode */
export function unreachable({ host, by }: EnginePlace, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why =
    {
      ENOENT: 'there is no such socket',
      ECONNREFUSED: 'nothing listens there',
      EACCES: 'no permission for this user',
      ENOTFOUND: 'no such host',
    }[code] ?? (error as Error).message;
  const hint =
    code === 'EACCES'
      ? 'Join the group “docker”, or use a rootless engine.'
      : 'Start Docker, or choose another engine.';
  return new UserError('unreachable', `The Docker engine at ${host} (${by}) does not answer: ${why}`, {
    hint,
    action: executorSettings,
    cause: error,
  });
}
