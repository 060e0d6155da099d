import type { HostEventOf, PythonHost } from '../host/pythonHost.ts';

/** Resolves when the run's process is gone, or the host with it; tells in words how, if it did not leave by itself. */
export function exitOf(host: PythonHost, run: string, onExit: (message: string) => void): Promise<void> {
  return new Promise((resolve) => {
    const listening = host.onEvent((event) => {
      const how = event.event === 'run.exited' || event.event === 'error' ? exitText(event, run) : undefined;
      if (how === undefined) return;
      listening.dispose();
      onExit(how);
      resolve();
    });
    void host.ended.then(() => {
      listening.dispose();
      onExit(host.endError().message);
      resolve();
    });
  });
}

/** How this run's process ended, in words; undefined if the event is about something else. */
function exitText(event: HostEventOf<'run.exited' | 'error'>, run: string): string | undefined {
  if (event.run !== run) return undefined;
  if (event.event === 'error') {
    return event.op === 'run.start' ? `The runner could not be started: ${event.message}` : undefined;
  }
  return event.signal
    ? `The runner was killed (signal ${event.signal})`
    : `The runner ended with code ${event.code ?? '?'} without saying how the flow ended`;
}
