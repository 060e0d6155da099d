import assert from 'node:assert/strict';
import { LocalBackend } from '../../../src/backends/local.ts';
import type { UserError } from '../../../src/core/errors.ts';
import type { FlowApiId } from '../../../src/core/flow.ts';
import { installCommand } from '../../../src/core/install.ts';
import type { PythonHost } from '../../../src/host/pythonHost.ts';
import type { HostPackages } from '../../../src/protocol/host.ts';
import { runFailure } from '../../../src/runs/failure.ts';
import { RunOutput } from '../../../src/runs/output.ts';
import { checkPackages, suitableHost } from '../../../src/runs/requirements.ts';
import { clusterStarted, fakeHost, hello, packages, type Scenario } from '../../support/host.ts';

const dask = { dask: '2026.8.0', distributed: '2026.8.0' };

/** What the user reads; undefined if these packages will do. */
function said(api: FlowApiId, packages: HostPackages) {
  try {
    checkPackages('/env/bin/python', packages, api);
    return undefined;
  } catch (error) {
    const { message, hint, action, reason } = error as UserError;
    const does = action?.kind === 'copy' ? action.text : action?.kind;
    return { reason, message, hint, does };
  }
}

const install = (rest: string) => ({
  hint: `Install it with: "/env/bin/python" -m pip install ${rest}`,
  does: `"/env/bin/python" -m pip install ${rest}`,
});

describe('requirements of a run', () => {
  it('are met by what the helpers support', () => {
    assert.equal(said('dask', dask), undefined);
    assert.equal(said('dask', { ...dask, distributed: '2022.5.0' }), undefined);
    assert.equal(said('prefect1', { ...dask, prefect: '1.4.1' }), undefined);
    assert.equal(said('prefect1', { ...dask, prefect: '0.15.13' }), undefined);
    assert.equal(said('prefect', { ...dask, prefect: '2.20.26', 'prefect-dask': '0.2.10' }), undefined);
    assert.equal(said('prefect', { ...dask, prefect: '3.8.8', 'prefect-dask': '0.3.7' }), undefined);
  });

  it('say what is missing and the command that installs it', () => {
    assert.deepEqual(said('dask', {}), {
      reason: 'package-missing',
      message: 'Dask Distributed is not installed in /env/bin/python',
      ...install('"dask[distributed]"'),
    });
    assert.deepEqual(said('prefect', dask), {
      reason: 'package-missing',
      message: 'Prefect is not installed in /env/bin/python',
      ...install('"prefect"'),
    });
    assert.deepEqual(said('prefect1', dask), {
      reason: 'package-missing',
      message: 'Prefect is not installed in /env/bin/python',
      ...install('"prefect<2"'),
    });
    assert.deepEqual(said('prefect', { ...dask, prefect: '3.8.8' }), {
      reason: 'package-missing',
      message: 'prefect-dask, which runs Prefect tasks on Dask, is not installed in /env/bin/python',
      ...install('"prefect-dask"'),
    });
  });

  it('say it so that it can be pasted into PowerShell on Windows', () => {
    const options = { upgrade: false, platform: 'win32' } as const;
    assert.equal(
      installCommand('C:\\My Env\\python.exe', 'prefect', options),
      '& "C:\\My Env\\python.exe" -m pip install "prefect"',
    );
  });

  it('say what is too old', () => {
    assert.deepEqual(said('dask', { ...dask, distributed: '2022.4.1' }), {
      reason: 'package-too-old',
      message: 'distributed 2022.4.1 is too old: 2022.5 or later is needed',
      hint: 'Update it with: "/env/bin/python" -m pip install -U "dask[distributed]"',
      does: '"/env/bin/python" -m pip install -U "dask[distributed]"',
    });
    assert.equal(said('dask', { ...dask, distributed: '2021.12.0' })?.reason, 'package-too-old');
  });

  it('tell Prefect 1 from 2 and 3', () => {
    const choose = { hint: 'Choose an interpreter with the matching Prefect.', does: 'select-interpreter' };
    assert.deepEqual(said('prefect1', { ...dask, prefect: '3.8.8' }), {
      reason: 'package-too-old',
      message: 'This is a Prefect 1 flow (a "with Flow(…)" block), but the interpreter has Prefect 3.8.8',
      ...choose,
    });
    assert.deepEqual(said('prefect', { ...dask, prefect: '1.4.1' }), {
      reason: 'package-too-old',
      message: 'This is a Prefect 2 or 3 flow (@flow), but the interpreter has Prefect 1.4.1',
      ...choose,
    });
  });
});

