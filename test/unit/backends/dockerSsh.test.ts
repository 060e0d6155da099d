import assert from 'node:assert/strict';
import {
  isTaken,
  parseSshUrl,
  socketProblem,
  socketQuestion,
  sshArgs,
  sshProblem,
} from '../../../src/backends/docker/ssh.ts';
import { UserError } from '../../../src/core/errors.ts';

const by = 'DOCKER_HOST';
const usual = '/var/run/docker.sock';
const target = parseSshUrl('ssh://ana@build:2222', by);

describe('an engine over ssh', () => {
  it('is named as the docker command has it', () => {
    assert.deepEqual(parseSshUrl('ssh://build', by), { host: 'build', socket: usual });
    assert.deepEqual(target, { host: 'build', user: 'ana', port: 2222, socket: usual });
    assert.deepEqual(parseSshUrl('ssh://a%40b@[fe80::1]/', by), {
      ...{ host: 'fe80::1', user: 'a@b', socket: usual },
    });
    const rootless = parseSshUrl('ssh://10.0.0.5/run/user/1000/docker.sock', by);
    assert.deepEqual(rootless, { host: '10.0.0.5', socket: '/run/user/1000/docker.sock' });
  });

  it('is refused where the name is none, or would be an option of ssh', () => {
    for (const url of [
      ...['ssh://', 'ssh://ana@', 'ssh://ana:word@build', 'ssh://build:0', 'ssh://build:70000'],
      ...['ssh://build?x=1', 'ssh://build#x', 'ssh://-oProxyCommand=x', 'ssh://-x@build', 'ssh://a b'],
      ...['ssh://%2DoProxyCommand@build', 'ssh://%zz@build'],
    ])
      assert.throws(
        () => parseSshUrl(url, by),
        (error) => error instanceof UserError && error.reason === 'setting' && error.message.includes(by),
        url,
      );
  });

  it('is reached by the user’s ssh, which asks nothing and shares nothing', () => {
    const args = sshArgs(target, [{ from: '/tmp/a.sock', to: usual }], 'cat');
    assert.deepEqual(args.slice(0, 5), ['-T', '-a', '-x', '-p', '2222']);
    assert.deepEqual(args.slice(-5), ['-L', `/tmp/a.sock:${usual}`, '--', 'ana@build', 'cat']);
    for (const option of ['BatchMode=yes', 'ControlPath=none', 'ExitOnForwardFailure=yes'])
      assert.equal(args[args.indexOf(option) - 1], '-o', option);
    assert.ok(
      !sshArgs(parseSshUrl('ssh://build', by), [], 'cat').includes('-p'),
      'else the config would not count',
    );
  });

  it('has what ssh says told in plain words, with what to do', () => {
    const told = [
      ['Host key verification failed.', 'not-permitted', /host key is not known/],
      [
        '@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\nHost key verification failed.',
        'not-permitted',
        /not the one that is known/,
      ],
      ['ana@build: Permission denied (publickey,password).', 'not-permitted', /without asking/],
      ['ssh: Could not resolve hostname build: Name or service not known', 'unreachable', /no such host/],
      ['ssh: connect to host build port 22: Connection refused', 'unreachable', /no ssh server/],
      ['ssh: connect to host build port 22: Connection timed out', 'unreachable', /does not answer/],
      ['/home/ana/.ssh/config: line 3: Bad configuration option: x', 'setting', /configuration/],
      ['something new', 'unreachable', /something new/],
      ['', 'unreachable', /nothing of the reason/],
    ] as const;
    for (const [said, reason, message] of told) {
      const error = sshProblem(target, `${said}\n`);
      assert.equal(error.reason, reason, said);
      assert.match(error.message, message);
      assert.match(error.message, /^ana@build is not reached over ssh: /);
      assert.ok(error.hint && error.action);
      assert.equal((error.cause as Error | undefined)?.message, said || undefined);
    }
    const { action } = sshProblem(target, 'Host key verification failed.');
    assert.deepEqual(action, { kind: 'copy', label: 'Copy Command', text: 'ssh -p 2222 ana@build' });
    assert.ok(isTaken('bind [127.0.0.1]:4000: Address already in use\nCould not request local forwarding.'));
  });

  it('has its socket looked at over there', () => {
    const strange = parseSshUrl("ssh://build/it's", by);
    assert.equal(
      socketQuestion(strange),
      String.raw`test -e '/it'\''s' || exit 3; test -w '/it'\''s' || exit 4`,
    );
    assert.match(socketProblem(target, 3).message, /there is no \/var\/run\/docker\.sock/);
    assert.match(socketProblem(target, 3).hint ?? '', /ssh:\/\/ana@build:2222\/run\/user/);
    assert.match(socketProblem(target, 4).hint ?? '', /group/);
    assert.match(socketProblem(target, 0).message, /nothing answers/);
    assert.match(socketProblem(target, undefined).message, /nothing answers/);
  });
});
