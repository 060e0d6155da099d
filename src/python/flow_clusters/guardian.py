"""A tiny process that outlives the host for a moment.

The host tells it which process groups are its own. Should the host go without a word (SIGKILL), the guardian
ends these groups and removes the host's folder. It is forked before any heavy import and does nothing else.
"""

import os
import signal
import sys
import time

from .processes import kill_group, remove_tree


class Guardian:
    """The host's side: `watch` and `forget` process groups."""

    def __init__(self, directory, close_in_child, groups=None):
        """`groups`: which there are already, each with the seconds that it may take to end by itself."""
        read_fd, self._fd = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.close(self._fd)
                close_in_child()
                _guard(read_fd, directory, dict(groups or {}))
            finally:
                os._exit(0)
        os.close(read_fd)

    def watch(self, pgid, patience=0):
        self._write("+%d %d\n" % (pgid, patience))

    def forget(self, pgid):
        self._write("-%d\n" % pgid)

    def _write(self, text):
        try:
            os.write(self._fd, text.encode())
        except OSError:
            pass  # it was killed; the host restarts it when it hears of that

    def exited(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == self.pid

    def close_in_child(self):
        os.close(self._fd)


def _is_left(pgid, kill):
    """Whether a group has a member yet; `kill`: its time is over."""
    if kill:
        return kill_group(pgid)
    try:
        os.killpg(pgid, 0)
    except OSError:
        return False
    return True


def _guard(fd, directory, groups):
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    sys.stdin = None
    rest = b""
    while True:
        data = os.read(fd, 4096)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            pgid, _, patience = line[1:].partition(b" ")
            if line[:1] == b"+":
                groups[int(pgid)] = int(patience)
            else:
                groups.pop(int(pgid), None)
    began = time.monotonic()
    while groups and time.monotonic() < began + max(groups.values()) + 1:
        waited = time.monotonic() - began
        groups = {pgid: patience for pgid, patience in groups.items() if _is_left(pgid, waited >= patience)}
        time.sleep(0.01)
    remove_tree(directory)
