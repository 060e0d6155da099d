import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { mock } from 'node:test';
import { fileURLToPath } from 'node:url';
import { UserError } from '../../../src/core/errors.ts';
import { makeHostDirectory } from '../../../src/host/directories.ts';
import { PythonHost } from '../../../src/host/pythonHost.ts';
import { fakeHost, goodScenario, hello, MemoryLog, ready, type Scenario } from '../../support/host.ts';

const hosts: PythonHost[] = [];

async function host(scenario: Scenario, log?: MemoryLog): Promise<PythonHost> {
  const made = await fakeHost(scenario, log);
  hosts.push(made);
  return made;
}

/** The error that something fails with, which has to be one for the user. */
async function errorOf(promise: Promise<unknown>): Promise<UserError> {
  const error: unknown = await promise.then(
    () => assert.fail('it went well'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UserError, String(error));
  return error;
}

const textOf = ({ message, hint, action }: UserError) => ({ message, hint, action });
const unusable = (reason: string, message: string, name?: string): Scenario => ({
  start: [{ say: { event: 'unusable', reason, message, ...(name && { package: name }) } }],
});

describe('host process', () => {
  afterEach(async () => {
    mock.timers.reset();
    await Promise.all(hosts.splice(0).map((one) => one.dispose()));
  });

  it('says hello, then that it is ready', async () => {
    const python = await host(goodScenario);
    assert.equal((await python.hello).packages.prefect, '3.8.8');
    await python.whenReady();
    assert.equal(python.ready, true);
    assert.equal(python.usable, true);
    await python.whenReady();
  });

  it('that is not there: the interpreter has to be chosen', async () => {
    const config = { directory: '/nonexistent/flow-clusters', workspace: process.cwd() };
    const options = { script: '', config, env: {}, log: new MemoryLog() };
    const python = new PythonHost({ ...options, python: '/no/such/python' });
    assert.deepEqual(textOf(await errorOf(python.hello)), {
      message: 'Python could not be started: /no/such/python (spawn /no/such/python ENOENT)',
      hint: 'Choose an interpreter that has Dask.',
      action: { kind: 'select-interpreter' },
    });
    assert.equal(python.usable, false);
    assert.equal((await errorOf(python.check('/flow.py'))).reason, 'python-missing');
    await python.dispose();
  });

  it('whose workspace folder is gone says so, and does not blame Python', async () => {
    const config = { directory: '/nonexistent/flow-clusters', workspace: '/no/such/folder' };
    const python = new PythonHost({
      python: process.execPath,
      script: '',
      config,
      env: {},
      log: new MemoryLog(),
    });
    const error = await errorOf(python.hello);
    assert.equal(error.message, 'The workspace folder is not there: /no/such/folder');
    await python.dispose();
  });

  it('that ends before it says hello: its last line is the reason', async () => {
    const python = await host({
      start: [{ complain: 'Traceback:\nImportError: no module named x\n' }, { exit: 3 }],
    });
    assert.deepEqual(textOf(await errorOf(python.hello)), {
      message: 'The cluster host ended with code 3: ImportError: no module named x',
      hint: 'It starts again with the next run.',
      action: { kind: 'show-output' },
    });
  });

  it('that is killed before it says hello, or before it is ready', async () => {
    const early = await host({ start: [{ kill: 'SIGKILL' }] });
    assert.equal((await errorOf(early.hello)).message, 'The cluster host was killed (SIGKILL)');
    const later = await host({ start: [hello, { kill: 'SIGSEGV' }] });
    await later.hello;
    assert.equal((await errorOf(later.whenReady())).message, 'The cluster host was killed (SIGSEGV)');
    assert.equal((await errorOf(later.prefectApi(() => undefined))).reason, 'host-crashed');
  });

  it('that never says hello is given up and killed', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const python = await host({});
    mock.timers.tick(20_000);
    const error = await errorOf(python.hello);
    assert.equal(error.message, 'The cluster host did not answer within 20 s');
    assert.deepEqual(error.action, { kind: 'show-output' });
    assert.equal((await python.ended).signal, 'SIGKILL');
  });

  it('that cannot be used says why, at once, even if it stays', async () => {
    const old = await errorOf((await host(unusable('python-too-old', 'Python 3.7 is too old.'))).hello);
    assert.equal(old.reason, 'python-too-old');
    assert.deepEqual(textOf(old), {
      message: 'Python 3.7 is too old.',
      hint: 'Choose another interpreter.',
      action: { kind: 'select-interpreter' },
    });
    const none = await host(unusable('package-missing', 'The package "dask" is not installed.', 'dask'));
    const missing = await errorOf(none.hello);
    assert.equal(missing.reason, 'package-missing');
    const command = (rest: string) => ({
      kind: 'copy',
      label: 'Copy Command',
      text: `"${none.python}" -m pip install ${rest}`,
    });
    assert.deepEqual(missing.action, command('"dask[distributed]"'));
    assert.equal(none.usable, false);
    const aged = await host(
      unusable('package-too-old', 'Dask Distributed 2021.1 is too old.', 'distributed'),
    );
    const tooOld = await errorOf(aged.hello);
    assert.equal(tooOld.reason, 'package-too-old');
    assert.deepEqual(tooOld.action, command('-U "dask[distributed]"'));
  });

  it('may print what is not of its protocol: it is logged, and nothing breaks', async () => {
    const log = new MemoryLog();
    const noise = ['not JSON', 'null', '3', '[]', '{}', '{"event": 7}', ''];
    const python = await host({ start: [{ write: `${noise.join('\n')}\n` }, hello, ready] }, log);
    await python.whenReady();
    const warnings = log.lines.filter((line) => line.startsWith('warn'));
    assert.equal(warnings.length, noise.length);
    assert.match(warnings[0] ?? '', /wrote something that is not of its protocol: not JSON/);
  });

  it('has what it prints to stderr in the log, the last line too', async () => {
    const log = new MemoryLog();
    const python = await host({ start: [{ complain: 'one\ntwo' }, { exit: 0 }] }, log);
    await python.ended;
    assert.deepEqual(log.lines, ['info [host] one', 'info [host] two']);
  });

  it('is known to be gone although something that it started holds its pipes open', async () => {
    const python = await host({ start: [hello, { daemon: 40 }, { kill: 'SIGKILL' }] });
    await python.hello;
    const began = performance.now();
    assert.equal((await python.ended).signal, 'SIGKILL');
    assert.ok(performance.now() - began < 30_000);
  });

  it('that is gone refuses requests with its reason', async () => {
    const python = await host({ start: [hello, { complain: 'MemoryError\n' }, { exit: 1 }] });
    await python.ended;
    const error = await errorOf(python.check('/flow.py'));
    assert.equal(error.message, 'The cluster host ended with code 1: MemoryError');
    assert.throws(() => python.send({ op: 'prefect.start' }), { reason: 'host-crashed' });
  });

  it('that was told to end says that, and not that it crashed', async () => {
    const python = await host({ start: [hello] });
    await python.hello;
    const waiting = errorOf(python.whenReady());
    await python.dispose();
    assert.equal((await waiting).message, 'The cluster host was stopped');
  });

  it('compiles a file first: an error leads to its line', async () => {
    const error = { message: 'SyntaxError: invalid syntax', line: 7, text: '  def f(:\n' };
    const python = await host({ ...goodScenario, check: [{ say: { event: 'checked', id: '$id', error } }] });
    assert.deepEqual(textOf(await errorOf(python.check('/w/flow.py'))), {
      message: 'SyntaxError: invalid syntax (line 7: def f(:)',
      hint: 'Nothing was started.',
      action: { kind: 'open-file', path: '/w/flow.py', line: 7 },
    });
  });

  it('that cannot carry a request out says so at once, and is not waited for', async () => {
    const error = { event: 'error', op: 'check', id: '$id', message: 'PermissionError: denied' };
    const python = await host({ ...goodScenario, check: [{ say: error }] });
    const said = await errorOf(python.check('/w/flow.py'));
    assert.equal(said.message, 'The cluster host could not do that: PermissionError: denied');
  });

  it('hears of refusals that are about something else without a word', async () => {
    const error = { event: 'error', op: 'check', id: 'another', message: 'no' };
    const python = await host({
      ...goodScenario,
      check: [{ say: error }, { say: { event: 'checked', id: '$id' } }],
    });
    await python.check('/w/flow.py');
  });

  it('takes its folder along, however often it is told to end', async () => {
    const directory = await makeHostDirectory();
    const python = await fakeHost({ start: [hello] }, new MemoryLog(), directory);
    await python.hello;
    await access(directory);
    await Promise.all([python.dispose(), python.dispose()]);
    await python.dispose();
    assert.equal(python.usable, false);
    await assert.rejects(access(directory));
  });

  it('ends although its folder cannot be removed; the log says so', async () => {
    const log = new MemoryLog();
    // A path below a file cannot be removed as a folder can.
    const directory = `${fileURLToPath(import.meta.url)}/below`;
    const python = await fakeHost({ start: [hello] }, log, directory);
    await python.hello;
    await python.dispose();
    assert.match(log.lines.at(-1) ?? '', /^warn .*below could not be removed: .*ENOTDIR/);
  });

  it('that does not end when its stdin does is killed', async () => {
    const python = await host({ start: [hello], outlivesStdin: true });
    await python.hello;
    await python.dispose();
    assert.equal((await python.ended).signal, 'SIGKILL');
  });
});

