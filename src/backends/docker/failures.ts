import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import type { ContainerEnd } from './container.ts';
import type { EnginePlace } from './engine.ts';
import { type ImageFacts, isForeign } from './image.ts';
import type { MemberLine } from './members.ts';

type FailedLine = Extract<MemberLine, { event: 'failed' }>;

/** What a member said of why it could not start, or how its container ended instead. */
export class MemberFailure extends Error {
  readonly line: FailedLine | undefined;
  /** What its container printed last. */
  readonly lastLines: readonly string[];

  constructor(line: FailedLine | undefined, end?: ContainerEnd, lastLines = end?.lastLines ?? []) {
    super(line?.message ?? `The scheduler's container ended: ${end ? endText(end) : 'nothing tells how'}`);
    this.line = line;
    this.lastLines = lastLines;
  }
}

/** How a container ended, in words. */
export function endText({ exitCode, lastLines }: ContainerEnd): string {
  const how =
    exitCode === 137
      ? 'killed (exit code 137)'
      : exitCode < 0
        ? 'the engine does not tell how'
        : `exit code ${exitCode}`;
  const last = lastLines.findLast((line) => line.trim() !== '');
  return last === undefined ? how : `${how}; its last line was “${last.trim().slice(0, 300)}”`;
}

const openSettings = { kind: 'open-settings', key: 'flowClusters.executors' } as const;

const outOfNetworks = /address pools? have been fully subnetted|non-overlapping IPv4 address pool/i;

/** Whether an engine has refused to make a network for want of addresses. */
export const isOutOfNetworks = (error: unknown): boolean => outOfNetworks.test(reasonOf(error));

/** What is known of the answers of engines, by their text: they have no codes. */
const known: readonly {
  readonly pattern: RegExp;
  readonly message: (executor: DockerExecutor, match: RegExpMatchArray) => string;
  readonly hint: string;
}[] = [
  {
    pattern: outOfNetworks,
    message: () => 'The Docker engine has no network left to give',
    hint: 'Remove those that nobody uses, “docker network prune”, or widen default-address-pools of the engine.',
  },
  {
    pattern: /executable file not found|"python3": (stat|executable)|no such file or directory: unknown/i,
    message: ({ image }) => `The image ${image} has no python3`,
    hint: 'Take an image with Python and distributed, such as one built from your environment.',
  },
  {
    pattern: /could not select device driver|nvidia-container/i,
    message: () => 'The Docker engine can give no GPU to containers',
    hint: 'Install the NVIDIA Container Toolkit, or leave gpus out.',
  },
  {
    pattern: /no space left on device/i,
    message: () => 'The disk of the Docker engine is full',
    hint: 'Make room, for example by “docker system prune”.',
  },
  {
    pattern: /network with name (\S+) already exists/i,
    message: (_, match) => `A network of the name ${match[1] ?? ''} is there already`,
    hint: 'Try again: names are new each time.',
  },
  {
    pattern: /is already in use by container/i,
    message: () => 'A container of that name is there already',
    hint: 'Try again: names are new each time.',
  },
  {
    pattern: /network (\S+) not found|could not find a network matching/i,
    message: ({ network }) => `There is no network "${network ?? ''}" at the Docker engine`,
    hint: '“docker network ls” lists those that there are.',
  },
  {
    pattern: /exec format error/i,
    message: ({ image }) =>
      `The image ${image} is for another kind of processor than the engine's machine has`,
    hint: 'Build or pull it for this one.',
  },
  {
    pattern: /bind source path does not exist|invalid mount config|invalid volume specification/i,
    message: (_, match) => `A mount of the workers can't be made: ${match.input ?? ''}`,
    hint: 'Check volumes of the executor: folders are those of the engine’s machine.',
  },
];

/**
 * Why a cluster in Docker did not start, as the user can act on it.
 * @param about `isGone`: the engine can't even remove what was made, so what else it said then is of no use. `image`:
 *   undefined if it failed before the image was looked at
 */
export function startError(
  error: unknown,
  executor: DockerExecutor,
  place: EnginePlace,
  about: { readonly isGone?: boolean; readonly image?: ImageFacts | undefined } = {},
): unknown {
  if (error instanceof UserError) return error;
  if (about.isGone) return wentAway(error, place);
  const { image } = about;
  if (image && isForeign(image) && /exec format error/i.test(reasonOf(error))) {
    const { architecture, engineArchitecture } = image;
    return new UserError(
      'cluster-failed',
      `The image ${executor.image} is for ${architecture}, and the machine of the Docker engine is ${engineArchitecture}`,
      { hint: `Build or pull it for ${engineArchitecture}.`, action: openSettings, cause: error },
    );
  }
  if (error instanceof MemberFailure) return memberError(error, executor);
  const text = reasonOf(error);
  for (const { pattern, message, hint } of known) {
    const match = pattern.exec(text);
    if (match)
      return new UserError('cluster-failed', message(executor, match), {
        hint,
        action: openSettings,
        cause: error,
      });
  }
  if (isGone(error)) return wentAway(error, place);
  return new UserError('cluster-failed', `Docker refuses: ${text}`, {
    hint: `Check the options of the executor "${executor.name}".`,
    action: openSettings,
    cause: error,
  });
}

function wentAway(error: unknown, { host }: EnginePlace): UserError {
  return new UserError('unreachable', `The Docker engine at ${host} went away while the cluster started`, {
    hint: 'Start it again, and run once more: that removes what is left.',
    cause: error,
  });
}

function memberError({ line, message, lastLines }: MemberFailure, executor: DockerExecutor): UserError {
  // A cause becomes the detail of the failure.
  const printed = lastLines.join('\n').trim();
  const cause = printed && { cause: new Error(printed) };
  if (line?.reason === 'import') {
    return new UserError(
      'package-missing',
      `The image ${executor.image} has no ${line.package ?? 'distributed'}`,
      {
        hint: 'Add "dask[distributed]" to it, in the version that the flow runs with, or choose another image.',
        action: openSettings,
        ...cause,
      },
    );
  }
  for (const { pattern, message: text, hint } of known) {
    const match = pattern.exec(message);
    if (match)
      return new UserError('cluster-failed', text(executor, match), { hint, action: openSettings, ...cause });
  }
  return new UserError('cluster-failed', line ? `The scheduler could not start: ${line.message}` : message, {
    hint: `Check the image and the options of the executor "${executor.name}".`,
    action: openSettings,
    ...cause,
  });
}

/** dockerode's errors carry the engine's answer as `json.message`. */
function reasonOf(error: unknown): string {
  const { json, reason } = error as { json?: { message?: unknown }; reason?: unknown };
  if (typeof json?.message === 'string') return json.message;
  if (typeof reason === 'string' && reason !== '') return reason;
  return error instanceof Error ? error.message : String(error);
}

const isGone = (error: unknown): boolean =>
  ['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '');
