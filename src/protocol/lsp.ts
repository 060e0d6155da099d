import type { FlowDef } from '../core/flow.ts';

/** A flow and the document it stands in: the argument of the lens commands. */
export interface FlowRef {
  /** Document URI, as the editor wrote it. */
  readonly uri: string;
  readonly flow: FlowDef;
}

/** What the lenses show besides the flow itself. Sent by the extension whenever it changes. */
export interface LensState {
  /** Name of the default executor. */
  readonly executor: string;
  /** False hides the lenses (setting `flowClusters.codeLens`). */
  readonly enabled: boolean;
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
/** Server → extension notification: a document with at least one flow is open (so a host may be warmed). */
export const FLOW_SEEN = 'flowClusters/flowSeen';

export interface FlowsParams {
  readonly uri: string;
}
