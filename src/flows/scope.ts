import type { FlowParameter } from '../core/flow.ts';
import type { Statement } from './layout.ts';
import type { Expression } from './syntax.ts';

/** What a name stands for. None of the fields: something of no interest here. */
export interface Binding {
  /** Qualified name of what was imported: `prefect`, `prefect.flow`, `dask.distributed.Client`. */
  readonly path?: string;
  /** A decorator with its arguments already given: `nightly = flow(name="nightly")`. */
  readonly factory?: { readonly name?: string };
  /** A function defined here. */
  readonly def?: { readonly qualname: string; readonly parameters: readonly FlowParameter[] };
  /** The statement that binds the name. */
  readonly statement: Statement;
}

/** Packages whose names are followed. */
const FOLLOWED = /^(?:prefect|dask|distributed|dask_\w+)(?:\.|$)/;

/** The names that `from package import *` brings, as far as they matter. */
const STAR: Readonly<Record<string, readonly string[]>> = {
  prefect: ['flow', 'Flow', 'task', 'Parameter'],
  'prefect.flows': ['flow', 'Flow'],
  dask: ['compute', 'persist', 'delayed'],
  'dask.distributed': ['Client', 'LocalCluster', 'compute', 'persist', 'get_client'],
  distributed: ['Client', 'LocalCluster', 'compute', 'persist', 'get_client'],
};

/** True for a qualified name in a package that flows are written with. */
export function isFollowed(path: string): boolean {
  return FOLLOWED.test(path);
}

/** True for what flows are made of and for the modules that hold it; false for `prefect.task` and the like. */
export function leadsToFlow(path: string): boolean {
  return /^prefect(?:\.(?:flows|main|core(?:\.(?:flow|parameter))?))?(?:\.(?:flow|Flow|\w*Parameter))?$/.test(
    path,
  );
}

/** The names bound by one import fact, with their qualified names. */
export function importedNames(name: string, path: string): readonly (readonly [string, string])[] {
  if (name !== '*') return [[name, path]];
  return (STAR[path] ?? []).map((each) => [each, `${path}.${each}`]);
}

/** Names and what they stand for, inside a module, class or function. */
export class Scope {
  private readonly bindings = new Map<string, Binding>();
  private readonly parent: Scope | undefined;
  readonly isClass: boolean;

  constructor(parent?: Scope, isClass = false) {
    this.parent = parent;
    this.isClass = isClass;
  }

  /** The scope that a function defined in this one sees: Python hides the names of a class from its methods. */
  get visibleFromFunctions(): Scope {
    return this.isClass && this.parent ? this.parent.visibleFromFunctions : this;
  }

  get(name: string): Binding | undefined {
    return this.bindings.get(name) ?? this.parent?.get(name);
  }

  /**
   * Binds a name. In a conditional place (`try`, `if`, …) a fallback like `flow = None` does not hide what was
   * imported from a followed package before: one of the two is true at run time, and the import is the likelier.
   */
  set(name: string, binding: Binding, conditional: boolean): void {
    const before = this.bindings.get(name);
    if (conditional && (before?.path || before?.factory) && !binding.path && !binding.factory) return;
    this.bindings.set(name, binding);
  }

  /** Qualified name that a name or dotted path stands for, if it leads to a followed package. */
  resolve(expression: Expression): string | undefined {
    if (expression.kind !== 'name') return undefined;
    const [root = '', ...rest] = expression.path.split('.');
    const path = this.get(root)?.path;
    return path && [path, ...rest].join('.');
  }
}
