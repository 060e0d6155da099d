import { type Statement, statementsAt } from './layout.ts';
import { isMainGuard } from './module.ts';
import { importedNames } from './scope.ts';
import type { Expression, StatementFacts } from './syntax.ts';

/** What the names of a file stand for at some place of it. */

export interface NamesContext {
  readonly text: string;
  readonly statements: readonly Statement[];
  /** Offset of the start of each line. */
  readonly lineStarts: readonly number[];
  read(statement: Statement): StatementFacts;
}

/** An expression and the statement that it stands in. */
export interface Located {
  readonly expression: Expression;
  readonly statement: Statement;
}

export type Meaning =
  | { readonly kind: 'import'; readonly path: string }
  | ({ readonly kind: 'value' } & Located)
  | { readonly kind: 'def' | 'class'; readonly name: string; readonly statement: Statement }
  /** `reason` says why it can't be known. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** Bound nowhere in the file: a built-in name, or one of `import *`. */
  | { readonly kind: 'unbound' };

/** As {@link Meaning}; an assignment is parsed when somebody asks for it. */
type Bound = Meaning | { readonly kind: 'assigned'; readonly statement: Statement };

const DEFINES = /^(?:@|(?:async\s+)?def\b|class\b)/;
const DEFINITION = /(?:^|\n)[ \t]*(?:async[ \t]+)?(def|class)[ \t]+(\w+)/;
const ASSIGNED = /^([A-Za-z_]\w*)\s*(?::[^=\n]*)?=(?!=)/;
const CHAINED = /^[\w.]+\s*=\s*[\w.]+\s*=(?!=)/;
const TOGETHER = /^[([]?\s*[\w.*]+(?:\s*,\s*[\w.*]+)+\s*[)\]]?\s*=(?!=)/;
const AUGMENTED = /^([A-Za-z_]\w*)\s*(?:\*\*|\/\/|>>|<<|[-+*/|&%@^])=/;
/** Imports, `with … as`, several statements on a line, a statement behind the colon of its block. */
const BY_FACTS = /^(?:import|from|(?:async\s+)?with)\b|;|:[ \t]*\w+[ \t]*=(?!=)/;
/** A module may hold a table of a megabyte: nobody reads that for a semicolon in it. */
const LONGEST_PARSED = 4_000;
const LOOP = /^(?:async\s+)?for\s+(.+?)\s+in\b/s;
const CAUGHT = /^except\b.*\bas\s+(\w+)\s*:/s;
const WALRUS = /\b([A-Za-z_]\w*)\s*:=/g;

/** Looks names up as Python does: in the function, those around it, the module. */
export class Names {
  private readonly context: NamesContext;
  private readonly scopes = new Map<Statement | undefined, Map<string, Bound[]>>();
  private readonly meanings = new Map<readonly Bound[], Meaning>();

  constructor(context: NamesContext) {
    this.context = context;
  }

  /** The statements that a statement stands in, outermost first. */
  around(statement: Statement): Statement[] {
    return statementsAt(this.context.statements, statement.start).slice(0, -1);
  }

  /** What a name stands for where `statement` is. */
  lookUp(name: string, statement: Statement): Meaning {
    const owners = this.around(statement).filter((each) => this.definition(each));
    const innermost = owners.at(-1);
    for (const owner of owners.toReversed()) {
      const isClass = this.definition(owner)?.kind === 'class';
      if (isClass && owner !== innermost) continue;
      const found = this.inScope(owner).get(name);
      if (found) return this.one(name, found);
      if (!isClass && this.parameters(owner).includes(name))
        return unknown(`a parameter of ${this.definition(owner)?.name}`);
    }
    const found = this.inScope(undefined).get(name);
    return found ? this.one(name, found) : { kind: 'unbound' };
  }

  /** The qualified name that an expression stands for, as far as imports and plain renaming lead to it. */
  pathOf(expression: Expression, statement: Statement, depth = 0): string | undefined {
    if (expression.kind !== 'name' || depth > 8) return undefined;
    const [root = '', ...rest] = expression.path.split('.');
    const meaning = this.lookUp(root, statement);
    if (meaning.kind === 'import') return [meaning.path, ...rest].join('.');
    if (meaning.kind !== 'value') return undefined;
    const path = this.pathOf(meaning.expression, meaning.statement, depth + 1);
    return path && [path, ...rest].join('.');
  }

  /** Function or class that a statement defines. */
  definition({ start, end }: Statement): { kind: 'def' | 'class'; name: string } | undefined {
    const header = this.context.text.slice(start, end);
    const [, kind, name] = (DEFINES.test(header) && DEFINITION.exec(header)) || [];
    return name === undefined ? undefined : { kind: kind === 'def' ? 'def' : 'class', name };
  }

