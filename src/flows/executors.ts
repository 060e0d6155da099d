import {
  isUnread,
  type Unread,
  type WrittenExecutor,
  type WrittenFields,
  type WrittenType,
  type WrittenValue,
} from '../core/written.ts';
import type { FoundFlow } from './found.ts';
import { lineAt, type Statement, statementsAt } from './layout.ts';
import { type Located, Names, type NamesContext } from './names.ts';
import type { Argument, CallExpression, Expression, Fact, StatementFacts } from './syntax.ts';
import { Values } from './values.ts';

/** Finds what flows run on by themselves: Prefect's executors and task runners, clients and clusters of Dask. */

/** One executor of a file. */
export interface FoundExecutor {
  readonly written: WrittenExecutor;
  /** The call that makes it, or the bare class. */
  readonly at: Located;
  /** Its arguments by the name of the parameter. */
  readonly args: ReadonlyMap<string, Argument>;
}

/** Nothing of this, and a file has no executor. */
const MENTION = /Dask(?:Executor|TaskRunner)|Local(?:Dask)?Executor|Client\b|Cluster\b/;
const CLASS = 'Executor|DaskTaskRunner|Client|Cluster';
const RENAMED = new RegExp(`(?:${CLASS})\\s+as\\s+(\\w+)`, 'g');

const PREFECT1 =
  /^prefect\.(?:engine\.)?executors(?:\.\w+)?\.(?<type>DaskExecutor|LocalDaskExecutor|LocalExecutor)$/;
const RUNNER = /^(?:prefect_dask(?:\.task_runners)?|prefect\.task_runners)\.(?<type>DaskTaskRunner)$/;
const CLIENT = /^(?:dask\.)?distributed(?:\.client)?\.(?<type>Client)$/;
const CLUSTER = /^(?:(?:dask\.)?distributed|dask_\w+|coiled)(?:\.\w+)*\.\w*Cluster$/;
const LOCAL_CLUSTER = 'dask.distributed.LocalCluster';

/** Parameters that may be given by position. */
const POSITIONS: Readonly<Partial<Record<WrittenType, readonly string[]>>> = {
  DaskExecutor: ['address', 'cluster_class', 'cluster_kwargs', 'adapt_kwargs', 'client_kwargs'],
  DaskTaskRunner: ['cluster', 'address', 'cluster_class', 'cluster_kwargs', 'adapt_kwargs', 'client_kwargs'],
  LocalDaskExecutor: ['scheduler'],
  Client: ['address'],
};
const LOCAL_POSITIONS = ['name', 'n_workers', 'threads_per_worker'];

/** Parameters of `Client`; it hands all others to the `LocalCluster` that it makes. */
const CLIENT_PARAMETERS = new Set([
  ...['timeout', 'set_as_default', 'scheduler_file', 'security', 'asynchronous', 'name', 'loop'],
  ...['heartbeat_interval', 'serializers', 'deserializers', 'extensions', 'direct_to_workers'],
  'connection_limit',
]);

const DICTS = ['cluster_kwargs', 'adapt_kwargs', 'client_kwargs'] as const;

/** What kind of thing a qualified name is. */
export function executorType(path: string | undefined): WrittenType | undefined {
  if (path === undefined) return undefined;
  const found = PREFECT1.exec(path) ?? RUNNER.exec(path) ?? CLIENT.exec(path);
  if (found) return found.groups?.type as WrittenType;
  return CLUSTER.test(path) ? 'Cluster' : undefined;
}

/** The executors of one file, as it is now. */
export class Executors {
  readonly names: Names;
  readonly values: Values;
  readonly context: NamesContext;
  /** Statements that may make an executor or use one, in their order. */
  private readonly candidates: readonly Statement[];
  /** By place: one executor is found by several ways. */
  private readonly found = new Map<number, FoundExecutor>();
  private readonly callsBy = new Map<StatementFacts, readonly CallExpression[]>();
  private made: readonly FoundExecutor[] | undefined;
  private callList: readonly Located[] | undefined;

