import type Docker from 'dockerode';

import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { executorSettings, UserError } from '../../core/errors.ts';
import { hasStatus } from './status.ts';

/** What is to be known of an image before containers are made from it. */
export interface ImageFacts {
  readonly id: string;
  readonly entrypoint: readonly string[];
  /** The kind of processor that it is for, such as `arm64`; and that of the engine's machine. */
  readonly architecture: string;
  readonly engineArchitecture: string;
}

/** Whether another kind of processor is meant than the engine's machine has. An emulator may run it all the same. */
export function isForeign({ architecture, engineArchitecture }: ImageFacts): boolean {
  return architecture !== '' && engineArchitecture !== '' && architecture !== engineArchitecture;
}

export interface ImageMeans {
  readonly signal: AbortSignal;
  stage(text: string): void;
}

/**
 * Sees that the executor's image is at the engine: pulls it if it is to.
 * @throws UserError `cluster-failed` if it is not there and can't be had
 */
export async function ensureImage(
  engine: Docker,
  { image, pull = 'missing' }: DockerExecutor,
  means: ImageMeans,
): Promise<ImageFacts> {
  const there = await imageFacts(engine, image);
  if (there && pull !== 'always') return there;
  if (!there && pull === 'never') {
    throw new UserError('cluster-failed', `The image ${image} is not there, and pull is "never"`, {
      hint: 'Build or pull it, or let pull be "missing".',
      action: executorSettings,
    });
  }
  await pullImage(engine, image, means);
  const pulled = await imageFacts(engine, image);
  if (!pulled) throw new UserError('cluster-failed', `The image ${image} was pulled, but is not there`);
  return pulled;
}

/** What an engine knows of an image; undefined if it does not have it. */
export async function imageFacts(engine: Docker, image: string): Promise<ImageFacts | undefined> {
  try {
    // `version` and not `info`, which takes a tenth of a second.
    const [{ Id, Config, Architecture }, { Arch }] = await Promise.all([
      engine.getImage(image).inspect(),
      engine.version(),
    ]);
    const entrypoint = Config?.Entrypoint ?? [];
    return {
      id: Id,
      entrypoint: typeof entrypoint === 'string' ? [entrypoint] : entrypoint,
      architecture: Architecture ?? '',
      engineArchitecture: Arch ?? '',
    };
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

interface PullEvent {
  readonly id?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

async function pullImage(engine: Docker, image: string, { signal, stage }: ImageMeans): Promise<void> {
  stage(`pulling ${image}`);
  try {
    const stream = (await engine.pull(withTag(image), { abortSignal: signal })) as NodeJS.ReadableStream;
    const layers = new Map<string, { current: number; total: number }>();
    await new Promise<void>((resolve, reject) => {
      const onEnd = (error: Error | null) => (error ? reject(error) : resolve());
      engine.modem.followProgress(stream, onEnd, ({ id, progressDetail }: PullEvent) => {
        const { current, total } = progressDetail ?? {};
        if (id === undefined || current === undefined || !total) return;
        layers.set(id, { current, total });
        const sum = (pick: 'current' | 'total') =>
          [...layers.values()].reduce((all, one) => all + one[pick], 0);
        stage(`pulling ${image}: ${Math.floor((100 * sum('current')) / sum('total'))} %`);
      });
    });
  } catch (error) {
    signal.throwIfAborted();
    throw pullError(image, error);
  }
}

/** Without a tag or digest an engine would pull all that there are. */
function withTag(image: string): string {
  return /(:[^/]+|@[^/]+)$/.test(image) ? image : `${image}:latest`;
}

function pullError(image: string, error: unknown): UserError {
  const text = error instanceof Error ? error.message : String(error);
  const refused = /denied|unauthorized|authentication required|no basic auth/i.test(text);
  const missing = /not found|manifest unknown|does not exist/i.test(text);
  const platform = /no matching manifest/i.test(text);
  const [why, hint] = platform
    ? ['there is none for the engine’s kind of processor', 'Build it for this one.']
    : refused
      ? [
          'the registry refuses it, or does not know it',
          '“docker login” there, pull it once by “docker pull”, or build it.',
        ]
      : missing
        ? ['no registry knows it', 'Check its name, or build it.']
        : [text, 'Check the connection to the registry, or pull it once by “docker pull”.'];
  return new UserError('cluster-failed', `The image ${image} can't be pulled: ${why}`, {
    hint,
    action: executorSettings,
    cause: error,
  });
}