  /** Whether importing the file does what a statement does, as far as its place tells. */
  isImportable(statement: Statement): boolean {
    return !this.around(statement).some(
      (each) => this.definition(each) !== undefined || isMainGuard(this.context.text, each),
    );
  }

  private parameters(statement: Statement): string[] {
    const fact = this.context.read(statement).facts.find((each) => each.kind === 'def');
    return fact?.kind === 'def' ? fact.parameters.map(({ name }) => name) : [];
  }

  private one(name: string, found: readonly Bound[]): Meaning {
    const known = this.meanings.get(found) ?? this.judge(name, found);
    this.meanings.set(found, known);
    return known;
  }

  private judge(name: string, found: readonly Bound[]): Meaning {
    const [first] = found;
    // `try: from a import X`, `except ImportError: X = None`: whoever has the library has the import.
    const imported = found.find((each) => each.kind === 'import');
    if (imported?.kind === 'import') return imported;
    if (!first || found.length > 1) return unknown(`set in ${found.length} places`);
    const isValue = first.kind === 'value' || first.kind === 'assigned';
    if (isValue && this.changes(name).test(this.context.text)) return unknown('changed later on');
    return first.kind === 'assigned' ? this.assigned(first.statement) : first;
  }

  /** By `global`, or in place. */
  private changes(name: string): RegExp {
    const methods = 'update|pop|popitem|setdefault|clear|append|extend|insert|remove';
    return new RegExp(
      `\\bglobal\\b[^\\n]*\\b${name}\\b|(?<![\\w.])${name}(?:\\s*\\[[^\\]\\n]*\\]\\s*=(?!=)|\\.(?:${methods})\\()`,
    );
  }

  private inScope(owner: Statement | undefined): Map<string, Bound[]> {
    const known = this.scopes.get(owner);
    if (known) return known;
    const names = new Map<string, Bound[]>();
    this.scopes.set(owner, names);
    this.gather(owner ? owner.body : this.context.statements, names);
    return names;
  }

  private gather(statements: readonly Statement[], names: Map<string, Bound[]>): void {
    for (const statement of statements) {
      const definition = this.definition(statement);
      if (definition) {
        push(names, definition.name, { ...definition, statement });
        continue;
      }
      this.bind(statement, names);
      this.gather(statement.body, names);
    }
  }

  private bind(statement: Statement, names: Map<string, Bound[]>): void {
    const header = this.context.text.slice(statement.start, statement.end);
    const isShort = header.length < LONGEST_PARSED;
    if (isShort && (BY_FACTS.test(header) || CHAINED.test(header))) this.bindFacts(statement, header, names);
    else this.bindByLooks(statement, header, names);
    if (header.includes(':='))
      for (const [, name = ''] of header.matchAll(WALRUS)) push(names, name, unknown('set in an expression'));
  }

  /** Without a parse: a long module has thousands of these, and few are ever asked for. */
  private bindByLooks(statement: Statement, header: string, names: Map<string, Bound[]>): void {
    const name = ASSIGNED.exec(header)?.[1];
    if (name !== undefined) {
      push(names, name, { kind: 'assigned', statement });
      return;
    }
    const changed = AUGMENTED.exec(header)?.[1] ?? CAUGHT.exec(header)?.[1];
    if (changed !== undefined) push(names, changed, unknown('changed later on'));
    const together = LOOP.exec(header)?.[1] ?? TOGETHER.exec(header)?.[0] ?? '';
    for (const [each] of together.matchAll(/(?<![\w.])[A-Za-z_]\w*(?![\w.([])/g))
      push(names, each, unknown('set together with others'));
  }

  private bindFacts(statement: Statement, header: string, names: Map<string, Bound[]>): void {
    for (const fact of this.context.read(statement).facts) {
      if (fact.kind === 'import')
        for (const [name, path] of importedNames(fact.name, fact.path))
          push(names, name, { kind: 'import', path });
      else if (fact.kind === 'assign') {
        const isOne = fact.targets.length === 1 || CHAINED.test(header);
        for (const target of fact.targets)
          push(
            names,
            target,
            isOne
              ? { kind: 'value', expression: fact.value, statement }
              : unknown('set together with others'),
          );
      } else if (fact.kind === 'with' && fact.target)
        push(names, fact.target, { kind: 'value', expression: fact.value, statement });
      else if (fact.kind === 'bind') push(names, fact.name, unknown('set in a loop'));
    }
  }

  private assigned(statement: Statement): Meaning {
    const fact = this.context.read(statement).facts.find((each) => each.kind === 'assign');
    return fact?.kind === 'assign'
      ? { kind: 'value', expression: fact.value, statement }
      : unknown('not valid Python');
  }
}

function unknown(reason: string): Meaning {
  return { kind: 'unknown', reason };
}

function push(names: Map<string, Bound[]>, name: string, bound: Bound): void {
  const known = names.get(name);
  if (known) known.push(bound);
  else names.set(name, [bound]);
}
