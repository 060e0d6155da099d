import type { FlowDef } from '../core/flow.ts';
import type { FoundFlow, Place } from './found.ts';
import type { Statement } from './layout.ts';
import { asFactory, assignedFlow, decoratedFlow } from './prefect.ts';
import { Prefect1Flows } from './prefect1.ts';
import { type Binding, importedNames, isFollowed, leadsToFlow, Scope } from './scope.ts';
import type { Expression, Fact, StatementFacts } from './syntax.ts';

/** What a walk needs from the document. */
export interface WalkContext {
  readonly text: string;
  /** Names that make a statement worth parsing; the walk adds the aliases it meets. */
  readonly names: Set<string>;
  read(statement: Statement): StatementFacts;
  /** A flow of the last good state is anchored in this statement or, with `deep`, in its block. */
  isAnchored(statement: Statement, deep: boolean): boolean;
  /** The statement is the one being typed in. */
  isEdited(statement: Statement): boolean;
}

const MAIN_GUARD = /^if\s*\(?\s*(?:__name__\s*==\s*(['"])__main__\1|(['"])__main__\2\s*==\s*__name__)/;
const BLOCK = /^(?:async\s+)?(def|class|with|if|elif|else|try|except|finally|for|while|match|case)\b/;

/** True for `if __name__ == "__main__":`. */
export function isMainGuard(text: string, statement: Statement): boolean {
  return MAIN_GUARD.test(text.slice(statement.start, statement.end));
}

/** Walks a module in the order of execution as far as it can hold flows: functions after the module around them. */
export class ModuleWalk {
  readonly scope = new Scope();
  /** Statements with an anchored flow which can't be judged while they are half typed. */
  readonly doubtful: Statement[] = [];
  private readonly context: WalkContext;
  private readonly flows: FoundFlow[] = [];
  private readonly prefect1: Prefect1Flows;
  private module: readonly Statement[] = [];
  private readonly deferred: (() => void)[] = [];
  private words: RegExp;
  private wordCount: number;

  constructor(context: WalkContext) {
    this.context = context;
    this.prefect1 = new Prefect1Flows(context.text);
    this.words = wordsOf(context.names);
    this.wordCount = context.names.size;
  }

  /** Walks all statements; gives the Prefect flows in the order of their lines. */
  run(statements: readonly Statement[]): FoundFlow[] {
    this.module = statements;
    this.walk(statements, {
      scope: this.scope,
      prefix: '',
      importable: true,
      conditional: false,
      uncertain: false,
    });
    for (let next = this.deferred.shift(); next; next = this.deferred.shift()) next();
    return [...this.flows, ...this.prefect1.finish()].sort((a, b) => a.statement.start - b.statement.start);
  }

  private walk(statements: readonly Statement[], around: Omit<Place, 'block'>): void {
    const place = { ...around, block: statements };
    for (const statement of statements) {
      const { start, end, bodyEnd } = statement;
      const anchored = this.context.isAnchored(statement, true);
      if (!anchored && !this.mentioned(start, bodyEnd)) continue;
      const inHeader = this.mentioned(start, end) || this.context.isAnchored(statement, false);
      const definition =
        statement.body.length > 0 && /\b(?:def|class)\b/.test(this.context.text.slice(start, end));
      const read = inHeader || definition ? this.context.read(statement) : undefined;
      const flow = read && this.readStatement(read, statement, place);
      if (statement.body.length > 0) this.enter(statement, read, place, flow);
    }
  }

  private mentioned(start: number, end: number): boolean {
    if (this.context.names.size !== this.wordCount) {
      this.words = wordsOf(this.context.names);
      this.wordCount = this.context.names.size;
    }
    return this.words.test(this.context.text.slice(start, end));
  }

  /** Binds names and collects flows of one statement. Gives the Prefect 1 flow whose block follows. */
  private readStatement(read: StatementFacts, statement: Statement, place: Place): object | undefined {
    const whole = !read.hasError && !statement.broken && !place.uncertain;
    let found = false;
    for (const fact of read.facts) {
      const flow = whole ? this.flowOf(fact, statement, place) : undefined;
      if (flow) {
        this.flows.push({ flow, statement });
        found = true;
      }
      this.bind(fact, statement, place, whole);
    }
    const prefect1 = whole ? this.prefect1.read(read, statement, place) : undefined;
    if (!found && !prefect1?.found && this.context.isAnchored(statement, false))
      if (!whole || this.unresolved(read, statement, place) || this.isRetyped(read, statement))
        this.doubtful.push(statement);
    return prefect1?.block;
  }

  private flowOf(fact: Fact, statement: Statement, place: Place): FlowDef | undefined {
    if (fact.kind === 'def') return decoratedFlow(fact, statement, place);
    if (fact.kind !== 'assign') return undefined;
    if (fact.value.kind === 'call') for (const { value } of fact.value.args) this.learn(value, place);
    return assignedFlow(fact, statement, place);
  }

  /** Reads the function of this name, which the walk passed by if it has nothing of Prefect in it. */
  private learn(expression: Expression, place: Place): void {
    if (expression.kind !== 'name' || place.scope.get(expression.path)) return;
    const definition = new RegExp(`(?:^|\\n)[ \\t]*(?:async\\s+)?def\\s+${expression.path}\\b`);
    const isDefinition = ({ start, end }: Statement) => definition.test(this.context.text.slice(start, end));
    const local = place.block.find(isDefinition);
    const statement = local ?? this.module.find(isDefinition);
    const fact = statement && this.context.read(statement).facts.find((each) => each.kind === 'def');
    if (!fact) return;
    const qualname = `${local ? place.prefix : ''}${fact.name}`;
    const scope = local ? place.scope : this.scope;
    scope.set(fact.name, { def: { qualname, parameters: fact.parameters }, statement }, true);
  }

  private bind(fact: Fact, statement: Statement, place: Place, whole: boolean): void {
    const set = (name: string, what: Omit<Binding, 'statement'>) => {
      // A broken import may still tell where a name comes from, but nothing else.
      if (!whole && !what.path) return;
      if (what.factory || (what.path && leadsToFlow(what.path))) this.context.names.add(name);
      place.scope.set(name, { ...what, statement }, place.conditional);
    };
    switch (fact.kind) {
      case 'import':
        for (const [name, path] of importedNames(fact.name, fact.path))
          set(name, isFollowed(path) ? { path } : {});
        return;
      case 'def':
        set(fact.name, { def: { qualname: `${place.prefix}${fact.name}`, parameters: fact.parameters } });
        return;
      case 'class':
      case 'bind':
        set(fact.name, {});
        return;
      case 'with':
        if (fact.target && !fact.target.includes('.')) set(fact.target, {});
        return;
      case 'assign':
        for (const target of fact.targets)
          if (!target.includes('.')) set(target, this.valueOf(fact.value, place));
    }
  }

  /** What a name stands for after `name = value`. */
  private valueOf(value: Expression, place: Place): Omit<Binding, 'statement'> {
    const path = place.scope.resolve(value);
    if (path) return { path };
    const factory = asFactory(value, place.scope);
    return factory ? { factory } : {};
  }

  /** Walks the block under a statement. */
  private enter(statement: Statement, read: StatementFacts | undefined, around: Place, flow?: object): void {
    const own = read?.facts.find((fact) => fact.kind === 'def' || fact.kind === 'class');
    const place = statement.broken || read?.hasError ? { ...around, uncertain: true } : around;
    const keyword = BLOCK.exec(this.context.text.slice(statement.start, statement.end))?.[1];
    if (own?.kind === 'def') {
      const scope = new Scope(place.scope.visibleFromFunctions);
      for (const { name } of own.parameters) scope.set(name, { statement }, false);
      const prefix = `${place.prefix}${own.name}.<locals>.`;
      const { uncertain } = place;
      this.deferred.push(() =>
        this.walk(statement.body, { scope, prefix, importable: false, conditional: false, uncertain }),
      );
    } else if (own?.kind === 'class') {
      const scope = new Scope(place.scope, true);
      this.walk(statement.body, {
        ...place,
        scope,
        prefix: `${place.prefix}${own.name}.`,
        conditional: false,
      });
    } else if (isMainGuard(this.context.text, statement)) {
      this.walk(statement.body, { ...place, importable: false, conditional: true });
    } else if (keyword === 'with' || keyword === undefined) {
      this.walk(statement.body, flow ? { ...place, flow } : place);
    } else {
      this.walk(statement.body, { ...place, conditional: true });
    }
  }

  /** Does the statement use a name that nothing binds, one whose binding is being typed, or half of a flow? */
  private unresolved(read: StatementFacts, statement: Statement, place: Place): boolean {
    return read.facts.some((fact) => {
      if (fact.kind === 'def')
        return fact.decorators.some((decorator) =>
          decorator.kind === 'other'
            ? this.context.isEdited(statement)
            : this.isUnknown(decorator, place.scope),
        );
      if (fact.kind !== 'assign' && fact.kind !== 'with') return false;
      return this.isUnknown(fact.value, place.scope) || this.isUnfinished(fact.value, place.scope);
    });
  }

  /** Halfway through an assignment nearly everything is valid Python: `etl = ("nightly")`. */
  private isRetyped(read: StatementFacts, statement: Statement): boolean {
    const definition = read.facts.some((fact) => fact.kind === 'def' || fact.kind === 'class');
    return !definition && this.context.isEdited(statement);
  }

  /** `flow`, `flow()` or `Flow` where a flow was: its arguments are still to come. */
  private isUnfinished(value: Expression, scope: Scope): boolean {
    return asFactory(value, scope) !== undefined || leadsToFlow(scope.resolve(value) ?? '');
  }

  private isUnknown(expression: Expression, scope: Scope): boolean {
    if (expression.kind === 'call') return this.isUnknown(expression.callee, scope);
    if (expression.kind !== 'name') return false;
    const [root = ''] = expression.path.split('.');
    const binding = scope.get(root);
    if (!binding) return this.context.names.has(root) || !isBound(this.context.text, root);
    const [followed, ...members] = scope.resolve(expression)?.split('.') ?? [];
    if (followed === 'prefect') return !members.some((member) => KNOWN.has(member));
    return !binding.factory && this.context.isEdited(binding.statement);
  }
}

/** Members of `prefect` that decorate functions: in their place nobody is typing `flow`. */
const KNOWN = new Set(['flow', 'task', 'materialize', 'Flow', 'Task']);

function wordsOf(names: ReadonlySet<string>): RegExp {
  return new RegExp(`\\b(?:${[...names].join('|')})\\b`);
}

/** Does the text bind the name anywhere, by its looks? Asked only about names that were never parsed. */
function isBound(text: string, name: string): boolean {
  return new RegExp(
    `\\b(?:def|class|as)\\s+${name}\\b|\\bimport\\b[^#\\n]*\\b${name}\\b|^\\s*${name}\\s*(?:$|[,):=])`,
    'm',
  ).test(text);
}
