import { installCommand } from '../install.ts';
import type { Answer, PreflightFacts } from './facts.ts';
import { type Finding, type Named, workersText } from './finding.ts';

/**
 * Releases of distributed since which what a client sends, or what a scheduler sends to workers, is read by nobody older:
 * pickled graphs, tasks that are not pickled apart, span metadata, `Task` objects, expressions.
 */
const generations = ['2023.4.0', '2023.9.0', '2024.5.2', '2024.11.0', '2025.4.0'] as const;

type Worker = Answer & Named;

/** Whether a scheduler unpickles tasks, so that it needs their modules, and code objects that its Python can make. */
export function readsTasks(distributed: string | undefined): boolean {
  return distributed !== undefined && compare(distributed, generations[0]) >= 0;
}

/** How the interpreters here, of the scheduler and of the workers differ, and what that breaks. */
export function judgeVersions(facts: PreflightFacts): Finding[] {
  const workers = facts.workers.filter(({ python, packages }) => python || packages);
  const findings = [
    ...pythonOfWorkers(facts, workers),
    ...pythonOfScheduler(facts),
    ...distributed(facts, workers),
    ...ofPackages(facts, workers),
  ];
  const { python, packages } = facts.ours;
  const known = workers.length > 0 || facts.scheduler?.packages;
  if (known && findings.every(({ severity }) => severity === 'info')) {
    const message = `The versions fit: Python ${python}, distributed ${packages?.distributed}`;
    findings.push({ severity: 'good', message });
  }
  return findings;
}

function pythonOfWorkers({ ours }: PreflightFacts, workers: readonly Worker[]): Finding[] {
  const findings: Finding[] = [];
  for (const [version, some] of byVersion(workers, ({ python }) => python)) {
    if (!ours.python || version === ours.python) continue;
    const which = workersText(some, workers);
    if (minor(version) === minor(ours.python)) {
      findings.push({ severity: 'info', message: `Python ${ours.python} here, ${version} on ${which}` });
      continue;
    }
    findings.push({
      severity: 'error',
      message: `Python ${minor(ours.python)} here, but ${minor(version)} on ${which}`,
      hint: `Functions travel as bytecode, which another version of Python runs wrongly or not at all: tasks crash, or never end. Choose an interpreter with Python ${minor(version)}, or start the workers with ${minor(ours.python)}.`,
      actions: [{ kind: 'select-interpreter' }],
    });
  }
  return findings;
}

function pythonOfScheduler({ ours, scheduler }: PreflightFacts): Finding[] {
  const version = scheduler?.python;
  if (!version || !ours.python || minor(version) === minor(ours.python)) return [];
  const breaks =
    readsTasks(scheduler.packages?.distributed) && codeObjects(version) !== codeObjects(ours.python);
  return [
    {
      severity: breaks ? 'error' : 'info',
      message: `Python ${minor(ours.python)} here, but ${minor(version)} at the scheduler`,
      hint: breaks
        ? `The scheduler reads the functions that it passes on, and its Python cannot read these. Choose an interpreter with Python ${minor(version)}, or start the scheduler with ${minor(ours.python)}.`
        : 'It passes functions on without running them.',
      ...(breaks && { actions: [{ kind: 'select-interpreter' }] }),
    },
  ];
}

function distributed(facts: PreflightFacts, workers: readonly Worker[]): Finding[] {
  const { ours, scheduler } = facts;
  const own = ours.packages?.distributed;
  const there = scheduler?.packages?.distributed;
  const findings: Finding[] = [];
  if (own && there && own !== there) findings.push(atScheduler(facts, own, there));
  for (const [version, some] of byVersion(workers, ({ packages }) => packages?.distributed)) {
    // Workers of the scheduler's own version are told of with it.
    if (!there || version === there) continue;
    const apart = generation(version) !== generation(there);
    findings.push({
      severity: apart ? 'error' : month(version) === month(there) ? 'info' : 'warning',
      message: `distributed ${there} at the scheduler, but ${version} on ${workersText(some, workers)}`,
      hint: apart
        ? 'They do not understand each other: tasks that are sent there never end. Start these workers with the scheduler’s version.'
        : 'Dask wants the same version everywhere.',
    });
  }
  return findings;
}

