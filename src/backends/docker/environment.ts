import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path/posix';
import { promisify } from 'node:util';

import { UserError } from '../../core/errors.ts';
import type { ImageSource } from './buildImage.ts';

/** What `environment_facts.py` says. */
interface Facts {
  readonly python: string;
  readonly installed: Readonly<Record<string, string | null>>;
  readonly project: readonly string[] | null;
}

const factsTimeoutMs = 60_000;
const mostFiles = 50;
/** What runs share with workers: in the versions of the run's interpreter, whoever else asks for them. */
const shared = ['dask', 'distributed', 'cloudpickle', 'prefect', 'prefect-dask'];
/** They make an environment, and are in the base image. */
const tools = new Set(['pip', 'setuptools', 'wheel']);

/**
 * What an image for a workspace is made of: its requirements.txt, else the dependencies of its pyproject.toml, else
 * what is installed in its interpreter.
 * @param script `environment_facts.py`
 */
export async function readSource(
  python: string,
  folder: string,
  script: string,
  signal: AbortSignal,
): Promise<ImageSource> {
  const facts = await factsOf(python, folder, script, signal);
  const installed = new Map(Object.entries(facts.installed).map(([name, text]) => [plain(name), text]));
  const pins = shared.flatMap((name) => installed.get(name) ?? []);
  const files = await requirementFiles(folder);
  const base = { python: facts.python, pins };
  if (files.size > 0) return { ...base, from: 'requirements.txt', files, packages: [] };
  if (facts.project) {
    return { ...base, from: 'pyproject.toml', files, packages: facts.project };
  }
  const packages = [...installed]
    .filter(([name]) => !tools.has(name))
    .flatMap(([, text]) => text ?? [])
    .sort();
  return { ...base, pins: [], from: 'what is installed', files, packages };
}

/** Names of packages are the same whatever their case and separators are (PEP 503). */
const plain = (name: string) => name.toLowerCase().replace(/[-_.]+/g, '-');

async function factsOf(python: string, folder: string, script: string, signal: AbortSignal): Promise<Facts> {
  try {
    const limits = { signal, timeout: factsTimeoutMs, maxBuffer: 16_000_000 };
    const { stdout } = await promisify(execFile)(python, [script, folder], limits);
    return JSON.parse(stdout) as Facts;
  } catch (error) {
    signal.throwIfAborted();
    const { stderr = '', message } = error as { stderr?: string; message: string };
    const why = stderr.trim().split('\n').at(-1) || message;
    throw new UserError('python-missing', `${python} does not say what is installed: ${why}`, {
      action: { kind: 'select-interpreter' },
      cause: error,
    });
  }
}

/** requirements.txt and the files that it names by `-r` and `-c`, by their path in the workspace. Empty without one. */
async function requirementFiles(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const wanted = ['requirements.txt'];
  for (let path = wanted.shift(); path !== undefined; path = wanted.shift()) {
    if (files.has(path)) continue;
    const text = path.startsWith('..') ? undefined : await readText(join(folder, path));
    if (text === undefined && files.size === 0) return files;
    if (text === undefined || files.size >= mostFiles) {
      throw new UserError('setting', `requirements.txt names ${path}, which can't be put into an image`, {
        hint: 'Files that it names have to be in the workspace.',
      });
    }
    files.set(path, text);
    for (const [, named = ''] of text.matchAll(/^\s*(?:-[rc]|--requirement|--constraint)[ =]*(\S+)/gm)) {
      if (!/^\w+:\/\//.test(named)) wanted.push(normalize(join(dirname(path), named)));
    }
  }
  return files;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
