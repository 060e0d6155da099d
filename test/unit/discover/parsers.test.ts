import assert from 'node:assert/strict';
import { describeProcess } from '../../../src/discover/describe.ts';
import { readSocketTable } from '../../../src/discover/linux.ts';
import { MacMachine, readLsofSockets } from '../../../src/discover/mac.ts';
import { isPython, looksLikeDask } from '../../../src/discover/machine.ts';
import type { Run } from '../../../src/discover/run.ts';
import { readNetstat, readProcesses, readTasks, WindowsMachine } from '../../../src/discover/windows.ts';

/** Tools that say what they are told to, by the beginning of their command line. */
function toolsThatSay(answers: Readonly<Record<string, string>>): { run: Run; asked: string[] } {
  const asked: string[] = [];
  const run: Run = async (command, args) => {
    const line = [command, ...args].join(' ');
    asked.push(line);
    return Object.entries(answers).find(([start]) => line.startsWith(start))?.[1] ?? '';
  };
  return { run, asked };
}

describe('what the system tells of sockets', () => {
  it('on Linux: the listening ones of this user, by inode', () => {
    const tcp = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 0100007F:2252 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4786170 1 0 100 0 0 10 0',
      '   1: 00000000:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4786171 1 0 100 0 0 10 0',
      '   2: 0100007F:2254 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4786172 1 0 100 0 0 10 0',
      '   3: 0100007F:2255 0100007F:A3F2 01 00000000:00000000 00:00000000 00000000  1000        0 4786173 1 0 20 4 0 10 -1',
      '   4: 0A00000A:2256 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4786174 1 0 100 0 0 10 0',
      '',
    ].join('\n');
    assert.deepEqual(readSocketTable(tcp, 1000), [
      { key: '4786170', host: '127.0.0.1', port: 8786 },
      { key: '4786171', host: '127.0.0.1', port: 8787 },
      { key: '4786174', host: '10.0.0.10', port: 8790 },
    ]);
    const line = (address: string, inode: number) =>
      `   0: ${address}:2252 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0 100 0 0 10 0`;
    const tcp6 = [
      'head',
      line('00000000000000000000000001000000', 1),
      line('00000000000000000000000000000000', 2),
      line('0000000000000000FFFF00000100007F', 3),
      line('000080FE00000000FF005450B6AE1EFE', 4),
    ].join('\n');
    assert.deepEqual(
      readSocketTable(tcp6, 1000).map(({ host }) => host),
      ['::1', '::1', '127.0.0.1', 'fe80:0:0:0:5054:ff:fe1e:aeb6'],
    );
    assert.deepEqual(readSocketTable('', 1000), []);
  });

  const lsof = [
    'p501',
    'cpython3.1',
    'f12',
    'n127.0.0.1:8786',
    'f13',
    'n*:8787',
    'f14',
    'n[::1]:8786',
    'p777',
    'cnode',
    'f20',
    'n127.0.0.1:3000',
    'p888',
    'cPython',
    'f5',
    'n10.0.0.4:51234',
  ].join('\n');

  it('on macOS: those of Pythons, by process and address', () => {
    assert.deepEqual(readLsofSockets(lsof), [
      { key: '501 127.0.0.1:8786', host: '127.0.0.1', port: 8786 },
      { key: '501 *:8787', host: '127.0.0.1', port: 8787 },
      { key: '501 [::1]:8786', host: '::1', port: 8786 },
      { key: '888 10.0.0.4:51234', host: '10.0.0.4', port: 51234 },
    ]);
  });

  it('on macOS: what processes run, where, and what they have loaded', async () => {
    const { run, asked } = toolsThatSay({
      'lsof -nP -iTCP': lsof,
      'ps -ww': '  501 /opt/venv/bin/python /home/ana/etl.py --token s3cret\n  888 Python -m http.server\n',
      'lsof -nP -a -p 501,888': [
        'p501',
        'fcwd',
        'n/home/ana',
        'ftxt',
        'n/opt/venv/lib/python3.12/site-packages/msgpack/_cmsgpack.cpython-312-darwin.so',
        'ftxt',
        'n/opt/venv/lib/python3.12/site-packages/psutil/_psutil_osx.abi3.so',
        'p888',
        'fcwd',
        'n/',
        'ftxt',
        'n/usr/bin/python3',
      ].join('\n'),
    });
    const machine = new MacMachine(501, run);
    const owners = await machine.owners(await machine.sockets());
    const etl = {
      pid: 501,
      argv: ['/opt/venv/bin/python', '/home/ana/etl.py', '--token', 's3cret'],
      folder: '/home/ana',
      hasDask: true,
    };
    assert.deepEqual(owners.get('501 127.0.0.1:8786'), etl);
    assert.deepEqual(owners.get('501 *:8787'), etl);
    assert.equal(owners.get('888 10.0.0.4:51234')?.hasDask, false);
    assert.equal(asked.length, 3);
    assert.equal((await machine.owners([])).size, 0);
    assert.equal(asked.length, 3, 'nothing is asked about nothing');
  });

  it('on Windows: in whatever language', () => {
    const netstat = [
      '',
      'Aktive Verbindungen',
      '  Proto  Lokale Adresse         Remoteadresse          Status           PID',
      '  TCP    0.0.0.0:8786           0.0.0.0:0              ABHÖREN          4120',
      '  TCP    127.0.0.1:51515        127.0.0.1:51516        HERGESTELLT      4120',
      '  TCP    [::1]:8787             [::]:0                 ABHÖREN          4120',
    ].join('\r\n');
    assert.deepEqual(readNetstat(netstat), [
      { key: '4120 0.0.0.0 8786', host: '127.0.0.1', port: 8786 },
      { key: '4120 ::1 8787', host: '::1', port: 8787 },
    ]);
    const tasks =
      '"System","4","Services","0","140 K"\r\n"python.exe","4120","Console","1","81,000 K"\r\n"pythonw.exe","5","C","1","1 K"\r\n';
    assert.deepEqual([...readTasks(tasks)], [4120, 5]);
  });

  it('on Windows: of Pythons alone more is asked, and by numbers alone', async () => {
    const told = {
      pid: 4120,
      command: '"C:\\Program Files\\Python312\\python.exe" "C:\\work\\my flow.py" -x',
      modules: [
        'C:\\v\\Lib\\site-packages\\msgpack\\_cmsgpack.cp312-win_amd64.pyd',
        'C:\\v\\psutil\\_psutil_windows.pyd',
      ],
    };
    const { run, asked } = toolsThatSay({
      tasklist: '"python.exe","4120","Console","1","81,000 K"\r\n"node.exe","7","Console","1","1 K"\r\n',
      powershell: JSON.stringify(told),
    });
    const sockets = readNetstat('  TCP  0.0.0.0:1  0.0.0.0:0  L  4120\n  TCP  0.0.0.0:2  0.0.0.0:0  L  7\n');
    const owners = await new WindowsMachine(run).owners(sockets);
    assert.deepEqual([...owners.keys()], ['4120 0.0.0.0 1']);
    const argv = ['C:\\Program Files\\Python312\\python.exe', 'C:\\work\\my flow.py', '-x'];
    assert.deepEqual(owners.get('4120 0.0.0.0 1'), { pid: 4120, argv, hasDask: true });
    assert.match(asked[1] ?? '', /-Filter 'ProcessId=4120'/);
    assert.equal(
      readProcesses(JSON.stringify([told, { pid: 5, command: null, modules: null }])).get(5)?.hasDask,
      false,
    );
    assert.equal(readProcesses('').size, 0);
  });
});