  constructor(context: NamesContext) {
    this.context = context;
    this.names = new Names(context);
    this.values = new Values(context, this.names);
    this.candidates = MENTION.test(context.text) ? this.findCandidates() : [];
  }

  private findCandidates(): Statement[] {
    const { text, statements } = this.context;
    const aliases = [...text.matchAll(RENAMED)].map(([, alias]) => `|${alias}`).join('');
    const words = new RegExp(`(?:${CLASS}|executor|task_runner|adapt|scale${aliases})\\b`, 'g');
    const found = new Set<Statement>();
    for (const { index } of text.matchAll(words)) {
      const statement = statementsAt(statements, index).at(-1);
      if (statement && index < statement.end) found.add(statement);
    }
    return [...found];
  }

  /** Does an offset stand in a statement that is no valid Python? */
  isBroken(offset: number): boolean {
    const statement = statementsAt(this.context.statements, offset).at(-1);
    return !statement || statement.broken || this.context.read(statement).hasError;
  }

  /** All calls of the classes, wherever they stand. */
  all(): readonly FoundExecutor[] {
    this.made ??= this.calls().flatMap((located) => this.madeBy(located) ?? []);
    return this.made;
  }

  /** The executors that flows have by themselves, those of each run first. */
  of(flows: readonly FoundFlow[]): Map<FoundFlow, FoundExecutor[]> {
    const found = new Map<FoundFlow, FoundExecutor[]>();
    if (flows.length === 0 || this.candidates.length === 0) return found;
    const candidates = new Set(this.candidates);
    const byName = new Map<string, FoundFlow[]>();
    for (const each of flows) {
      const name = this.variableOf(each.statement) ?? '';
      byName.set(name, [...(byName.get(name) ?? []), each]);
      if (each.flow.api === 'dask') found.set(each, this.ofScript());
      else found.set(each, candidates.has(each.statement) ? this.inDefinition(each) : this.ofFactory(each));
    }
    for (const statement of this.candidates)
      for (const { name, keyword, executor } of this.usesIn(statement)) {
        // Several flows may have one name: what is done to it is done to the one before.
        const named = byName.get(name) ?? [];
        const flow = named.filter((each) => each.statement.start < statement.start).at(-1) ?? named[0];
        if (flow && keywordOf(flow) === keyword) found.get(flow)?.push(executor);
      }
    for (const executors of found.values()) executors.sort((a, b) => rank(a) - rank(b));
    return found;
  }

  /** `@flow(task_runner=…)`, `Flow("x", executor=…)`. */
  private inDefinition(flow: FoundFlow): FoundExecutor[] {
    const { statement } = flow;
    const given = this.callsIn(statement).flatMap((call) => argument(call, keywordOf(flow)) ?? []);
    if (given.length === 0) return this.ofFactory(flow);
    return given.flatMap(({ value }) => this.resolve({ expression: value, statement }) ?? []);
  }

  /** A decorator that was made with it: `on_dask = flow(task_runner=…)`. */
  private ofFactory(flow: FoundFlow): FoundExecutor[] {
    const { statement } = flow;
    return decoratorsOf(this.context.read(statement)).flatMap((decorator) => {
      const name = decorator.kind === 'call' ? decorator.callee : decorator;
      if (name.kind !== 'name' || name.path.includes('.')) return [];
      const factory = this.names.lookUp(name.path, statement);
      if (factory.kind !== 'value' || factory.expression.kind !== 'call') return [];
      const given = argument(factory.expression, keywordOf(flow));
      return (given && this.resolve({ expression: given.value, statement: factory.statement })) ?? [];
    });
  }

