import { formatBytes, formatClock } from './format.ts';

/** Limits of adaptive scaling under Dask's own names; null or absent: none. */
export interface AdaptLimits {
  readonly minimum?: number | null | undefined;
  readonly maximum?: number | null | undefined;
}

/** How many workers a cluster of ours shall have. */
export interface Scaling {
  /** What it was last asked to have. */
  readonly workers: number;
  /** It is as many as the work asks for, within these limits. Absent: a fixed number. */
  readonly adaptive?: AdaptLimits | undefined;
}

/** Why a cluster was asked to have another number of workers. `tasks`, `memory`, `idle`: by adaptive scaling. */
export type ScaleReason = 'asked' | 'tasks' | 'memory' | 'idle' | 'minimum' | 'maximum' | 'retired';

export interface ScaleStep {
  readonly from: number;
  readonly to: number;
  readonly why: ScaleReason;
  /** With `tasks`: how many had no thread. */
  readonly waiting?: number | undefined;
  /** With `retired`: the worker's name. */
  readonly worker?: string | undefined;
}

/** What a back end tells of the number of workers: how it is now, and what has just changed. */
export interface ScalingNews {
  readonly scaling: Scaling;
  readonly step?: ScaleStep | undefined;
}

/** A step as it stays readable beside the cluster. */
export interface ScaleEvent {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** `scaled to 4`, `adaptive: 2 → 4 (12 tasks waiting)`. */
  readonly message: string;
}

/** A worker that is being retired from here. */
export interface Drain {
  /** Its address. */
  readonly worker: string;
  readonly name: string;
  readonly sinceMs: number;
  readonly limitMs: number;
  /** `moving`: its results go to other workers. `finishing`: what executes there ends. `closing`: it leaves. */
  readonly phase: 'moving' | 'finishing' | 'closing';
  /** Tasks that execute there, as last heard. */
  readonly executing: number;
}

/** `1–8`, `from 2`, `without limits`: after the word “adaptive”. */
export function limitsText({ minimum, maximum }: AdaptLimits): string {
  const least = minimum ?? 0;
  if (maximum === null || maximum === undefined) return least > 0 ? `from ${least}` : 'without limits';
  return least === maximum ? `${maximum}` : `${least}–${maximum}`;
}

/** Limits as a size: `1–8 workers, adaptive`. */
export function limitsSize(limits: AdaptLimits): string {
  const text = limitsText(limits);
  if (text === 'without limits') return 'adaptive without limits';
  if (text.startsWith('from')) return `${limits.minimum} or more workers, adaptive`;
  return `${text} ${text === '1' ? 'worker' : 'workers'}, adaptive`;
}

/** What a cluster was asked to become, and why. */
export function stepText({ adaptive }: Scaling, { from, to, why, waiting = 0, worker }: ScaleStep): string {
  if (why === 'retired') return `worker ${worker ?? '?'} retired: ${from} → ${to}`;
  if (why === 'asked') return adaptive ? `set to adaptive ${limitsText(adaptive)}` : `scaled to ${to}`;
  const reason = {
    tasks: `${waiting} ${waiting === 1 ? 'task' : 'tasks'} waiting`,
    memory: 'results fill over 60 % of the memory',
    idle: 'idle',
    minimum: `at least ${adaptive?.minimum ?? to}`,
    maximum: `at most ${adaptive?.maximum ?? to}`,
  }[why];
  return `adaptive: ${from} → ${to} (${reason})`;
}

/** A step in one line with its time last: `scaled to 4 · 10:41`. */
export function scaleEventText({ message, atMs }: ScaleEvent): string {
  return `${message} · ${formatClock(atMs)}`;
}

/** What the workers of a cluster of ours have to share. */
export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

/** What each worker takes of the machine, as far as it is known; a memory of 0 is no limit. */
export interface WorkerSize {
  readonly threads?: number | undefined;
  readonly memoryBytes?: number | undefined;
}

/** Something to know before it is done. Only an `error` keeps it from being done. */
export interface Advice {
  readonly severity: 'error' | 'warning' | 'info';
  readonly message: string;
}

/** Beyond this a number is a slip of the finger. */
const mostWorkers = 4096;

/** What is to be said of limits for adaptive scaling, the gravest first. */
export function adviseLimits(limits: AdaptLimits, machine?: Machine, worker: WorkerSize = {}): Advice[] {
  const minimum = limits.minimum ?? 0;
  const maximum = limits.maximum ?? undefined;
  const bad = refuseLimits(minimum, maximum);
  if (bad) return [{ severity: 'error', message: bad }];
  const advice: Advice[] = [];
  if (maximum === undefined) {
    const cores = machine ? `, whatever the ${machine.cores} cores of this machine can carry` : '';
    const message = `Without a maximum Dask starts as many workers as would finish the known work in 5 s${cores}: give one.`;
    advice.push({ severity: 'warning', message });
  }
  if (minimum === 0) {
    const message =
      'With a minimum of 0 an idle cluster loses its last worker: what comes next waits for a new one to start and to import (with Prefect some seconds).';
    advice.push({ severity: 'warning', message });
  }
  if (worker.memoryBytes === 0) {
    const message = 'Workers without a memory limit stay as long as any result is held: Dask goes by it.';
    advice.push({ severity: 'info', message });
  }
  return [...advice, ...beyond(Math.max(minimum, maximum ?? 0), machine, worker)];
}

function refuseLimits(minimum: number, maximum: number | undefined): string | undefined {
  if (!isCount(minimum, 0)) return `The minimum must be a whole number from 0 to ${mostWorkers}, or none.`;
  if (maximum === undefined) return undefined;
  if (!isCount(maximum, 1)) return `The maximum must be a whole number from 1 to ${mostWorkers}, or none.`;
  if (maximum >= minimum) return undefined;
  return `The maximum (${maximum}) is below the minimum (${minimum}): Dask would always keep ${minimum} and never adapt.`;
}

/** What is to be said of a fixed number of workers. */
export function adviseNumber(workers: number, machine?: Machine, worker: WorkerSize = {}): Advice[] {
  if (!isCount(workers, 0)) {
    return [{ severity: 'error', message: `A whole number from 0 to ${mostWorkers} is needed.` }];
  }
  if (workers === 0) {
    const message = 'Without workers, results that are held are lost and tasks wait until there are some.';
    return [{ severity: 'warning', message }];
  }
  return beyond(workers, machine, worker);
}

function isCount(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least && value <= mostWorkers;
}

function beyond(workers: number, machine: Machine | undefined, worker: WorkerSize): Advice[] {
  if (!machine) return [];
  const info = (message: string): Advice => ({ severity: 'info', message });
  const { threads = 1, memoryBytes = 0 } = worker;
  const advice: Advice[] = [];
  if (workers * threads > machine.cores) {
    const size = threads === 1 ? `${workers} workers` : `${workers} workers × ${threads} threads`;
    advice.push(info(`${size} are more than the ${machine.cores} cores of this machine.`));
  }
  if (workers * memoryBytes > machine.memoryBytes) {
    const asked = formatBytes(workers * memoryBytes);
    const size = formatBytes(machine.memoryBytes);
    advice.push(info(`${workers} workers may take ${asked} of memory; this machine has ${size}.`));
  }
  return advice;
}
