import { existsSync } from 'node:fs';
import { executorSettings, UserError } from '../core/errors.ts';
import { installCommand } from '../core/install.ts';
import type { ClassRefusal, HostEvent } from '../protocol/host.ts';

/** How a host's process ended. `stderr` is its last lines. */
export interface HostExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** The interpreter is not there, or is no program; or the folder that it should start in has gone. */
export function spawnFailed(python: string, workspace: string, cause: Error): UserError {
  if (!existsSync(workspace)) {
    return new UserError('setting', `The workspace folder is not there: ${workspace}`, { cause });
  }
  return new UserError('python-missing', `Python could not be started: ${python} (${cause.message})`, {
    hint: 'Choose an interpreter that has Dask.',
    action: { kind: 'select-interpreter' },
    cause,
  });
}

/** The interpreter works, but not for us: too old, or without Dask. Its own words say what to install. */
export function unusable(python: string, event: Extract<HostEvent, { event: 'unusable' }>): UserError {
  if (event.reason === 'python-too-old') {
    return new UserError(event.reason, event.message, {
      hint: 'Choose another interpreter.',
      action: { kind: 'select-interpreter' },
    });
  }
  const upgrade = event.reason === 'package-too-old';
  const text = installCommand(python, 'dask[distributed]', { upgrade });
  return new UserError(event.reason, event.message, {
    action: { kind: 'copy', label: 'Copy Command', text },
  });
}

/** The host ended although nobody asked it to. */
export function crashed(exit: HostExit): UserError {
  const how = exit.signal ? `was killed (${exit.signal})` : `ended with code ${exit.code ?? '?'}`;
  const lastLine = exit.stderr.split('\n').at(-1);
  return new UserError('host-crashed', `The cluster host ${how}${lastLine ? `: ${lastLine}` : ''}`, {
    hint: 'It starts again with the next run.',
    action: { kind: 'show-output' },
  });
}

/** The host is there, but a word from it is overdue. */
export function silent(seconds: number): UserError {
  return new UserError('timeout', `The cluster host did not answer within ${seconds} s`, {
    hint: 'What it printed is in the output.',
    action: { kind: 'show-output' },
  });
}

/** The host could not do what it was asked for: of use only where no better words are known. */
export function refused(why: string): UserError {
  return new UserError('protocol', `The cluster host could not do that: ${why}`, {
    hint: 'What it printed is in the output.',
    action: { kind: 'show-output' },
  });
}

/** Prefect's API server, which runs of Prefect 2 and 3 report to, is not to be had. */
export function serverFailed(why: string): UserError {
  return new UserError('prefect-server', `The Prefect API server did not start: ${why}`, {
    hint: 'Its log is in the output. To use a server of your own, set PREFECT_API_URL in your Prefect profile.',
    action: { kind: 'show-output' },
  });
}

/** The host was told to end. */
export function stopped(): UserError {
  return new UserError('host-crashed', 'The cluster host was stopped', {
    hint: 'It starts again with the next run.',
  });
}

/** A {@link UserError} whose button copies the command that installs the package into this interpreter. */
export function missingPackage(python: string, name: string, message: string): UserError {
  const command = installCommand(python, name, { upgrade: false });
  return new UserError('package-missing', message, {
    hint: `Install it with: ${command}`,
    action: { kind: 'copy', label: 'Copy Command', text: command },
  });
}

/** Where modules that clusters are made with come from; of others a name alone is no reason to install something. */
const distributions: Readonly<Record<string, string>> = {
  asyncssh: 'asyncssh',
  coiled: 'coiled',
  dask_cloudprovider: 'dask-cloudprovider',
  dask_cuda: 'dask-cuda',
  dask_gateway: 'dask-gateway',
  dask_jobqueue: 'dask-jobqueue',
  dask_kubernetes: 'dask-kubernetes',
  dask_yarn: 'dask-yarn',
};

/** A cluster class that can't be used, or that has failed. */
export function classRefused(python: string, refusal: ClassRefusal): UserError {
  const { kind, message, hint, traceback, module, file, line } = refusal;
  const distribution = module && distributions[module];
  if (distribution) return missingPackage(python, distribution, message);
  const atFault = kind === 'class-failed' ? 'cluster-failed' : kind === 'timeout' ? 'timeout' : 'setting';
  return new UserError(atFault, message, {
    hint: hint ?? usualHints[kind] ?? 'Check cluster_class and cluster_kwargs of the executor.',
    action: file ? { kind: 'open-file', path: file, ...(line && { line }) } : executorSettings,
    cause: traceback && new Error(traceback),
  });
}

/** A gateway that is not known or does not tell. The address is what the user has typed, and may want to change. */
export function gatewayRefused(python: string, refusal: ClassRefusal): UserError {
  const { message, hint, traceback, module } = refusal;
  if (module === 'dask_gateway') return missingPackage(python, 'dask-gateway', message);
  return new UserError('unreachable', message, {
    ...(hint && { hint }),
    cause: traceback && new Error(traceback),
  });
}

const usualHints: Partial<Readonly<Record<ClassRefusal['kind'], string>>> = {
  'module-missing':
    'Modules are looked for in the workspace folder and among the packages of its interpreter.',
  'class-failed': 'What it printed is in its terminal.',
  timeout: 'What it printed is in its terminal; start_timeout of the executor is how long it may take.',
};
