import { execFile } from 'node:child_process';

/** Runs a tool of the system and gives what it prints; what it does not know makes some of them fail. */
export type Run = (command: string, args: readonly string[]) => Promise<string>;

const toolTimeoutMs = 10_000;

/** Without a shell. Rejects if there is no such tool, or it does not end in time. */
export const runTool: Run = (command, args) =>
  new Promise((resolve, reject) => {
    const options = { timeout: toolTimeoutMs, windowsHide: true, maxBuffer: 16 * 1024 * 1024 };
    execFile(command, args, options, (error, stdout) => {
      if (error && (error.killed || error.code === 'ENOENT')) reject(error);
      else resolve(stdout);
    });
  });
