import type { WrittenExecutor } from './written.ts';

/**
 * Which API a flow is written in, as far as its text tells: `prefect` is 2 or 3 (the installed version
 * decides at run time), `prefect1` is a `Flow` block, `dask` a plain script.
 */
export type FlowApiId = 'prefect' | 'prefect1' | 'dask';

/** One parameter of a flow, as written. */
export interface FlowParameter {
  readonly name: string;
  /** Source text of the annotation, if any. */
  readonly annotation?: string;
  /** Source text of the default; absent means that the user must give a value. */
  readonly default?: string;
}

/**
 * How a runner reaches the flow.
 * `import`: load the file with its `__main__` block off, take the attribute path (`etl`, `Pipeline.run`).
 * `script`: run the file as `__main__`; the first call of the flow with this qualified name is the run
 * (flows made inside functions or `if __name__` blocks, and methods, which need their instance). The name is
 * that of the flow's function as Python has it (`outer.<locals>.inner`, `Pipeline.run`); Prefect 1 flows have
 * none, so it is the flow's name. A plain Dask script has no qualified name, nor has a Prefect 1 flow whose
 * name is computed: there the first run of any flow is meant.
 */
export type FlowEntry =
  | { readonly how: 'import'; readonly path: string }
  | { readonly how: 'script'; readonly qualname?: string };

/** Of an executor in the source: its class, and whether each run of the flow has it or one call in the file. */
export type Written = Pick<WrittenExecutor, 'type' | 'from'>;

/** A flow found in a file: all that a run needs to know. JSON only, as it travels in CodeLens arguments. */
export interface FlowDef {
  readonly api: FlowApiId;
  /** What the user calls it: Prefect's name, or the file's name for a plain script. */
  readonly name: string;
  readonly entry: FlowEntry;
  /** Zero-based line that its lenses stand above. */
  readonly line: number;
  readonly parameters: readonly FlowParameter[];
  /** The executor that its own source gives it, if Dask has to do with it: what "run as written" would use. */
  readonly written?: Written;
}

/** A flow's own executors, those of each run first. */
export interface FlowExecutors {
  readonly flow: FlowDef;
  readonly executors: readonly WrittenExecutor[];
}
