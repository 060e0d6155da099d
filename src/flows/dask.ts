import type { FlowDef } from '../core/flow.ts';
import type { FoundFlow } from './found.ts';
import type { Statement } from './layout.ts';
import { isMainGuard } from './module.ts';
import { importedNames, Scope } from './scope.ts';
import type { CallExpression, StatementFacts } from './syntax.ts';

/** Plain Dask scripts: files that compute with Dask when they are run, not libraries that only could. */

/** What the finder needs from the document. */
export interface DaskContext {
  readonly text: string;
  /** Last part of the document's path: a script is called by its file. */
  readonly fileName: string;
  read(statement: Statement): StatementFacts;
}

const IMPORTED = /\b(?:dask|distributed)/;
const ROOT = /^(?:dask|distributed|dask_\w+)(?:\.|$)/;
/** Makes a cluster, connects to one, or computes, by qualified name. */
const COMPUTING_PATH =
  /^(?:(?:dask\.distributed|distributed|dask_\w+)(?:\.\w+)*\.(?:Client|\w*Cluster|get_client|worker_client)|dask\.(?:base\.)?(?:compute|persist)|(?:dask\.)?distributed\.(?:compute|persist))$/;
/** The same by the name of the method: Dask collections can't be told from other objects by syntax. */
const COMPUTING_METHOD = /(?:^|\.)(?:compute|persist)$/;
const CLIENT_METHOD = /(?:^|\.)client\.(?:submit|map|gather)$/;
/** Methods of collections that compute at once; pandas has them too, so they need an import of a collection. */
const WRITING_METHOD = /\.(?:to_parquet|to_csv|to_zarr|to_hdf5?|to_textfiles|to_json|store)$/;
const COLLECTIONS = /^dask\.(?:dataframe|array|bag)\b/;
const CANDIDATE = /compute|persist|lient|Cluster|\.to_|\.store/;
/** Tests compute, but are run by their runner. */
const TESTS = /^(?:(?:async )?def test_|class Test|import pytest|from pytest)/m;
/** Name of a definition in its header. */
const NAME = /(?:^|\n)\s*(?:async\s+)?(?:def|class)\s+(\w+)/;
const DEFINITION = /^(?:@|(?:async\s+)?def\b|class\b)/;

/** The script that a module is, if it computes with Dask at module level or under its main guard. */
export function findDaskScript(
  context: DaskContext,
  statements: readonly Statement[],
): FoundFlow | undefined {
  const statement = new DaskScript(context, statements).anchor();
  if (!statement) return undefined;
  const flow: FlowDef = {
    api: 'dask',
    name: context.fileName,
    entry: { how: 'script' },
    line: statement.line,
    parameters: [],
  };
  return { flow, statement };
}

class DaskScript {
  private readonly context: DaskContext;
  private readonly statements: readonly Statement[];
  /** Imports of Dask, wherever they stand: functions often import what they need. */
  private readonly scope = new Scope();
  private aliases: RegExp | undefined;
  private hasCollections = false;
  /** Functions and classes of the module by name. */
  private readonly local = new Map<string, Statement>();
  /** Whether a statement computes when it (or the function that it defines) runs. */
  private readonly computes = new Map<Statement, boolean>();

  constructor(context: DaskContext, statements: readonly Statement[]) {
    this.context = context;
    this.statements = statements;
  }

  /** The statement that the lens stands above. */
  anchor(): Statement | undefined {
    const names: string[] = [];
    this.readImports(this.statements, names);
    if (names.length === 0 || TESTS.test(this.context.text)) return undefined;
    this.aliases = new RegExp(`\\b(?:${names.join('|')})\\b`);
    for (const statement of this.statements) this.define(statement);
    const { text } = this.context;
    const guard = this.statements.find((statement) => isMainGuard(text, statement));
    const first = this.statements.find(
      (statement) => statement !== guard && !this.isDefinition(statement) && this.runs(statement),
    );
    return guard && (first || this.runs(guard)) ? guard : first;
  }

  private readImports(statements: readonly Statement[], names: string[]): void {
    for (const statement of statements) {
      const text = this.context.text.slice(statement.start, statement.bodyEnd);
      if (!IMPORTED.test(text) || /^if\s+(?:typing\.)?TYPE_CHECKING\b/.test(text)) continue;
      if (IMPORTED.test(text.slice(0, statement.end - statement.start)))
        for (const fact of this.context.read(statement).facts) {
          if (fact.kind !== 'import' || !ROOT.test(fact.path)) continue;
          this.hasCollections ||= COLLECTIONS.test(fact.path);
          // `import dask.array` binds `dask` but loads the collection.
          this.hasCollections ||= COLLECTIONS.test(text.replace(/^import\s+/, ''));
          for (const [name, path] of importedNames(fact.name, fact.path)) {
            this.scope.set(name, { path, statement }, false);
            names.push(name);
          }
        }
      this.readImports(statement.body, names);
    }
  }