describe('host that fits a run', () => {
  const hosts: PythonHost[] = [];
  const withPackages = async (found: HostPackages, scenario: Scenario = {}) => {
    const greeting = { say: { ...(hello as { say: object }).say, packages: found } };
    const host = await fakeHost({ ...scenario, start: [greeting] });
    hosts.push(host);
    return host;
  };
  const never = () => assert.fail('there is no need for another');

  afterEach(() => Promise.all(hosts.splice(0).map((host) => host.dispose())));

  it('is the one that is there, if it has what the flow needs', async () => {
    const host = await withPackages(packages);
    assert.equal(await suitableHost(host, never, 'prefect'), host);
  });

  it('is a new one after the user has installed what was missing', async () => {
    const host = await withPackages(dask);
    const fresh = await withPackages(packages);
    assert.equal(await suitableHost(host, async () => fresh, 'prefect'), fresh);
    assert.equal(host.usable, false);
  });

  it('is not to be had as long as it is missing', async () => {
    const host = await withPackages(dask);
    const fresh = await withPackages(dask);
    await assert.rejects(
      suitableHost(host, async () => fresh, 'prefect'),
      { reason: 'package-missing', message: /^Prefect is not installed/ },
    );
    assert.equal(fresh.usable, true);
  });

  it('never ends what runs in it: the user is told when the package is seen', async () => {
    const host = await withPackages(dask, { 'cluster.start': [clusterStarted] });
    const signal = new AbortController().signal;
    const context = {
      clusterId: 'c1',
      lifetime: 'temporary' as const,
      signal,
      inherit: {},
      stage: () => undefined,
      worker: () => undefined,
      scaling: () => undefined,
    };
    const started = new LocalBackend(host).start({ name: 'local', kind: 'local' }, context);
    await assert.rejects(suitableHost(host, never, 'prefect'), {
      message: /^Prefect is not installed/,
      hint: /^Install it with: .* If that is done: it is seen once .* have ended\.$/,
    });
    await started;
    assert.equal(host.usable, true);
  });
});

describe('failure of a run', () => {
  const failed = (error?: object, message?: string) =>
    runFailure(
      {
        event: 'end',
        state: 'failed',
        ...(message && { message }),
        ...(error && { error: error as never }),
      },
      { id: 'r1', python: '/env/bin/python' },
    );

  it('names the task, the exception and its place', () => {
    const error = {
      type: 'ZeroDivisionError',
      message: 'division by zero',
      task: 'balance[3]',
      traceback: 'Traceback…',
      file: '/w/flow.py',
      line: 12,
    };
    assert.deepEqual(failed(error), {
      message: 'balance[3]: ZeroDivisionError: division by zero',
      detail: 'Traceback…',
      action: { kind: 'open-file', path: '/w/flow.py', line: 12 },
    });
  });

  it('makes the best of less: what it printed may tell', () => {
    assert.equal(failed({ type: 'KeyError', message: "'a'" }).message, "KeyError: 'a'");
    assert.equal(failed({ type: 'AssertionError', message: '' }).message, 'AssertionError');
    assert.equal(failed({ type: '', message: 'Odd' }).message, 'Odd');
    const action = { kind: 'show-run', id: 'r1' };
    assert.deepEqual(failed(undefined, 'Ended with exit code 3'), {
      message: 'Ended with exit code 3',
      action,
    });
    assert.deepEqual(failed(), { message: 'The flow failed', action });
    assert.deepEqual(failed({ type: 'E', message: 'm', file: '/w/flow.py' }).action, {
      kind: 'open-file',
      path: '/w/flow.py',
    });
  });

  it('whose reason is known says what to do next', () => {
    const known = (reason: string, other: object = {}) => {
      const { message, hint, action } = failed({ reason, type: 'Error', message: 'm', ...other });
      assert.equal(message, 'm', 'no class of exceptions');
      return [hint, action?.kind];
    };
    assert.deepEqual(known('package-missing', { package: 'prefect-dask' }), [
      'Install it with: "/env/bin/python" -m pip install "prefect-dask"',
      'copy',
    ]);
    assert.deepEqual(known('package-missing'), [undefined, 'select-interpreter']);
    assert.match(known('parameter')[0] ?? '', /Run with….* set the parameters/);
    assert.match(known('flow-not-found')[0] ?? '', /save it/);
    assert.match(known('unreachable')[0] ?? '', /start it again/);
    assert.deepEqual(known('prefect-server').at(1), 'show-output');
    assert.deepEqual(known('syntax-error', { file: '/w/flow.py', line: 2 }), [undefined, 'open-file']);
  });
});

describe('output of a run', () => {
  it('is kept, the last megabyte of it, and told as it comes', () => {
    const output = new RunOutput();
    const told: string[] = [];
    output.onWrite((text) => told.push(text));
    output.write('a');
    output.write('');
    output.write('b\n');
    assert.equal(output.text(), 'ab\n');
    assert.deepEqual(told, ['a', 'b\n']);
    const many = 'x'.repeat(100_000);
    for (let i = 0; i < 20; i += 1) output.write(many);
    assert.match(output.text(), /^… \(older output was dropped\)\nx/);
    assert.ok(output.text().length <= 1024 * 1024 + 100);
    output.write('y'.repeat(3_000_000));
    assert.match(output.text(), /y$/);
  });
});
