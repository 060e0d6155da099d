import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageExecutor } from '../core/imageExecutor.ts';
import type { NodeCertificates } from './certificateMaker.ts';

/** Where our helpers and the cluster's certificates lie in each container. */
export const memberFolder = '/flow-clusters';
export const schedulerPort = 8786;
export const dashboardPort = 8787;
/** Of the relay's hub (`flow_clusters/relay.py`). */
export const relayPort = 8788;
/** Of connections that outlive what carries them (`flow_clusters/sessions.py`); on the scheduler's loopback only. */
export const sessionsPort = 8789;
/** What a member's lines for us begin with (`flow_clusters/member.py`). */
export const memberMark = '\x1eflow-clusters ';
/** A worker without a scheduler ends after that time: nothing stays when the scheduler is gone. */
const deathTimeoutSeconds = 60;

/** A shell in a member: the most comfortable one that the image has. */
export const shellCommand = [
  '/bin/sh',
  '-c',
  'command -v bash >/dev/null 2>&1 && exec bash; exec sh',
] as const;

/** What a member tells of itself. */
export type MemberLine =
  | {
      readonly event: 'listening';
      readonly dashboard: boolean;
      readonly distributed: string;
      /** Python and what runs share with workers; null: the image has it not. */
      readonly packages: Readonly<Record<string, string | null>>;
    }
  | {
      readonly event: 'failed';
      readonly reason: 'import' | 'start';
      readonly package?: string;
      readonly message: string;
    };

/**
 * Keyword arguments of Dask's worker; those that the user has named come last. The executor's `env` is not among them: its
 * container has it, and these stand in a command line, which others may read.
 */
export function workerOptions(
  { resources, worker_options }: ImageExecutor,
  size: { readonly threads: number | undefined; readonly memoryBytes: number | undefined },
  more: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const { threads, memoryBytes } = size;
  return {
    ...(threads !== undefined && { nthreads: threads }),
    ...(memoryBytes !== undefined && { memory_limit: memoryBytes }),
    death_timeout: deathTimeoutSeconds,
    ...more,
    ...(resources && { resources }),
    ...worker_options,
  };
}

/** The helpers that a member needs; those of the host and of runs stay here. */
const modules = ['__init__', 'belongings', 'keeper', 'member', 'relay', 'sessions', 'warm_workers'];

/**
 * What a member needs in {@link memberFolder}, by path in there: certificates go as files, never as environment.
 * @param folder of our Python helpers
 */
export async function memberFiles(
  folder: string,
  certificates: NodeCertificates,
): Promise<readonly (readonly [string, string | Buffer])[]> {
  const scripts = ['cluster_member.py', ...modules.map((module) => `flow_clusters/${module}.py`)];
  return [
    ...(await Promise.all(scripts.map(async (name) => [name, await readFile(join(folder, name))] as const))),
    ['ca.pem', certificates.ca],
    ['node.pem', `${certificates.cert}\n${certificates.key}`],
  ];
}

/** What a member has said of its packages, as a handle has it. */
export function knownPackages(packages: Readonly<Record<string, string | null>>): {
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
} {
  const versions: Record<string, string> = {};
  const missing = [];
  for (const [name, version] of Object.entries(packages)) {
    if (version === null) missing.push(name);
    else versions[name] = version;
  }
  return { versions, missing };
}
