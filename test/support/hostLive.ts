import { access, cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, ensureVenv } from '../../scripts/lib/venv.mjs';
import { watchScheduler } from '../../src/dask/watch.ts';
import { makeHostDirectory } from '../../src/host/directories.ts';
import { PythonHost } from '../../src/host/pythonHost.ts';
import { Bench, MemoryLog } from './host.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Sample flows that the tests of the Python helpers use as well. */
export const flowsDirectory = join(root, 'test', 'python', 'flows');

export type EnvironmentName =
  | 'prefect1'
  | 'prefect2'
  | 'prefect3'
  | 'dask-latest'
  | 'dask-2023'
  | 'classes'
  | 'clouds';

/** The interpreter of a test environment, made when it is not there. */
export async function pythonOf(name: EnvironmentName): Promise<string> {
  const requirementsFile = join(root, 'test', 'python', 'requirements', `${name}.txt`);
  return (await ensureVenv({ name, requirementsFile })).python;
}

/** What a host of a test is started with. */
export interface LiveOptions {
  readonly python: string;
  readonly workspace?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** The real host on a real interpreter. */
export async function liveHost(options: LiveOptions, log = new MemoryLog()): Promise<PythonHost> {
  const env: NodeJS.ProcessEnv = { ...process.env, ...options.env };
  env.PATH = [dirname(options.python), process.env.PATH].join(delimiter);
  return new PythonHost({
    python: options.python,
    script: join(root, 'src', 'python', 'cluster_host.py'),
    config: { directory: await makeHostDirectory(), workspace: options.workspace ?? flowsDirectory },
    env,
    log,
  });
}

/** The extension's parts around a real host, looking at real schedulers. */
export async function liveBench(options: LiveOptions): Promise<Bench> {
  return new Bench(await liveHost(options), watchScheduler);
}

/** A folder of the test's own, with a copy of a Prefect home whose database is up to date (made once, kept). */
export async function prefectHome(python: string): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const template = join(cacheDirectory(), 'prefect-homes', basename(dirname(dirname(python))));
  const done = join(template, 'done');
  const isDone = await access(done).then(
    () => true,
    () => false,
  );
  if (!isDone) {
    const host = await liveHost({ python, env: { PREFECT_HOME: template } });
    await host.prefectApi(() => undefined);
    await host.dispose();
    await writeFile(done, '');
  }
  const folder = await mkdtemp(join(tmpdir(), 'prefect-home-'));
  await cp(template, join(folder, 'home'), { recursive: true });
  return { folder, env: { PREFECT_HOME: join(folder, 'home') } };
}

/** Removes a folder of the test's own. */
export const removeFolder = (folder: string) => rm(folder, { recursive: true, force: true, maxRetries: 5 });