  /** `flow.executor = …`, `flow.run(executor=…)`, `etl.with_options(task_runner=…)`. */
  private usesIn(statement: Statement): Use[] {
    const uses: Use[] = [];
    const add = (path: string, suffix: string, value: Expression | undefined, keyword: Keyword) => {
      if (!value || !path.endsWith(suffix)) return;
      const executor = this.resolve({ expression: value, statement });
      const from = suffix === '.executor' ? 'flow' : 'call';
      const name = path.slice(0, -suffix.length);
      if (executor)
        uses.push({ name, keyword, executor: { ...executor, written: { ...executor.written, from } } });
    };
    for (const fact of this.context.read(statement).facts)
      if (fact.kind === 'assign')
        for (const target of fact.targets) add(target, '.executor', fact.value, 'executor');
    for (const call of this.callsIn(statement)) {
      if (call.callee.kind !== 'name') continue;
      add(call.callee.path, '.run', argument(call, 'executor')?.value, 'executor');
      add(call.callee.path, '.with_options', argument(call, 'task_runner')?.value, 'task_runner');
    }
    return uses;
  }

  private variableOf(statement: Statement): string | undefined {
    const fact = this.context.read(statement).facts.find(({ kind }) => NAMING.has(kind));
    return fact && nameOf(fact);
  }

  /** The clients of a script, and the clusters that no client is given to see. */
  private ofScript(): FoundExecutor[] {
    const all = this.all();
    const clients = all.filter(({ written }) => written.type === 'Client');
    const used = new Set(clients.flatMap((client) => this.clusterOf(client) ?? []));
    const clusters = all.filter(({ written, at }) => written.type === 'Cluster' && !used.has(this.place(at)));
    return [...clients, ...clusters];
  }

  private clusterOf({ args, at }: FoundExecutor): number | undefined {
    const address = args.get('address');
    const cluster = address && this.clusterBehind({ expression: address.value, statement: at.statement });
    return cluster && this.place(cluster);
  }

  /** The calls of a statement; of a definition, those of its decorators. */
  private callsIn(statement: Statement): readonly CallExpression[] {
    const facts = this.context.read(statement);
    const known =
      this.callsBy.get(facts) ??
      (facts.calls.length > 0 ? facts.calls : decoratorsOf(facts).flatMap(callsWithin));
    this.callsBy.set(facts, known);
    return known;
  }

  /** Each candidate's calls with where they stand. */
  private calls(): readonly Located[] {
    this.callList ??= this.candidates.flatMap((statement) =>
      this.callsIn(statement).map((expression) => ({ expression, statement })),
    );
    return this.callList;
  }

  /** The executor that an expression is: its call, its class, or a name for it. */
  resolve(located: Located, depth = 0): FoundExecutor | undefined {
    const { expression, statement } = located;
    const made = this.madeBy(located);
    if (made || depth > 4) return made;
    if (expression.kind === 'call') return this.returned(expression, statement, depth);
    if (expression.kind !== 'name') return undefined;
    const type = executorType(this.names.pathOf(expression, statement));
    if (type) return this.build(located, type);
    const meaning = this.names.lookUp(expression.path, statement);
    return meaning.kind === 'value' ? this.resolve(meaning, depth + 1) : undefined;
  }

  /** What a function of this file gives back, if it has one `return`. */
  private returned(
    { callee }: CallExpression,
    statement: Statement,
    depth: number,
  ): FoundExecutor | undefined {
    const meaning = callee.kind === 'name' ? this.names.lookUp(callee.path, statement) : undefined;
    if (meaning?.kind !== 'def') return undefined;
    const [found, ...others] = this.returnsIn(meaning.statement.body);
    if (!found || others.length > 0) return undefined;
    const fact = this.context.read(found).facts.find((each) => each.kind === 'return');
    if (fact?.kind !== 'return') return undefined;
    return this.resolve({ expression: fact.value, statement: found }, depth + 1);
  }

