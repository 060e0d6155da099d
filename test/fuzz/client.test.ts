import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../src/core/errors.ts';
import { ClientStream } from '../../src/dask/clientStream.ts';
import { SchedulerClient } from '../../src/dask/scheduler.ts';
import { watchScheduler } from '../../src/dask/watch.ts';
import { answers, chosenSeed, damagedAnswer, type Pick, random } from '../support/fuzzing.ts';
import { type Behave, type Fake, greeting, type Peer, startFake } from '../support/schedulerFake.ts';

/** `FLOW_CLUSTERS_FUZZ=1000000 npx mocha test/fuzz` looks longer: some minutes. */
const rounds = Number(process.env.FLOW_CLUSTERS_FUZZ ?? 15_000);
/** Calls at a time, each on a connection of its own. */
const atOnce = 64;
/** What is not a whole message is waited for that long. */
const timeoutMs = 1000;
const maxGrowthBytes = 200 * 2 ** 20;

/** Every call whose answer is read. */
const calls: readonly ((client: SchedulerClient) => Promise<unknown>)[] = [
  (client) => client.identity(),
  (client) => client.processing(),
  (client) => client.taskPrefixStates(),
  (client) => client.events('all'),
  (client) => client.versions(),
  (client) => client.callStack(),
  (client) => client.schedulerLogs(),
  (client) => client.workerLogs(),
  (client) => client.adaptiveTarget(),
  (client) => client.workersToClose(),
  (client) => client.retireWorkers(['tcp://127.0.0.1:1']),
];

/** Sends a damaged message in two pieces, then hangs up; now and then it leaves the client waiting. */
function damaged(peer: Peer, pick: Pick): void {
  const bytes = damagedAnswer(pick);
  const cut = pick(bytes.length + 1);
  peer.sendRaw(bytes.subarray(0, cut));
  setImmediate(() => {
    peer.sendRaw(bytes.subarray(cut));
    if (pick(100) > 0) peer.socket.end();
  });
}

describe('fuzzing the client through a connection', function () {
  this.timeout(120_000 + 4 * rounds);
  let fake: Fake;
  const seed = chosenSeed();
  const pick = random(seed);

  async function start(behave: Behave, greet?: (peer: Peer) => void) {
    fake = await startFake(behave, greet);
    return fake.address;
  }

  afterEach(async () => {
    await fake.stop();
  });

  it(`calls end in time, in an answer or in words, whatever comes (seed ${seed})`, async () => {
    // One greeting in ten is damaged as well.
    const address = await start(
      (peer) => damaged(peer, pick),
      (peer) => (pick(10) === 0 ? damaged(peer, pick) : peer.send(greeting)),
    );
    const client = new SchedulerClient(address, { timeoutMs, maxConnections: atOnce });
    let done = 0;
    let answered = 0;
    let longestMs = 0;
    const rss: number[] = [];
    const one = async () => {
      while (done < rounds) {
        done += 1;
        if (done % Math.ceil(rounds / 10) === 0) rss.push(process.memoryUsage.rss());
        // The list of the fake's own would grow.
        fake.ops.length = 0;
        const call = calls[pick(calls.length)] as (typeof calls)[number];
        const began = performance.now();
        await call(client).then(
          () => {
            answered += 1;
          },
          (error) => assert.ok(error instanceof UserError, error),
        );
        longestMs = Math.max(longestMs, performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    client.close();
    assert.ok(answered > rounds / 100, `${answered} of ${rounds} answered: the rest was not even read`);
    // A busy machine may be late, but nothing hangs.
    assert.ok(longestMs < 60_000, `a call took ${longestMs} ms`);
    const grownBytes = Math.max(...rss.slice(1)) - (rss[0] as number);
    assert.ok(grownBytes < maxGrowthBytes, `grew by ${grownBytes}`);
    if (process.env.FLOW_CLUSTERS_FUZZ) {
      const mebibytes = rss.map((bytes) => Math.round(bytes / 2 ** 20));
      process.stdout.write(`${rounds} calls, ${answered} answered, RSS in MiB: ${mebibytes.join(' ')}\n`);
    }
  });

  it('streams of events end in words', async () => {
    const address = await start((peer) => {
      peer.send([{ op: 'stream-start' }]);
      for (let i = 0; i < 5; i += 1) damaged(peer, pick);
    });
    const losses: unknown[] = [];
    const streams = Math.ceil(rounds / 50);
    const one = async () => {
      const lost = Promise.withResolvers<void>();
      const onLost = (error: unknown) => {
        losses.push(error);
        lost.resolve();
      };
      const stream = await ClientStream.open(address, { onEvent: () => undefined, onLost });
      await Promise.race([lost.promise, sleep(100)]); // not all damage is deadly
      stream.close();
    };
    for (let i = 0; i < streams; i += 10) await Promise.all(Array.from({ length: 10 }, one));
    assert.ok(losses.length > streams / 3, `${losses.length} of ${streams} lost`);
    assert.ok(losses.every((error) => error instanceof UserError));
  });

  it('a watch goes on through it', async () => {
    const address = await start((peer, message) => {
      if (pick(12) === 0) damaged(peer, pick);
      else peer.send(answers[String(message.op)]);
    });
    let infos = 0;
    const losses: string[] = [];
    const listener = {
      onInfo: () => {
        infos += 1;
      },
      onLost: (reason: string) => void losses.push(reason),
    };
    const watch = watchScheduler(address, listener, { intervalMs: 1 });
    for (let i = 0; i < 6000 && (infos < 10 || losses.length < 2); i += 1) await sleep(10);
    watch.dispose();
    assert.ok(infos >= 10 && losses.length >= 2, `${infos} looks, ${losses.length} losses`);
  });
});
