"""Child processes of the host, forked or spawned: how they start, how they are heard, how they end.

Each leads a session of its own, so that one signal to its group ends it with all that it started.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys

POSIX = os.name == "posix"
LAUNCHER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cluster_host.py")


def kill_group(pgid):
    """SIGKILL to a whole group. False once it has no member left."""
    try:
        os.killpg(pgid, signal.SIGKILL)
        return True
    except (ProcessLookupError, PermissionError):
        return False


def kill_rest(pgid):
    """As `kill_group`, once its leader is reaped: orphans that became children of the host are reaped as well."""
    try:
        while os.waitpid(-pgid, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return kill_group(pgid)


def remove_tree(path):
    shutil.rmtree(path, ignore_errors=True)


class _Process:
    """What both kinds of child share. `pgid` is None where there are no process groups."""

    def __init__(self, pid, read_fd, write_fd):
        self.pid = pid
        self.pgid = pid if POSIX else None
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.returncode = None

    def exited(self):
        """True once it has ended. It is reaped later, by `reap`, so that its group number stays its own."""
        if self.returncode is None and not hasattr(os, "waitid"):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = _code(status)
        if self.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def rest(self):
        """What it wrote before it ended and nobody has read yet."""
        data = b""
        while select.select([self.read_fd], [], [], 0)[0]:
            try:
                more = os.read(self.read_fd, 65536)
            except OSError:
                more = b""
            if not more:
                break
            data += more
        return data

    def kill(self):
        # One that has only just been forked leads no group yet.
        if not kill_group(self.pgid) and self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


class Forked(_Process):
    """A child made by fork. `main(fd)` runs in it and never returns; `fd` is its end of a socket pair."""

    def __init__(self, forget_host, main):
        mine, its = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setsid()
                mine.close()
                forget_host()
                code = main(its.detach()) or 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        its.close()
        fd = mine.detach()
        super().__init__(pid, fd, fd)

    def reap(self):
        if self.returncode is None:
            self.returncode = _code(os.waitpid(self.pid, 0)[1])

    def close(self):
        os.close(self.read_fd)


class Spawned(_Process):
    """A child made by starting the interpreter anew; it hears on its stdin and speaks on its stdout."""

    def __init__(self, what, argument, env=None):
        self._popen = subprocess.Popen(
            [sys.executable, LAUNCHER, what, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=POSIX,
            creationflags=0 if POSIX else subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
        )
        super().__init__(self._popen.pid, self._popen.stdout.fileno(), self._popen.stdin.fileno())

    def wait(self):
        """Blocks till it has ended, without reaping it where that can be helped."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        else:
            self._popen.wait()

    def exited(self):
        return super().exited() if hasattr(os, "waitid") else self._popen.poll() is not None

    def reap(self):
        self.returncode = self._popen.wait()

    def kill(self):
        if POSIX:
            super().kill()
        else:
            command = ["taskkill", "/F", "/T", "/PID", str(self.pid)]
            subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        for stream in (self._popen.stdin, self._popen.stdout):
            try:
                stream.close()
            except OSError:
                pass


def _code(status):
    """A wait status as `subprocess` gives it: negative for a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
