import type { PodScheduler } from './podScheduler.ts';

/** Why something the user asked for did not happen. Each reason has one meaning; `ui/` words its buttons. */
export type ErrorReason =
  | 'python-missing'
  | 'python-too-old'
  | 'package-missing'
  | 'package-too-old'
  | 'syntax-error'
  | 'flow-not-found'
  | 'parameter'
  | 'setting'
  | 'port-in-use'
  | 'host-crashed'
  | 'cluster-failed'
  | 'scheduler-lost'
  | 'runner-crashed'
  | 'prefect-server'
  | 'untrusted'
  | 'unreachable'
  | 'protocol'
  | 'not-permitted'
  | 'worker-kept'
  | 'remote'
  | 'timeout'
  | 'cancelled';

/** What the error's button does. Plain data: the core offers it, `ui/` carries it out. */
export type ErrorAction =
  | { readonly kind: 'select-interpreter' }
  | { readonly kind: 'copy'; readonly label: string; readonly text: string }
  | { readonly kind: 'open-file'; readonly path: string; readonly line?: number }
  | { readonly kind: 'open-settings'; readonly key: string }
  /** What the run with this id printed. */
  | { readonly kind: 'show-run'; readonly id: string }
  | { readonly kind: 'manage-trust' }
  /** Shows a text in an editor, to be saved or handed on. */
  | { readonly kind: 'open-text'; readonly label: string; readonly text: string; readonly language: string }
  /** Looks at what keeps the clusters of the executor of that name from starting. */
  | { readonly kind: 'check-kubernetes'; readonly executor: string }
  /** Deletes a static cluster that was deployed, once the user has said so. */
  | { readonly kind: 'undeploy'; readonly pods: PodScheduler }
  | { readonly kind: 'show-output' };

/** Opens the settings of executors. */
export const executorSettings: ErrorAction = { kind: 'open-settings', key: 'flowClusters.executors' };

/** An error that the user can understand and act on. Anything else that is thrown is a bug of ours. */
export class UserError extends Error {
  readonly reason: ErrorReason;
  /** What to do next, in a sentence. */
  readonly hint: string | undefined;
  readonly action: ErrorAction | undefined;

  /**
   * @param reason the closed kind, for code that decides on it
   * @param message what failed and where, as the user reads it
   */
  constructor(
    reason: ErrorReason,
    message: string,
    options: { hint?: string; action?: ErrorAction; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'UserError';
    this.reason = reason;
    this.hint = options.hint;
    this.action = options.action;
  }
}
