"""JSON lines: how every process of ours talks."""

import json
import os
import threading


class LineWriter:
    """Writes whole lines to a file descriptor; safe to use from several threads."""

    def __init__(self, fd):
        self.fd = fd
        self._lock = threading.Lock()

    def send(self, message):
        """False when the reader has gone."""
        data = (json.dumps(message, default=str) + "\n").encode()
        with self._lock:
            try:
                while data:
                    data = data[os.write(self.fd, data) :]
            except OSError:
                return False
        return True


class LineReader:
    """Cuts bytes into JSON messages. Calls `on_message(dict)`, or `on_garbage(text)` for anything else."""

    LONGEST = 64 * 1024 * 1024

    def __init__(self, on_message, on_garbage):
        self._rest = b""
        self._on_message = on_message
        self._on_garbage = on_garbage

    def feed(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self.LONGEST:
            self._on_garbage("a line longer than 64 MiB")
            self._rest = b""
        for line in lines:
            self._take(line)

    def _take(self, line):
        if not line.strip():
            return
        try:
            message = json.loads(line.decode())
        except ValueError:
            message = None
        if isinstance(message, dict):
            self._on_message(message)
        else:
            self._on_garbage(line[:200].decode(errors="replace"))
