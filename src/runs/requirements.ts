import { UserError } from '../core/errors.ts';
import type { FlowApiId } from '../core/flow.ts';
import { installCommand } from '../core/install.ts';
import { missingPackage } from '../host/errors.ts';
import type { PythonHost } from '../host/pythonHost.ts';
import type { HostPackages } from '../protocol/host.ts';

/** Oldest `distributed` that the helpers are tested with. */
const oldestDistributed = [2022, 5] as const;

/**
 * A host that can run flows of this API: `host`, or else what `again` gives once `host` is let go. Packages are read
 * when a host starts, and the user may have just installed what was missing. Rejects with a {@link UserError} that
 * says what is missing.
 */
export async function suitableHost(
  host: PythonHost,
  again: () => Promise<PythonHost>,
  api: FlowApiId,
): Promise<PythonHost> {
  const problem = await problemOf(host, api);
  if (!problem) return host;
  // What runs there must not end for it.
  if (host.busy) throw whileBusy(problem);
  void host.dispose();
  const fresh = await again();
  const left = await problemOf(fresh, api);
  if (left) throw left;
  return fresh;
}

async function problemOf(host: PythonHost, api: FlowApiId): Promise<UserError | undefined> {
  const { executable, packages } = await host.hello;
  try {
    checkPackages(executable, packages, api);
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

function whileBusy({ reason, message, hint, action }: UserError): UserError {
  const then = 'If that is done: it is seen once the clusters and runs of this interpreter have ended.';
  return new UserError(reason, message, {
    hint: [hint, then].filter(Boolean).join('. '),
    ...(action && { action }),
  });
}

/**
 * Throws a {@link UserError} if this interpreter cannot run flows of this API: known before anything starts.
 * Prefect 2 and 3 reach Dask through `prefect-dask`; Prefect 1 has its executor built in.
 */
export function checkPackages(python: string, packages: HostPackages, api: FlowApiId): void {
  const { distributed, prefect } = packages;
  if (!distributed) {
    throw missingPackage(python, 'dask[distributed]', `Dask Distributed is not installed in ${python}`);
  }
  if (isOlder(distributed, oldestDistributed)) {
    const text = installCommand(python, 'dask[distributed]', { upgrade: true });
    throw new UserError(
      'package-too-old',
      `distributed ${distributed} is too old: 2022.5 or later is needed`,
      { hint: `Update it with: ${text}`, action: { kind: 'copy', label: 'Copy Command', text } },
    );
  }
  if (api === 'dask') return;
  const wanted = api === 'prefect1' ? 'prefect<2' : 'prefect';
  if (!prefect) throw missingPackage(python, wanted, `Prefect is not installed in ${python}`);
  const major = Number.parseInt(prefect, 10);
  if (api === 'prefect1' && major >= 2)
    throw wrongPrefect(prefect, 'a Prefect 1 flow (a "with Flow(…)" block)');
  if (api === 'prefect' && major < 2) throw wrongPrefect(prefect, 'a Prefect 2 or 3 flow (@flow)');
  if (api === 'prefect' && !packages['prefect-dask']) {
    throw missingPackage(
      python,
      'prefect-dask',
      `prefect-dask, which runs Prefect tasks on Dask, is not installed in ${python}`,
    );
  }
}

function wrongPrefect(version: string, what: string): UserError {
  return new UserError('package-too-old', `This is ${what}, but the interpreter has Prefect ${version}`, {
    hint: 'Choose an interpreter with the matching Prefect.',
    action: { kind: 'select-interpreter' },
  });
}

function isOlder(version: string, [year, month]: readonly [number, number]): boolean {
  const [y = 0, m = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return y < year || (y === year && m < month);
}
