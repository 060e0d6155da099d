import { installCommand } from '../install.ts';
import type { Answer, NeededModule, PreflightFacts } from './facts.ts';
import { type Finding, listed, workersText } from './finding.ts';
import { readsTasks } from './versions.ts';

/** A process that should have a module: the scheduler, or a worker. */
interface Place extends Answer {
  readonly name: string;
}

/** What the flow imports, against what is installed here, on the scheduler and on each worker. */
export function judgeModules(facts: PreflightFacts): Finding[] {
  const { needs } = facts;
  if (!needs) return [];
  const findings = [...missingHere(needs.modules, facts), ...missingThere(needs.modules, facts)];
  const asked = facts.workers.some(({ missing }) => missing);
  const wanted = needs.modules.filter(({ use }) => use !== 'main').map(({ name }) => name);
  if (findings.length === 0 && asked && wanted.length > 0) {
    findings.push({ severity: 'good', message: `All that tasks import is there: ${listed(wanted, 6)}` });
  }
  if (needs.partial) {
    const message = 'The workspace has too much source to look through all of it: modules may be missing';
    findings.push({ severity: 'info', message });
  }
  return [...findings, ...untravelled(facts)];
}

function missingHere(modules: readonly NeededModule[], { ours }: PreflightFacts): Finding[] {
  const python = ours.executable ?? 'python';
  return modules
    .filter(({ here }) => !here)
    .map((module): Finding => {
      const { name, file: path, line, inside } = module;
      const text = installCommand(python, name, { upgrade: false });
      return {
        severity: inside ? 'info' : 'error',
        message: `${name} is not installed here, for ${python}`,
        hint: inside
          ? 'It is imported in functions only: what runs on workers does not need it here.'
          : `The file cannot be loaded without it. If its package has the same name: ${text}`,
        actions: [
          { kind: 'open-file', path, line },
          { kind: 'copy', label: 'Copy Command', text },
          { kind: 'select-interpreter' },
        ],
      };
    });
}

function missingThere(modules: readonly NeededModule[], facts: PreflightFacts): Finding[] {
  const workers = facts.workers.filter(({ missing }) => missing);
  const places = placesOf(facts, workers);
  const groups = new Map<string, { modules: NeededModule[]; places: Place[]; use: string }>();
  for (const module of modules) {
    const without = places.filter(({ missing }) => missing?.includes(module.name));
    if (without.length === 0 || module.use === 'main') continue;
    const key = JSON.stringify([module.use, ...without.map(({ name }) => name)]);
    const group = groups.get(key) ?? { modules: [], places: without, use: module.use };
    group.modules.push(module);
    groups.set(key, group);
  }
  return [...groups.values()].map((group): Finding => {
    const names = group.modules.map(({ name }) => name);
    const [first] = group.modules;
    const command = installFor(group.places, names, facts);
    const used = group.use === 'tasks' ? 'Tasks that use' : 'If the data that the script sends needs';
    const it = names.length === 1 ? 'it' : 'them';
    return {
      severity: group.use === 'tasks' ? 'error' : 'warning',
      message: `${listed(names, 6)} ${names.length === 1 ? 'is' : 'are'} missing on ${where(group.places, workers)}`,
      hint: `${used} ${it} fail, or never end. Install ${it} there: ${command}`,
      actions: [
        ...(first ? [{ kind: 'open-file', path: first.file, line: first.line } as const] : []),
        { kind: 'copy', label: 'Copy Command', text: command },
      ],
      ...(group.use === 'tasks' && { missing: names }),
    };
  });
}

/** The scheduler is one of them where it unpickles what is sent to workers. */
function placesOf({ scheduler }: PreflightFacts, workers: readonly Place[]): Place[] {
  const reads = scheduler?.missing && readsTasks(scheduler.packages?.distributed);
  return [...(reads ? [{ ...scheduler, name: 'the scheduler' }] : []), ...workers];
}

function where(places: readonly Place[], workers: readonly Place[]): string {
  const some = places.filter((place) => workers.includes(place));
  const parts = [
    some.length < places.length ? 'the scheduler' : '',
    some.length > 0 ? workersText(some, workers) : '',
  ];
  return parts.filter(Boolean).join(' and ');
}

function installFor(places: readonly Place[], names: readonly string[], facts: PreflightFacts): string {
  const pythons = new Set(places.map(({ executable }) => executable));
  const [only] = pythons;
  const python = pythons.size === 1 && only ? only : 'python';
  const packages = [...new Set(names.map((name) => facts.distributions?.[name] ?? name))];
  // Where they are is not known; that they run POSIX is likely.
  return installCommand(python, packages, { upgrade: false, platform: 'linux' });
}

/** Before its version 2 cloudpickle sends nothing but the flow's own file. */
function untravelled({ ours, needs }: PreflightFacts): Finding[] {
  const version = ours.packages?.cloudpickle;
  const own = needs?.workspace ?? [];
  if (!version || Number.parseInt(version, 10) >= 2 || own.length === 0) return [];
  const text = installCommand(ours.executable ?? 'python', 'cloudpickle>=2', { upgrade: true });
  return [
    {
      severity: 'warning',
      message: `cloudpickle ${version} does not send modules of the workspace to workers: ${listed(own)}`,
      hint: `Update it with: ${text}`,
      actions: [{ kind: 'copy', label: 'Copy Command', text }],
    },
  ];
}
