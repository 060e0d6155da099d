import { access } from 'node:fs/promises';
import type Docker from 'dockerode';
import { executorSettings, UserError } from '../../core/errors.ts';
import type { MemberContainer } from './container.ts';
import { type EnginePlace, isLocal, isOverSsh } from './engine.ts';
import { findOwnContainer } from './ownContainer.ts';
import { parseSshUrl, type SshTarget } from './ssh.ts';
import { openPorts, type SshTunnel } from './sshTunnel.ts';

/** How ports of a cluster's scheduler are reached from here. */
export interface Reach {
  /** Before the first port is asked for. Who removes the network undoes it. */
  join(network: string): Promise<void>;
  /** `host:port` for each of these ports of the scheduler's container. Once for each cluster. */
  of(scheduler: MemberContainer, network: string, ports: readonly number[]): Promise<readonly string[]>;
  /** Connections may break while all lives on at both ends, and come again. */
  readonly isShaky: boolean;
  /** Nobody reaches the cluster from here any more; also while that is being prepared, and twice. Never rejects. */
  close(): Promise<void>;
}

const byLoopback: Reach = {
  join: async () => undefined,
  of: async (scheduler, _, ports) => (await published(scheduler, ports)).map((port) => `127.0.0.1:${port}`),
  isShaky: false,
  close: async () => undefined,
};

async function published(scheduler: MemberContainer, ports: readonly number[]): Promise<readonly number[]> {
  return (await Promise.all(ports.map((one) => scheduler.published(one)))).map((port) => port ?? 0);
}

/**
 * By the loopback of the engine's machine, where ports are published: over ssh, where that is another one. From inside a
 * container of that engine, whose loopback is another one too, by joining the cluster's network.
 * @throws UserError `setting` if the engine is on another machine and not reached over ssh
 */
export async function findReach(engine: Docker, place: EnginePlace): Promise<Reach> {
  if (isOverSsh(place)) return byTunnel(parseSshUrl(place.host, place.by));
  const own = (await isInContainer()) ? await findOwnContainer(engine) : undefined;
  if (own) return byNetwork(engine, own.id);
  if (isLocal(place)) return byLoopback;
  throw new UserError('setting', `Ports of the engine at ${place.host} are not reached from here`, {
    hint: 'They are published on the loopback of its machine only: name it as ssh://user@host, or open VS Code there.',
    action: executorSettings,
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
    of: async (scheduler, network, ports) => {
      const address = await scheduler.addressIn(network);
      return ports.map((port) => `${address}:${port}`);
    },
    isShaky: false,
    close: async () => undefined,
  };
}

function byTunnel(target: SshTarget): Reach {
  let opening: Promise<SshTunnel | undefined> | undefined;
  const closed = new AbortController();
  return {
    join: async () => undefined,
    of: async (scheduler, _, ports) => {
      const opened = openPorts(target, await published(scheduler, ports), closed.signal);
      opening = opened.then(
        ({ tunnel }) => tunnel,
        () => undefined, // whoever asked for it hears why
      );
      return (await opened).ports.map((port) => `127.0.0.1:${port}`);
    },
    isShaky: true,
    close: async () => {
      closed.abort();
      await (await opening)?.close();
    },
  };
}

/** What Docker and Podman leave in each: elsewhere no engine is asked. */
async function isInContainer(): Promise<boolean> {
  const marks = await Promise.allSettled(['/.dockerenv', '/run/.containerenv'].map((mark) => access(mark)));
  return marks.some(({ status }) => status === 'fulfilled');
}
