"""The user's terminal: a socket of the extension as stdin, stdout and stderr."""

import io
import os
import socket
import sys

CONNECT_SECONDS = 10


class _Raw(io.FileIO):
    """Goes on when whoever reads it has gone: what ends then, such as a cluster of a class, must not fail of a word."""

    def write(self, data):
        try:
            return super().write(data)
        except (BrokenPipeError, ConnectionResetError):
            return len(data)


class Terminal(io.TextIOWrapper):
    """A text stream that says it is a terminal, as the user sees it in one: colours stay on."""

    def isatty(self):
        return True


def connect(channel, name):
    """Connects to the extension and names itself; `channel` is `{port, token}`."""
    connection = socket.create_connection(("127.0.0.1", channel["port"]), CONNECT_SECONDS)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(("%s %s\n" % (channel["token"], name)).encode())
    return connection


def prepare():
    """Once per process, before anything may keep a reference to `sys.stdout`: unbuffered text on 1 and 2."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(_Raw(fd, "w", closefd=False))
        stream = Terminal(raw, "utf-8", "backslashreplace", line_buffering=True, write_through=True)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def attach(connection, with_stdin=True):
    """Makes the socket this process's standard streams. `prepare` has been called before."""
    for fd in (0, 1, 2) if with_stdin else (1, 2):
        os.dup2(connection.fileno(), fd)
        os.set_inheritable(fd, True)
    connection.close()
    if with_stdin:
        sys.stdin = sys.__stdin__ = Terminal(io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8", "replace")
