import { type ErrorAction, executorSettings, UserError } from '../../core/errors.ts';
import type { KubernetesExecutor } from '../../core/kubernetesExecutor.ts';
import { MemberFailure, memberError, printedCause } from '../memberFailure.ts';
import { type ApiPlace, codeOf, reasonOf } from './kubernetesApi.ts';
import type { PodTrouble } from './podState.ts';

/** A pod that does not run, and what it printed last. */
export function podError(who: string, trouble: PodTrouble, lastLines: readonly string[] = []): UserError {
  return new UserError('cluster-failed', `The ${who} does not start: ${trouble.text}`, {
    hint: trouble.hint ?? 'Check the image and the options of the executor.',
    action: executorSettings,
    ...printedCause(lastLines),
  });
}

/** Why a cluster on Kubernetes did not start, as the user can act on it. */
export function startError(error: unknown, executor: KubernetesExecutor, place: ApiPlace): unknown {
  if (error instanceof UserError) return error;
  if (error instanceof MemberFailure) return memberError(error, executor);
  return apiError(error, place, `the executor "${executor.name}"`, executor.name);
}

/**
 * What an API server's answer, or its silence, means.
 * @param whose options are to be checked where the answer tells nothing better
 * @param executor whose rights are too few, by its name
 */
export function apiError(error: unknown, place: ApiPlace, whose: string, executor?: string): UserError {
  const { context, namespace, server } = place;
  const text = reasonOf(error);
  const failed = (message: string, hint: string, action: ErrorAction = executorSettings) =>
    new UserError('cluster-failed', message, { hint, action, cause: error });
  switch (codeOf(error)) {
    case undefined:
      return unreachable(place, error);
    case 401:
      return new UserError('not-permitted', `The API server of ${context} does not accept your login`, {
        hint: 'Log in again, as your cloud has it; “kubectl get pods” tells whether that worked.',
        cause: error,
      });
    case 404:
      if (/namespaces? /.test(text))
        return failed(
          `There is no namespace "${namespace}" in ${context}`,
          `“kubectl create namespace ${namespace}” makes it.`,
        );
      return failed(`The API server of ${context} does not know it: ${text}`, `Check ${whose}.`);
    case 403:
      return refused(text, place, failed, executor);
    case 422:
      return failed(`Kubernetes does not take what it is told: ${text}`, `Check ${whose}.`);
    case 429:
    case 500:
    case 503:
    case 504:
      return new UserError('unreachable', `The API server at ${server} can't answer now: ${text}`, {
        hint: 'Try again in a moment.',
        cause: error,
      });
    default:
      return failed(`Kubernetes refuses: ${text}`, `Check ${whose}.`);
  }
}

function refused(
  text: string,
  { namespace }: ApiPlace,
  failed: (message: string, hint: string, action?: ErrorAction) => UserError,
  executor: string | undefined,
): UserError {
  if (/exceeded quota/.test(text)) {
    const [, what = text] = /exceeded quota: (.*)$/.exec(text) ?? [];
    return failed(
      `The quota of the namespace ${namespace} is used up: ${what}`,
      'Ask for less, or end what runs there.',
    );
  }
  if (/must specify/.test(text))
    return failed(
      `The quota of the namespace ${namespace} ${text.slice(text.indexOf('must specify'))}`,
      'Set requests and limits, of the scheduler too.',
    );
  if (/violates PodSecurity/.test(text))
    return failed(
      `The namespace ${namespace} does not allow such pods: ${text.slice(text.indexOf('violates'))}`,
      'Look at pod_template and volumes of the executor.',
    );
  if (/security context constraint/.test(text))
    return failed(
      `The namespace ${namespace} does not allow such pods: ${text.slice(text.indexOf('unable to'))}`,
      'OpenShift chooses users by itself: “spec: {securityContext: {runAsUser: null, runAsGroup: null, fsGroup: null}}” as pod_template, also of the scheduler, lets it.',
    );
  if (/admission webhook/.test(text))
    return failed(`It is not admitted: ${text}`, 'The text is that of a policy of the cluster.');
  const limit = /(?:(?:maximum|minimum) \S+ usage|\S+ max limit to request ratio) per .*/.exec(text);
  if (limit)
    return failed(
      `The limits of the namespace ${namespace} do not allow it: ${limit[0]}`,
      'Change requests and limits of the executor.',
    );
  const missing = /cannot (\w+) resource "([^"]+)"/.exec(text);
  if (missing)
    return failed(
      `You may not ${missing[1]} ${missing[2]} in the namespace ${namespace}`,
      'Ask whoever looks after the cluster for that right; “Check Kubernetes” lists all that are needed.',
      executor === undefined ? undefined : { kind: 'check-kubernetes', executor },
    );
  return failed(`Kubernetes refuses: ${text}`, 'Check the options of the executor.');
}

function unreachable({ context, server }: ApiPlace, error: unknown): UserError {
  const { cause } = error as { cause?: unknown };
  const code = (error as NodeJS.ErrnoException).code ?? (cause as NodeJS.ErrnoException | undefined)?.code;
  // It answers, and is not who it should be.
  if (/CERT|SIGNATURE|ISSUER/.test(String(code)))
    return new UserError(
      'unreachable',
      `The certificate of the API server of ${context} at ${server} is not accepted: ${reasonOf(error)}`,
      {
        hint: 'The kubeconfig names who has to have signed it; it may be an old one, or a proxy on the way has put its own in its place.',
        action: executorSettings,
        cause: error,
      },
    );
  const why =
    {
      ECONNREFUSED: 'nothing listens there',
      ENOTFOUND: 'no such host',
      ETIMEDOUT: 'no answer',
      UND_ERR_CONNECT_TIMEOUT: 'no answer',
      ECONNRESET: 'it ended the connection',
    }[String(code)] ?? reasonOf(error);
  return new UserError('unreachable', `The API server of ${context} at ${server} does not answer: ${why}`, {
    hint: 'Look whether the cluster runs, and whether it takes a VPN or another context.',
    action: executorSettings,
    cause: error,
  });
}
