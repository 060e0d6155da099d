import { isUnread } from '../../core/written.ts';
import type { Analysis, TextEdit } from '../document.ts';
import type { FoundExecutor } from '../executors.ts';
import type { Located } from '../names.ts';
import {
  argumentSpans,
  argumentValue,
  type Fix,
  fieldRemoval,
  listed,
  type Mistake,
  type Rule,
  removal,
} from './mistake.ts';

/** What Prefect's executors and task runners refuse or ignore. The facts are those of Prefect 1.4, 2.20 and 3.8. */

const MAKERS = ['cluster', 'cluster_class', 'cluster_kwargs', 'adapt_kwargs'];

/**
 * Prefect 1 refuses `cluster_class` and `cluster_kwargs` beside an address, and ignores `adapt_kwargs`. Prefect 2 and
 * 3 refuse all of them unless they are empty.
 */
export const addressWithCluster: Rule = (analysis) =>
  analysis.executors.all().flatMap((found): Mistake[] => {
    const { type } = found.written;
    if (type !== 'DaskExecutor' && type !== 'DaskTaskRunner') return [];
    const { address } = found.written;
    if (!address || isUnread(address) || typeof address.value !== 'string' || !address.value) return [];
    const spans = argumentSpans(analysis, found);
    const wrong = MAKERS.filter((name) => spans.has(name) && counts(analysis, found, name));
    const [first] = wrong;
    const span = first && spans.get(first);
    if (!span) return [];
    const ignored = type === 'DaskExecutor' && wrong.every((name) => name === 'adapt_kwargs');
    const message = ignored
      ? 'With an address, Prefect 1 ignores adapt_kwargs silently: it connects to a cluster that is there, and does not scale it.'
      : `Prefect refuses ${listed(wrong)} together with an address: it connects to a cluster that is there, and makes none.`;
    const remove = (names: readonly string[], title: string): Fix => ({
      title,
      edits: withoutArguments(analysis, found, names),
    });
    const keepAddress = remove(wrong, `Keep the address: remove ${listed(wrong)}`);
    const keepCluster = remove(['address'], `Keep ${listed(wrong)}: remove the address`);
    const { expression } = found.at;
    // What stands between the arguments would go with them.
    const isPlainCall = expression.kind === 'call' && !expression.hasSplat;
    const fixes = !isPlainCall ? [] : ignored ? [keepAddress] : [keepAddress, keepCluster];
    return [{ code: 'address-with-cluster', message, ...span, fixes }];
  });

function withoutArguments(analysis: Analysis, found: FoundExecutor, names: readonly string[]): TextEdit[] {
  const spans = argumentSpans(analysis, found);
  const gone = new Set(names.map((name) => spans.get(name)));
  const edits = removal(analysis.executors.context.text, [...spans.values()], (item) => gone.has(item));
  // What was given by its position has another one now.
  const all = [...found.args];
  const moved = all.slice(all.findIndex(([name]) => names.includes(name)));
  for (const [name, { keyword }] of moved) {
    const start = spans.get(name)?.start;
    if (start !== undefined && keyword === undefined && !names.includes(name))
      edits.push({ start, end: start, text: `${name}=` });
  }
  return edits;
}

/** Does an argument say something for sure, as Prefect sees it? */
function counts({ executors }: Analysis, found: FoundExecutor, name: string): boolean {
  const located = argumentValue(found, name);
  if (!located || executors.values.isNone(located)) return false;
  const { cluster_class, type } = found.written;
  if (name === 'cluster') return executors.clusterBehind(located) !== undefined;
  if (name === 'cluster_class') return cluster_class !== undefined && !isUnread(cluster_class);
  const { fields, holder } = executors.values.fieldsOf(located);
  return (
    holder !== undefined && (fields.length > 0 || (type === 'DaskExecutor' && name === 'cluster_kwargs'))
  );
}

/** Prefect 2 and 3 refuse it, whatever its value; Prefect 1 works with a synchronous client and cluster only. */
export const asynchronousSet: Rule = (analysis) =>
  analysis.executors.all().flatMap((found) =>
    ['cluster_kwargs', 'client_kwargs'].flatMap((name): Mistake[] => {
      const located = argumentValue(found, name);
      const { type } = found.written;
      if (!located || (type !== 'DaskTaskRunner' && type !== 'DaskExecutor')) return [];
      const { values } = analysis.executors;
      const { fields, holder } = values.fieldsOf(located);
      const field = fields.find(({ key }) => key === 'asynchronous');
      if (!field || !holder) return [];
      const written = values.read(field.value);
      if (type === 'DaskExecutor' && (isUnread(written) || written.value !== true)) return [];
      const message =
        type === 'DaskTaskRunner'
          ? `Prefect refuses "asynchronous" in ${name}: it sets it by itself.`
          : `Prefect 1 cannot use an asynchronous ${name === 'client_kwargs' ? 'client' : 'cluster'}.`;
      return [{ code: 'asynchronous-set', message, ...field.span, fixes: removing(analysis, holder, field) }];
    }),
  );

function removing(analysis: Analysis, holder: Located, field: Parameters<typeof fieldRemoval>[2]): Fix[] {
  const edits = fieldRemoval(analysis, holder, field);
  return edits.length > 0 ? [{ title: `Remove "${field.key}"`, edits }] : [];
}

/** Prefect 3.8 pickles the cluster with the flow and fails; Prefect 2 refuses one that is not asynchronous. */
export const clusterObject: Rule = (analysis) =>
  analysis.executors.all().flatMap((found): Mistake[] => {
    const located = found.written.type === 'DaskTaskRunner' ? argumentValue(found, 'cluster') : undefined;
    const cluster = located && analysis.executors.clusterBehind(located);
    const span = argumentSpans(analysis, found).get('cluster');
    if (!cluster || !span) return [];
    const asynchronous = analysis.executors.values
      .fieldsOfCall(cluster)
      .fields.some(({ key }) => key === 'asynchronous');
    // Prefect 2 takes an asynchronous one, and which Prefect this is only the interpreter knows.
    if (asynchronous || (cluster.expression.kind === 'call' && cluster.expression.hasSplat)) return [];
    const message =
      'Prefect 2 refuses a cluster that is not asynchronous, and Prefect 3 cannot send one with the flow. Give cluster_class and cluster_kwargs, or the address of its scheduler.';
    return [{ code: 'cluster-object', message, ...span, fixes: [] }];
  });