  private define(statement: Statement): void {
    if (!this.isDefinition(statement)) {
      for (const inner of statement.body) this.define(inner);
      return;
    }
    const header = this.context.text.slice(statement.start, statement.end);
    const name = NAME.exec(header)?.[1];
    if (name) this.local.set(name, statement);
  }

  private isDefinition(statement: Statement): boolean {
    return DEFINITION.test(this.context.text.slice(statement.start, statement.start + 40));
  }

  /** Does running the statement, with the functions of the module that it names, compute? */
  private runs(statement: Statement): boolean {
    const known = this.computes.get(statement);
    if (known !== undefined) return known;
    this.computes.set(statement, false); // functions may call each other in a circle
    const result = this.computesItself(statement) || this.named(statement).some((each) => this.runs(each));
    this.computes.set(statement, result);
    return result;
  }

  private computesItself(statement: Statement): boolean {
    const { text } = this.context;
    const whole = text.slice(statement.start, statement.bodyEnd);
    if (!CANDIDATE.test(whole) && !this.aliases?.test(whole)) return false;
    const header = text.slice(statement.start, statement.end);
    const candidate = header.includes('(') && (CANDIDATE.test(header) || this.aliases?.test(header));
    if (candidate && this.context.read(statement).calls.some((call) => this.isComputing(call))) return true;
    return statement.body.some(
      (inner) => this.reaches(statement, whole, inner) && this.computesItself(inner),
    );
  }

  /** Does running a statement run what stands in its block? A function inside a function must be called there. */
  private reaches(outer: Statement, text: string, inner: Statement): boolean {
    if (!this.isDefinition(inner)) return true;
    if (!this.isDefinition(outer)) return false;
    const header = (statement: Statement) => this.context.text.slice(statement.start, statement.end);
    const name = NAME.exec(header(inner))?.[1];
    if (/(?:^|\n)\s*class\b/.test(header(outer)) || name === undefined) return true;
    return text.split(new RegExp(`\\b${name}\\s*\\(`)).length > 2;
  }

  /** The functions and classes of this module that run when the statement does. */
  private named(statement: Statement): Statement[] {
    if (!this.isDefinition(statement)) return this.called(statement);
    // What a function names it will call: good enough, and no need to parse all its statements.
    const text = this.context.text.slice(statement.end, statement.bodyEnd);
    return this.lookUp(text.match(/(?<!["'\w.])[A-Za-z_]\w*(?=\s*\()/g) ?? []).filter(
      (each) => each !== statement,
    );
  }

  /** By syntax: a docstring or `register(handler)` of a library calls nothing, `main()` and `typer.run(main)` do. */
  private called(statement: Statement): Statement[] {
    const header = this.context.text.slice(statement.start, statement.end);
    const mentions = header.includes('(') && this.lookUp(header.match(/[A-Za-z_]\w*/g) ?? []).length > 0;
    const names = mentions ? this.context.read(statement).calls.flatMap(calledNames) : [];
    const inner = statement.body.filter((each) => !this.isDefinition(each));
    return [...this.lookUp(names), ...inner.flatMap((each) => this.called(each))];
  }

  private lookUp(names: readonly string[]): Statement[] {
    return [...new Set(names)].flatMap((name) => this.local.get(name) ?? []);
  }

  private isComputing({ callee }: CallExpression): boolean {
    const path = this.scope.resolve(callee);
    if (path !== undefined) return COMPUTING_PATH.test(path);
    if (callee.kind === 'other') return this.isComputingMethod(`.${callee.attribute ?? ''}`);
    return callee.kind === 'name' && callee.path.includes('.') && this.isComputingMethod(callee.path);
  }

  private isComputingMethod(path: string): boolean {
    return (
      COMPUTING_METHOD.test(path) ||
      CLIENT_METHOD.test(path) ||
      (this.hasCollections && WRITING_METHOD.test(path))
    );
  }
}

/** Functions that run the function which they are given. */
const RUNNER = /(?:^|\.)(?:run|main|Fire)$/;

function calledNames({ callee, args }: CallExpression): string[] {
  if (callee.kind !== 'name') return [];
  if (!RUNNER.test(callee.path)) return [callee.path];
  return [callee.path, ...args.flatMap(({ value }) => (value.kind === 'name' ? value.path : []))];
}
