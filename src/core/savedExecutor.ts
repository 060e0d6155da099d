import { type Executor, readExecutors } from './executor.ts';
import {
  isLocalCluster,
  isUnread,
  type WrittenExecutor,
  type WrittenFields,
  type WrittenValue,
} from './written.ts';

/** A profile for the settings that does what an executor in the source does, as far as profiles can. */
export interface SavedExecutor {
  readonly profile: Executor;
  /** What it does not keep, each ready to read: `cluster_kwargs.silence_logs`. */
  readonly leftOut: readonly string[];
}

/** Why there can be none. */
export interface NotSaved {
  readonly problem: string;
}

const LOCAL_KEYS = ['n_workers', 'threads_per_worker', 'processes', 'memory_limit', 'scheduler_port'];

/**
 * Makes the profile. What is only known when it runs is left out, and said.
 * @param pathOf how settings name what the same file defines; absent where the file has no name yet
 */
export function savedExecutor(
  written: WrittenExecutor,
  name: string,
  pathOf?: (local: string) => string,
): SavedExecutor | NotSaved {
  const { type, address, cluster_class } = written;
  if (type === 'LocalExecutor') return { problem: 'LocalExecutor runs tasks one by one, without Dask' };
  if (address) return existing(written, name, address);
  if (written.others?.fields.cluster) return { problem: 'it uses a cluster that exists only in this file' };
  if (type === 'LocalDaskExecutor') return localDask(written, name);
  if (!cluster_class || isLocalCluster(cluster_class)) return local(written, name);
  return ofClass(written, name, pathOf);
}

function existing(written: WrittenExecutor, name: string, address: WrittenValue): SavedExecutor | NotSaved {
  if (isUnread(address)) return { problem: `its address, ${address.source}, is ${address.reason}` };
  const { files, leftOut } = filesOf(written.security);
  const others = leftOutOf(written, ['client_kwargs', 'others']);
  // Each of its arguments is kept or said by itself.
  const isSaid = (each: string) => written.security && /^client_kwargs\.security\b/.test(each);
  return checked({ name, kind: 'existing', address: address.value, ...(files && { security: files }) }, [
    ...leftOut,
    ...others.filter((each) => !isSaid(each)),
  ]);
}

const FILES = { tls_ca_file: 'ca', tls_client_cert: 'cert', tls_client_key: 'key' } as const;

/** The files of a `Security`. Texts of certificates and keys do not belong into settings. */
function filesOf(security: WrittenFields | undefined): {
  files?: Record<string, unknown>;
  leftOut: string[];
} {
  const { require_encryption, ...rest } = security?.fields ?? {};
  // What has certificates here is encrypted.
  const isUsual = !require_encryption || (!isUnread(require_encryption) && require_encryption.value === true);
  const given = { ...security, fields: isUsual ? rest : { ...rest, require_encryption } };
  const isFile = (key: string) => {
    const value = given.fields[key];
    return key in FILES && value && !isUnread(value) && !/-----BEGIN|\n/.test(String(value.value));
  };
  const keys = Object.keys(given.fields).filter(isFile);
  // Nothing can be checked by the other two alone.
  const kept = taken(given, keys.includes('tls_ca_file') ? keys : [], 'security');
  const files = Object.entries(FILES).flatMap(([key, name]) =>
    kept.values[key] === undefined ? [] : [[name, kept.values[key]] as const],
  );
  return { ...(files.length > 0 && { files: Object.fromEntries(files) }), leftOut: kept.leftOut };
}

