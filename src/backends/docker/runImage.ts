import type Docker from 'dockerode';

import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { runImage } from '../../core/imageExecutor.ts';
import { noRunImage, toldRunImage } from '../runImage.ts';
import { findOwnContainer, type Place } from './ownContainer.ts';

/** Where the run is looked for. Tests bring their own machine. */
export interface RunPlace {
  readonly engine: Docker;
  /** Environment of the run, beside that of the extension. */
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly machine?: Machine;
}

export interface Machine extends Place {
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The executor with the name of an image, where it says that the run's own is meant: the one that Prefect has told the
 * run, else that of the container which the extension, and with it the run, is in.
 * @throws UserError `setting` if the run is in none
 */
export async function withRunImage(executor: DockerExecutor, place: RunPlace): Promise<DockerExecutor> {
  if (executor.image !== runImage) return executor;
  const { engine, env, signal, machine } = place;
  const told = toldRunImage(env, machine?.env);
  if (told) return { ...executor, image: told };
  const own = await findOwnContainer(engine, machine, signal);
  // By its id, as names move on; it is there, and no registry knows it by that.
  if (own) return { ...executor, image: own.imageId, pull: 'never' };
  throw noRunImage(executor, 'a container of the same Docker engine');
}
