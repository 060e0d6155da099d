import { ClusterClassBackend } from '../backends/clusterClass.ts';
import type { DockerBackend } from '../backends/docker/dockerBackend.ts';
import type { KubernetesBackend } from '../backends/kubernetes/kubernetesBackend.ts';
import { LocalBackend } from '../backends/local.ts';
import type { Backend } from '../core/backend.ts';
import type { OwnExecutor } from '../core/executor.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { RunTarget } from '../runs/request.ts';
import type { AttachCommands } from './attachCommands.ts';
import type { Choice } from './picks.ts';

/** Back ends that all executors of their kind share. */
export interface Backends {
  readonly docker: DockerBackend;
  readonly kubernetes: KubernetesBackend;
}

/** What it takes to turn a choice into a target. */
export interface TargetMeans {
  readonly host: PythonHost;
  readonly backends: Backends;
  readonly attach: AttachCommands;
  readonly signal: AbortSignal;
  stage(text: string): void;
}

/** What starts the clusters of an executor. */
export function backendOf(executor: OwnExecutor, host: PythonHost, backends: Backends): Backend {
  switch (executor.kind) {
    case 'local':
      return new LocalBackend(host);
    case 'docker':
      return backends.docker;
    case 'kubernetes':
      return backends.kubernetes;
    case 'clusterClass':
      return new ClusterClassBackend(host);
    default:
      return executor satisfies never;
  }
}

/** Where a run goes, by the kind of what the user chose. What is there already is attached to first. */
export async function targetOf(choice: Choice, means: TargetMeans): Promise<RunTarget> {
  if ('asWritten' in choice) return { kind: 'written' };
  if ('clusterId' in choice) return { kind: 'cluster', clusterId: choice.clusterId };
  const { executor } = choice;
  switch (executor.kind) {
    case 'local':
    case 'docker':
    case 'kubernetes':
    case 'clusterClass':
      return { kind: 'executor', executor, backend: backendOf(executor, means.host, means.backends) };
    case 'existing':
      return { kind: 'cluster', clusterId: await means.attach.forRun(executor, means.signal, means.stage) };
    case 'localDask':
      return { kind: 'alone', executor };
    default:
      return executor satisfies never;
  }
}
