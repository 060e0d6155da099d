import { isUnread } from '../../core/written.ts';
import type { Analysis } from '../document.ts';
import type { FoundExecutor } from '../executors.ts';
import { clausesUpTo, type Statement } from '../layout.ts';
import { isMainGuard } from '../module.ts';
import { argumentSpans, argumentValue, type Fix, type Mistake, type Rule } from './mistake.ts';

/** Addresses of the dashboard where a scheduler's belongs, and clusters that are made when a file is imported. */

/** `http://host:8787/status`, `host:8787`: scheme, host, port. */
const ADDRESS = /^(?:(?<scheme>\w+):\/\/)?(?<host>[^/:@\s[\]]+|\[[\da-f:.]+\]):(?<port>\d+)(?:\/\S*)?$/i;
const DASHBOARD_PORT = '8787';
/** Where a scheduler is put there by its user. */
const MOVED = /\bscheduler_port\b\W+8787|--port[ =]8787/;

/** Schedulers listen on 8786, their dashboards on 8787, by default; and no scheduler speaks HTTP. */
export const dashboardAddress: Rule = (analysis) =>
  analysis.executors.all().flatMap((found): Mistake[] => {
    const { address } = found.written;
    const span = argumentSpans(analysis, found).get('address');
    if (!address || !span || isUnread(address) || typeof address.value !== 'string') return [];
    const { scheme = 'tcp', host, port } = ADDRESS.exec(address.value)?.groups ?? {};
    const isHttp = /^https?$/i.test(scheme);
    const isDashboard =
      port === DASHBOARD_PORT &&
      /^(?:tcp|tls|https?)$/i.test(scheme) &&
      !MOVED.test(analysis.executors.context.text);
    if (!host || !(isHttp || isDashboard)) return [];
    const secure = /^(?:tls|https)$/i.test(scheme);
    const scheduler = `${secure ? 'tls' : 'tcp'}://${host}:8786`;
    const message = isHttp
      ? `This is the address of a dashboard: schedulers don't speak HTTP. The scheduler's own is usually ${scheduler}.`
      : `8787 is the port of the dashboard. Schedulers usually listen on 8786: ${scheduler}.`;
    return [
      {
        code: 'dashboard-address',
        message,
        ...span,
        fixes: addressFix(analysis, found, isDashboard, scheduler),
      },
    ];
  });

function addressFix(
  { executors }: Analysis,
  found: FoundExecutor,
  isDashboard: boolean,
  scheduler: string,
): Fix[] {
  const located = argumentValue(found, 'address');
  if (!located || !isDashboard) return [];
  const literal = executors.values.behind(located);
  const [, quote] = /^(['"])[^'"\\]*\1$/.exec(executors.values.textOf(literal)) ?? [];
  if (!quote) return [];
  const edit = { ...executors.values.spanOf(literal), text: `${quote}${scheduler}${quote}` };
  return [{ title: `Use ${scheduler}`, edits: [edit] }];
}

/** Where these stand, a bare `Client()` may connect, or its workers be forked. */
const ELSEWHERE =
  /scheduler[-_]address|multiprocessing[-_]method|set_start_method|SCHEDULER_ADDRESS|freeze_support/i;
/** Run by programs of others, whose main file is not this one. */
const SERVED =
  /^[ \t]*(?:from|import)\s+(?:flask|fastapi|starlette|django|streamlit|bokeh|panel|dash|celery|airflow|luigi|dask_mpi|mpi4py|pytest)\b/m;
/** Cells, whose kernel nobody imports; notebooks exported as scripts. */
const CELLS = /^# ?%%|^# In\[|get_ipython\(/m;

/**
 * Worker processes are spawned: each imports the main file again, and would make a cluster of its own. Only those
 * that start processes on this machine for sure.
 */
export const clientWithoutGuard: Rule = (analysis) => {
  const { context, names } = analysis.executors;
  if (ELSEWHERE.test(context.text) || SERVED.test(context.text) || CELLS.test(context.text)) return [];
  const made = analysis.executors.all().filter((found) => makesProcesses(analysis, found));
  return made.flatMap((found): Mistake[] => {
    const { statement } = found.at;
    const around = [...names.around(statement), statement];
    const blocks = [context.statements, ...around.map(({ body }) => body)];
    const clauses = around.map((each, depth) => clausesUpTo(context.text, blocks[depth] ?? [], each));
    // `else:` of a guard is the other half of what its `if` says.
    const guards = [...around, ...clauses.flat()];
    if (guards.some((each) => isInside(context.text, each)) || around.some((each) => names.definition(each)))
      return [];
    const first = clauses[0]?.[0];
    const message =
      'Without an if __name__ == "__main__" guard, each worker process runs this line again and fails. (Runs by Flow Clusters don’t: they bring the cluster.)';
    const span = analysis.executors.values.spanOf(found.at);
    return [{ code: 'client-without-guard', message, ...span, fixes: guarding(analysis, first) }];
  });
};

function isInside(text: string, statement: Statement): boolean {
  return isMainGuard(text, statement) || /\b__name__\b/.test(text.slice(statement.start, statement.end));
}

function makesProcesses({ executors }: Analysis, found: FoundExecutor): boolean {
  const { type, cluster_class, cluster_kwargs, client_kwargs, address } = found.written;
  if (type !== 'Client' && type !== 'Cluster') return false;
  const given = argumentValue(found, 'address');
  // A client's cluster that is made by a call of its own is judged there.
  if (address || (type === 'Client' && given && !executors.values.isNone(given))) return false;
  const isLocal = cluster_class && 'path' in cluster_class && LOCAL.test(cluster_class.path);
  if (!isLocal || cluster_kwargs?.rest || client_kwargs?.rest) return false;
  const { processes, n_workers, worker_class } = cluster_kwargs?.fields ?? {};
  if (worker_class || (processes && (isUnread(processes) || processes.value !== true))) return false;
  return !n_workers || (!isUnread(n_workers) && n_workers.value !== 0);
}

const LOCAL = /(?:^|\.)(?:LocalCluster|LocalCUDACluster)$/;

/** Indents the rest of the file under a guard. Not where that would change a string of several lines. */
function guarding({ executors }: Analysis, first: Statement | undefined): Fix[] {
  const { text, statements } = executors.context;
  if (!first) return [];
  const lineStart = text.lastIndexOf('\n', first.start - 1) + 1;
  const rest = text.slice(lineStart);
  const last = statements.at(-1);
  if (/"""|'''|\\\r?\n|\t/.test(rest) || lineStart !== first.start || last?.broken) return [];
  const newline = rest.includes('\r\n') ? '\r\n' : '\n';
  const indented = rest.replace(/^(?=[^\r\n])/gm, '    ');
  const guarded = `if __name__ == "__main__":${newline}${indented}`;
  return [
    {
      title: 'Put the rest of the file under if __name__ == "__main__"',
      edits: [{ start: lineStart, end: text.length, text: guarded }],
    },
  ];
}
