import type Docker from 'dockerode';

import { isWindowAlive } from '../../host/windowLife.ts';
import { removeContainer } from './container.ts';
import { label } from './members.ts';
import { hasStatus } from './status.ts';

/** Removes all containers and networks with the label of a cluster; resolves when none is left. */
export async function removeCluster(engine: Docker, cluster: string): Promise<void> {
  const filters = { label: [`${label.cluster}=${cluster}`] };
  const containers = await engine.listContainers({ all: true, filters });
  await Promise.all(containers.map(({ Id }) => removeContainer(engine.getContainer(Id))));
  const networks = await engine.listNetworks({ filters });
  await Promise.all(networks.map(({ Id }) => removeNetwork(engine, Id)));
}

/** A cluster that an engine still has something of, and no window. */
export interface Leftover {
  readonly cluster: string;
  /** Name of the executor that it was made from. */
  readonly name: string;
  readonly lifetime: string;
  /** Milliseconds since the epoch; undefined if its labels do not tell. */
  readonly createdMs: number | undefined;
  readonly containers: number;
  /** How many of its containers run. */
  readonly running: number;
  /** Nobody can want it any more. A static cluster that runs is kept: it may be taken up, and idles out by itself. */
  readonly safe: boolean;
}

export interface Owners {
  /** As in the labels of what we make; of other machines and users nothing is looked at. */
  readonly machine: string;
  /** Clusters that this window uses, whoever made them. */
  readonly held?: ReadonlySet<string>;
  /** Clusters that this window made and has given up, although it lives. */
  readonly givenUp?: ReadonlySet<string>;
}

/** What windows of this machine and user have left at an engine that are gone now. */
export async function findLeftovers(engine: Docker, owners: Owners): Promise<Leftover[]> {
  const filters = { label: [`${label.owner}=${owners.machine}`] };
  const [containers, networks] = await Promise.all([
    engine.listContainers({ all: true, filters }),
    engine.listNetworks({ filters }),
  ]);
  const parts = [
    ...networks.map(({ Labels = {} }) => ({ labels: Labels, state: undefined })),
    ...containers.map(({ Labels, State }) => ({ labels: Labels, state: State })),
  ];
  const clusters = Map.groupBy(parts, ({ labels }) => labels[label.cluster] ?? '');
  const found = await Promise.all(
    [...clusters].map(async ([cluster, its]) => {
      if (cluster === '' || !(await isLeft(cluster, its, owners))) return [];
      return [describe(cluster, its)];
    }),
  );
  return found.flat();
}

interface Part {
  readonly labels: Readonly<Record<string, string>>;
  /** Of a container. */
  readonly state: string | undefined;
}

async function isLeft(cluster: string, parts: readonly Part[], owners: Owners): Promise<boolean> {
  if (owners.givenUp?.has(cluster)) return true;
  if (owners.held?.has(cluster)) return false;
  const alive = await Promise.all(
    parts.map(({ labels }) =>
      isWindowAlive({ pid: Number(labels[label.window]), started: labels[label.windowStarted] || undefined }),
    ),
  );
  return !alive.includes(true);
}

function describe(cluster: string, parts: readonly Part[]): Leftover {
  const labels = parts[0]?.labels ?? {};
  const lifetime = labels[label.lifetime] ?? 'temporary';
  const running = parts.filter(({ state }) => runs(state));
  const serves = running.some((one) => one.labels[label.role] === 'scheduler');
  const createdMs = Date.parse(labels[label.created] ?? '');
  return {
    ...{ cluster, lifetime, running: running.length },
    name: labels[label.name] ?? cluster,
    createdMs: Number.isNaN(createdMs) ? undefined : createdMs,
    containers: parts.filter(({ state }) => state !== undefined).length,
    safe: !(lifetime === 'static' && serves),
  };
}

const runs = (state: string | undefined) =>
  state === 'running' || state === 'paused' || state === 'restarting';

/** Removes the safe ones of what {@link findLeftovers} finds. Returns them. */
export async function removeOrphans(engine: Docker, owners: Owners): Promise<Leftover[]> {
  const orphans = (await findLeftovers(engine, owners)).filter(({ safe }) => safe);
  for (const { cluster } of orphans) await removeCluster(engine, cluster);
  return orphans;
}

async function removeNetwork(engine: Docker, id: string): Promise<void> {
  const network = engine.getNetwork(id);
  try {
    const { Containers } = (await network.inspect()) as { Containers?: Record<string, unknown> };
    // Ours are gone: who is left is the container of a window that has joined it.
    const joined = Object.keys(Containers ?? {});
    await Promise.all(joined.map((one) => network.disconnect({ Container: one, Force: true })));
    await network.remove();
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}
