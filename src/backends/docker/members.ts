import type { ContainerCreateOptions, HostConfig } from 'dockerode';
import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { dashboardPort, memberFolder, relayPort, schedulerPort, workerOptions } from '../memberProtocol.ts';

/**
 * The scheduler's name in the cluster's own network. By it workers find their address there, which is true from the
 * engine's machine too.
 */
const schedulerHost = 'scheduler';
/** Logs that the engine keeps of each container. */
const log = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } };

/** One cluster's fixed facts. */
export interface ClusterShape {
  /** Prefix of the names of all that is made for it, and the name of its network. */
  readonly id: string;
  readonly executor: DockerExecutor;
  readonly labels: Readonly<Record<string, string>>;
  /** Beside the executor's own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly threads: number;
  /** Bytes that a worker and its container may use; undefined: no limit. */
  readonly memoryBytes: number | undefined;
  /** Its containers end when whoever holds their stdin has gone; otherwise all end after that many idle seconds. */
  readonly held: boolean;
  /** It ends when its hub has had no holder for so long; undefined: nobody has to. */
  readonly holdSeconds?: number | undefined;
  readonly idleTimeoutSeconds: number | undefined;
  /** What the image starts by itself, and whether our command can follow it. */
  readonly entrypoint: readonly string[];
}

export function schedulerSpec(shape: ClusterShape): ContainerCreateOptions {
  const { id, idleTimeoutSeconds, holdSeconds } = shape;
  const options = idleTimeoutSeconds === undefined ? {} : { idle_timeout: idleTimeoutSeconds };
  const ports = [schedulerPort, dashboardPort, relayPort];
  const loopback = [{ HostIp: '127.0.0.1', HostPort: '' }];
  const hold = holdSeconds !== undefined && { hold_seconds: holdSeconds };
  const spec = common(shape, 'scheduler', { role: 'scheduler', options, ...hold });
  return {
    ...spec,
    name: schedulerName(id),
    ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])),
    HostConfig: {
      ...spec.HostConfig,
      PortBindings: Object.fromEntries(ports.map((port) => [`${port}/tcp`, loopback])),
    },
    NetworkingConfig: { EndpointsConfig: { [id]: { Aliases: [schedulerHost] } } },
  };
}

/** The container that has the network of all. */
const schedulerName = (id: string) => `${id}-scheduler`;

/** @param names of the workers in this container, as Dask knows them */
export function workerSpec(shape: ClusterShape, names: readonly string[]): ContainerCreateOptions {
  const { env = {} } = shape.executor;
  const order = {
    role: 'worker',
    scheduler: `tls://${schedulerHost}:${schedulerPort}`,
    names,
    directory: '/tmp/flow-clusters',
    options: workerOptions(shape.executor, shape),
  };
  const spec = common(shape, 'worker', order);
  return {
    ...spec,
    name: `${shape.id}-worker-${names.join('-')}`,
    Env: [...(spec.Env ?? []), ...pairs(env)],
    Labels: { ...spec.Labels, [label.workers]: names.join(' ') },
    // The scheduler's network: a network of its own takes each container a quarter of a second more, one after the other.
    HostConfig: {
      ...spec.HostConfig,
      ...limits(shape, names.length),
      NetworkMode: `container:${schedulerName(shape.id)}`,
    },
  };
}

function common(shape: ClusterShape, role: string, order: object): ContainerCreateOptions {
  const { id, executor, labels, env, entrypoint, held } = shape;
  const HostConfig: HostConfig = {
    AutoRemove: true,
    NetworkMode: id,
    LogConfig: log,
    SecurityOpt: ['no-new-privileges'],
    ...(executor.volumes && { Binds: [...executor.volumes] }),
  };
  return {
    Image: executor.image,
    // One that sets up an environment is kept; one that is an interpreter or a shell would take our command as its own.
    ...(ownsCommand(entrypoint) && { Entrypoint: '' }),
    Cmd: ['python3', `${memberFolder}/cluster_member.py`, JSON.stringify({ ...order, held })],
    Env: ['PYTHONUNBUFFERED=1', ...pairs(env)],
    Labels: { ...labels, [label.role]: role },
    // A container that is held ends when whoever started it has gone.
    OpenStdin: true,
    StdinOnce: held,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig,
  };
}

/** Labels on all that is made for a cluster. */
export const label = {
  cluster: 'flow-clusters/cluster',
  name: 'flow-clusters/name',
  owner: 'flow-clusters/owner',
  window: 'flow-clusters/window',
  windowStarted: 'flow-clusters/window-started',
  lifetime: 'flow-clusters/lifetime',
  created: 'flow-clusters/created',
  role: 'flow-clusters/role',
  workers: 'flow-clusters/workers',
} as const;

function limits({ executor: { cpus, gpus }, memoryBytes }: ClusterShape, workers: number): HostConfig {
  return {
    // No swap beyond it: a worker that swaps is slower than one that spills.
    ...(memoryBytes !== undefined && { Memory: workers * memoryBytes, MemorySwap: workers * memoryBytes }),
    ...(cpus !== undefined && { NanoCpus: Math.round(workers * cpus * 1e9) }),
    ...(gpus !== undefined && {
      DeviceRequests: [{ Driver: '', Count: gpus === 'all' ? -1 : gpus, Capabilities: [['gpu']] }],
    }),
  };
}

const pairs = (env: Readonly<Record<string, string>>) =>
  Object.entries(env).map(([name, value]) => `${name}=${value}`);

function ownsCommand(entrypoint: readonly string[]): boolean {
  const program = /[^/]*$/.exec(entrypoint[0] ?? '')?.[0] ?? '';
  return /^(python[\d.]*|ipython|bash|sh|dash|jupyter.*|dask.*)$/.test(program);
}
