import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type Docker from 'dockerode';

import { type DockerExecutor, runImage } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';

/** Where the run is looked for. Tests bring their own machine. */
export interface RunPlace {
  readonly engine: Docker;
  /** Environment of the run, beside that of the extension. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly machine?: Machine;
}

export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  /** Of this process, as Linux has it; empty where there is none. */
  mounts(): Promise<string>;
}

/** Where Prefect tells a flow run the image that it is in: `prefect.context.image`. */
const variable = 'PREFECT__CONTEXT__IMAGE';

const thisMachine: Machine = {
  env: process.env,
  hostname: hostname(),
  // Elsewhere than on Linux nothing runs in a container that an engine here knows.
  mounts: () => readFile('/proc/self/mountinfo', 'utf8').catch(() => ''),
};

/**
 * The executor with the name of an image, where it says that the run's own is meant: the one that Prefect has told the
 * run, else that of the container which the extension, and with it the run, is in.
 * @throws UserError `setting` if the run is in none
 */
export async function withRunImage(executor: DockerExecutor, place: RunPlace): Promise<DockerExecutor> {
  if (executor.image !== runImage) return executor;
  const { engine, env, signal, machine = thisMachine } = place;
  const told = env[variable] || machine.env[variable];
  if (told) return { ...executor, image: told };
  const candidates = [containerOf(await machine.mounts()), machine.hostname];
  for (const candidate of candidates) {
    signal.throwIfAborted();
    const image = candidate && (await imageOf(engine, candidate, machine.hostname));
    // By its id, as names move on; it is there, and no registry knows it by that.
    if (image) return { ...executor, image, pull: 'never' };
  }
  throw new UserError(
    'setting',
    `The executor "${executor.name}" wants the run's own image, but this run is in no image`,
    {
      hint: `Name an image, set ${variable}, or run in a container of the same Docker engine.`,
      action: { kind: 'open-settings', key: 'flowClusters.executors' },
    },
  );
}

/** The container whose files an engine has put over this process's own; undefined outside of containers. */
export function containerOf(mounts: string): string | undefined {
  return /\/containers\/(?:[^/ ]+\/)*?([0-9a-f]{64})\/\S*hostname \/etc\/hostname /.exec(mounts)?.[1];
}

async function imageOf(engine: Docker, container: string, host: string): Promise<string | undefined> {
  try {
    const { Id, Config, Image } = await engine.getContainer(container).inspect();
    // A container may happen to have this machine's name.
    return Id === container || Config.Hostname === host ? Image : undefined;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined;
    throw error;
  }
}
