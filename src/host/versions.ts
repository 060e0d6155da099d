import type { HostEvent } from '../protocol/host.ts';

/** Versions by name of what both ends of a connection to a scheduler have to agree on; only what is installed. */
export type Versions = Readonly<Record<string, string>>;

/** Packages whose versions Dask itself compares when a client connects, and Prefect, whose objects tasks carry. */
const packages = ['dask', 'distributed', 'cloudpickle', 'prefect'] as const;

/** Those of the interpreter behind a host; of Python its minor version, as bytecode changes with that. */
export function versionsOf(hello: Extract<HostEvent, { event: 'hello' }>): Versions {
  const found: Record<string, string> = { Python: hello.python.split('.').slice(0, 2).join('.') };
  for (const name of packages) {
    const version = hello.packages[name];
    if (version) found[name] = version;
  }
  return found;
}
