"""A Prefect API server (2 and 3) of the user's own installation, in a process of its own.

One per Prefect home: its database is brought up to date under a lock, so that two windows do not do it at once.
"""

import json
import logging
import os
import socket
import sqlite3
import threading
import time

from . import belongings
from .lines import LineWriter

LOCK_SECONDS = 120


def serve(argument, out_fd):
    """Runs the server till stdin ends. `argument` is JSON: `{home, database}`."""
    config = json.loads(argument)
    writer = LineWriter(out_fd)
    belongings.die_with_parent()
    belongings.watch_pipe(lambda n: os.read(0, n), lambda message: None, belongings.end_own_group)
    listener = _listener()
    url = "http://127.0.0.1:%d/api" % listener.getsockname()[1]
    # Prefect prints a link to its UI with each run: there it is, and it asks this server.
    os.environ.update(PREFECT_SERVER_ANALYTICS_ENABLED="0", PREFECT_UI_API_URL=url)
    os.environ.pop("PREFECT_API_URL", None)
    try:
        with _Lock(config["home"]) as lock:
            new = _is_new(config["database"])
            writer.send({"event": "prefect.server", "state": "migrating" if new else "starting"})
            _run(writer, lock, listener, url)
    except BaseException as error:
        message = _reason(error, config["home"])
        writer.send({"event": "prefect.server", "state": "failed", "message": message})
        return 1
    return 0


def _is_new(database):
    """Whether the database file is yet to be made; unknown places (another database) are not."""
    if not database:
        return False
    try:
        with sqlite3.connect("file:%s?mode=ro" % database, uri=True, timeout=2) as connection:
            return connection.execute("select count(*) from alembic_version").fetchone()[0] == 0
    except sqlite3.Error:
        return True


class _Lock:
    """Held while the server starts. The lock is on the folder itself, so nothing is left in the user's home."""

    def __init__(self, home):
        self._home = home
        self._fd = None

    def __enter__(self):
        os.makedirs(self._home, exist_ok=True)
        try:
            import fcntl
        except ImportError:  # Windows cannot lock a folder
            return self
        self._fd = os.open(self._home, os.O_RDONLY)
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except OSError:
                if time.monotonic() > deadline:
                    return self
                time.sleep(0.1)

    def release(self):
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __exit__(self, *exc_info):
        self.release()


class _LastError(logging.Handler):
    """uvicorn logs why an app did not start, and then just exits: this keeps the last line of it."""

    line = None

    def emit(self, record):
        lines = record.getMessage().strip().splitlines()
        if record.levelno >= logging.ERROR and lines and "Application startup failed" not in lines[-1]:
            _LastError.line = lines[-1]


def _reason(error, home):
    line = _LastError.line or "%s: %s" % (type(error).__name__, error)
    if "Can't locate revision" in line:  # Alembic's words for a database that a newer version has migrated
        return (
            "the Prefect database in %s was made by a newer Prefect than this interpreter's. "
            "Set another PREFECT_HOME for this interpreter, or use the newer Prefect." % home
        )
    return line


def _listener():
    """A loopback port with TCP_NODELAY, which accepted connections inherit.

    asyncio sets that only on sockets it has made itself. The server writes an answer's head and body apart; without
    it the body waits 40 ms for the client's delayed acknowledgement of the head, at every call.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _run(writer, lock, listener, url):
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app(), log_level="warning", lifespan="on")
    logging.getLogger("uvicorn.error").addHandler(_LastError())
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(server, writer, lock, url), daemon=True).start()
    server.run(sockets=[listener])


def _announce(server, writer, lock, url):
    while not server.started:
        time.sleep(0.01)
    lock.release()
    writer.send({"event": "prefect.server", "state": "ready", "url": url})


def profile():
    """`(api_url, home, database)` as the user's Prefect resolves them now; `database` is a file or None."""
    from prefect import settings

    from .runner import prefect_settings

    prefect_settings.apply(None)  # the user may have switched profiles since they were read
    url = settings.PREFECT_API_URL.value()
    home = str(settings.PREFECT_HOME.value())
    connection = str(settings.PREFECT_API_DATABASE_CONNECTION_URL.value() or "")
    database = connection.split("///", 1)[1] if connection.startswith("sqlite") and "///" in connection else None
    return url, home, database
