import type { FlowDef, FlowEntry, FlowParameter } from '../core/flow.ts';
import type { FoundFlow, Place } from './found.ts';
import type { Statement } from './layout.ts';
import type { Scope } from './scope.ts';
import type { CallExpression, Expression, StatementFacts } from './syntax.ts';

/** Prefect 1: `with Flow("x") as flow:`, `flow = Flow("x")`, and their parameters. */

/** Not any `Flow` under `prefect`: Prefect 2's API schemas have one too. */
const FLOW_CLASS = /^prefect\.(?:flows\.|core\.|core\.flow\.)?Flow$/;
const PARAMETER = /^prefect\.(?:core\.|core\.parameter\.)?(?:DateTime)?Parameter$/;

interface Prefect1Flow {
  readonly statement: Statement;
  readonly scope: Scope;
  readonly name: string | undefined;
  readonly variable: string | undefined;
  /** Attribute path in the module; undefined where an import does not make the flow. */
  readonly path: string | undefined;
  readonly block: boolean;
  readonly parameters: FlowParameter[];
}

interface LooseParameter {
  readonly parameter: FlowParameter;
  readonly variable: string | undefined;
  readonly scope: Scope;
  readonly statement: Statement;
}

/** Gathers the Prefect 1 flows of a module while it is walked. */
export class Prefect1Flows {
  private readonly flows: Prefect1Flow[] = [];
  /** Parameters made outside `with` blocks. */
  private readonly loose: LooseParameter[] = [];
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** Reads one statement; `block` is the flow of its `with` block, to be the {@link Place.flow} there. */
  read(read: StatementFacts, statement: Statement, place: Place): { found: boolean; block?: object } {
    const before = this.flows.length;
    let block: Prefect1Flow | undefined;
    let target: string | undefined;
    for (const fact of read.facts) {
      if (fact.kind === 'with') block = this.add(fact.value, fact.target, true, statement, place) ?? block;
      if (fact.kind === 'assign') {
        [target] = fact.targets;
        this.add(fact.value, target, false, statement, place);
      }
    }
    for (const call of read.calls) {
      const parameter = this.parameter(call, place.scope);
      const flow = this.flows.find((each) => each === place.flow);
      if (parameter && flow) flow.parameters.push(parameter);
      else if (parameter) this.loose.push({ parameter, variable: target, scope: place.scope, statement });
    }
    return { found: this.flows.length > before, ...(block && { block }) };
  }

  private add(
    value: Expression,
    variable: string | undefined,
    block: boolean,
    statement: Statement,
    place: Place,
  ): Prefect1Flow | undefined {
    if (value.kind !== 'call' || !FLOW_CLASS.test(place.scope.resolve(value.callee) ?? '')) return undefined;
    const name = value.args.find((arg, at) => arg.keyword === 'name' || (at === 0 && !arg.keyword))?.value;
    const takesFunction =
      name?.kind === 'lambda' || (name?.kind === 'name' && place.scope.get(name.path)?.def);
    if (takesFunction || value.args.some((arg) => arg.keyword === 'fn')) return undefined;
    const reachable = place.importable && variable !== undefined && !variable.includes('.');
    const flow: Prefect1Flow = {
      statement,
      scope: place.scope,
      name: name?.kind === 'string' ? name.value : undefined,
      variable,
      path: reachable ? `${place.prefix}${variable}` : undefined,
      block,
      parameters: [],
    };
    this.flows.push(flow);
    return flow;
  }

  /** `Parameter(name, default=…, required=…)`; `DateTimeParameter(name, required=…)`. */
  private parameter(call: CallExpression, scope: Scope): FlowParameter | undefined {
    const path = scope.resolve(call.callee) ?? '';
    if (!PARAMETER.test(path)) return undefined;
    const argument = (keyword: string, position?: number) =>
      call.args.find((arg) => arg.keyword === keyword) ??
      call.args.find((arg, at) => at === position && !arg.keyword);
    const name = argument('name', 0)?.value;
    if (name?.kind !== 'string') return undefined;
    const isDate = path.endsWith('DateTimeParameter');
    const required = argument('required', isDate ? 1 : 2)?.text;
    const value = isDate ? undefined : argument('default', 1)?.text;
    if (required === 'True') return { name: name.value };
    const text = value ?? (required === 'False' ? 'None' : undefined);
    return { name: name.value, ...(text !== undefined && { default: text }) };
  }

  /** The flows found, once the whole module is read. */
  finish(): FoundFlow[] {
    return this.flows.map((flow, at) => ({ flow: this.definition(flow, at), statement: flow.statement }));
  }

  private definition(flow: Prefect1Flow, at: number): FlowDef {
    // Two flows in one variable: an import finds the last, so the others need a run of the file.
    const hidden = this.flows
      .slice(at + 1)
      .some((later) => later.path !== undefined && later.path === flow.path);
    const byName: FlowEntry = { how: 'script', ...(flow.name !== undefined && { qualname: flow.name }) };
    const reachable = flow.path !== undefined && !(hidden && flow.name !== undefined);
    return {
      api: 'prefect1',
      name: flow.name ?? flow.variable ?? 'Flow',
      entry: reachable && flow.path !== undefined ? { how: 'import', path: flow.path } : byName,
      line: flow.statement.line,
      parameters: this.parametersOf(flow),
    };
  }

  private parametersOf(flow: Prefect1Flow): FlowParameter[] {
    const loose = this.loose.filter((each) =>
      flow.block ? this.usedInBlock(each, flow) : each.scope === flow.scope && this.usedWith(each, flow),
    );
    const all = [...loose.map((each) => each.parameter), ...flow.parameters];
    return all.filter((each, at) => all.findIndex((other) => other.name === each.name) === at);
  }

  private usedInBlock({ variable }: LooseParameter, { statement }: Prefect1Flow): boolean {
    return variable !== undefined && mentions(this.text.slice(statement.end, statement.bodyEnd), variable);
  }

  /** Among several imperative flows a parameter is that flow's which stands in a statement with it. */
  private usedWith({ variable, statement }: LooseParameter, flow: Prefect1Flow): boolean {
    const rivals = this.flows.filter((each) => !each.block && each.scope === flow.scope);
    if (rivals.length === 1) return true;
    if (flow.variable === undefined) return false;
    if (mentions(this.text.slice(statement.start, statement.end), flow.variable)) return true;
    if (variable === undefined) return false;
    const lines = this.text.slice(statement.end).split('\n');
    return lines.some((line) => mentions(line, variable) && mentions(line, flow.variable ?? ''));
  }
}

function mentions(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w.])${name.replaceAll('.', '\\.')}\\b`).test(text);
}
