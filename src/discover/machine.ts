/** A TCP socket of this user that listens. */
export interface ListeningSocket {
  /** The same as long as the socket lives. */
  readonly key: string;
  /** Where it can be reached on this machine; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** A process of this user that is a Python. */
export interface PythonProcess {
  readonly pid: number;
  /** Its command line; whole arguments where the system tells them apart. */
  readonly argv: readonly string[];
  /** Its working folder, if that is known. */
  readonly folder?: string | undefined;
  /** Whether it has loaded the libraries that Dask Distributed can't do without. */
  readonly hasDask: boolean;
}

/** What is asked of the system, which each tells in its own way. */
export interface Machine {
  /** The oldest first, as far as that is known. Cheap: it is asked every few seconds. */
  sockets(): Promise<readonly ListeningSocket[]>;
  /** The Python processes behind sockets, by key; those of other processes are missing. */
  owners(sockets: readonly ListeningSocket[]): Promise<ReadonlyMap<string, PythonProcess>>;
}

/** Where to connect to for what listens on all addresses of the machine. */
export function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '*') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/**
 * Whether these libraries are among what a process has loaded: msgpack and psutil, both as machine code, as they are
 * installed almost everywhere. A web server or a notebook that has nothing to do with Dask has not both.
 */
export function looksLikeDask(loaded: string): boolean {
  return /[\\/]_cmsgpack\./.test(loaded) && /[\\/]_psutil_\w+\./.test(loaded);
}

/** Whether an executable is a Python, by its path. */
export const isPython = (path: string): boolean => /(^|[\\/])(python|pypy)[\w.-]*$/i.test(path);