/** Any other class, or a function that makes a cluster. */
function ofClass(
  written: WrittenExecutor,
  name: string,
  pathOf: ((local: string) => string) | undefined,
): SavedExecutor | NotSaved {
  const { cluster_class, cluster_kwargs } = written;
  if (!cluster_class) return { problem: 'it names no class' };
  if (isUnread(cluster_class))
    return { problem: `its cluster_class, ${cluster_class.source}, is ${cluster_class.reason}` };
  if ('local' in cluster_class && cluster_class.importable === false)
    return { problem: `its cluster_class, ${cluster_class.local}, is not there when its file is imported` };
  const path = 'path' in cluster_class ? cluster_class.path : pathOf?.(cluster_class.local);
  if (path === undefined) return { problem: 'its cluster_class is in a file that is not saved' };
  // Whoever starts the cluster sets that one.
  const keys = Object.keys(cluster_kwargs?.fields ?? {}).filter((key) => key !== 'asynchronous');
  const kept = taken(cluster_kwargs, keys, 'cluster_kwargs', true);
  const size = sizeOf(written);
  // It is told a number twice: the later one counts.
  if (size.values.n_workers !== undefined) delete kept.values.n_workers;
  const kwargs = Object.keys(kept.values).length > 0 ? { cluster_kwargs: kept.values } : {};
  return checked({ name, kind: 'clusterClass', cluster_class: path, ...kwargs, ...size.values }, [
    ...kept.leftOut,
    ...size.leftOut,
    ...leftOutOf(written, ['client_kwargs', 'others']),
  ]);
}

function localDask({ others }: WrittenExecutor, name: string): SavedExecutor | NotSaved {
  const kept = taken(others, ['scheduler', 'num_workers'], 'LocalDaskExecutor');
  return checked({ name, kind: 'localDask', ...kept.values }, kept.leftOut);
}

function local(written: WrittenExecutor, name: string): SavedExecutor | NotSaved {
  const cluster = taken(written.cluster_kwargs, LOCAL_KEYS, 'cluster_kwargs');
  const size = sizeOf(written);
  const values = { ...cluster.values, ...size.values };
  // Dask's own word for: as many as are asked for.
  if (values.adapt_kwargs && values.n_workers === 0) delete values.n_workers;
  return checked({ name, kind: 'local', ...values }, [
    ...cluster.leftOut,
    ...size.leftOut,
    ...leftOutOf(written, ['client_kwargs', 'others']),
  ]);
}

/** What is said by `scale` and `adapt`, or by `adapt_kwargs`: those of Prefect may be empty in the end where they are not known. */
function sizeOf({ type, adapt_kwargs, scale }: WrittenExecutor): Taken {
  const adapt = taken(adapt_kwargs, ['minimum', 'maximum'], 'adapt_kwargs');
  const isPlain = type === 'Client' || type === 'Cluster';
  const isAdaptive = adapt_kwargs && (isPlain || Object.keys(adapt_kwargs.fields).length > 0);
  const isKnown = scale && !isUnread(scale);
  return {
    values: { ...(isKnown && { n_workers: scale.value }), ...(isAdaptive && { adapt_kwargs: adapt.values }) },
    leftOut: [...adapt.leftOut, ...(scale && !isKnown ? [`scale: ${scale.source} (${scale.reason})`] : [])],
  };
}

interface Taken {
  readonly values: Record<string, unknown>;
  readonly leftOut: string[];
}

/** @param withNone `None` is a value like any other */
function taken(
  written: WrittenFields | undefined,
  keys: readonly string[],
  where: string,
  withNone = where.startsWith('adapt'),
): Taken {
  const values: Record<string, unknown> = {};
  const leftOut: string[] = written?.rest ? [`${where}: ${written.rest.source}`] : [];
  for (const [key, value] of Object.entries(written?.fields ?? {}))
    if (keys.includes(key) && !isUnread(value)) values[key] = value.value;
    else leftOut.push(`${where}.${key}${isUnread(value) ? ` (${value.reason})` : ''}`);
  // `None` is the default of Dask's `LocalCluster` and of Prefect.
  for (const key of keys) if (values[key] === null && !withNone) delete values[key];
  return { values, leftOut };
}

function leftOutOf(written: WrittenExecutor, names: readonly ('client_kwargs' | 'others')[]): string[] {
  return names.flatMap((name) => taken(written[name], [], name === 'others' ? written.type : name).leftOut);
}

/** By the rules of the settings, so that what is saved can be used. */
function checked(profile: Record<string, unknown>, leftOut: readonly string[]): SavedExecutor | NotSaved {
  const { executors, problems } = readExecutors([profile], undefined);
  const good = executors.find(({ name }) => name === profile.name);
  if (problems[0]) return { problem: problems[0].message };
  return good ? { profile: good, leftOut } : { problem: 'it can’t be said in the settings' };
}