  /** Whether a `return` gives a cluster: the call of its class, a name for that, or what a function of this file returns. */
  returnsCluster(statement: Statement, depth = 0): boolean {
    const fact = this.context.read(statement).facts.find((each) => each.kind === 'return');
    if (fact?.kind !== 'return' || depth > 4) return false;
    if (this.clusterBehind({ expression: fact.value, statement })) return true;
    const { value } = fact;
    const callee = value.kind === 'call' && value.callee.kind === 'name' ? value.callee.path : undefined;
    const meaning = callee === undefined ? undefined : this.names.lookUp(callee, statement);
    if (meaning?.kind !== 'def') return false;
    return this.returnsIn(meaning.statement.body).some((each) => this.returnsCluster(each, depth + 1));
  }

  /** The statements of a function that return something, those of functions inside of it left out. */
  returnsIn(statements: readonly Statement[]): Statement[] {
    return statements.flatMap((each) => {
      if (this.names.definition(each)) return [];
      const own = /\breturn\b/.test(this.context.text.slice(each.start, each.end)) ? [each] : [];
      return [...own, ...this.returnsIn(each.body)];
    });
  }

  private madeBy(located: Located): FoundExecutor | undefined {
    const { expression, statement } = located;
    if (expression.kind !== 'call') return undefined;
    const type = executorType(this.names.pathOf(expression.callee, statement));
    return type && this.build(located, type);
  }

  private place(located: Located): number {
    return this.values.spanOf(located).start;
  }

  private build(at: Located, type: WrittenType): FoundExecutor {
    const place = this.place(at);
    const known = this.found.get(place);
    if (known) return known;
    const callee = at.expression.kind === 'call' ? at.expression.callee : at.expression;
    const path = this.names.pathOf(callee, at.statement) ?? type;
    const { args, rest } = this.argumentsOf(at, type, path);
    const line = lineAt(this.context.lineStarts, place);
    const parts =
      type === 'Client' || type === 'Cluster'
        ? this.plainDask(at, type, path, args, rest)
        : this.prefect(at, args, rest);
    const found: FoundExecutor = { written: { type, path, line, from: 'flow', ...parts }, at, args };
    this.found.set(place, found);
    return found;
  }

  private argumentsOf(
    { expression }: Located,
    type: WrittenType,
    path: string,
  ): { args: Map<string, Argument>; rest: Unread | undefined } {
    const args = new Map<string, Argument>();
    if (expression.kind !== 'call') return { args, rest: undefined };
    const positions = POSITIONS[type] ?? (path.endsWith('.LocalCluster') ? LOCAL_POSITIONS : []);
    let rest = expression.hasSplat ? { source: '**…', reason: 'handed on from elsewhere' } : undefined;
    for (const [at, arg] of expression.args.entries()) {
      const name = arg.keyword ?? positions[at];
      if (name === undefined) rest = { source: arg.text, reason: 'given by position' };
      else args.set(name, arg);
    }
    return { args, rest };
  }

  private prefect({ statement }: Located, args: ReadonlyMap<string, Argument>, rest?: Unread): Parts {
    const parts: { -readonly [key in keyof Parts]: Parts[key] } = {};
    const others: Record<string, WrittenValue> = {};
    for (const [name, { value }] of args) {
      const located = { expression: value, statement };
      if (this.values.isNone(located)) continue;
      if (name === 'client_kwargs') {
        const security = this.values.fieldsOf(located).fields.find(({ key }) => key === 'security');
        Object.assign(parts, security && this.securityOf(security.value));
      }
      if (name === 'address') parts.address = this.addressOf(located);
      else if (name === 'cluster_class') parts.cluster_class = this.values.classOf(located);
      else if (isDict(name)) {
        const written = this.values.written(this.values.fieldsOf(located));
        // Prefect scales only where there is something in it.
        const isEmpty = Object.keys(written.fields).length === 0 && !written.rest;
        if (name !== 'adapt_kwargs' || !isEmpty) parts[name] = written;
      } else others[name] = this.values.read(located);
    }
    return { ...parts, ...asOthers(others, rest) };
  }

