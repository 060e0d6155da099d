import type { DockerBackend } from '../backends/docker/dockerBackend.ts';
import { LocalBackend } from '../backends/local.ts';
import type { Backend } from '../core/backend.ts';
import type { OwnExecutor } from '../core/executor.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { RunTarget } from '../runs/request.ts';
import type { AttachCommands } from './attachCommands.ts';
import type { Choice } from './picks.ts';

/** What it takes to turn a choice into a target. */
export interface TargetMeans {
  readonly host: PythonHost;
  readonly docker: DockerBackend;
  readonly attach: AttachCommands;
  readonly signal: AbortSignal;
  stage(text: string): void;
}

/** What starts the clusters of an executor. */
export function backendOf(
  executor: OwnExecutor,
  { host, docker }: Pick<TargetMeans, 'host' | 'docker'>,
): Backend {
  return executor.kind === 'docker' ? docker : new LocalBackend(host);
}

/** Where a run goes, by the kind of what the user chose. What is there already is attached to first. */
export async function targetOf(choice: Choice, means: TargetMeans): Promise<RunTarget> {
  if ('clusterId' in choice) return { kind: 'cluster', clusterId: choice.clusterId };
  const { executor } = choice;
  switch (executor.kind) {
    case 'local':
    case 'docker':
      return { kind: 'executor', executor, backend: backendOf(executor, means) };
    case 'existing':
      return { kind: 'cluster', clusterId: await means.attach.forRun(executor, means.signal, means.stage) };
    case 'localDask':
      return { kind: 'alone', executor };
    default:
      return executor satisfies never;
  }
}
