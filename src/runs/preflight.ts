import { randomUUID } from 'node:crypto';
import type { ClusterHandle } from '../core/backend.ts';
import type { Cluster } from '../core/cluster.ts';
import { UserError } from '../core/errors.ts';
import type { FlowApiId } from '../core/flow.ts';
import { bySeverity, type Finding } from '../core/preflight/finding.ts';
import { judge } from '../core/preflight/judge.ts';
import { judgeLoad, loadOf } from '../core/preflight/load.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import { versionsOf } from '../host/versions.ts';
import type { PreflightQuestion } from '../protocol/host.ts';
import { versionNote } from './clusterNews.ts';

/** How long a cluster has for its answers; one that is well needs a tenth of a second. */
export const preflightSeconds = 3;
/** Reading the source and starting a process come on top; the host itself gives up a little earlier. */
const graceMs = 3_000;

/** What is looked at, and by whom. */
export interface PreflightRequest {
  readonly host: PythonHost;
  readonly cluster: Pick<Cluster, 'ownership' | 'info'>;
  readonly handle: Pick<ClusterHandle, 'address' | 'security' | 'versions'>;
  /** Absent: the cluster is looked at for no flow in particular. */
  readonly flow?: { readonly file: string; readonly api: FlowApiId };
  /** Leave out what cannot differ: workers that this interpreter has started have what it has. */
  readonly brief: boolean;
  readonly signal: AbortSignal;
}

/**
 * Looks at a cluster and judges it, the worst first. Nothing of the cluster changes by that. Rejects with a
 * {@link UserError} if it could not be looked at within the time limit, and with the signal's reason.
 */
export async function preflight(request: PreflightRequest): Promise<Finding[]> {
  const { host, cluster, handle, flow, brief, signal } = request;
  if (brief && cluster.ownership === 'owned' && cluster.info && handle.versions) {
    const differ = versionNote(versionsOf(await host.hello), handle.versions) !== undefined;
    if (!differ) return bySeverity(judgeLoad(loadOf(cluster.info)));
  }
  const { address, security } = handle;
  const facts = await ask(
    host,
    {
      address,
      ...(security && { security }),
      ...(flow && { flow: { ...flow, workspace: host.workspace } }),
      seconds: preflightSeconds,
    },
    signal,
  );
  return judge(facts, address);
}

async function ask(host: PythonHost, question: PreflightQuestion, signal: AbortSignal) {
  const limitMs = preflightSeconds * 1000 + graceMs;
  try {
    const asked = { op: 'preflight', id: randomUUID(), ...question } as const;
    return (await host.look('preflight', asked, limitMs, signal)).facts;
  } catch (error) {
    if (error instanceof UserError && error.reason === 'timeout') {
      throw new UserError('timeout', `no answer within ${limitMs / 1000} s`, { cause: error });
    }
    throw error;
  }
}
