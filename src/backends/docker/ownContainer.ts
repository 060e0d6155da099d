import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type Docker from 'dockerode';
import { hasStatus } from './status.ts';

/** What tells of the machine, or the container, that this process is in. Tests bring their own. */
export interface Place {
  readonly hostname: string;
  /** Of this process, as Linux has it; empty where there is none. */
  mounts(): Promise<string>;
}

const here: Place = {
  hostname: hostname(),
  // Elsewhere than on Linux nothing runs in a container that an engine here knows.
  mounts: () => readFile('/proc/self/mountinfo', 'utf8').catch(() => ''),
};

/** A container of an engine that this process is in. */
export interface OwnContainer {
  readonly id: string;
  /** Of its image. */
  readonly imageId: string;
}

/** The container that this runs in, if it is one of that engine: a dev container, or VS Code itself in one. */
export async function findOwnContainer(
  engine: Docker,
  { mounts, hostname: host }: Place = here,
  signal?: AbortSignal,
): Promise<OwnContainer | undefined> {
  for (const candidate of [containerOf(await mounts()), host]) {
    signal?.throwIfAborted();
    const found = candidate && (await inspect(engine, candidate, host));
    if (found) return found;
  }
  return undefined;
}

/** The container whose files an engine has put over this process's own; undefined outside of containers. */
export function containerOf(mounts: string): string | undefined {
  return /\/containers\/(?:[^/ ]+\/)*?([0-9a-f]{64})\/\S*hostname \/etc\/hostname /.exec(mounts)?.[1];
}

async function inspect(engine: Docker, container: string, host: string): Promise<OwnContainer | undefined> {
  try {
    const { Id, Config, Image } = await engine.getContainer(container).inspect();
    // A container may happen to have this machine's name.
    return Id === container || Config.Hostname === host ? { id: Id, imageId: Image } : undefined;
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}
