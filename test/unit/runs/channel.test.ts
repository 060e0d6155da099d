import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunEvent } from '../../../src/protocol/host.ts';
import { type RunChannel, RunChannels } from '../../../src/runs/channel.ts';

const until = async (condition: () => boolean) => {
  while (!condition()) await sleep(5);
};

describe('run channels', () => {
  let channels: RunChannels;
  const sockets: Socket[] = [];

  beforeEach(() => {
    channels = new RunChannels();
  });

  afterEach(() => {
    channels.dispose();
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  async function dial(port: number, ...writes: (string | Buffer)[]): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    for (const text of writes) {
      socket.write(text);
      await sleep(2);
    }
    return socket;
  }

  /** A channel that keeps what it hears. */
  async function open(): Promise<RunChannel & { events: RunEvent[]; printed: string }> {
    const heard = { events: [] as RunEvent[], printed: '' };
    const channel = Object.assign(await channels.open(), heard);
    channel.onEvent = (event) => channel.events.push(event);
    channel.onOutput = (text) => {
      channel.printed += text;
    };
    return channel;
  }

  it('carry what the run says and prints, and what it is told', async () => {
    const channel = await open();
    channel.control({ op: 'stop' });
    const io = await dial(channel.port, `${channel.token} io\n`, 'hello\n');
    const events = await dial(channel.port, `${channel.token} events\n`, '{"event":"note","text":"hi"}\n');
    const [order] = await once(events, 'data');
    assert.equal(String(order), '{"op":"stop"}\n', 'it was told before it had connected');
    await until(() => channel.events.length === 1 && channel.printed === 'hello\n');
    assert.deepEqual(channel.events, [{ event: 'note', text: 'hi' }]);
    channel.input('typed\n');
    const [typed] = await once(io, 'data');
    assert.equal(String(typed), 'typed\n');
  });

  it('take a greeting in pieces, and what comes in the same packet with it', async () => {
    const channel = await open();
    await dial(channel.port, ...channel.token.slice(0, 10), channel.token.slice(10), ' i', 'o\nfirst');
    await until(() => channel.printed === 'first');
    await dial(
      channel.port,
      `${channel.token} events\n{"event":"note","text":"a"}\n{"event":"no`,
      'te","text":"b"}\n',
    );
    await until(() => channel.events.length === 2);
  });

  it('keep characters whole that are cut between packets, of each speaker apart', async () => {
    const channel = await open();
    const [e1, e2] = [Buffer.from([0xc3]), Buffer.from([0xa9])];
    const io = await dial(channel.port, `${channel.token} io\n`, e1);
    const workers = await dial(channel.port, `${channel.token} output\n`, e1);
    io.write(e2);
    await until(() => channel.printed === 'é');
    workers.write(e2);
    await until(() => channel.printed === 'éé');
  });

  it('refuse whoever does not know the secret, or asks for something else', async () => {
    const channel = await open();
    const wrong = [
      'x\n',
      '\n',
      `${'0'.repeat(48)} io\n`,
      `${channel.token}\n`,
      `${channel.token} shell\n`,
      `${channel.token.toUpperCase()}x io\n`,
      'GET / HTTP/1.1\r\n',
      'a'.repeat(500),
    ];
    for (const greeting of wrong) {
      const socket = await dial(channel.port, greeting, 'more');
      if (!socket.closed) await once(socket, 'close');
    }
    assert.equal(channel.printed, '');
  });

  it('hang up on who says nothing', async () => {
    const channel = await open();
    const silent = await dial(channel.port, 'ab');
    await once(silent, 'close');
  });

  it('keep what is typed before the run has connected', async () => {
    const channel = await open();
    channel.input('early\n');
    const io = await dial(channel.port, `${channel.token} io\n`);
    const [typed] = await once(io, 'data');
    assert.equal(String(typed), 'early\n');
  });

  it('end the input, and still hear what is printed', async () => {
    const channel = await open();
    const io = await dial(channel.port, `${channel.token} io\n`, 'ready\n');
    await until(() => channel.printed === 'ready\n');
    // As a process that reads to the end of its stdin and prints then.
    io.allowHalfOpen = true;
    const ended = once(io.resume(), 'end');
    channel.endInput();
    channel.input('too late\n');
    await ended;
    io.write('bye\n');
    await until(() => channel.printed === 'ready\nbye\n');
  });

  it('keep two runs apart', async () => {
    const [one, two] = await Promise.all([open(), open()]);
    assert.equal(one.port, two.port);
    assert.notEqual(one.token, two.token);
    await dial(two.port, `${two.token} io\n`, 'two');
    await dial(one.port, `${one.token} io\n`, 'one');
    await until(() => one.printed === 'one' && two.printed === 'two');
  });

  it('show a line that is no event as a note, and go on', async () => {
    const channel = await open();
    await dial(channel.port, `${channel.token} events\n`, 'oops\nnull\n{"event":"note","text":"x"}\n');
    await until(() => channel.events.length === 3);
    assert.deepEqual(channel.events, [
      { event: 'note', text: 'the run wrote something that is not of its protocol: oops' },
      { event: 'note', text: 'the run wrote something that is not of its protocol: null' },
      { event: 'note', text: 'x' },
    ]);
  });

  it('survive a run that is killed, and one that goes away', async () => {
    const channel = await open();
    const io = await dial(channel.port, `${channel.token} io\n`, 'half a li');
    await until(() => channel.printed !== '');
    io.resetAndDestroy();
    const events = await dial(channel.port, `${channel.token} events\n`);
    events.destroy();
    await sleep(20);
    channel.control({ op: 'stop' });
    channel.input('too late\n');
    await sleep(20);
  });

  it('forget a secret when the run is over', async () => {
    const channel = await open();
    const io = await dial(channel.port, `${channel.token} io\n`);
    await sleep(10);
    channel.dispose();
    if (!io.closed) await once(io, 'close');
    const late = await dial(channel.port, `${channel.token} io\n`);
    if (!late.closed) await once(late, 'close');
  });

  it('close the port with the window, also for who has not greeted yet', async () => {
    const channel = await open();
    const silent = await dial(channel.port);
    await sleep(10);
    channels.dispose();
    if (!silent.closed) await once(silent, 'close');
    await sleep(10);
    await assert.rejects(dial(channel.port), { code: 'ECONNREFUSED' });
  });
});
