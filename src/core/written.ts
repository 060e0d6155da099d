/** What a flow's source says of its own executor, as plain data: read without running anything. */

/** What JSON can hold. */
export type PlainValue =
  | string
  | number
  | boolean
  | null
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue };

/** Not known before it runs. */
export interface Unread {
  /** Its source text. */
  readonly source: string;
  /** Why it is not known, to stand behind the text: `read from the environment when it runs`. */
  readonly reason: string;
}

export type WrittenValue = { readonly value: PlainValue } | Unread;

/** Keyword arguments: each by itself, and what else may come at run time. */
export interface WrittenFields {
  readonly fields: Readonly<Record<string, WrittenValue>>;
  /** The whole is computed, or others are mixed in: `**defaults`. */
  readonly rest?: Unread;
}

/**
 * What makes the cluster: an import path, or the name of a function or class of the same file. `importable` is false
 * where importing the file does not define that: inside of a function, or behind `if __name__ == "__main__":`.
 */
export type WrittenClass =
  | { readonly path: string }
  | { readonly local: string; readonly importable?: false }
  | Unread;

/** `Client` and `Cluster` are those of plain Dask scripts; the others are Prefect's own classes. */
export type WrittenType =
  | 'DaskExecutor'
  | 'LocalDaskExecutor'
  | 'LocalExecutor'
  | 'DaskTaskRunner'
  | 'Client'
  | 'Cluster';

/**
 * What a flow runs on by itself. Absent fields are not written; `None` counts as not written, as it does for Prefect.
 * The keywords of plain scripts stand where Prefect has them: `LocalCluster(n_workers=2)` is a `cluster_class` with
 * `cluster_kwargs`, `cluster.adapt(…)` is `adapt_kwargs`.
 */
export interface WrittenExecutor {
  readonly type: WrittenType;
  /** Qualified name by which its class was imported: `prefect.executors.DaskExecutor`. */
  readonly path: string;
  /** Zero-based line where it is made. */
  readonly line: number;
  /** `flow`: each run of the flow has it. `call`: one call in the file does (`flow.run(executor=…)`, `with_options`). */
  readonly from: 'flow' | 'call';
  readonly address?: WrittenValue;
  readonly cluster_class?: WrittenClass;
  readonly cluster_kwargs?: WrittenFields;
  readonly adapt_kwargs?: WrittenFields;
  /** How many workers the cluster's `scale` is called for, in plain scripts. */
  readonly scale?: WrittenValue;
  /** What the `Security` is made with that is among `client_kwargs`. */
  readonly security?: WrittenFields;
  readonly client_kwargs?: WrittenFields;
  /** All others: `scheduler` and `num_workers` of `LocalDaskExecutor`, `debug`, `performance_report_path`, … */
  readonly others?: WrittenFields;
}

/** What lines of Python make, or why that can't be told. */
export type ReadLines = { readonly written: WrittenExecutor } | UnreadLines;

export interface UnreadLines {
  readonly problem: string;
  /** Zero-based; absent: it is none of them in particular. */
  readonly line?: number;
}

/** A function or class of a file that makes a cluster. */
export interface ClusterMaker {
  readonly name: string;
  /** Zero-based line that its lens stands above. */
  readonly line: number;
  /** Names of its parameters without a default. */
  readonly needs: readonly string[];
  /** What it is called with where the file uses it as a `cluster_class`; alone, if it does not. */
  readonly written: WrittenExecutor;
}

/** True for what is not known before it runs. */
export function isUnread<T extends object>(written: T | Unread): written is Unread {
  return 'reason' in written;
}

const LOCAL_CLUSTER = /^(?:dask\.)?distributed\.(?:deploy\.(?:local\.)?)?LocalCluster$/;

/** Whether it is Dask's own `LocalCluster`, by one of the paths that lead to it. */
export function isLocalCluster(cluster: WrittenClass): boolean {
  return 'path' in cluster && LOCAL_CLUSTER.test(cluster.path);
}
