import { LocalBackend } from '../backends/local.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { RunTarget } from '../runs/request.ts';
import type { AttachCommands } from './attachCommands.ts';
import type { Choice } from './picks.ts';

/** What it takes to turn a choice into a target. */
export interface TargetMeans {
  readonly host: PythonHost;
  readonly attach: AttachCommands;
  readonly signal: AbortSignal;
  stage(text: string): void;
}

/** Where a run goes, by the kind of what the user chose. What is there already is attached to first. */
export async function targetOf(choice: Choice, means: TargetMeans): Promise<RunTarget> {
  if ('clusterId' in choice) return { kind: 'cluster', clusterId: choice.clusterId };
  const { executor } = choice;
  switch (executor.kind) {
    case 'local':
      return { kind: 'executor', executor, backend: new LocalBackend(means.host) };
    case 'existing':
      return { kind: 'cluster', clusterId: await means.attach.forRun(executor, means.signal, means.stage) };
    case 'localDask':
      return { kind: 'alone', executor };
    default:
      return executor satisfies never;
  }
}
