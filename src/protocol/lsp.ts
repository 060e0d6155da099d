import type { FlowDef } from '../core/flow.ts';
import type { ClusterMaker } from '../core/written.ts';

/** A flow and the document it stands in: the argument of the lens commands. */
export interface FlowRef {
  /** Document URI, as the editor wrote it. */
  readonly uri: string;
  readonly flow: FlowDef;
}

/** What makes clusters, and the document it stands in. */
export interface ClusterMakerRef {
  readonly uri: string;
  readonly maker: ClusterMaker;
}

/** What lenses show besides the flow itself, and whether mistakes are shown. Sent by the extension whenever it changes. */
export interface LensState {
  /** Name of the default executor. */
  readonly executor: string;
  /** False hides the lenses (setting `flowClusters.codeLens`). */
  readonly enabled: boolean;
  /** False keeps mistakes to itself (setting `flowClusters.diagnostics`). */
  readonly diagnostics: boolean;
  /** Last run of each flow, keyed by {@link flowKey}. */
  readonly lastRuns: Readonly<Record<string, LastRun>>;
}

/** The outcome shown beside a flow's run lenses. `label` is ready to read, for example `✓ completed · 00:31`. */
export interface LastRun {
  readonly runId: string;
  readonly label: string;
}

/** Identifies a flow across edits: its document and how a runner reaches it. */
export function flowKey(uri: string, flow: Pick<FlowDef, 'entry'>): string {
  const entry = flow.entry.how === 'import' ? flow.entry.path : `script:${flow.entry.qualname ?? ''}`;
  return `${uri}#${entry}`;
}

/** Extension → server notification with a {@link LensState}. */
export const LENS_STATE = 'flowClusters/lensState';
/** Extension → server request: the flows of a document; params {@link FlowsParams}, result `FlowDef[]`. */
export const FLOWS_REQUEST = 'flowClusters/flows';
/** Extension → server request: what its flows run on by themselves; params {@link FlowsParams}, result `FlowExecutors[]`. */
export const EXECUTORS_REQUEST = 'flowClusters/executors';
/** Extension → server request: what makes clusters in a document; params {@link FlowsParams}, result `ClusterMaker[]`. */
export const MAKERS_REQUEST = 'flowClusters/clusterMakers';
/** Extension → server request: the executor that some lines make; params {@link PastedParams}, result `ReadLines`. */
export const PASTED_REQUEST = 'flowClusters/pasted';
/** Server → extension notification: a document with at least one flow is open (so a host may be warmed). */
export const FLOW_SEEN = 'flowClusters/flowSeen';

export interface PastedParams {
  /** Lines of Python. */
  readonly code: string;
}

export interface FlowsParams {
  readonly uri: string;
}
