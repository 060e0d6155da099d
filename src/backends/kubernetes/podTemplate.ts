import type { Manifest } from '../../core/kubernetesExecutor.ts';

/** By what elements of a list are the same, as in the strategic merge of Kubernetes; other lists are replaced. */
const keys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  volumes: 'name',
  env: 'name',
  imagePullSecrets: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
  hostAliases: 'ip',
};

/** Lists whose elements take the place of those of the same name: a variable has a value or comes from somewhere. */
const whole: ReadonlySet<string> = new Set(['env']);

/**
 * A manifest with another merged over it, as `kubectl patch` does: objects into each other, lists of what has a name by
 * that, null takes away.
 */
export function mergeManifest<T>(base: T, patch: Manifest): T {
  return merged(base, patch, '') as T;
}

function merged(base: unknown, patch: unknown, key: string): unknown {
  if (Array.isArray(base) && Array.isArray(patch)) return mergedLists(base, patch, key);
  if (!isObject(base) || !isObject(patch)) return patch;
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = name in base ? merged(base[name], value, name) : value;
  }
  return result;
}

function mergedLists(base: readonly unknown[], patch: readonly unknown[], list: string): unknown[] {
  const key = keys[list];
  if (key === undefined || ![...base, ...patch].every(isObject)) return [...patch];
  const result = [...base] as Record<string, unknown>[];
  for (const one of patch as Record<string, unknown>[]) {
    const at = result.findIndex((other) => other[key] === one[key]);
    if (at < 0) result.push(one);
    else if (whole.has(list)) result[at] = one;
    else result[at] = merged(result[at], one, '') as Record<string, unknown>;
  }
  return result;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