describe('processes', () => {
  it('are Pythons by their name', () => {
    for (const path of [
      '/usr/bin/python3.11',
      'python',
      'Python',
      'C:\\py\\python.exe',
      '/opt/pypy3',
      'pythonw.exe',
    ])
      assert.ok(isPython(path), path);
    for (const path of ['/usr/bin/node', '/opt/python/bin/ruby', 'mypython', ''])
      assert.ok(!isPython(path), path);
  });

  it('may be Dask’s if they have loaded what it needs', () => {
    const msgpack = '7f00 r-xp /v/site-packages/msgpack/_cmsgpack.cpython-311-x86_64-linux-gnu.so';
    const psutil = '7f01 r-xp /v/site-packages/psutil/_psutil_linux.abi3.so';
    assert.ok(looksLikeDask(`${msgpack}\n${psutil}`));
    assert.ok(!looksLikeDask(psutil), 'Jupyter has it as well');
    assert.ok(!looksLikeDask(msgpack));
  });

  it('are described by what they run, and by nothing of its arguments', () => {
    const of = (line: string) => describeProcess(line.split(' '));
    assert.equal(of('python /home/ana/etl.py --password x'), 'etl.py');
    assert.equal(of('/usr/bin/python3 -u -X dev -W ignore etl.py'), 'etl.py');
    assert.equal(of('python -m ipykernel_launcher -f /run/kernel.json'), 'Jupyter');
    assert.equal(of('/v/bin/python /v/bin/jupyter-lab --port 1'), 'Jupyter');
    assert.equal(of('/v/bin/python /v/bin/ipython'), 'IPython');
    assert.equal(of('/v/bin/python /v/bin/dask scheduler --port 0'), 'dask scheduler');
    assert.equal(of('/v/bin/python /v/bin/dask-scheduler'), 'dask scheduler');
    assert.equal(of('python -m distributed.cli.dask_scheduler'), 'dask scheduler');
    assert.equal(of('python -m prefect.engine'), 'prefect.engine');
    assert.equal(of('python -c import'), 'Python');
    assert.equal(of('python'), 'Python');
    assert.equal(describeProcess([]), 'Python');
    assert.equal(describeProcess(['C:\\py\\python.exe', 'C:\\work\\my flow.py']), 'my flow.py');
  });
});
