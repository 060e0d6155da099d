import type { FlowAnalysis } from '../document.ts';
import type { Executors } from '../executors.ts';
import { type Statement, statementsAt } from '../layout.ts';
import type { Located } from '../names.ts';
import type { CallExpression, Expression } from '../syntax.ts';
import type { Fix, Mistake, Rule } from './mistake.ts';

/** How flows and tasks of Prefect 2 and 3 are called. */

const FLOW = /^prefect\.(?:flows\.)?flow$/;
const TASK = /^prefect\.(?:tasks\.)?task$/;

/** Whether a name is a flow or a task that this file defines. */
function kindOf(executors: Executors, name: string, statement: Statement): 'flow' | 'task' | undefined {
  if (name.includes('.')) return undefined;
  const meaning = executors.names.lookUp(name, statement);
  if (meaning.kind !== 'def') return undefined;
  for (const fact of executors.context.read(meaning.statement).facts)
    for (const decorator of fact.kind === 'def' ? fact.decorators : []) {
      const callee = decorator.kind === 'call' ? decorator.callee : decorator;
      const path = executors.names.pathOf(callee, meaning.statement) ?? '';
      if (FLOW.test(path)) return 'flow';
      if (TASK.test(path)) return 'task';
    }
  return undefined;
}

/** `etl.with_options(…)` by itself gives a new flow, which nobody keeps or calls. */
export const withOptionsUnused: Rule = ({ executors }) => {
  const { text, statements } = executors.context;
  return [...text.matchAll(/\.with_options\s*\(/g)].flatMap(({ index }): Mistake[] => {
    const statement = statementsAt(statements, index).at(-1);
    if (!statement || index > statement.end || statement.broken) return [];
    const { facts, hasError } = executors.context.read(statement);
    const [fact, ...others] = facts;
    if (hasError || others.length > 0 || fact?.kind !== 'expression' || fact.value.kind !== 'call') return [];
    const { callee } = fact.value;
    if (callee.kind !== 'name' || !callee.path.endsWith('.with_options')) return [];
    const name = callee.path.slice(0, -'.with_options'.length);
    const kind = kindOf(executors, name, statement);
    if (!kind) return [];
    const message = `with_options changes nothing: it gives a new ${kind}, which is not used here.`;
    const span = executors.values.spanOf({ expression: callee, statement });
    const inFunction = executors.names.around(statement).some((each) => executors.names.definition(each));
    // In a function the assignment would make the name a local one, before it has a value.
    const keep: Fix = {
      title: `Keep it: ${name} = ${name}.with_options(…)`,
      edits: [{ start: span.start, end: span.start, text: `${name} = ` }],
    };
    return [{ code: 'with-options-unused', message, ...span, fixes: inFunction ? [] : [keep] }];
  });
};

const SUBMITS = /\.(?:submit|map|delay|apply_async|serve|with_options)\b/;
/** Tasks that bring Dask themselves. */
const OWN_CLIENT = /\b(?:get_dask_client|get_async_dask_client|get_client|worker_client)\b/;

/** A task that is called runs in the flow's process; the task runner gets only what is submitted or mapped. */
export const tasksNotSubmitted: Rule = ({ executors, flows }) =>
  OWN_CLIENT.test(executors.context.text) ? [] : flows.flatMap((flow) => notSubmitted(executors, flow));

function notSubmitted(executors: Executors, { flow, statement, executors: own }: FlowAnalysis): Mistake[] {
  const onDask = own.some(({ written }) => written.type === 'DaskTaskRunner' && written.from === 'flow');
  const isFunction = executors.names.definition(statement)?.kind === 'def';
  if (flow.api !== 'prefect' || !onDask || !isFunction) return [];
  const { text } = executors.context;
  if (SUBMITS.test(text.slice(statement.end, statement.bodyEnd)) || anyClassSubmits(executors)) return [];
  const direct: Located[] = [];
  for (const call of callsUnder(executors, statement.body)) {
    const { expression, statement: at } = call;
    const names = expression.args.flatMap(({ value }) => namesIn(value));
    // Whoever is given a task may submit it.
    if (names.some((name) => kindOf(executors, name, at) === 'task')) return [];
    if (expression.callee.kind !== 'name') continue;
    if (kindOf(executors, expression.callee.path, at) === 'task') direct.push(call);
    else if (maySubmit(executors, expression.callee.path, at)) return [];
  }
  const [first] = direct;
  if (first?.expression.kind !== 'call') return [];
  const { callee } = first.expression;
  const name = callee.kind === 'name' ? callee.path : '';
  const message = `${name} is called directly: it runs in the flow's own process, not on Dask. Only tasks that are submitted or mapped go to the task runner, and ${flow.name} has none.`;
  const span = executors.values.spanOf({ expression: callee, statement: first.statement });
  return [{ code: 'tasks-not-submitted', message, ...span, fixes: submitting(executors, statement, direct) }];
}

/** Modules that nobody's tasks are submitted by. */
const HARMLESS =
  /^(?:prefect|prefect_dask|dask|pandas|numpy|polars|requests|httpx|os|sys|io|re|json|csv|math|time|datetime|random|uuid|logging|pathlib|typing|collections|itertools|functools|dataclasses|decimal|tempfile|shutil|subprocess|asyncio)(?:\.|$)/;

/** A function of this file that submits, a flow, or something of the user's that can't be seen. */
function maySubmit(executors: Executors, name: string, at: Statement): boolean {
  const meaning = executors.names.lookUp(name.split('.')[0] ?? name, at);
  if (meaning.kind === 'import') return !HARMLESS.test(meaning.path);
  if (meaning.kind !== 'def') return false;
  const { start, bodyEnd } = meaning.statement;
  return kindOf(executors, name, at) === 'flow' || SUBMITS.test(executors.context.text.slice(start, bodyEnd));
}

/** Whose objects do it can't be told. */
function anyClassSubmits({ context, names }: Executors): boolean {
  return context.statements.some(
    (each) =>
      names.definition(each)?.kind === 'class' && SUBMITS.test(context.text.slice(each.start, each.bodyEnd)),
  );
}

interface LocatedCall extends Located {
  readonly expression: CallExpression;
}

/** The calls of a block, without those of functions defined in it. */
function callsUnder(executors: Executors, statements: readonly Statement[]): LocatedCall[] {
  return statements.flatMap((statement) => {
    if (executors.names.definition(statement)) return [];
    const own = executors.context
      .read(statement)
      .calls.map((expression): LocatedCall => ({ expression, statement }));
    return [...own, ...callsUnder(executors, statement.body)];
  });
}

function namesIn(expression: Expression): string[] {
  if (expression.kind === 'name') return [expression.path];
  return expression.kind === 'list' ? expression.items.flatMap(namesIn) : [];
}

/** `load(x)` → `load.submit(x).result()`: the same result, from Dask. Not in async flows, where either is awaited. */
function submitting(executors: Executors, flow: Statement, calls: readonly Located[]): Fix[] {
  const { text } = executors.context;
  if (/(?:^|\n)[ \t]*async\s/.test(text.slice(flow.start, flow.end))) return [];
  const edits = calls.flatMap(({ expression, statement }) => {
    if (expression.kind !== 'call' || expression.args.some(({ keyword }) => keyword === 'return_state'))
      return [];
    const callee = executors.values.spanOf({ expression: expression.callee, statement });
    const { end } = executors.values.spanOf({ expression, statement });
    return [
      { start: callee.end, end: callee.end, text: '.submit' },
      { start: end, end, text: '.result()' },
    ];
  });
  if (edits.length < calls.length * 2) return [];
  return [{ title: 'Submit them to the task runner, and wait for each result', edits }];
}
