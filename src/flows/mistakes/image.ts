import type { Analysis, TextEdit } from '../document.ts';
import type { FoundExecutor } from '../executors.ts';
import { clausesUpTo } from '../layout.ts';
import type { Located } from '../names.ts';
import type { Field } from '../values.ts';
import { argumentValue, type Fix, fieldRemoval, type Mistake, type Rule } from './mistake.ts';

/**
 * Prefect 1: `prefect.context.image` is known only inside of a run. In `cluster_kwargs` it is looked up when the file
 * is read, at registration too, and there it fails; Prefect's docs put it into a function that makes the cluster.
 */
export const imageTooEarly: Rule = (analysis) => {
  // What is given to flow.run() is made when the flow runs.
  const called = new Set(
    analysis.flows
      .flatMap(({ executors }) => executors)
      .filter(({ written }) => written.from === 'call')
      .map(({ at }) => analysis.executors.values.spanOf(at).start),
  );
  return analysis.executors.all().flatMap((found): Mistake[] => {
    const kwargs = found.written.type === 'DaskExecutor' ? argumentValue(found, 'cluster_kwargs') : undefined;
    if (!kwargs || called.has(analysis.executors.values.spanOf(found.at).start)) return [];
    const { fields, holder } = analysis.executors.values.fieldsOf(kwargs);
    return fields.flatMap((field): Mistake[] => {
      if (!isImage(analysis, field.value)) return [];
      const message =
        'prefect.context.image is looked up when this file is read, and is set only in a run. Let a function make the cluster: it is called in the run.';
      const span = analysis.executors.values.spanOf(field.value);
      const fix = holder && functionFix(analysis, found, holder, field);
      return [{ code: 'image-too-early', message, ...span, fixes: fix ? [fix] : [] }];
    });
  });
};

function isImage({ executors }: Analysis, located: Located): boolean {
  const { expression, statement } = executors.values.behind(located);
  if (executors.names.pathOf(expression, statement) === 'prefect.context.image') return true;
  if (expression.kind !== 'call') return false;
  const [name] = expression.args;
  return (
    executors.names.pathOf(expression.callee, statement) === 'prefect.context.get' &&
    name?.value.kind === 'string' &&
    name.value.value === 'image'
  );
}

const FUNCTION = 'make_cluster';

/** Makes the function, gives it as `cluster_class`, and takes the entry out of `cluster_kwargs`. */
function functionFix(
  analysis: Analysis,
  found: FoundExecutor,
  holder: Located,
  field: Field,
): Fix | undefined {
  const { executors } = analysis;
  const { context, names, values } = executors;
  const cluster = argumentValue(found, 'cluster_class');
  const written = found.written.cluster_class;
  const { statement } = found.at;
  const around = [...names.around(statement), statement];
  const [first] = around[0] ? clausesUpTo(context.text, context.statements, around[0]) : [];
  const isFree = names.lookUp(FUNCTION, statement).kind === 'unbound';
  if (!cluster || !written || !first || !isFree) return undefined;
  // Inside a function, what its text needs may be local to it.
  if (around.some((each) => names.definition(each)) || field.value.statement !== statement) return undefined;
  const named = cluster.expression.kind === 'name' ? values.textOf(cluster) : undefined;
  const [, module, name] = ('path' in written && /^([\w.]+)\.(\w+)$/.exec(written.path)) || [];
  if (!named && !(module && name)) return undefined;
  const removed = fieldRemoval(analysis, holder, field);
  if (removed.length === 0) return undefined;
  const newline = context.text.includes('\r\n') ? '\r\n' : '\n';
  const imported = named ? [] : [`    from ${module} import ${name}`, ''];
  const call = `${named ?? name}(${field.key}=${values.textOf(field.value)}, **kwargs)`;
  const lines = [`def ${FUNCTION}(**kwargs):`, ...imported, `    return ${call}`, '', '', ''];
  const insert: TextEdit = { start: first.start, end: first.start, text: lines.join(newline) };
  const replace: TextEdit = { ...values.spanOf(cluster), text: FUNCTION };
  return { title: `Make the cluster in a function, ${FUNCTION}`, edits: [insert, replace, ...removed] };
}
