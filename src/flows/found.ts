import type { FlowDef } from '../core/flow.ts';
import type { Statement } from './layout.ts';
import type { Scope } from './scope.ts';

/** A flow and the statement that defines it. */
export interface FoundFlow {
  readonly flow: FlowDef;
  readonly statement: Statement;
}

/** Where in the module a statement stands. */
export interface Place {
  readonly scope: Scope;
  /** The statements around. */
  readonly block: readonly Statement[];
  /** What stands before a name defined here in its `__qualname__`: ``, `Pipeline.`, `main.<locals>.`. */
  readonly prefix: string;
  /** Whether importing the module defines what stands here; if not, only running the file does. */
  readonly importable: boolean;
  /** Inside `if`, `try`, `for`, …: may not happen. */
  readonly conditional: boolean;
  /** In the block of a statement that is half typed: what stands here may belong elsewhere. */
  readonly uncertain: boolean;
  /** The Prefect 1 flow whose `with` block this is. */
  readonly flow?: object;
}
