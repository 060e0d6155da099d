import type { PreflightFacts } from './facts.ts';
import { capital, type Finding, workersText } from './finding.ts';

/** Whether workers reach the Prefect API: tasks of Prefect 2 and 3 report to it from where they run. */
export function judgeApi({ api, workers, ours }: PreflightFacts): Finding[] {
  if (!api) return [];
  const name = api.ours ? 'the Prefect API server on this machine' : `the Prefect API at ${api.url}`;
  if (typeof api.here === 'string') {
    return [
      {
        severity: 'error',
        message: `${capital(name)} does not answer: ${api.here}`,
        hint: 'PREFECT_API_URL, or the active Prefect profile, names it. Start it, or name another one.',
        ...(isLoopback(api.url) && {
          actions: [{ kind: 'copy', label: 'Copy Command', text: 'prefect server start' } as const],
        }),
      },
    ];
  }
  const asked = workers.filter((worker) => worker.api !== undefined);
  const failing = asked.filter((worker) => worker.api !== null);
  if (asked.length === 0) return [];
  const [first] = failing;
  if (!first) {
    return [{ severity: 'good', message: `${capital(name)} is reached by ${workersText(asked, asked)}` }];
  }
  const who = workersText(failing, asked);
  const verb = failing.length === 1 ? 'does' : 'do';
  const loopback = isLoopback(api.url);
  return [
    {
      severity: 'error',
      message: `${capital(who)} ${verb} not reach ${name}: ${first.api}`,
      ...(loopback
        ? onLoopback(api.ours, ours.host)
        : {
            hint: 'Tasks there cannot report to it, and fail. Look for a firewall or a name that is not known there.',
          }),
    },
  ];
}

/** The classic: an address that means this machine on this machine, and the worker itself on a worker. */
function onLoopback(isOurs: boolean, host: string | null | undefined): Pick<Finding, 'hint' | 'actions'> {
  // The scheduler may be reached through a tunnel, as one in pods is: there need be no way back then.
  const known = host && !isLoopback(`http://${host}`) ? host : undefined;
  const text = `prefect config set PREFECT_API_URL=http://${known?.includes(':') ? `[${known}]` : (known ?? '<its machine>')}:4200/api`;
  const what = isOurs ? 'It listens on loopback' : 'That is a loopback address';
  const start = known
    ? 'Start one that workers reach (prefect server start --host 0.0.0.0)'
    : 'Take Prefect Cloud, or start one that this machine and workers reach, in their network (prefect server start --host 0.0.0.0)';
  return {
    hint: `${what}, by which each machine means itself. ${start}, and name it: ${text}`,
    actions: [{ kind: 'copy', label: 'Copy Command', text }],
  };
}

/** Null: a server of ours that has yet to start. */
function isLoopback(url: string | null): boolean {
  if (url === null) return true;
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
