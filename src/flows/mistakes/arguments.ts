import { isLocalCluster } from '../../core/written.ts';
import type { Analysis, TextEdit } from '../document.ts';
import type { FoundExecutor } from '../executors.ts';
import type { Span } from '../syntax.ts';
import type { Field, Fields } from '../values.ts';
import {
  argumentSpans,
  argumentValue,
  type Fix,
  listed,
  type Mistake,
  type Rule,
  removal,
  removalBesideComments,
} from './mistake.ts';

/** Arguments that a class does not have. Only classes whose arguments are the same for years. */

const PREFECT_PARAMETERS = new Set([
  ...['address', 'cluster_class', 'cluster_kwargs', 'adapt_kwargs', 'client_kwargs'],
  'performance_report_path',
]);
const PARAMETERS: Readonly<Record<string, ReadonlySet<string>>> = {
  DaskTaskRunner: new Set([...PREFECT_PARAMETERS, 'cluster']),
  DaskExecutor: new Set([
    ...PREFECT_PARAMETERS,
    ...['debug', 'disable_cancellation_event', 'watch_worker_status'],
  ]),
};

/** Of `LocalCluster`, `SpecCluster`, `Nanny` and `Worker`, which it hands the rest to: distributed 2021 to 2026. */
const LOCAL_PARAMETERS = new Set(
  `asynchronous blocked_handlers dashboard_address diagnostics_port host interface ip loop n_workers name processes
  protocol scheduler_kwargs scheduler_port scheduler_sync_interval security service_kwargs services silence_logs start
  threads_per_worker worker_class worker_dashboard_address worker_services scheduler worker workers shutdown_on_close
  shutdown_scheduler config contact_address death_timeout env listen_address local_dir local_directory memory_limit
  nthreads ncores port preload preload_argv preload_nanny preload_nanny_argv quiet reconnect resources scheduler_file
  scheduler_ip scheduler_sni validate worker_port worker_kwargs dashboard data executor extensions heartbeat_interval
  http_prefix lifetime lifetime_restart lifetime_stagger low_level_profiler memory_pause_fraction
  memory_spill_fraction memory_target_fraction memory_terminate_fraction memory_monitor_interval metrics nanny plugins
  profile_cycle_interval startup_information transition_counter_max WorkerStateClass`.split(/\s+/),
);

/** Of `Cluster.adapt` and `Adaptive`. Others are taken and ignored. */
const ADAPT_PARAMETERS = new Set(
  `Adaptive minimum maximum minimum_cores maximum_cores minimum_memory maximum_memory interval wait_count
  target_duration worker_key`.split(/\s+/),
);

/** What people write for it. */
const LOCAL_NAMES = new Map([
  ['num_workers', 'n_workers'],
  ['nworkers', 'n_workers'],
  ['number_of_workers', 'n_workers'],
  ['threads', 'threads_per_worker'],
  ['n_threads', 'threads_per_worker'],
  ['memory', 'memory_limit'],
]);
const ADAPT_NAMES = new Map([
  ['min', 'minimum'],
  ['max', 'maximum'],
  ['min_workers', 'minimum'],
  ['max_workers', 'maximum'],
  ['minimum_workers', 'minimum'],
  ['maximum_workers', 'maximum'],
]);

export const unknownArgument: Rule = (analysis) =>
  analysis.executors
    .all()
    .flatMap((found) => [
      ...unknownToPrefect(analysis, found),
      ...unknownToCluster(analysis, found),
      ...unknownToAdapt(analysis, found),
    ]);

function unknownToPrefect(analysis: Analysis, found: FoundExecutor): Mistake[] {
  const { type, path } = found.written;
  // Before 0.15 Prefect's executors took more.
  if (path.startsWith('prefect.engine.')) return [];
  const spans = argumentSpans(analysis, found);
  if (type === 'LocalDaskExecutor') {
    const span = spans.get('n_workers');
    if (!span) return [];
    const message = 'LocalDaskExecutor ignores n_workers; it takes num_workers.';
    const fix = rename(span.start, 'n_workers', 'num_workers');
    return [{ code: 'unknown-argument', message, ...span, fixes: spans.has('num_workers') ? [] : [fix] }];
  }
  const known = PARAMETERS[type];
  const unknown = [...spans].filter(([name]) => known && !known.has(name));
  return unknown.map(([name, span]): Mistake => {
    const forCluster = LOCAL_PARAMETERS.has(name);
    const hint = forCluster ? ' What is for the cluster goes into cluster_kwargs.' : '';
    const names = unknown.map(([each]) => each).filter((each) => LOCAL_PARAMETERS.has(each));
    const fixes = forCluster ? moving(analysis, found, names) : [];
    return { code: 'unknown-argument', message: `${type} has no argument ${name}.${hint}`, ...span, fixes };
  });
}

