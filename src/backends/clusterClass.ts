import type { Backend, BackendContext, ClusterExit, ClusterHandle } from '../core/backend.ts';
import {
  type ClusterClassExecutor,
  className,
  classStartSeconds,
  kwargsWithImage,
} from '../core/clusterClassExecutor.ts';
import { executorSettings, UserError } from '../core/errors.ts';
import { classRefused } from '../host/errors.ts';
import { classCloseTimeoutMs, type PythonHost } from '../host/pythonHost.ts';
import type { ClusterClassOrder } from '../protocol/host.ts';
import {
  adaptKwargs,
  askHost,
  closeInHost,
  type Ended,
  exitOf,
  type HostCluster,
  startInHost,
  within,
} from './hostCluster.ts';
import { noRunImage, toldRunImage } from './runImage.ts';

/** Beside the time that the class has to start: for the host to warm up, and for the class to close. */
const slackMs = 60_000 + classCloseTimeoutMs;

/** A cluster of any class, or what a function makes, by the warm host of the user's interpreter. */
export class ClusterClassBackend implements Backend<ClusterClassExecutor> {
  readonly #host: PythonHost;

  constructor(host: PythonHost) {
    this.#host = host;
  }

  async start(executor: ClusterClassExecutor, context: BackendContext): Promise<ClusterHandle> {
    const host = this.#host;
    const { python } = host;
    const cluster = await startInHost(host, context, {
      order: { class: classOrder(executor, context) },
      limits: executor.adapt_kwargs,
      startTimeoutMs: classStartSeconds(executor) * 1000 + slackMs,
      cancelTimeoutMs: classCloseTimeoutMs,
      failure: (event) => startError(executor, python, event),
    });
    return handle(host, executor, cluster);
  }
}

function classOrder(executor: ClusterClassExecutor, { inherit }: BackendContext): ClusterClassOrder {
  const { cluster_class, cluster_kwargs = {}, n_workers } = executor;
  const image = toldRunImage(inherit.env ?? {});
  const kwargs = kwargsWithImage(cluster_kwargs, image);
  if (!kwargs) throw noRunImage(executor);
  return {
    ...{ path: cluster_class, kwargs, start_timeout: classStartSeconds(executor) },
    ...(n_workers !== undefined && { n_workers }),
    ...(image !== undefined && { image }),
  };
}

function handle(host: PythonHost, executor: ClusterClassExecutor, made: HostCluster): ClusterHandle {
  const { started, ended } = made;
  return {
    address: started.address,
    dashboard: started.dashboard,
    ...(started.security && { security: started.security }),
    finished: ended.then((event) => exit(event)),
    scale: (workers) => askHost(host, made, { op: 'cluster.scale', n_workers: workers }),
    adapt: (limits) => askHost(host, made, { op: 'cluster.adapt', ...adaptKwargs(limits) }),
    close: async () => {
      closeInHost(host, started.cluster, true);
      if (!(await within(classCloseTimeoutMs, ended))) await host.dispose();
      const { left: why, traceback } = await ended;
      if (why === undefined) return;
      throw new UserError('cluster-failed', why, {
        hint: `What ${className(executor)} has made elsewhere (jobs, pods, machines) may still be there.`,
        action: { kind: 'show-output' },
        cause: traceback && new Error(traceback),
      });
    },
  };
}

/** Of one that could not be closed nobody knows whether it is gone: whoever closes it is told. */
async function exit(event: Ended): Promise<ClusterExit> {
  const { reason, left, message } = event;
  if (reason === 'closed' && left) return new Promise(() => undefined);
  return exitOf(left ? { ...event, message: [message, left].filter(Boolean).join(' ') } : event);
}

function startError(executor: ClusterClassExecutor, python: string, event: Ended): UserError {
  const { kind, left, message = `${className(executor)} could not be started` } = event;
  const also = left && `${left} What it has made elsewhere may still be there.`;
  if (kind === undefined || kind === 'port-in-use' || kind === 'option' || kind === 'other') {
    return new UserError('cluster-failed', message, {
      ...(also && { hint: also }),
      action: executorSettings,
    });
  }
  return classRefused(python, { ...event, kind, message, ...(also && { hint: also }) });
}
