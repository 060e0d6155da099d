import { access } from 'node:fs/promises';
import type Docker from 'dockerode';
import { UserError } from '../../core/errors.ts';
import type { MemberContainer } from './container.ts';
import { type EnginePlace, isLocal } from './engine.ts';
import { findOwnContainer } from './ownContainer.ts';

/** How ports of a cluster's scheduler are reached from here. */
export interface Reach {
  /** Before the first port is asked for. Who removes the network undoes it. */
  join(network: string): Promise<void>;
  /** `host:port` for a port of the scheduler's container. */
  of(scheduler: MemberContainer, network: string, port: number): Promise<string>;
}

const byLoopback: Reach = {
  join: async () => undefined,
  of: async (scheduler, _, port) => `127.0.0.1:${await scheduler.published(port)}`,
};

/**
 * By the loopback of the engine's machine, where ports are published. From inside a container of that engine, whose
 * loopback is another one, by joining the cluster's network.
 * @throws UserError `setting` if the engine is on another machine
 */
export async function findReach(engine: Docker, place: EnginePlace): Promise<Reach> {
  const own = (await isInContainer()) ? await findOwnContainer(engine) : undefined;
  if (own) return byNetwork(engine, own.id);
  if (isLocal(place)) return byLoopback;
  throw new UserError('setting', `Ports of the engine at ${place.host} are not reached from here yet`, {
    hint: 'They are published on the loopback of its machine only: open VS Code there, by Remote - SSH for example.',
    action: { kind: 'open-settings', key: 'flowClusters.executors' },
  });
}

function byNetwork(engine: Docker, own: string): Reach {
  return {
    join: async (network) => {
      try {
        await engine.getNetwork(network).connect({ Container: own });
      } catch (error) {
        // An earlier window in this container has done so.
        if (!/already exists/.test((error as Error).message)) throw error;
      }
    },
    of: async (scheduler, network, port) => `${await scheduler.addressIn(network)}:${port}`,
  };
}

/** What Docker and Podman leave in each: elsewhere no engine is asked. */
async function isInContainer(): Promise<boolean> {
  const marks = await Promise.allSettled(['/.dockerenv', '/run/.containerenv'].map((mark) => access(mark)));
  return marks.some(({ status }) => status === 'fulfilled');
}
