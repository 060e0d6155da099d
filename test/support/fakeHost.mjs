#!/usr/bin/env node
// Stands for the user's interpreter and `cluster_host.py`: does what $FAKE_HOST says, so that every order of events
// can be had. `{"start": [step…], "<op>": [step…]}`; steps run one after the other. Ids of the request replace $cluster,
// $run and $id in what is said. `echo`: requests are written to stderr.
import { spawn } from 'node:child_process';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** @type {Record<string, object[]> & { outlivesStdin?: boolean, echo?: boolean }} */
const scenario = JSON.parse(process.env.FAKE_HOST ?? '{}');
/** @type {Map<string, {events: import('node:net').Socket, io: import('node:net').Socket, heard: any[], wake: () => void}>} */
const runs = new Map();

/** @param {any} spec */
async function connect(spec) {
  const open = (/** @type {string} */ role) => {
    const socket = createConnection(spec.channel.port, '127.0.0.1').on('error', () => {});
    socket.write(`${spec.channel.token} ${role}\n`);
    return socket;
  };
  const run = { events: open('events'), io: open('io'), heard: /** @type {any[]} */ ([]), wake: () => {} };
  createInterface(run.events).on('line', (line) => {
    run.heard.push(JSON.parse(line));
    run.wake();
  });
  createInterface(run.io).on('line', (line) => run.io.write(`typed: ${line}\n`));
  runs.set(spec.run, run);
}

/** @param {any} run @param {string} op */
async function hears(run, op) {
  while (!run.heard.some((/** @type {any} */ message) => message.op === op)) {
    await new Promise((resolve) => {
      run.wake = () => resolve(undefined);
    });
  }
}

/** @param {any} step @param {any} request */
async function doStep(step, request) {
  const fill = (/** @type {unknown} */ value) =>
    JSON.stringify(value)
      .replaceAll('$cluster', request.cluster ?? '')
      .replaceAll('$run', request.run ?? request.spec?.run ?? '')
      .replaceAll('$id', request.id ?? '');
  const run = runs.get(request.spec?.run ?? request.run ?? [...runs.keys()].at(-1));
  if ('say' in step) process.stdout.write(`${fill(step.say)}\n`);
  if ('write' in step) process.stdout.write(step.write);
  if ('complain' in step) process.stderr.write(step.complain);
  if ('showEnvironment' in step) process.stderr.write(`${Object.keys(process.env).sort().join(' ')}\n`);
  if ('sleep' in step) await sleep(step.sleep);
  if ('connect' in step) await connect(request.spec);
  if ('event' in step) run?.events.write(`${fill(step.event)}\n`);
  if ('print' in step) run?.io.write(step.print);
  if ('await' in step) await hears(run, step.await);
  if ('leave' in step) for (const socket of [run?.events, run?.io]) socket?.end();
  if ('daemon' in step) spawn('sleep', [String(step.daemon)], { detached: true, stdio: 'inherit' }).unref();
  if ('exit' in step) process.exit(step.exit);
  if ('kill' in step) process.kill(process.pid, step.kill);
}

/** @param {string} name @param {any} request */
async function follow(name, request) {
  for (const step of scenario[name] ?? []) await doStep(step, request);
}

createInterface(process.stdin)
  .on('line', (line) => {
    const request = JSON.parse(line);
    if (scenario.echo) process.stderr.write(`heard ${line}\n`);
    void follow(request.op, request);
  })
  .on('close', () => {
    if (!scenario.outlivesStdin) process.exit(0);
  });
setInterval(() => {}, 1000);
void follow('start', {});
