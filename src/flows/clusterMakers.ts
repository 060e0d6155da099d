import type { ClusterMaker, WrittenExecutor } from '../core/written.ts';
import type { Executors } from './executors.ts';
import type { FoundFlow } from './found.ts';
import type { Statement } from './layout.ts';
import type { Fact } from './syntax.ts';

/** Without one of these in its text no file has a function that makes a cluster. */
const MENTION = /Cluster\b|cluster_class/;
const ANNOTATED = /->\s*["']?(?:[\w.]+\.)?\w*Cluster\b["']?\s*:/;

type Def = Extract<Fact, { kind: 'def' }>;

/**
 * Functions and classes of a module that settings may name as `cluster_class`: functions that return a cluster, by their
 * `return` or annotation, and whatever the file itself uses so. Only what importing the module defines.
 * @param before names of those that there were: a function that is half typed stays one
 */
export function clusterMakers(
  executors: Executors,
  flows: readonly FoundFlow[],
  before: ReadonlySet<string>,
): ClusterMaker[] {
  const { context, names } = executors;
  if (!MENTION.test(context.text)) return [];
  const used = usedClasses(executors);
  const ofFlows = new Set(flows.map(({ statement }) => statement));
  return context.statements.flatMap((statement): ClusterMaker[] => {
    const definition = ofFlows.has(statement) ? undefined : names.definition(statement);
    if (!definition) return [];
    const { kind, name } = definition;
    const use = used.get(name);
    if (!use && !(kind === 'def' && makesCluster(executors, statement, before.has(name)))) return [];
    const { line } = statement;
    const own = { type: 'Cluster', path: name, line, from: 'flow', cluster_class: { local: name } } as const;
    const def = kind === 'def' ? defOf(executors, statement) : undefined;
    return [{ name, line, needs: needsOf(def), written: use ? { ...own, ...argumentsOf(use) } : own }];
  });
}

/** By their names, what the file gives to Prefect as `cluster_class`; the first time counts. */
function usedClasses(executors: Executors): Map<string, WrittenExecutor> {
  const used = new Map<string, WrittenExecutor>();
  for (const { written } of executors.all()) {
    const { cluster_class } = written;
    if (cluster_class && 'local' in cluster_class && !used.has(cluster_class.local))
      used.set(cluster_class.local, written);
  }
  return used;
}

function argumentsOf({ cluster_kwargs, adapt_kwargs }: WrittenExecutor) {
  return { ...(cluster_kwargs && { cluster_kwargs }), ...(adapt_kwargs && { adapt_kwargs }) };
}

function makesCluster(executors: Executors, statement: Statement, wasOne: boolean): boolean {
  const { text } = executors.context;
  const header = text.slice(statement.start, statement.end);
  // What a decorator makes of a function nobody knows: fixtures, context managers, tasks.
  if (header.startsWith('@')) return false;
  if (ANNOTATED.test(header)) return true;
  if (!/\breturn\b/.test(text.slice(statement.end, statement.bodyEnd))) return false;
  const returned = executors.returnsIn(statement.body);
  return (
    returned.some((each) => executors.returnsCluster(each)) ||
    (wasOne && (statement.broken || returned.some((each) => executors.isBroken(each.start))))
  );
}

function defOf({ context }: Executors, statement: Statement): Def | undefined {
  return context.read(statement).facts.find((fact): fact is Def => fact.kind === 'def');
}

const needsOf = (def: Def | undefined): string[] =>
  (def?.parameters ?? []).filter((one) => one.default === undefined).map(({ name }) => name);
