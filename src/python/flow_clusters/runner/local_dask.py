"""Prefect 1 without a cluster: its own `LocalDaskExecutor`, whose tasks tell this process what happens to them."""

import contextlib
import os
import signal
import threading
from multiprocessing.connection import Listener

from prefect.executors import LocalDaskExecutor

from . import worker_side
from .prefect1_executor import Announced


@contextlib.contextmanager
def told(run, options):
    """An executor with these options, for the time that this is entered."""
    if options.get("scheduler") == "processes":
        with _listening(run.task_event) as tell:
            yield _executor(run, options, tell)
    else:
        yield _executor(run, options, lambda fields: run.task_event(fields))


def _executor(run, options, tell):
    announced = Announced(run)
    handler = worker_side.make(None, None, tell).handler

    class Executor(LocalDaskExecutor):
        def submit(self, fn, *args, **kwargs):
            announced.submitted(kwargs, handler)
            return super().submit(fn, *args, **kwargs)

        def close_gate(self):
            pass  # nobody else waits for it: the interrupt ends all

        def interrupt(self):
            os.kill(os.getpid(), signal.SIGINT)

    return Executor(**options)


@contextlib.contextmanager
def _listening(hear):
    """A function that can be sent to other processes of this machine, where it tells `hear` a dict."""
    key, over = os.urandom(32), threading.Event()
    with Listener(authkey=key) as listener:
        arguments = (listener, hear, over)
        threading.Thread(target=_accept, args=arguments, daemon=True, name="flow-clusters-processes").start()
        try:
            yield _teller(listener.address, key)
        finally:
            over.set()


def _accept(listener, hear, over):
    while not over.is_set():
        try:
            connection = listener.accept()
        except Exception:  # closed, or somebody who does not know the key
            continue
        threading.Thread(target=_read, args=(connection, hear), daemon=True).start()


def _read(connection, hear):
    with connection:
        while True:
            try:
                hear(connection.recv())
                connection.send(None)
            except (EOFError, OSError):
                return


def _teller(address, key):
    """As on workers, a local function: it travels by value."""

    def tell(fields):
        import multiprocessing
        import os
        import time
        from multiprocessing.connection import Client

        process = multiprocessing.process.current_process()
        kept = getattr(process, "_flow_clusters_line", None)
        if kept is None or kept[0] != os.getpid():  # one made before a fork is its parent's
            kept = process._flow_clusters_line = (os.getpid(), Client(address, authkey=key))
        kept[1].send(dict(fields, time=time.time()))
        kept[1].recv()  # heard: else the flow may be over before its last tasks are

    return tell
