import type { FlowDef } from './flow.ts';

/** The flow that a line belongs to, as far as its lenses' places tell: the last one above. `line` is zero-based. */
export function flowAt(flows: readonly FlowDef[], line: number): FlowDef | undefined {
  return flows
    .filter((flow) => flow.line <= line)
    .reduce<FlowDef | undefined>((last, flow) => (last && last.line > flow.line ? last : flow), undefined);
}