function atScheduler({ ours }: PreflightFacts, own: string, there: string): Finding {
  const apart = generation(own) !== generation(there);
  const text = installCommand(ours.executable ?? 'python', [`distributed==${there}`, `dask==${there}`], {
    upgrade: false,
  });
  return {
    severity: apart ? 'error' : month(own) === month(there) ? 'info' : 'warning',
    message: `distributed ${own} here, but ${there} at the scheduler`,
    hint: apart
      ? `They do not understand each other: the run cannot submit its tasks. Choose an interpreter with ${there}, or install it: ${text}`
      : 'Dask wants the same version everywhere.',
    ...(apart && {
      actions: [{ kind: 'copy', label: 'Copy Command', text }, { kind: 'select-interpreter' }],
    }),
  };
}

interface Rule {
  readonly major: Finding['severity'];
  readonly minor: Finding['severity'];
  readonly why: string;
}

/** Of every package that the flow imports, and that is not among `rules`. */
const otherwise: Rule = {
  major: 'warning',
  minor: 'info',
  why: 'Its objects may not survive the way to the workers and back.',
};
const rules: Readonly<Record<string, Rule>> = {
  cloudpickle: {
    major: 'error',
    minor: 'info',
    why: 'Functions that one of them has pickled are not read by the other.',
  },
  msgpack: { major: 'warning', minor: 'info', why: 'It packs all that Dask says.' },
  prefect: {
    major: 'error',
    minor: 'warning',
    why: 'Prefect sends its own objects to the workers, which another version may not read.',
  },
  prefect_dask: {
    major: 'error',
    minor: 'warning',
    why: 'Prefect sends its task runner along with each task.',
  },
};
/** Judged apart, or with `distributed`, whose versions go with it. */
const apart = new Set(['distributed', 'dask']);

function ofPackages({ ours }: PreflightFacts, workers: readonly Worker[]): Finding[] {
  return Object.entries(ours.packages ?? {})
    .filter(([name]) => !apart.has(name))
    .flatMap(([name, own]) =>
      [...byVersion(workers, ({ packages }) => packages?.[name])].flatMap(([version, some]): Finding[] => {
        if (version === own) return [];
        const { major, minor: between, why } = rules[name] ?? otherwise;
        const severity =
          level(own, 1) !== level(version, 1)
            ? major
            : level(own, 2) !== level(version, 2)
              ? between
              : 'info';
        const message = `${name} ${own} here, but ${version} on ${workersText(some, workers)}`;
        return [{ severity, message, ...(severity !== 'info' && { hint: why }) }];
      }),
    );
}

/** Version → who has it, those without any left out. */
function byVersion(
  workers: readonly Worker[],
  of: (worker: Worker) => string | undefined,
): Map<string, Worker[]> {
  const found = new Map<string, Worker[]>();
  for (const worker of workers) {
    const version = of(worker);
    if (version) found.set(version, [...(found.get(version) ?? []), worker]);
  }
  return found;
}

const numbers = (version: string) => version.split(/[.+]/).map((part) => Number.parseInt(part, 10) || 0);
/** The first so many numbers; before 1.0 the second one has the first one's part. */
const level = (version: string, depth: number) =>
  numbers(version)
    .slice(0, version.startsWith('0.') ? depth + 1 : depth)
    .join('.');
const minor = (python: string) => numbers(python).slice(0, 2).join('.');
const month = minor;

function compare(a: string, b: string): number {
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < 3; i += 1) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const generation = (version: string) => generations.filter((since) => compare(version, since) >= 0).length;
/** Python 3.8 and 3.11 changed what a code object is made of. */
const codeObjects = (python: string) =>
  ['3.8.0', '3.11.0'].filter((since) => compare(python, since) >= 0).length;
