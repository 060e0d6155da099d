import { executorSettings, UserError } from '../../core/errors.ts';

/** Another machine, as `ssh://` names it: https://github.com/docker/cli, `cli/connhelper/ssh`. */
export interface SshTarget {
  /** A name of `~/.ssh/config`, a host's name or its address. */
  readonly host: string;
  readonly user?: string;
  /** Absent: what the configuration says, else 22. */
  readonly port?: number;
  /** Of the engine over there. */
  readonly socket: string;
}

/** From here to there: each is a path of a socket, or `host:port`. */
export interface Forward {
  readonly from: string;
  readonly to: string;
}

const usualSocket = '/var/run/docker.sock';
const connectTimeoutSeconds = 10;

/**
 * @param url `ssh://[user@]host[:port][/path/of/the/docker.sock]`
 * @param by what has named it
 * @throws UserError `setting` if it is no such address
 */
export function parseSshUrl(url: string, by: string): SshTarget {
  const match = /^ssh:\/\/(?:([^@:/?#]+)@)?(\[[\da-fA-F:.]+\]|[^@:/?#[\]]+)(?::(\d+))?(\/[^?#]*)?$/.exec(url);
  const [, coded, host = '', port, path = ''] = match ?? [];
  const user = coded && decoded(coded);
  // What begins with a dash would be an option of ssh.
  const isFit = match && ![user ?? 'nobody', host].some((part) => part === '' || /^-|\s/.test(part));
  if (!isFit || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)))
    throw new UserError('setting', `"${url}", which ${by} names, is no address of an engine over ssh`, {
      hint: 'It has the form ssh://user@host:port or ssh://user@host:port/run/user/1000/docker.sock; a password can’t be in it.',
      action: executorSettings,
    });
  return {
    host: host.replace(/^\[|\]$/g, ''),
    ...(user && { user }),
    ...(port && { port: Number(port) }),
    socket: path.length > 1 ? path : usualSocket,
  };
}

/** Empty if it is no text of a URL. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

/** As `ssh` takes it. */
const destination = ({ user, host }: SshTarget) => (user === undefined ? host : `${user}@${host}`);
const portArgs = ({ port }: SshTarget) => (port === undefined ? [] : ['-p', String(port)]);

/**
 * Arguments of the user's own `ssh`, whose configuration, keys and jump hosts count. It asks nothing.
 * @param command for the shell over there
 */
export function sshArgs(target: SshTarget, forwards: readonly Forward[], command: string): string[] {
  const options = [
    'BatchMode=yes',
    `ConnectTimeout=${connectTimeoutSeconds}`,
    'ExitOnForwardFailure=yes',
    'ServerAliveInterval=15',
    'ServerAliveCountMax=3',
    // A connection that the user's terminals share would keep our forwards when we have gone.
    'ControlMaster=no',
    'ControlPath=none',
    'RemoteCommand=none',
    'StreamLocalBindUnlink=yes',
    // What it says of failures is read.
    'LogLevel=INFO',
  ];
  return [
    ...['-T', '-a', '-x', ...portArgs(target)],
    ...options.flatMap((option) => ['-o', option]),
    ...forwards.flatMap(({ from, to }) => ['-L', `${from}:${to}`]),
    ...['--', destination(target), command],
  ];
}

/** As a user would type it. */
const loginCommand = (target: SshTarget) => ['ssh', ...portArgs(target), destination(target)].join(' ');

/** What `ssh` says of failures, in the words of OpenSSH; it has one exit code for all. The first that fits counts. */
const known: readonly {
  readonly pattern: RegExp;
  readonly reason: 'unreachable' | 'not-permitted' | 'setting';
  readonly what: string;
  readonly hint: string;
  /** It offers to copy the command of a login by hand. */
  readonly login?: true;
}[] = [
  {
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED/,
    reason: 'not-permitted',
    what: 'its host key is not the one that is known of it',
    hint: 'If that is right, remove the old one by “ssh-keygen -R”, and connect once in a terminal.',
    login: true,
  },
  {
    pattern: /Host key verification failed|host key is known for/i,
    reason: 'not-permitted',
    what: 'its host key is not known here',
    hint: 'Connect once in a terminal to check and accept it.',
    login: true,
  },
  {
    pattern: /Permission denied \(|Too many authentication failures/,
    reason: 'not-permitted',
    what: 'it does not let you in without asking',
    hint: 'Have your key offered: by ssh-add, with the agent that VS Code was started with, or by IdentityFile in ~/.ssh/config.',
    login: true,
  },
  {
    pattern: /Could not resolve hostname/i,
    reason: 'unreachable',
    what: 'no such host',
    hint: 'Check the name, in the settings or in ~/.ssh/config.',
  },
  {
    pattern: /Connection refused/i,
    reason: 'unreachable',
    what: 'no ssh server listens there',
    hint: 'Check the port, and whether its ssh server runs.',
  },
  {
    pattern: /timed out|No route to host|Network is unreachable|Host is down/i,
    reason: 'unreachable',
    what: 'it does not answer',
    hint: 'Check whether it runs, and whether your network reaches it.',
    login: true,
  },
  {
    pattern: /Bad configuration option|Bad owner or permissions|terminating, \d+ bad configuration/i,
    reason: 'setting',
    what: 'your ssh configuration is refused',
    hint: 'Mend it: see the details.',
    login: true,
  },
];

/** Whether a local port or socket of a forward was taken. */
export const isTaken = (said: string): boolean => /Address already in use/i.test(said);

/** @param said all that `ssh` printed on stderr */
export function sshProblem(target: SshTarget, said: string): UserError {
  const lines = said
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const one = known.find(({ pattern }) => pattern.test(said));
  const text = loginCommand(target);
  const copy = { kind: 'copy', label: 'Copy Command', text } as const;
  const what = one?.what ?? lines.at(-1) ?? 'ssh says nothing of the reason';
  const isOfLogin = one === undefined || one.login;
  return new UserError(
    one?.reason ?? 'unreachable',
    `${destination(target)} is not reached over ssh: ${what}`,
    {
      hint: one?.hint ?? 'See whether it works in a terminal.',
      action: isOfLogin ? copy : executorSettings,
      // A cause becomes the detail of the failure.
      ...(lines.length > 0 && { cause: new Error(lines.join('\n')) }),
    },
  );
}

/** @param error of the start of the program */
export function noSsh(error: unknown): UserError {
  const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
  return new UserError(
    'setting',
    isMissing
      ? 'There is no program “ssh”'
      : `The program “ssh” can't be started: ${(error as Error).message}`,
    {
      hint: 'Engines on other machines are reached by OpenSSH: install its client, where PATH finds it.',
      cause: error,
    },
  );
}

/** Asks over there what is wrong with the engine's socket: exit codes are those of {@link socketProblem}. */
export function socketQuestion({ socket }: SshTarget): string {
  const quoted = `'${socket.replaceAll("'", String.raw`'\''`)}'`;
  return `test -e ${quoted} || exit 3; test -w ${quoted} || exit 4`;
}

/** Why an engine does not answer, on a machine that is reached. @param code of {@link socketQuestion} */
export function socketProblem(target: SshTarget, code: number | undefined): UserError {
  const { socket, port } = target;
  const there = destination(target);
  const url = `ssh://${there}${port === undefined ? '' : `:${port}`}`;
  const [what, hint] =
    code === 3
      ? [`there is no ${socket}`, `Start Docker there, or name its socket: ${url}/run/user/1000/docker.sock`]
      : code === 4
        ? [
            `no permission for ${socket}`,
            'Join the group “docker” there, or name the socket of a rootless engine.',
          ]
        : [
            `nothing answers at ${socket}`,
            'See whether “docker version” works there, and whether its sshd_config allows AllowTcpForwarding and AllowStreamLocalForwarding.',
          ];
  return new UserError('unreachable', `The Docker engine on ${there} does not answer: ${what}`, {
    hint,
    action: executorSettings,
  });
}
