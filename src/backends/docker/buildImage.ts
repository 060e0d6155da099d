import { createHash } from 'node:crypto';
import type Docker from 'dockerode';

import { UserError } from '../../core/errors.ts';
import { removeContainer } from './container.ts';
import { label } from './members.ts';
import { hasStatus } from './status.ts';
import { tarOf } from './tar.ts';

/** What an image for a workspace is made of. */
export interface ImageSource {
  /** `3.11` */
  readonly python: string;
  /** Where the list of packages is from, in words. */
  readonly from: string;
  /** Requirements files by their path in the workspace, `requirements.txt` first; they go into the image. */
  readonly files: ReadonlyMap<string, string>;
  /** What pip is told beside them. */
  readonly packages: readonly string[];
  /** Packages that have to be those of the run, unless the others pin them: `dask==2026.8.0`. */
  readonly pins: readonly string[];
}

/** What is built: the text may have been edited by the user. */
export interface BuildContext {
  readonly dockerfile: string;
  readonly files: ReadonlyMap<string, string>;
}

export interface BuildMeans {
  readonly signal: AbortSignal;
  /** Hears what the engine prints of the build. */
  log(text: string): void;
  /** In a few words what is being done. */
  stage(text: string): void;
  /** Network of the build's containers; absent: the engine's default. */
  readonly network?: string;
}

const buildTimeoutMs = 3_600_000;
const folder = '/opt/flow-clusters-image';
/** Requirements that lie on the user's machine alone: `-e .`, `./lib`, `file:…`. */
const localLine = String.raw`^[[:space:]]*(-e|--editable|\.|/|file:)`;

export const usualBase = (python: string) => `python:${python}-slim`;

/** Arguments are data: no shell sees them. */
const run = (args: readonly string[]) => {
  const [first = '', ...rest] = args.map((arg) => JSON.stringify(arg));
  return `RUN [${[first, ...rest].join(', ')}]`;
};

/** The Dockerfile of a worker image: for any builder, the classic one as well, and in the workspace's folder. */
export function dockerfileOf({ python, from, files, packages, pins }: ImageSource, base: string): string {
  const texts = [...files.values(), ...packages];
  const [requirements] = files.keys();
  const hashed = texts.some((text) => text.includes('--hash='));
  const wanted = [
    ...packages,
    ...pins.filter((pin) => !hashed && !texts.some((text) => isPinned(text, pin))),
  ];
  const local = [...files].filter(([, text]) => /^\s*(-e|--editable|\.|\/|file:)/m.test(text));
  const lines = [
    `# A worker image of Flow Clusters: Python ${python}, packages from ${from}.`,
    '# Modules of the workspace are not in it: they travel with each run.',
    `FROM ${base}`,
    ...[...files.keys()].map((path) => `COPY ${JSON.stringify([path, `${folder}/${path}`])}`),
    ...local.map(([path]) => run(['sed', '-i', '-E', `\\#${localLine}#d`, `${folder}/${path}`])),
  ];
  if (requirements !== undefined || wanted.length > 0) {
    const listed = requirements === undefined ? [] : ['-r', `${folder}/${requirements}`];
    const all = [...listed, ...wanted].map((arg) => `    ${JSON.stringify(arg)}`).join(', \\\n');
    // Compiled once, in the image: not anew by each container.
    lines.push(
      `RUN ["python3", "-m", "pip", "install", "--no-cache-dir", "--compile", \\\n${all}]`,
      'CMD ["python3"]',
    );
  }
  return `${lines.join('\n')}\n`;
}

