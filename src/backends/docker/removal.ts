import type Docker from 'dockerode';

import { isAlive } from '../../host/directories.ts';
import { removeContainer } from './container.ts';
import { label } from './members.ts';

/** Removes all containers and networks with the label of a cluster; resolves when none is left. */
export async function removeCluster(engine: Docker, cluster: string): Promise<void> {
  const filters = { label: [`${label.cluster}=${cluster}`] };
  const containers = await engine.listContainers({ all: true, filters });
  await Promise.all(containers.map(({ Id }) => removeContainer(engine.getContainer(Id))));
  const networks = await engine.listNetworks({ filters });
  await Promise.all(networks.map(({ Id }) => removeNetwork(engine, Id)));
}

/** A cluster that an engine still has something of. */
export interface Leftover {
  readonly cluster: string;
  /** Name of the executor that it was made from. */
  readonly name: string;
  readonly lifetime: string;
  readonly containers: number;
}

/**
 * What windows of this machine have left at an engine that are gone now. A static cluster that still runs is none: it
 * stays till it is stopped or idles out.
 * @param machine as in the labels of what we make
 */
export async function findOrphans(engine: Docker, machine: string): Promise<Leftover[]> {
  const filters = { label: [`${label.owner}=${machine}`] };
  const [containers, networks] = await Promise.all([
    engine.listContainers({ all: true, filters }),
    engine.listNetworks({ filters }),
  ]);
  const found = new Map<string, Leftover>();
  for (const { Labels = {} } of networks) note(found, Labels, 0);
  for (const { Labels } of containers) note(found, Labels, 1);
  const running = new Set(
    containers
      .filter(({ State, Labels }) => State === 'running' && Labels[label.role] === 'scheduler')
      .map(({ Labels }) => Labels[label.cluster]),
  );
  return [...found.values()].filter(
    ({ cluster, lifetime }) => lifetime !== 'static' || !running.has(cluster),
  );
}

function note(
  found: Map<string, Leftover>,
  labels: Readonly<Record<string, string>>,
  containers: number,
): void {
  const cluster = labels[label.cluster];
  if (cluster === undefined || isAlive(Number(labels[label.window]))) return;
  const before = found.get(cluster);
  found.set(cluster, {
    cluster,
    name: labels[label.name] ?? cluster,
    lifetime: labels[label.lifetime] ?? 'temporary',
    containers: (before?.containers ?? 0) + containers,
  });
}

/** Removes what {@link findOrphans} finds. Returns it. */
export async function removeOrphans(engine: Docker, machine: string): Promise<Leftover[]> {
  const orphans = await findOrphans(engine, machine);
  for (const { cluster } of orphans) await removeCluster(engine, cluster);
  return orphans;
}

async function removeNetwork(engine: Docker, id: string): Promise<void> {
  try {
    await engine.getNetwork(id).remove();
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error;
  }
}
