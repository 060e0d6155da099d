import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { asRecord, asText } from './fields.ts';

/** What Dask's own configuration says about a scheduler that is there. */
export interface DaskConfig {
  /** `scheduler-address`: where `Client()` without an address connects to. */
  readonly address?: string;
  /** The file, or the variable, that says so. */
  readonly source?: string;
  /** `distributed.comm.tls`: paths of a client's certificates. */
  readonly tls?: { readonly ca: string; readonly cert?: string; readonly key?: string };
  /** Files that could not be read, each with its reason. */
  readonly problems: readonly string[];
}

export interface DaskConfigPlaces {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** Path of the interpreter whose environment may hold a configuration. */
  readonly python?: string | undefined;
}

type Layer = readonly [source: string, values: Readonly<Record<string, unknown>>];

/** Reads the few keys that are of use here, from the places and in the order that Dask has (dask/config.py). */
export async function readDaskConfig(places: DaskConfigPlaces): Promise<DaskConfig> {
  const { parse } = await import('../core/yaml.ts');
  const problems: string[] = [];
  const layers: Layer[] = [];
  for (const file of await configFiles(places)) {
    try {
      layers.push([file, asRecord(parse(await readFile(file, 'utf8')))]);
    } catch (error) {
      problems.push(`${file}: ${(error as Error).message}`);
    }
  }
  const find = (...path: string[]) => lookUp(layers, places.env, path);
  const address = find('scheduler-address');
  const ca = find('distributed', 'comm', 'tls', 'ca-file')?.value;
  const cert = find('distributed', 'comm', 'tls', 'client', 'cert')?.value;
  const key = find('distributed', 'comm', 'tls', 'client', 'key')?.value;
  return {
    ...(address && { address: address.value, source: address.source }),
    ...(ca && { tls: { ca, ...(cert && { cert }), ...(key && { key }) } }),
    problems,
  };
}

/** All YAML and JSON files, the one that wins last. */
async function configFiles({ env, home, python }: DaskConfigPlaces): Promise<string[]> {
  const places = [
    env.DASK_ROOT_CONFIG ?? '/etc/dask',
    ...(python ? [join(prefixOf(python), 'etc', 'dask')] : []),
    join(home, '.config', 'dask'),
    ...(env.DASK_CONFIG ? [env.DASK_CONFIG] : []),
  ];
  // Of equal ones the last counts.
  const files = [...new Set(places.reverse())].reverse().map((place) => filesAt(place));
  return (await Promise.all(files)).flat();
}

async function filesAt(place: string): Promise<string[]> {
  // Most of the places are not there.
  const found = await stat(place).catch(() => undefined);
  if (!found?.isDirectory()) return found ? [place] : [];
  const names = await readdir(place).catch(() => []);
  const wanted = names.filter((name) => ['.yaml', '.yml', '.json'].includes(extname(name).toLowerCase()));
  return wanted.sort().map((name) => join(place, name));
}

/** Python's `sys.prefix` for an interpreter of a virtual environment or of the system. */
function prefixOf(python: string): string {
  const folder = dirname(python);
  return /^(bin|scripts)$/i.test(basename(folder)) ? dirname(folder) : folder;
}

/** The value that wins: the environment's, else the last layer's. Dask takes `-` and `_` for the same. */
function lookUp(
  layers: readonly Layer[],
  env: DaskConfigPlaces['env'],
  path: readonly string[],
): { value: string; source: string } | undefined {
  const variable = `DASK_${path.join('__').replaceAll('-', '_').toUpperCase()}`;
  // Dask evaluates the text, so that it may be a Python literal.
  const set = env[variable]?.trim().replace(/^(['"])(.*)\1$/, '$2');
  if (set) return { value: set, source: variable };
  for (const [source, values] of [...layers].reverse()) {
    const value = asText(path.reduce<unknown>((inner, key) => member(inner, key), values));
    if (value) return { value, source };
  }
  return undefined;
}

function member(value: unknown, key: string): unknown {
  const record = asRecord(value);
  return record[key] ?? record[key.replaceAll('-', '_')];
}
