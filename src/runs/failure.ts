import type { ErrorAction } from '../core/errors.ts';
import type { Failure } from '../core/failure.ts';
import { installCommand } from '../core/install.ts';
import type { RunState } from '../core/run.ts';
import type { RunError, RunEvent } from '../protocol/host.ts';

type RunEnd = Extract<RunEvent, { event: 'end' }>;

/** The state that a run has come to by its own word. */
export function endState(
  end: RunEnd,
  times: { readonly startedMs: number; readonly endedMs: number },
  run: FailedRun,
): RunState {
  switch (end.state) {
    case 'completed':
      return { kind: 'completed', ...times, ...(end.result && { result: end.result }) };
    case 'cancelled':
      return { kind: 'cancelled', ...times };
    case 'failed':
    case 'crashed':
      return { kind: end.state, ...times, failure: runFailure(end, run) };
    default:
      return end.state satisfies never;
  }
}

/** The run that failed, and the interpreter that it ran with. */
export interface FailedRun {
  readonly id: string;
  readonly python: string;
}

interface NextStep {
  readonly hint?: string;
  readonly action?: ErrorAction;
}

/**
 * The end of a failed run in the user's words, `transform[3]: ZeroDivisionError: division by zero`, with what to do
 * next: the line, what is known of the reason, else what the run printed.
 */
export function runFailure(end: RunEnd, run: FailedRun): Failure {
  const { error } = end;
  const printed = { kind: 'show-run', id: run.id } as const;
  if (!error) return { message: end.message ?? `The flow ${end.state}`, action: printed };
  const { hint, action } = nextStep(error, run.python);
  return {
    message: messageOf(error),
    ...(hint && { hint }),
    ...(error.traceback && { detail: error.traceback }),
    action: placeOf(error) ?? action ?? printed,
  };
}

function messageOf({ type, message, task, reason }: RunError): string {
  // What is known beforehand needs no class.
  if (reason) return message;
  const what = type && message ? `${type}: ${message}` : message || type;
  return task ? `${task}: ${what}` : what;
}

function placeOf({ file, line }: RunError): ErrorAction | undefined {
  return file ? { kind: 'open-file', path: file, ...(line && { line }) } : undefined;
}

function nextStep(error: RunError, python: string): NextStep {
  switch (error.reason) {
    case 'parameter':
      return { hint: 'Choose "Run with…" and the pencil of an executor to set the parameters.' };
    case 'package-missing': {
      if (!error.package) return { action: { kind: 'select-interpreter' } };
      const text = installCommand(python, error.package, { upgrade: false });
      return { hint: `Install it with: ${text}`, action: { kind: 'copy', label: 'Copy Command', text } };
    }
    case 'flow-not-found':
      return { hint: 'The run uses the file on disk: save it, and see that the flow is still in it.' };
    case 'unreachable':
      return { hint: 'The cluster may have just ended: start it again, or run with an executor.' };
    case 'prefect-server':
      return { hint: 'The log of the API server is in the output.', action: { kind: 'show-output' } };
    case 'syntax-error':
    case undefined:
      return {};
    default:
      return error.reason satisfies never;
  }
}
