import { LinuxMachine } from './linux.ts';
import { MacMachine } from './mac.ts';
import type { Machine } from './machine.ts';
import { runTool } from './run.ts';
import { WindowsMachine } from './windows.ts';

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  if (process.platform === 'win32') return new WindowsMachine(runTool);
  const user = process.getuid?.() ?? 0;
  return process.platform === 'darwin' ? new MacMachine(user, runTool) : new LinuxMachine(user);
}
