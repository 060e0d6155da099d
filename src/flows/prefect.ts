import type { FlowDef, FlowEntry } from '../core/flow.ts';
import type { Place } from './found.ts';
import type { Statement } from './layout.ts';
import type { Scope } from './scope.ts';
import type { CallExpression, Expression, Fact } from './syntax.ts';

/** Prefect 2 and 3: `@flow` functions, `name = flow(function)`. */

/** In `prefect.core`, which is Prefect 1, `flow` is a module. */
const FLOW = /^prefect\.(?:flows\.|main\.)?flow$/;
const FLOW_CLASS = /^prefect\.(?:flows\.)?Flow$/;

/** A decorator that makes flows, and the name it gives them. */
export interface FlowFactory {
  readonly name?: string;
}

/** The factory that an expression is: `flow`, `prefect.flow(name="x")`, a name bound to one. */
export function asFactory(expression: Expression, scope: Scope): FlowFactory | undefined {
  if (expression.kind === 'name') {
    if (FLOW.test(scope.resolve(expression) ?? '')) return {};
    return scope.get(expression.path)?.factory;
  }
  if (expression.kind !== 'call' || wrapped(expression)) return undefined;
  return calledFactory(expression, scope);
}

function calledFactory(call: CallExpression, scope: Scope): FlowFactory | undefined {
  return FLOW.test(scope.resolve(call.callee) ?? '') ? namedFactory(call) : undefined;
}

/** As {@link asFactory}; what stands after `@` is a decorator, whatever its arguments. */
function asDecorator(expression: Expression, scope: Scope): FlowFactory | undefined {
  return expression.kind === 'call' ? calledFactory(expression, scope) : asFactory(expression, scope);
}

function namedFactory(call: CallExpression): FlowFactory {
  const name = call.args.find((arg) => arg.keyword === 'name')?.value;
  return name?.kind === 'string' ? { name: name.value } : {};
}

/** The function given to `flow(…)` or `Flow(…)`. */
function wrapped(call: CallExpression): Expression | undefined {
  return call.args.find((arg) => arg.keyword === undefined || arg.keyword === 'fn')?.value;
}

/** The flow that a decorated function is, if one of its decorators makes flows. */
export function decoratedFlow(
  fact: Extract<Fact, { kind: 'def' }>,
  statement: Statement,
  place: Place,
): FlowDef | undefined {
  const factory = fact.decorators.map((decorator) => asDecorator(decorator, place.scope)).find(Boolean);
  if (!factory) return undefined;
  const role = methodRole(fact.decorators);
  const method = place.scope.isClass && role === 'instance';
  const qualname = `${place.prefix}${fact.name}`;
  const entry: FlowEntry =
    place.importable && !method ? { how: 'import', path: qualname } : { how: 'script', qualname };
  return {
    api: 'prefect',
    name: factory.name ?? defaultName(fact.name),
    entry,
    line: statement.line,
    parameters: place.scope.isClass && role !== 'static' ? fact.parameters.slice(1) : fact.parameters,
  };
}

function methodRole(decorators: readonly Expression[]): 'instance' | 'static' | 'class' {
  const names = decorators.map((decorator) => (decorator.kind === 'name' ? decorator.path : ''));
  if (names.includes('staticmethod')) return 'static';
  return names.includes('classmethod') ? 'class' : 'instance';
}

/** The flow that an assignment makes: `etl = flow(extract)`, `etl = flow(name="etl")(extract)`. */
export function assignedFlow(
  fact: Extract<Fact, { kind: 'assign' }>,
  statement: Statement,
  place: Place,
): FlowDef | undefined {
  const [target] = fact.targets;
  const made = madeFlow(fact.value, place.scope);
  if (!made || target === undefined) return undefined;
  const fn = made.fn.kind === 'name' ? place.scope.get(made.fn.path)?.def : undefined;
  const fnName = made.fn.kind === 'name' ? made.fn.path.split('.').at(-1) : undefined;
  const importable = place.importable && !target.includes('.');
  // A flow's qualified name is that of its function, whatever variable holds it.
  const qualname = fn?.qualname ?? fnName;
  return {
    api: 'prefect',
    name: made.name ?? defaultName(fnName ?? target),
    entry: importable
      ? { how: 'import', path: `${place.prefix}${target}` }
      : { how: 'script', ...(qualname && { qualname }) },
    line: statement.line,
    parameters: made.fn.kind === 'lambda' ? made.fn.parameters : (fn?.parameters ?? []),
  };
}

function madeFlow(value: Expression, scope: Scope): { fn: Expression; name?: string } | undefined {
  if (value.kind !== 'call') return undefined;
  const fn = wrapped(value);
  if (!fn) return undefined;
  const factory = asFactory(value.callee, scope);
  if (factory) return { fn, ...factory, ...namedFactory(value) };
  const isClass = FLOW_CLASS.test(scope.resolve(value.callee) ?? '');
  const takesFunction =
    value.args.some((arg) => arg.keyword === 'fn') ||
    fn.kind === 'lambda' ||
    (fn.kind === 'name' && scope.get(fn.path)?.def !== undefined);
  // `Flow("name")` is Prefect 1.
  return isClass && takesFunction ? { fn, ...namedFactory(value) } : undefined;
}

/** Prefect's own default name of a flow. */
function defaultName(functionName: string): string {
  return functionName.replaceAll('_', '-');
}
