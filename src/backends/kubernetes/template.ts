import { executorSettings, UserError } from '../../core/errors.ts';
import type { Manifest } from '../../core/kubernetesExecutor.ts';

/**
 * A part of a manifest as settings have it: itself, or its YAML.
 * @throws UserError `setting` if the YAML is none, or no object
 */
export function templateOf(
  template: Manifest | string,
  key: string,
  parse: (text: string) => unknown,
): Manifest {
  if (typeof template !== 'string') return template;
  const fail = (why: string, cause?: unknown) =>
    new UserError('setting', `${key} is no manifest: ${why}`, {
      hint: 'It is the YAML of what is to be merged over the pod, such as “spec: {priorityClassName: low}”.',
      action: executorSettings,
      cause,
    });
  let parsed: unknown;
  try {
    parsed = parse(template);
  } catch (error) {
    throw fail((error as Error).message.split('\n')[0] ?? '', error);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw fail('it is no object');
  return parsed as Manifest;
}