/** `DaskTaskRunner(n_workers=4)` → `DaskTaskRunner(cluster_kwargs={"n_workers": 4})`. */
function moving(analysis: Analysis, found: FoundExecutor, names: readonly string[]): Fix[] {
  const taken = ['cluster_kwargs', 'address', 'cluster'].some((name) => found.args.has(name));
  if (taken || found.at.expression.kind !== 'call' || found.at.expression.hasSplat) return [];
  const spans = argumentSpans(analysis, found);
  const [first = '', ...rest] = names;
  const place = spans.get(first);
  if (!place) return [];
  const entries = names.map((name) => `"${name}": ${found.args.get(name)?.text}`);
  const others = new Set(rest.map((name) => spans.get(name)));
  const { text } = analysis.executors.context;
  const isOther = (item: Span) => others.has(item);
  const all = [...spans.values()];
  let removed: readonly TextEdit[] | undefined = removal(text, all, isOther);
  // What is said of the arguments is to be read still.
  if (removed.some(({ start, end }) => text.slice(start, end).includes('#')))
    removed = removalBesideComments(text, all, isOther);
  if (!removed) return [];
  const made = { ...place, text: `cluster_kwargs={${entries.join(', ')}}` };
  return [{ title: `Move ${listed(names)} into cluster_kwargs`, edits: [made, ...removed] }];
}

/** Whether its cluster is a `LocalCluster` for sure. */
function makesLocalCluster({ written, args }: FoundExecutor): boolean {
  const { cluster_class, address, type } = written;
  // Another class may be in what is handed on.
  if (address || args.has('cluster') || written.others?.rest) return false;
  // Prefect 1 may take another class from its configuration.
  return cluster_class ? isLocalCluster(cluster_class) : type !== 'DaskExecutor';
}

function unknownToCluster(analysis: Analysis, found: FoundExecutor): Mistake[] {
  const { cluster_kwargs, type } = found.written;
  if (!cluster_kwargs || cluster_kwargs.rest || cluster_kwargs.fields.worker_class) return [];
  if (!makesLocalCluster(found)) return [];
  // A client's cluster that is made by a call of its own is found by that.
  if (type === 'Client' && argumentValue(found, 'address')) return [];
  const { text } = analysis.executors.context;
  return unknownFields(
    text,
    fieldsOf(analysis, found, 'cluster_kwargs'),
    LOCAL_PARAMETERS,
    LOCAL_NAMES,
    (key) => `LocalCluster has no argument ${key}: its workers will not start.`,
  );
}

function unknownToAdapt(analysis: Analysis, found: FoundExecutor): Mistake[] {
  if (argumentValue(found, 'adapt_kwargs') === undefined || !makesLocalCluster(found)) return [];
  const { text } = analysis.executors.context;
  return unknownFields(
    text,
    fieldsOf(analysis, found, 'adapt_kwargs'),
    ADAPT_PARAMETERS,
    ADAPT_NAMES,
    (key) => `Adaptive scaling ignores ${key} silently.`,
  );
}

function fieldsOf({ executors }: Analysis, found: FoundExecutor, name: string): Fields {
  const located = argumentValue(found, name);
  if (located) return executors.values.fieldsOf(located);
  const { type, cluster_kwargs } = found.written;
  if (type !== 'Client' && type !== 'Cluster') return { fields: [] };
  const all = executors.values.fieldsOfCall(found.at);
  return { ...all, fields: all.fields.filter(({ key }) => cluster_kwargs?.fields[key]) };
}

function unknownFields(
  text: string,
  { fields }: Fields,
  known: ReadonlySet<string>,
  names: ReadonlyMap<string, string>,
  message: (key: string) => string,
): Mistake[] {
  return fields.flatMap((field): Mistake[] => {
    if (known.has(field.key)) return [];
    const meant = names.get(field.key);
    const taken = fields.some(({ key }) => key === meant);
    const fixes = meant && !taken ? renaming(text, field, meant) : [];
    const hint = meant ? ` It takes ${meant}.` : '';
    return [{ code: 'unknown-argument', message: message(field.key) + hint, ...field.span, fixes }];
  });
}

function renaming(text: string, { key, span }: Field, to: string): Fix[] {
  // In a dict the key stands in quotes.
  const start = text.startsWith(key, span.start) ? span.start : span.start + 1;
  return text.startsWith(key, start) ? [rename(start, key, to)] : [];
}

function rename(start: number, from: string, to: string): Fix {
  return { title: `Call it ${to}`, edits: [{ start, end: start + from.length, text: to }] };
}
