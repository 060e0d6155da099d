import type { CodeLens } from 'vscode-languageserver';
import type { FlowDef } from '../core/flow.ts';
import { Commands } from '../protocol/commands.ts';
import { type FlowRef, flowKey, type LensState } from '../protocol/lsp.ts';

/** The lenses of a document's flows: run, run with…, and the last run's outcome where there is one. */
export function lensesOf(uri: string, flows: readonly FlowDef[], state: LensState): CodeLens[] {
  return state.enabled ? flows.flatMap((flow) => lensesOfFlow({ uri, flow }, state)) : [];
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
  if (lastRun)
    lenses.push({
      range,
      command: { title: lastRun.label, command: Commands.showRun, arguments: [lastRun.runId] },
    });
  return lenses;
}
