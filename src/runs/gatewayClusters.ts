import { parseAddress } from '../core/address.ts';
import { className } from '../core/clusterClassExecutor.ts';
import type { Executor } from '../core/executor.ts';
import { readPage } from '../dask/dashboard.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { Given } from './attachments.ts';

/** Whether an address that a user has typed is that of a cluster behind a Dask Gateway. */
export const isBehindGateway = (address: string): boolean =>
  readPage(address) === undefined && parseAddress(address).scheme === 'gateway';

/**
 * What clients need of a cluster behind a Dask Gateway, by the gateway's word: with the login that an executor of the
 * gateway's class has, else as Dask is configured. Nothing changes by it, there or at the cluster.
 * @throws UserError if no gateway of that address is known, or it does not tell
 */
export async function askGateway(
  host: PythonHost,
  address: string,
  executors: readonly Executor[],
  signal?: AbortSignal,
): Promise<Given> {
  const gateways = executors.flatMap((one) =>
    one.kind === 'clusterClass' && className(one) === 'GatewayCluster' ? [one.cluster_kwargs ?? {}] : [],
  );
  const { dashboard, security } = await host.gatewayCluster(parseAddress(address).text, gateways, signal);
  return { security, ...(dashboard !== null && { dashboard }) };
}
