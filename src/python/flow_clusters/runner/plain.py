"""A plain Dask script on a given scheduler: run as `__main__`; its `Client()` and `.compute()` go there."""

import contextlib
import sys
import threading

from ..task_counts import client_name
from . import load, watch
from .key_counts import KeyCounts

_LOCAL_OPTIONS = {
    "n_workers",
    "threads_per_worker",
    "processes",
    "memory_limit",
    "dashboard_address",
    "silence_logs",
}
STOPPED_SCRIPT_SECONDS = 0.5


def prepare(run_):
    return load.compiled(run_.spec["file"])


def run(run_, code, order):
    session = _Session(run_, order)
    run_.channel.when_stopped(session.stop)
    run_.channel.stage("running")
    with session.redirected(), session.counted():
        try:
            load.run_main(run_.spec["file"], code)
        except SystemExit as leaving:
            return _left(leaving)
        except BaseException:
            if not run_.channel.stopping.is_set():
                raise
            session.drained.wait()
            return {"state": "cancelled", "message": load.STOPPED}
        finally:
            session.script_over.set()
    if run_.channel.stopping.is_set():
        session.drained.wait()
        if run_.submissions.cut_short:
            return {"state": "cancelled", "message": load.STOPPED}
    if not session.used:
        run_.channel.note("The script asked for no Dask client: nothing ran on the cluster.")
    return {"state": "completed"}


def run_as_written(run_, code, order):
    """As `python file.py`: with the cluster, the client or the scheduler that the script itself asks for."""
    run_.channel.when_stopped(lambda: load.interrupt(run_))
    run_.channel.stage("running")
    try:
        load.run_main(run_.spec["file"], code)
    except SystemExit as leaving:
        return _left(leaving)
    except KeyboardInterrupt:
        if not run_.channel.stopping.is_set():
            raise
        return {"state": "cancelled", "message": load.INTERRUPTED}
    return {"state": "completed"}


def _left(leaving):
    """`sys.exit(...)` in the script, as Python itself treats it."""
    if leaving.code in (None, 0):
        return {"state": "completed"}
    if not isinstance(leaving.code, int):
        print(leaving.code, file=sys.stderr)
    return {"state": "failed", "message": "The script ended with exit code %s." % leaving.code}


class _Session:
    def __init__(self, run_, order):
        self._run = run_
        self._order = order
        self._connection = run_.connection
        self._default = None
        self._default_lock = threading.Lock()
        self._counts = KeyCounts(run_.scheduler, self._say_counts) if order.get("count_tasks") else None
        self.used = False
        self.drained = threading.Event()
        self.script_over = threading.Event()

    def _say_counts(self, groups):
        self._run.channel.send("counts", groups=groups)

    @contextlib.contextmanager
    def counted(self):
        """While this is entered, the script's tasks are counted, if that is asked for; at its end, exactly."""
        if self._counts is None:
            yield
            return
        self._run.submissions.on_graph = self._counts.submitted
        failed = True
        with self._counts.hearing():
            try:
                yield
                failed = False
            finally:
                if self._run.channel.stopping.is_set():
                    self.drained.wait()
                else:
                    self._counts.settle(over=failed)

    def redirected(self):
        """While this is entered, Dask without an address means the cluster."""
        import dask

        stack = contextlib.ExitStack()
        config = {"scheduler-address": self._connection.address, "scheduler": self._compute}
        stack.enter_context(dask.config.set(config))
        self._patch(stack)
        return stack

    def _compute(self, graph, keys, **kwargs):
        """`.compute()` in a script that made no client of its own."""
        from distributed import Client

        with self._default_lock:
            if self._default is None:
                self._default = Client(set_as_default=False)
        return self._default.get(graph, keys, **kwargs)

    def _patch(self, stack):
        from distributed import Client
        from distributed.deploy import Cluster

        session, client_init, cluster_init = self, Client.__init__, Cluster.__init__

        def new_client(client, address=None, *args, **kwargs):
            address, kwargs = session._place(address, kwargs)
            client_init(client, address, *args, **kwargs)
            if address == session._connection.address and not client.asynchronous:
                watch.wait_for_workers(client, session._order)

        def new_cluster(cluster, *args, **kwargs):
            session._run.channel.note(
                "The script makes a %s of its own: its tasks run there, not on the chosen cluster."
                % type(cluster).__name__
            )
            session.used = True
            cluster_init(cluster, *args, **kwargs)

        def undo():
            Client.__init__, Cluster.__init__ = client_init, cluster_init

        Client.__init__, Cluster.__init__ = new_client, new_cluster
        stack.callback(undo)

    def _place(self, address, kwargs):
        """Where a client of the script goes, and with which options."""
        own = self._connection.address
        if isinstance(address, str) and "://" not in address:
            address = "tcp://" + address
        if address is None and "scheduler_file" not in kwargs:
            address, kwargs = own, self._without_local_options(kwargs)
        if address == own:
            self.used = True
            name = client_name(self._run.spec["run"], kwargs.get("name"))
            return own, dict(self._connection.options(kwargs), name=name)
        if isinstance(address, str) and not self.used:
            self._run.channel.note(
                "The script connects to %s: its tasks run there, not on the chosen cluster." % address
            )
        return address, kwargs

    def _without_local_options(self, kwargs):
        local = sorted(_LOCAL_OPTIONS.intersection(kwargs))
        if local:
            self._run.channel.note(
                "Client(%s): these describe a local cluster; the chosen executor's are used instead." % ", ".join(local)
            )
        return {k: v for k, v in kwargs.items() if k not in _LOCAL_OPTIONS}

    def stop(self):
        """Takes back what has not begun, waits for what has, and then for the script, but not long."""
        self._run.channel.stage("draining")
        try:
            self._run.submissions.close()
            self._run.submissions.take_back()
            self._run.submissions.wait()
            if self._counts:
                self._counts.settle(over=True)
        finally:
            self.drained.set()
        if not self.script_over.wait(STOPPED_SCRIPT_SECONDS):  # else `run` tells how it ended
            self._run.finish({"state": "cancelled", "message": load.STOPPED})