describe('host process on Windows', () => {
  const { platform } = process;
  const pretend = (value: NodeJS.Platform) => Object.defineProperty(process, 'platform', { value });

  afterEach(() => pretend(platform));

  it('that does not end when its stdin does is killed, although there are no process groups', async () => {
    const python = await fakeHost({ start: [hello], outlivesStdin: true });
    await python.hello;
    pretend('win32');
    await python.dispose();
    assert.equal((await python.ended).signal, 'SIGKILL');
  });
});

describe('Prefect API of a host', () => {
  const server = (state: string, other: object = {}) => ({
    say: { event: 'prefect.server', state, ...other },
  });
  const url = 'http://127.0.0.1:4200/api';

  afterEach(() => Promise.all(hosts.splice(0).map((one) => one.dispose())));

  it('is the one that it names, after its stages', async () => {
    const python = await host({
      start: [hello],
      'prefect.start': [server('migrating'), server('starting'), server('ready', { url })],
    });
    const stages: string[] = [];
    assert.equal(await python.prefectApi((stage) => stages.push(stage)), url);
    assert.deepEqual(stages, ['preparing the Prefect database (once)', 'starting the Prefect API server']);
  });

  it('is asked for each run: the user may have switched profiles', async () => {
    const python = await host({
      start: [hello],
      'prefect.start': [server('ready', { url })],
      check: [server('ready', { url: 'https://own/api' }), { say: { event: 'checked', id: '$id' } }],
    });
    await python.check('/flow.py');
    assert.equal(await python.prefectApi(() => assert.fail('it is there')), url);
  });

  it('says why it did not start', async () => {
    const python = await host({ start: [hello], 'prefect.start': [server('failed', { message: 'locked' })] });
    const error = await errorOf(python.prefectApi(() => undefined));
    assert.equal(error.reason, 'prefect-server');
    assert.equal(error.message, 'The Prefect API server did not start: locked');
    assert.match(error.hint ?? '', /PREFECT_API_URL/);
  });

  it('says at once why it could not be asked for', async () => {
    const error = { event: 'error', op: 'prefect.start', message: 'ValidationError: bad profile' };
    const python = await host({ start: [hello], 'prefect.start': [{ say: error }] });
    const said = await errorOf(python.prefectApi(() => undefined));
    assert.equal(said.reason, 'prefect-server');
    assert.equal(said.message, 'The Prefect API server did not start: ValidationError: bad profile');
  });

  it('is asked for again after it has ended', async () => {
    const python = await host({
      start: [hello],
      'prefect.start': [server('ready', { url })],
      check: [server('ended', { message: 'gone' }), { say: { event: 'checked', id: '$id' } }],
    });
    await python.prefectApi(() => undefined);
    await python.check('/flow.py');
    assert.equal(await python.prefectApi(() => undefined), url);
  });
});
