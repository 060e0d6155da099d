import type { Cluster } from './cluster.ts';
import { plural } from './executor.ts';
import { formatBytes } from './format.ts';
import type { WorkerInfo } from './schedulerInfo.ts';
import type { TreeNode } from './tree.ts';

/** More rows than this under one are hard to walk, for a person as for the editor. */
const pageSize = 100;

/**
 * The rows under `workers`: one a worker, of many workers one for each hundred. A page makes its rows when it is
 * opened, so that a cluster of thousands costs no more than what is seen of it.
 */
export function workerRows(cluster: Cluster, row: (worker: WorkerInfo) => TreeNode): TreeNode[] {
  const workers = cluster.info?.workers ?? [];
  if (workers.length <= pageSize) return workers.map(row);
  const pages = Array.from({ length: Math.ceil(workers.length / pageSize) }, (_, n) => n * pageSize);
  return pages.map((first) => pageNode(cluster, first, workers.slice(first, first + pageSize), row));
}

function pageNode(
  cluster: Cluster,
  first: number,
  workers: readonly WorkerInfo[],
  row: (worker: WorkerInfo) => TreeNode,
): TreeNode {
  const sum = (of: (worker: WorkerInfo) => number) => workers.reduce((n, worker) => n + of(worker), 0);
  return {
    id: `${cluster.id}/workers/${first}`,
    key: cluster.id,
    label: `workers ${first + 1}–${first + workers.length}`,
    description: [
      plural(
        sum(({ threads }) => threads),
        'thread',
      ),
      plural(
        sum(({ processing }) => processing),
        'task',
      ),
      formatBytes(sum(({ memoryBytes }) => memoryBytes)),
      ...unusual(workers),
    ].join(' · '),
    icon: 'server-environment',
    context: 'workerPage',
    get children() {
      return workers.map(row);
    },
  };
}

/** `2 paused`, `1 closing`: what one would open the page for. */
function unusual(workers: readonly WorkerInfo[]): string[] {
  const counts = new Map<string, number>();
  for (const { status } of workers) counts.set(status, (counts.get(status) ?? 0) + 1);
  return [...counts]
    .filter(([status]) => status !== 'running' && status !== 'unknown')
    .map(([status, n]) => `${n} ${status}`);
}
