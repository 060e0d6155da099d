import type { CodeLens } from 'vscode-languageserver';
import type { FlowDef } from '../core/flow.ts';
import type { ClusterMaker } from '../core/written.ts';
import { Commands } from '../protocol/commands.ts';
import { type ClusterMakerRef, type FlowRef, flowKey, type LensState } from '../protocol/lsp.ts';

/** The lenses of a document's flows: run, run with…, run as written where it has an executor of its own, and the last run's outcome where there is one. */
export function lensesOf(uri: string, flows: readonly FlowDef[], state: LensState): CodeLens[] {
  return state.enabled ? flows.flatMap((flow) => lensesOfFlow({ uri, flow }, state)) : [];
}

/** The lenses of what makes clusters in a document. */
export function makerLensesOf(
  uri: string,
  makers: readonly ClusterMaker[],
  { enabled }: LensState,
): CodeLens[] {
  if (!enabled) return [];
  return makers.map((maker) => {
    const position = { line: maker.line, character: 0 };
    const ref: ClusterMakerRef = { uri, maker };
    return {
      range: { start: position, end: position },
      command: { title: 'Use as cluster', command: Commands.useAsCluster, arguments: [ref] },
    };
  });
}

function lensesOfFlow(ref: FlowRef, state: LensState): CodeLens[] {
  const position = { line: ref.flow.line, character: 0 };
  const range = { start: position, end: position };
  const lastRun = state.lastRuns[flowKey(ref.uri, ref.flow)];
  const lenses: CodeLens[] = [
    {
      range,
      command: { title: `▶ Run with ${state.executor}`, command: Commands.runFlow, arguments: [ref] },
    },
    { range, command: { title: 'Run with…', command: Commands.runFlowWith, arguments: [ref] } },
  ];
  if (ref.flow.written)
    lenses.push({
      range,
      command: { title: 'Run as written', command: Commands.runFlowAsWritten, arguments: [ref] },
    });
  if (ref.flow.written)
    lenses.push({
      range,
      command: { title: 'Configure…', command: Commands.configureWritten, arguments: [ref] },
    });
  if (lastRun)
    lenses.push({
      range,
      command: { title: lastRun.label, command: Commands.showRun, arguments: [lastRun.runId] },
    });
  return lenses;
}
