import type { ClusterHandle, TaskNumbers } from '../core/backend.ts';
import type { Disposable } from '../core/emitter.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import type { FlowApiId } from '../core/flow.ts';
import { isOver } from '../core/run.ts';
import type { Store } from '../core/store.ts';
import type { Versions } from '../host/versions.ts';
import type { RunOutput } from './output.ts';

/** One run and the cluster that it is about to use. */
export interface ClusterUse {
  readonly runId: string;
  readonly clusterId: string;
  readonly handle: ClusterHandle;
  readonly store: Store;
  /** The run's terminal. */
  readonly output: RunOutput;
  /** What the workers print, if not to the run's terminal anyway. */
  readonly printed: RunOutput | undefined;
  onTasks(groups: TaskNumbers): void;
  note(text: string): void;
}

/** Tells a run what concerns it of its cluster, until disposed: how workers end, its tasks, what these print. */
export function followCluster(use: ClusterUse): Disposable {
  const { runId, clusterId, store, output } = use;
  const aside = (text: string) => output.write(`\x1b[2m${text}\x1b[0m\n`);
  const listening = [
    store.onDidChange((event) => {
      if (event.type !== 'cluster.incident' || event.id !== clusterId) return;
      use.note(event.incident.message);
      aside(event.incident.message);
    }),
    use.handle.onTasks?.(runId, (groups) => use.onTasks(groups)),
    use.printed?.onWrite((text) => {
      if (isAlone(use)) output.write(text);
    }),
  ];
  if (use.printed) {
    const name = store.snapshot.clusters.get(clusterId)?.name ?? clusterId;
    aside(`Cluster ${name} is shared: what tasks print is in its logs, and here while no other run uses it.`);
  }
  return {
    dispose: () => {
      for (const one of listening) one?.dispose();
    },
  };
}

function isAlone({ runId, clusterId, store }: ClusterUse): boolean {
  const others = [...store.snapshot.runs.values()].filter(
    (run) => run.id !== runId && run.clusterId === clusterId && !isOver(run),
  );
  return others.length === 0;
}

/**
 * Throws a {@link UserError} if workers of this cluster are known to lack what a flow of this API needs there: each of
 * its tasks would fail.
 */
export function checkWorkers({ missing = [] }: Pick<ClusterHandle, 'missing'>, api: FlowApiId): void {
  if (api === 'dask' || !missing.includes('prefect')) return;
  throw new UserError('package-missing', 'The workers of this cluster have no prefect', {
    hint: 'Add it to their image, in the version that the flow runs with, or build an image from your environment.',
    action: executorSettings,
  });
}

/** In words, how what a run has differs from what its workers have; undefined if nothing is known to differ. */
export function versionNote(run: Versions, cluster: Versions): string | undefined {
  const differences = Object.entries(run).flatMap(([name, version]) => {
    const other = cluster[name];
    return other && other !== version ? [`${name} ${version} and ${other}`] : [];
  });
  if (differences.length === 0) return undefined;
  return `The run and its cluster have different versions, which may make tasks fail: ${differences.join(', ')}.`;
}
