import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { executorSettings, UserError } from '../../core/errors.ts';
import { MemberFailure, memberError } from '../memberFailure.ts';
import { withLastLine } from '../memberOutput.ts';
import type { ContainerEnd } from './container.ts';
import type { EnginePlace } from './engine.ts';
import { type ImageFacts, isForeign } from './image.ts';

/** How a container ended, in words. */
export function endText({ exitCode, lastLines }: ContainerEnd): string {
  const how =
    exitCode === 137
      ? 'killed (exit code 137)'
      : exitCode < 0
        ? 'the engine does not tell how'
        : `exit code ${exitCode}`;
  return withLastLine(how, lastLines);
}

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
      { hint: `Build or pull it for ${engineArchitecture}.`, action: executorSettings, cause: error },
    );
  }
  if (error instanceof MemberFailure)
    return memberError(error, executor, (message) => knownProblem(message, executor));
  const problem = knownProblem(reasonOf(error), executor);
  if (problem) {
    const { message, hint } = problem;
    return new UserError('cluster-failed', message, { hint, action: executorSettings, cause: error });
  }
  if (isGone(error)) return wentAway(error, place);
  return new UserError('cluster-failed', `Docker refuses: ${reasonOf(error)}`, {
    hint: `Check the options of the executor "${executor.name}".`,
    action: executorSettings,
    cause: error,
  });
}

function wentAway(error: unknown, { host }: EnginePlace): UserError {
  return new UserError('unreachable', `The Docker engine at ${host} went away while the cluster started`, {
    hint: 'Start it again, and run once more: that removes what is left.',
    cause: error,
  });
}

/** What is known of an engine's text; undefined if nothing is. */
function knownProblem(text: string, executor: DockerExecutor): { message: string; hint: string } | undefined {
  for (const { pattern, message, hint } of known) {
    const match = pattern.exec(text);
    if (match) return { message: message(executor, match), hint };
  }
  return undefined;
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
