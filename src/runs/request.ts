import type { Backend } from '../core/backend.ts';
import type { Executor } from '../core/executor.ts';
import type { FlowDef } from '../core/flow.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { RunSpec } from '../protocol/host.ts';
import type { RunChannel } from './channel.ts';

/** Where a run goes: a temporary cluster made from an executor, or a cluster that is there. */
export type RunTarget =
  | { readonly kind: 'executor'; readonly executor: Executor; readonly backend: Backend }
  | { readonly kind: 'cluster'; readonly clusterId: string };

/** All that is needed to run a flow once. */
export interface RunRequest {
  readonly uri: string;
  /** The flow's file on disk. */
  readonly file: string;
  readonly workspace: string;
  readonly flow: FlowDef;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Beside the host's own environment: for the run and the workers of its own cluster. */
  readonly env?: Readonly<Record<string, string>>;
  readonly host: PythonHost;
  readonly target: RunTarget;
  /** What was found before it starts. */
  readonly notes?: readonly string[];
  /** Gives up before anything has started; a run that is there is cancelled by `cancel`. */
  readonly signal?: AbortSignal;
}

/** What the runner is told: the request in the words of the host's protocol. */
export function specOf(id: string, request: RunRequest, { port, token }: RunChannel): RunSpec {
  const { file, workspace, flow, parameters, env, target } = request;
  return {
    run: id,
    channel: { port, token },
    file,
    cwd: workspace,
    workspace,
    api: flow.api,
    entry: flow.entry,
    parameters,
    ...(env && { env }),
    temporary: target.kind === 'executor',
  };
}
