import { type DeploymentShape, fixedWorkers, namesOf } from '../shape.ts';

/** Writes YAML. */
export type Dump = (value: unknown) => string;

/** How others keep a cluster, by what they can't carry of an executor. */
export type Form = 'static' | 'operator' | 'helm';

/** Lines as comments, in front of a text. */
export const commented = (lines: readonly string[]): string =>
  lines.map((line) => (line === '' ? '#\n' : `# ${line}\n`)).join('');

/** What of an executor an export does not carry, in words; with a heading, or nothing. */
export function leftOut(shape: DeploymentShape, form: Form): string[] {
  const { name, executor, options, templates } = shape;
  const {
    adapt_kwargs,
    n_workers,
    idle_timeout,
    env,
    labels,
    annotations,
    context,
    kubeconfig,
    service_account,
  } = executor;
  const isStatic = form !== 'operator';
  const hasTemplate = templates.scheduler !== undefined || templates.worker !== undefined;
  const notes: (readonly [boolean, string])[] = [
    [
      form !== 'static',
      'TLS: scheduler and workers talk plainly, and so does who connects. Who reaches the port may run code.',
    ],
    [
      isStatic && idle_timeout !== undefined,
      'idle_timeout: what is kept for many does not end when nobody uses it.',
    ],
    [
      form === 'static' && adapt_kwargs !== undefined && n_workers !== undefined,
      'n_workers: the scheduler sets the number of workers itself, from adapt_kwargs.',
    ],
    [
      form === 'static' && adapt_kwargs !== undefined && service_account !== undefined,
      `service_account of the scheduler: it runs as ${namesOf(name).adaptive}, by which it sets the number of workers.`,
    ],
    [
      form === 'helm' && adapt_kwargs !== undefined,
      `adapt_kwargs: the chart has a fixed number of workers, here ${fixedWorkers(shape)}: worker.replicas.`,
    ],
    [
      form === 'helm' && (labels !== undefined || annotations !== undefined),
      'labels, and annotations of all but the pods of workers.',
    ],
    [form === 'helm' && hasTemplate, 'pod_template, of workers and of the scheduler.'],
    [
      form === 'helm',
      'What Pod Security calls “restricted”: the chart has no security context of containers. It passes “baseline”.',
    ],
    [
      form === 'operator' && hasMetadata(templates),
      'metadata of pod_template: the operator gives pods the labels and annotations of the cluster.',
    ],
    [options.networkPolicy && form !== 'static', 'The network policy.'],
    [Object.keys(env ?? {}).length > 0, 'Values of env: they are read from a Secret that you make.'],
    [
      context !== undefined || kubeconfig !== undefined,
      'context and kubeconfig: those of whoever applies it count.',
    ],
  ];
  const found = notes.flatMap(([is, text]) => (is ? [`- ${text}`] : []));
  return found.length > 0 ? ['', 'Not carried over from the executor:', ...found] : [];
}

const hasMetadata = ({ scheduler, worker }: DeploymentShape['templates']) =>
  scheduler?.metadata !== undefined || worker?.metadata !== undefined;
