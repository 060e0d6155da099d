import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from '../../src/core/limit.ts';
import { ApiGate } from '../support/apiGate.ts';
import {
  describeWays,
  kubernetesBackend,
  optionsOf,
  ownerHoldSeconds,
  startOwner,
  untilNothingIsLeft,
} from '../support/kubernetes.ts';

/** Where in the life of its cluster a window is killed. */
interface Stage {
  readonly name: string;
  /** The call to the API server of which it never hears the answer. */
  readonly at?: RegExp;
  /** The API server does what that call asks for. */
  readonly done?: true;
  /** Calls that have not come so far. */
  readonly without?: RegExp;
  /** Or what it tells. */
  readonly told?: RegExp;
  /** It closes, having run. */
  readonly closes?: true;
  /** Its image can't be pulled. */
  readonly stuck?: true;
  /** There is nothing that the next window could find. */
  readonly nothing?: true;
}

const startSeconds = 40;
/** It lasts as long without its window; half a minute after its end Kubernetes has removed all of it. */
const goneMs = (startSeconds + ownerHoldSeconds + 20) * 1000 + 45_000;
/** So many windows start at once: each has two cores for a part of the time that it may take. */
const startingAtOnce = 3;

describeWays('a window on Kubernetes that is killed', 'kill', (way, namespaceOf) => {
  const whole = way === 'operator' ? 'daskclusters' : 'pods';
  const rest = /^POST (services|pods|daskworkergroups)$/;
  const stages: readonly Stage[] = [
    { name: 'before anything is made', at: /^POST jobs$/, nothing: true },
    { name: 'with its Job only', at: /^POST jobs$/, done: true },
    ...(way === 'operator'
      ? [{ name: 'with its DaskCluster only', at: /^POST daskclusters$/, done: true } as const]
      : []),
    { name: 'with its Secret, before its workers', at: /^POST secrets$/, done: true, without: rest },
    { name: 'while its image is pulled', told: /can't be pulled/, stuck: true },
    { name: 'when its scheduler listens, before it is held', at: /^GET portforward$/ },
    { name: 'while its workers come', at: /^PATCH jobs$/, done: true },
    { name: 'while it runs', told: /^ready$/ },
    { name: 'while it closes, before anything is deleted', at: /^DELETE /, closes: true },
    {
      ...{ name: `while it closes, with its ${whole} deleted only`, closes: true },
      ...{ at: new RegExp(`^DELETE ${whole}$`), done: true, without: /^DELETE jobs$/ },
    },
    {
      ...{ name: 'while it closes, with its Job deleted only', closes: true, nothing: true },
      ...{ at: /^DELETE jobs$/, done: true, without: new RegExp(`^DELETE ${whole}$`) },
    },
  ];
  const owners: ChildProcess[] = [];
  const gates: ApiGate[] = [];
  const runs = stages.map((stage, index) => {
    const id = `kill-${String.fromCharCode(97 + index)}`;
    return { stage, id, over: Promise.withResolvers<void>() };
  });

  before(() => {
    for (const { over } of runs) over.promise.catch(() => undefined); // told by its test
    const waiting = [...runs];
    const start = async () => {
      for (let run = waiting.shift(); run; run = waiting.shift()) {
        const { stage, id, over } = run;
        // That it goes is waited for beside the others.
        await killed(stage, id).then(
          () => over.resolve(untilNothingIsLeft(namespaceOf(), goneMs, id)),
          over.reject,
        );
      }
    };
    for (let n = 0; n < startingAtOnce; n += 1) void start();
  });
  after(async () => {
    for (const owner of owners) owner.kill('SIGKILL');
    await Promise.all(gates.map((gate) => gate.close()));
  });

  /** Starts a window, kills it at its stage, and looks what the next one finds. */
  async function killed(stage: Stage, id: string): Promise<void> {
    const { at, done, without, told, closes, stuck } = stage;
    const namespace = namespaceOf();
    const never = new Promise<never>(() => undefined);
    let isWatched = closes !== true;
    let isKilled = false;
    const kill = () => {
      isKilled = true;
      owner.kill('SIGKILL');
    };
    const gate = await ApiGate.start(async (call) => {
      if (isKilled || (isWatched && without?.test(call))) return never;
      if (!isWatched || !at?.test(call)) return undefined;
      if (done) return kill;
      kill();
      return never;
    });
    gates.push(gate);
    const owner = startOwner({
      ...{ namespace, id, lifetime: 'temporary' },
      options: {
        ...{ kubeconfig: gate.kubeconfig, start_timeout: startSeconds, ...optionsOf(way) },
        ...(stuck && { image: '127.0.0.1:1/x:1' }),
      },
    });
    owners.push(owner);
    const lines: string[] = [];
    createInterface(owner.stdout).on('line', (line) => {
      lines.push(line);
      if (told?.test(line)) kill();
      if (!closes || line !== 'ready') return;
      isWatched = true;
      owner.stdin.write('close\n');
    });
    const late = () => new Error(`it has not come so far: ${lines.join(', ')}`);
    await within(once(owner, 'exit'), 120_000, late);
    assert.ok(isKilled, `it ended by itself: ${lines.join(', ')}`);
    const next = kubernetesBackend({ owner: { machine: `test-${owner.pid}`, pid: process.pid } });
    const { found } = await next.leftovers([{ namespace }], new AbortController().signal);
    assert.deepEqual(
      found.map(({ leftover }) => leftover.cluster),
      stage.nothing ? [] : [id],
    );
  }

  for (const { stage, over } of runs)
    it(`${stage.name}: the next one finds it, and it goes by itself`, () => over.promise);
});
