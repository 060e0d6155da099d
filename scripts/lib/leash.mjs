// leash.mjs COMMAND ARGUMENTS…: runs a command that does not outlive whoever started this process.
// This process leads a process group of its own and holds the read end of a pipe from its starter (stdin). When
// the pipe closes, the starter is dead, even by SIGKILL: the group gets SIGTERM, then SIGKILL. As long as the
// starter lives, ending the group is its part (see processes.mjs).
import { spawn } from 'node:child_process';

const GRACE_MS = 3_000;
const [command = '', ...args] = process.argv.slice(2);
/** @type {import('node:child_process').ChildProcess} */
const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
let starterDied = false;

/** @param {NodeJS.Signals} signal */
function signalGroup(signal) {
  if (process.platform === 'win32') child.kill(signal);
  else process.kill(-process.pid, signal);
}

// The group's own signals reach this process too; it stays to pass on how the command ended.
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) process.on(signal, () => {});
process.stdin
  .on('error', () => {})
  .on('close', () => {
    starterDied = true;
    signalGroup('SIGTERM');
    setTimeout(() => signalGroup('SIGKILL'), GRACE_MS);
  })
  .resume();
child.on('error', (error) => {
  process.stderr.write(`${command}: ${error.message}\n`);
  process.exit(127);
});
child.on('exit', (code) => {
  if (!starterDied) process.exit(code ?? 1);
});