/** Whether a list of requirements names the exact version of a package that is pinned elsewhere too. */
function isPinned(text: string, pin: string): boolean {
  const [name = ''] = pin.split(/[ =@[]/);
  const pattern = name.replace(/[-_.]+/g, '[-_.]+');
  return new RegExp(`^\\s*${pattern}\\s*(\\[[^\\]]*\\])?\\s*(==|@)`, 'im').test(text);
}

/** `flow-clusters/<workspace>:<hash>`, where the hash is that of all that goes into the build. */
export function tagOf(workspace: string, { dockerfile, files }: BuildContext): string {
  const name = workspace
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const hash = createHash('sha256').update(JSON.stringify([dockerfile, [...files].sort()]));
  return `flow-clusters/${name || 'workspace'}:${hash.digest('hex').slice(0, 12)}`;
}

/** The build's context as a tar. The same content has the same bytes. */
export const contextOf = ({ dockerfile, files }: BuildContext): Promise<Buffer> =>
  tarOf([['Dockerfile', dockerfile], ...[...files].sort()]);

/**
 * Builds an image, unless its tag is there: it is named by what is in it.
 * @returns whether it was built. A build that fails or is aborted leaves nothing.
 * @throws UserError saying what could not be had
 */
export async function buildImage(
  engine: Docker,
  tag: string,
  context: BuildContext,
  means: BuildMeans,
): Promise<boolean> {
  const { signal, log, stage, network } = means;
  signal.throwIfAborted();
  if (await isThere(engine, tag)) return false;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(buildTimeoutMs)]);
  const remains = new Remains();
  let said = '';
  let refusal: string | undefined;
  try {
    const tar = await contextOf(context);
    stage('sending the build to Docker');
    const stream = await engine.buildImage(tar as unknown as NodeJS.ReadableStream, {
      ...{ t: tag, rm: true, forcerm: true, abortSignal: limit },
      labels: { [label.name]: tag, [label.created]: new Date().toISOString() },
      ...(network && { networkmode: network }),
    });
    await new Promise<void>((resolve, reject) => {
      const onEnd = (error: Error | null) => (error ? reject(error) : resolve());
      engine.modem.followProgress(stream, onEnd, ({ stream: text, status, error }: BuildEvent) => {
        refusal ??= error;
        const line = text ?? (error === undefined ? undefined : `${error}\n`);
        if (line !== undefined) {
          log(line);
          remains.hear(line);
          said = `${said}${line}`.slice(-20_000);
        }
        const step = /^Step (\d+)\/(\d+) : (\w+)/.exec(text ?? '');
        if (step) stage(`step ${step[1]} of ${step[2]}: ${step[3]}`);
        else if (status !== undefined) stage(status);
      });
    });
    if (refusal !== undefined) throw new Error(refusal);
    if (!(await isThere(engine, tag)))
      throw new Error('the engine says of no error, but the image is not there');
    return true;
  } catch (error) {
    await remains.remove(engine);
    signal.throwIfAborted();
    throw buildError(error, said, limit.aborted);
  }
}

interface BuildEvent {
  readonly stream?: string;
  readonly status?: string;
  readonly error?: string;
}

/** What the classic builder has made so far, by what it prints. */
class Remains {
  #container: string | undefined;
  #cached = false;
  /** The base image comes first and is not ours. */
  #first = true;
  readonly #images: string[] = [];

  hear(text: string): void {
    const running = /^ ---> Running in ([0-9a-f]+)/.exec(text)?.[1];
    if (running) this.#container = running;
    if (/^Step /.test(text)) this.#cached = false;
    if (/^ ---> Using cache/.test(text)) this.#cached = true;
    const image = /^ ---> ([0-9a-f]{12,})\s*$/.exec(text)?.[1];
    if (!image) return;
    if (!this.#first && !this.#cached) this.#images.push(image);
    this.#first = false;
  }

  /** Removes them, the newest first. What has a name, or is gone already, stays as it is. */
  async remove(engine: Docker): Promise<void> {
    if (this.#container) await removeContainer(engine.getContainer(this.#container));
    for (const id of this.#images.toReversed()) {
      try {
        const image = engine.getImage(id);
        const { RepoTags } = await image.inspect();
        if ((RepoTags ?? []).length === 0) await image.remove({ noprune: true });
      } catch (error) {
        // Gone; or in use by another build of the same steps.
        if (!hasStatus(error, 404, 409)) throw error;
      }
    }
  }
}

async function isThere(engine: Docker, tag: string): Promise<boolean> {
  try {
    await engine.getImage(tag).inspect();
    return true;
  } catch (error) {
    if (hasStatus(error, 404)) return false;
    throw error;
  }
}

/** @param said what the build has printed last */
export function buildError(error: unknown, said: string, late = false): UserError {
  const text = error instanceof Error ? error.message : String(error);
  const fail = (message: string, hint: string) =>
    new UserError('cluster-failed', message, { hint, cause: error });
  if (late) {
    return fail(
      `The image was not built within ${buildTimeoutMs / 60_000} minutes`,
      'Its log says how far it came.',
    );
  }
  if (/no space left on device/i.test(said + text)) {
    return fail('The disk of the Docker engine is full', 'Make room, for example by “docker system prune”.');
  }
  const pip = [...said.matchAll(/^(?:\W*\d+m)?ERROR: (.*)$/gm)].map(([, line = '']) => line.trim());
  const missing =
    pip.find((line) => /No matching distribution|ResolutionImpossible|conflict/i.test(line)) ?? pip[0];
  if (missing !== undefined) {
    return fail(`pip could not install the packages: ${missing}`, 'Correct them, and build again.');
  }
  if (/No module named pip|"python3": executable|python3: (command )?not found/i.test(said + text)) {
    return fail('The base image has no Python with pip', 'Choose another one, such as python:3.12-slim.');
  }
  if (
    /pull access denied|manifest (for \S+ not found|unknown)|not found: manifest|repository does not exist/i.test(
      text,
    )
  ) {
    return fail(
      `The base image can't be pulled: ${text}`,
      'Check its name, or “docker login” at its registry.',
    );
  }
  if (/registry|lookup|dial tcp|TLS handshake|i\/o timeout/i.test(text)) {
    return fail(
      `The base image can't be pulled: ${text}`,
      'Check the connection to the registry, or take one that is there.',
    );
  }
  return fail(`Docker could not build the image: ${text}`, 'The log of the build says more.');
}