  private addressOf(located: Located): WrittenValue {
    const address = this.values.read(located);
    if (!isUnread(address) || !this.clusterBehind(located)) return address;
    return { source: address.source, reason: 'the address of a cluster that this file makes' };
  }

  private plainDask(
    at: Located,
    type: 'Client' | 'Cluster',
    path: string,
    args: ReadonlyMap<string, Argument>,
    rest?: Unread,
  ): Parts {
    if (type === 'Cluster') {
      const cluster_kwargs = this.fieldsFrom([...args], at, rest);
      return { cluster_class: { path }, cluster_kwargs, ...this.toldTo(at, type) };
    }
    const address = args.get('address')?.value;
    const kwargs = [...args].filter(([name]) => name !== 'address');
    const isClients = ([name]: [string, Argument]) => CLIENT_PARAMETERS.has(name);
    const client_kwargs = this.fieldsFrom(kwargs.filter(isClients), at);
    const security = args.get('security')?.value;
    const client = {
      ...(Object.keys(client_kwargs.fields).length > 0 && { client_kwargs }),
      ...(security && this.securityOf({ expression: security, statement: at.statement })),
      ...this.toldTo(at, type),
    };
    const located = address && { expression: address, statement: at.statement };
    const others = this.fieldsFrom(
      kwargs.filter((each) => !isClients(each)),
      at,
      rest,
    );
    if (located && !this.values.isNone(located)) {
      const cluster = this.clusterBehind(located);
      const made = cluster && this.madeBy(cluster);
      const { cluster_class, cluster_kwargs, adapt_kwargs, scale } = made?.written ?? {};
      if (cluster_class)
        return {
          cluster_class,
          ...(cluster_kwargs && { cluster_kwargs }),
          ...(adapt_kwargs && { adapt_kwargs }),
          ...(scale && { scale }),
          ...client,
        };
      return { address: this.values.read(located), ...client, ...(rest && { others }) };
    }
    if (args.has('scheduler_file')) return client;
    return { cluster_class: { path: LOCAL_CLUSTER }, cluster_kwargs: others, ...client };
  }

  private fieldsFrom(args: [string, Argument][], { statement }: Located, rest?: Unread): WrittenFields {
    const fields = args.map(([name, { value }]) => [
      name,
      this.values.read({ expression: value, statement }),
    ]);
    return { fields: Object.fromEntries(fields), ...(rest && { rest }) };
  }

  /** The call that makes the cluster whose name, or whose `scheduler_address`, this is. */
  clusterBehind({ expression, statement }: Located, depth = 0): Located | undefined {
    if (expression.kind === 'call') {
      const type = executorType(this.names.pathOf(expression.callee, statement));
      return type === 'Cluster' ? { expression, statement } : undefined;
    }
    if (expression.kind !== 'name' || depth > 4) return undefined;
    const meaning = this.names.lookUp(expression.path.replace(ADDRESS_OF, ''), statement);
    return meaning.kind === 'value' ? this.clusterBehind(meaning, depth + 1) : undefined;
  }

  /** The arguments of the `Security` that this is, if the file makes it. */
  private securityOf(located: Located): Parts {
    const made = this.values.behind(located);
    if (made.expression.kind !== 'call') return {};
    const path = this.names.pathOf(made.expression.callee, made.statement);
    return path && SECURITY.test(path) ? { security: this.values.writtenArguments(made) } : {};
  }

