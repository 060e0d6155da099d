import type { Backend } from '../core/backend.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import type { Executor, LocalDaskExecutor } from '../core/executor.ts';
import type { FlowDef, FlowEntry } from '../core/flow.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { RunSpec } from '../protocol/host.ts';
import type { RunChannel } from './channel.ts';

/**
 * Where a run goes: a temporary cluster made from an executor, a cluster that is there, no cluster at all, or as it is
 * written: what its own source asks for, which nobody else knows of.
 */
export type RunTarget =
  | { readonly kind: 'written' }
  | { readonly kind: 'alone'; readonly executor: LocalDaskExecutor }
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
  /** Modules that its tasks use and workers lack. */
  readonly missing?: readonly string[];
  /** Gives up before anything has started; a run that is there is cancelled by `cancel`. */
  readonly signal?: AbortSignal;
}

/** What the runner is told: the request in the words of the host's protocol. */
export function specOf(id: string, request: RunRequest, { port, token }: RunChannel): RunSpec {
  const { file, workspace, flow, parameters, env, target } = request;
  const entry = target.kind === 'written' ? writtenEntry(flow) : flow.entry;
  return {
    run: id,
    channel: { port, token },
    file,
    cwd: workspace,
    workspace,
    api: flow.api,
    entry,
    parameters,
    ...(env && { env }),
    temporary: target.kind === 'executor' || target.kind === 'alone',
  };
}

/** An executor that one call in the file gives is met by running the file. */
function writtenEntry({ api, name, entry, written }: FlowDef): FlowEntry {
  if (entry.how === 'script' || written?.from !== 'call') return entry;
  return { how: 'script', qualname: api === 'prefect1' ? name : entry.path };
}

/** Throws a {@link UserError} if this flow cannot run there, whatever is installed. */
export function checkTarget({ target, flow }: RunRequest): void {
  if (target.kind !== 'alone' || flow.api === 'prefect1') return;
  const api = flow.api === 'dask' ? 'a Dask script' : 'a flow of Prefect 2 or 3';
  throw new UserError(
    'setting',
    `${target.executor.name} runs flows of Prefect 1 only, and ${flow.name} is ${api}`,
    {
      hint: 'Run it with an executor of another kind: those have clusters.',
      action: executorSettings,
    },
  );
}
