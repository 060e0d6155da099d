import { judgeApi } from './api.ts';
import type { Answer, PreflightFacts } from './facts.ts';
import { bySeverity, capital, type Finding, workersText } from './finding.ts';
import { judgeLoad, judgeResources, type Load } from './load.ts';
import { judgeModules } from './modules.ts';
import { judgeVersions } from './versions.ts';

/** What a look at a cluster means for a run on it, the worst first. `address` is the scheduler's. */
export function judge(facts: PreflightFacts, address: string): Finding[] {
  if (facts.problem !== undefined) {
    return [
      {
        severity: 'error',
        message: `The scheduler at ${address} could not be asked: ${facts.problem}`,
        hint: 'Check that it runs, and that its address and certificates are right.',
      },
    ];
  }
  const needed = facts.needs?.resources ?? [];
  return bySeverity([
    ...judgeVersions(facts),
    ...judgeModules(facts),
    ...judgeApi(facts),
    ...(facts.workers.length > 0 ? judgeResources(needed, facts.workers, address) : []),
    ...judgeLoad(loadOf(facts)),
    ...unasked(facts),
  ]);
}

function loadOf({ workers, scheduler }: PreflightFacts): Load {
  const { clients, held } = scheduler ?? {};
  return {
    workers,
    ...(clients && { clients: Object.keys(clients).length }),
    ...(held !== undefined && { held }),
  };
}

/** What could not be looked at, and why. */
function unasked({ scheduler, workers }: PreflightFacts): Finding[] {
  const findings: Finding[] = [];
  const text = scheduler?.error && schedulerText[scheduler.error];
  if (text) findings.push({ severity: scheduler.error === 'forbidden' ? 'info' : 'warning', message: text });
  const failed = (error: NonNullable<Answer['error']>) => workers.filter((worker) => worker.error === error);
  const [forbidden, silent, other] = [failed('forbidden'), failed('silent'), failed('other')];
  if (forbidden.length > 0) {
    findings.push({
      severity: 'info',
      message: `Modules and the Prefect API could not be checked on ${workersText(forbidden, workers)}`,
      hint: 'The cluster forbids clients to run anything outside of tasks (blocked-handlers in Dask’s configuration).',
    });
  }
  if (silent.length > 0) {
    findings.push({
      severity: 'warning',
      message: `No answer in time from ${workersText(silent, workers)}`,
      hint: 'Stuck, gone, or busy with code that keeps all of Python waiting. Tasks that are sent there wait as well.',
    });
  }
  const [first] = other;
  if (first) {
    findings.push({
      severity: 'warning',
      message: `${capital(workersText(other, workers))} could not be checked: ${first.text ?? 'for an unknown reason'}`,
    });
  }
  return findings;
}

const schedulerText: Readonly<Record<NonNullable<Answer['error']>, string>> = {
  forbidden:
    'Who else uses the cluster, and what the scheduler has installed, could not be looked at: it forbids that',
  silent: 'The scheduler did not answer in time: it is very busy',
  other: 'Who else uses the cluster, and what the scheduler has installed, could not be looked at',
};