  /** What the cluster is told that this call makes, or that its client has: `cluster.adapt(minimum=1)`, `cluster.scale(4)`. */
  private toldTo(at: Located, type: 'Client' | 'Cluster'): Parts {
    const told = this.calls().flatMap((located) => {
      const { expression, statement } = located;
      if (expression.kind !== 'call' || expression.callee.kind !== 'name') return [];
      const [, name = '', inner, verb] = TOLD.exec(expression.callee.path) ?? [];
      if (!verb || (type === 'Client') !== (inner !== undefined)) return [];
      const meaning = this.names.lookUp(name, statement);
      return meaning.kind === 'value' && this.place(meaning) === this.place(at) ? [{ located, verb }] : [];
    });
    const adapts = told.filter(({ verb }) => verb === 'adapt');
    const scales = told.filter(({ verb }) => verb === 'scale');
    const scale = scales.at(-1);
    const adapt = adapts.at(-1);
    // Whichever comes first: a number does not end the scaling by itself.
    return {
      ...(adapt && { adapt_kwargs: this.adaptOf(adapt.located, adapts.length) }),
      ...(scale && { scale: this.scaleOf(scale.located, scales.length) }),
    };
  }

  private adaptOf(call: Located, times: number): WrittenFields {
    const written = this.values.writtenArguments(call);
    if (times === 1) return written;
    return { ...written, rest: { source: this.values.textOf(call), reason: `called in ${times} places` } };
  }

  private scaleOf(call: Located, times: number): WrittenValue {
    const args = call.expression.kind === 'call' && !call.expression.hasSplat ? call.expression.args : [];
    const [number, ...others] = args;
    const source = this.values.textOf(call);
    if (times > 1) return { source, reason: `called in ${times} places` };
    if (!number || others.length > 0 || (number.keyword ?? 'n') !== 'n')
      return { source, reason: 'not a number of workers' };
    return this.values.read({ expression: number.value, statement: call.statement });
  }
}

/** Something that is done to what has this name. */
interface Use {
  readonly name: string;
  readonly keyword: Keyword;
  readonly executor: FoundExecutor;
}

type Keyword = 'executor' | 'task_runner';

function keywordOf({ flow }: FoundFlow): Keyword {
  return flow.api === 'prefect1' ? 'executor' : 'task_runner';
}

type Parts = Omit<WrittenExecutor, 'type' | 'path' | 'line' | 'from'>;

const ADDRESS_OF = /\.scheduler(?:_address|\.address)$/;
const TOLD = /^(\w+)(\.cluster)?\.(adapt|scale)$/;
const SECURITY = /^(?:dask\.)?distributed(?:\.security)?\.Security$/;
/** Facts that tell what a statement is about. */
const NAMING: ReadonlySet<string> = new Set(['def', 'class', 'with', 'assign']);

function isDict(name: string): name is (typeof DICTS)[number] {
  return (DICTS as readonly string[]).includes(name);
}

function asOthers(fields: Record<string, WrittenValue>, rest?: Unread): Parts {
  if (Object.keys(fields).length === 0 && !rest) return {};
  return { others: { fields, ...(rest && { rest }) } };
}

/** Those of each run come before those of single calls. */
function rank({ written }: FoundExecutor): number {
  return written.from === 'flow' ? 0 : 1;
}

function nameOf(fact: Fact): string | undefined {
  if (fact.kind === 'def' || fact.kind === 'class') return fact.name;
  if (fact.kind === 'with') return fact.target;
  return fact.kind === 'assign' ? fact.targets[0] : undefined;
}

function argument({ args }: CallExpression, keyword: string): Argument | undefined {
  return args.find((each) => each.keyword === keyword);
}

function decoratorsOf({ facts }: StatementFacts): readonly Expression[] {
  return facts.flatMap((fact) => (fact.kind === 'def' ? fact.decorators : []));
}

function callsWithin(expression: Expression): CallExpression[] {
  if (expression.kind === 'list') return expression.items.flatMap(callsWithin);
  if (expression.kind === 'dict') return expression.entries.flatMap(({ value }) => callsWithin(value));
  if (expression.kind !== 'call') return [];
  const inner = [expression.callee, ...expression.args.map(({ value }) => value)];
  return [expression, ...inner.flatMap(callsWithin)];
}
