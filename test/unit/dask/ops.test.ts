import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientStream } from '../../../src/dask/clientStream.ts';
import { SchedulerClient } from '../../../src/dask/scheduler.ts';
import { watchScheduler } from '../../../src/dask/watch.ts';
import { answers } from '../../support/fuzzing.ts';
import { type Fake, startFake } from '../../support/schedulerFake.ts';

type Call = (client: SchedulerClient) => Promise<unknown>;

/** Every verb of the client's, with the operations that the scheduler gets by it. */
const verbs: Readonly<Record<string, readonly [call: Call, ...ops: string[]]>> = {
  identity: [(client) => client.identity(), 'identity'],
  versions: [(client) => client.versions(), 'versions'],
  processing: [(client) => client.processing(), 'processing'],
  taskPrefixStates: [(client) => client.taskPrefixStates(), 'get_task_prefix_states'],
  callStack: [(client) => client.callStack(), 'call_stack'],
  threadsBusyOn: [(client) => client.threadsBusyOn('tcp://127.0.0.1:1'), 'processing', 'call_stack'],
  schedulerLogs: [(client) => client.schedulerLogs(), 'get_logs'],
  workerLogs: [(client) => client.workerLogs(), 'broadcast get_logs'],
  events: [(client) => client.events('all'), 'events'],
  adaptiveTarget: [(client) => client.adaptiveTarget(), 'adaptive_target'],
  workersToClose: [(client) => client.workersToClose(), 'workers_to_close'],
  retireWorkers: [(client) => client.retireWorkers(['tcp://127.0.0.1:1']), 'retire_workers'],
  restart: [(client) => client.restart(), 'versions', 'restart'],
  terminate: [(client) => client.terminate(), 'terminate'],
};

describe('what a scheduler is sent', () => {
  let fake: Fake;
  let sent: string[];

  beforeEach(async () => {
    sent = [];
    fake = await startFake((peer, message) => {
      for (const one of Array.isArray(message) ? message : [message]) {
        // A broadcast has a message for the workers inside.
        sent.push([one.op, one.msg?.op].filter(Boolean).join(' '));
      }
      if (message.op === 'register-client') peer.send([{ op: 'stream-start' }]);
      else if (message.reply === true) peer.send(answers[String(message.op)] ?? null);
    });
  });

  afterEach(async () => {
    await fake.stop();
  });

  for (const [verb, [call, ...ops]] of Object.entries(verbs)) {
    it(`by ${verb} is ${ops.join(', then ')}`, async () => {
      const client = new SchedulerClient(fake.address);
      await call(client);
      client.close();
      assert.deepEqual(sent, ops);
    });
  }

  it('is by no other verb', () => {
    const names = Object.getOwnPropertyNames(SchedulerClient.prototype);
    assert.deepEqual(
      names.filter((name) => !/^(constructor|close)$/.test(name)).sort(),
      Object.keys(verbs).sort(),
    );
  });

  it('by a watch only asks', async () => {
    let infos = 0;
    const onInfo = () => {
      infos += 1;
    };
    const watch = watchScheduler(fake.address, { onInfo, onLost: assert.fail }, { intervalMs: 1 });
    while (infos < 5) await sleep(5);
    watch.dispose();
    const asked = ['events', 'get_task_prefix_states', 'identity', 'processing', 'versions'];
    assert.deepEqual([...new Set(sent)].sort(), asked);
  });

  it('by a stream of events is what it takes to hear them', async () => {
    const stream = await ClientStream.open(fake.address, { onEvent: assert.fail, onLost: assert.fail });
    stream.subscribe('all');
    stream.unsubscribe('all');
    stream.close();
    while (sent.length < 5) await sleep(5);
    assert.deepEqual(sent, [
      'register-client',
      'subscribe-topic',
      'unsubscribe-topic',
      'close-client',
      'close-stream',
    ]);
  });

  it('is nowhere in the code the one call that would take a cluster from its owner', async () => {
    const files = await readdir('src', { recursive: true });
    const sources = files.filter((file) => /\.(ts|py)$/.test(file));
    assert.ok(sources.length > 100);
    for (const file of sources) {
      const lines = (await readFile(join('src', file), 'utf8')).split('\n');
      const calls = lines.filter(
        (line) => line.includes('subscribe_worker_status') && !/^\s*(\*|\/\/|#)/.test(line),
      );
      assert.deepEqual(calls, [], file);
    }
  });
});
