"""A plain Dask script on a given scheduler: run as `__main__`; its `Client()` and `.compute()` go there."""

import sys
import threading
import time

from ..task_counts import client_name
from . import load, watch

_LOCAL_OPTIONS = {
    "n_workers",
    "threads_per_worker",
    "processes",
    "memory_limit",
    "dashboard_address",
    "silence_logs",
}
STOPPED_SCRIPT_SECONDS = 0.5
STOPPED = "Stopped: active tasks have finished, the others never started."


class Stopped(BaseException):
    """Raised into the script when it submits work after a stop."""


def prepare(run_):
    return load.compiled(run_.spec["file"])


def run(run_, code, order):
    session = _Session(run_, order)
    run_.channel.when_stopped(session.stop)
    run_.channel.stage("running")
    with session.redirected():
        try:
            load.settle(run_.spec["file"])
            exec(code, load.new_module("__main__", run_.spec["file"]).__dict__)
        except SystemExit as leaving:
            return _left(leaving)
        except BaseException:
            if not run_.channel.stopping.is_set():
                raise
    if run_.channel.stopping.is_set():
        session.drained.wait()
        return {"state": "cancelled", "message": STOPPED}
    if not session.used:
        run_.channel.note("The script asked for no Dask client: nothing ran on the cluster.")
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
        self._address = order["address"]
        self._live = []
        self._default = None
        self.used = False
        self.drained = threading.Event()

    def redirected(self):
        """While this is entered, Dask without an address means the cluster."""
        import contextlib

        import dask

        stack = contextlib.ExitStack()
        config = {"scheduler-address": self._address, "scheduler": self._compute}
        stack.enter_context(dask.config.set(config))
        self._patch(stack)
        return stack

    def _compute(self, graph, keys, **kwargs):
        """`.compute()` in a script that made no client of its own."""
        from distributed import Client

        if self._default is None:
            self._default = Client(self._address, set_as_default=False)
        return self._default.get(graph, keys, **kwargs)

    def _patch(self, stack):
        import distributed

        session, client, cluster = self, distributed.Client, distributed.LocalCluster
        init, submit, cluster_init = client.__init__, client._graph_to_futures, cluster.__init__

        def client_init(self, address=None, *args, **kwargs):
            if address is None and "scheduler_file" not in kwargs:
                address = session._address
                kwargs = session._without_local_options(kwargs)
            if address == session._address:
                kwargs["name"] = client_name(session._run.spec["run"], kwargs.get("name"))
            init(self, address, *args, **kwargs)
            if address == session._address:
                session.used = True
                if not self.asynchronous:
                    watch.wait_for_workers(self, session._order)

        def graph_to_futures(self, *args, **kwargs):
            if session._run.channel.stopping.is_set():
                raise Stopped
            futures = submit(self, *args, **kwargs)
            session._live.extend(futures.values())
            return futures

        def local_cluster(self, *args, **kwargs):
            session._run.channel.note(
                "The script makes a LocalCluster of its own: its tasks run there, not on the chosen cluster."
            )
            session.used = True
            cluster_init(self, *args, **kwargs)

        client.__init__, client._graph_to_futures, cluster.__init__ = (
            client_init,
            graph_to_futures,
            local_cluster,
        )

        def undo():
            client.__init__, client._graph_to_futures, cluster.__init__ = init, submit, cluster_init

        stack.callback(undo)

    def _without_local_options(self, kwargs):
        local = sorted(_LOCAL_OPTIONS.intersection(kwargs))
        if local:
            self._run.channel.note(
                "Client(%s): these describe a local cluster; the chosen executor's are used instead." % ", ".join(local)
            )
        return {k: v for k, v in kwargs.items() if k not in _LOCAL_OPTIONS}

    def stop(self):
        """Cancels what is not running on a worker, waits for what is."""
        from distributed import Client

        self._run.channel.stage("draining")
        try:
            pending = [f for f in self._live if f.status == "pending"]
            with Client(self._address, set_as_default=False, name="flow-clusters-stop", timeout="5s") as own:
                active = {key for stacks in own.call_stack().values() for key in stacks}
            by_client = {}
            for future in pending:
                if future.key not in active:  # only the client that owns a future can cancel it
                    by_client.setdefault(future.client, []).append(future)
            for client, futures in by_client.items():
                client.cancel(futures)
            while any(f.status == "pending" for f in pending if f.key in active):
                time.sleep(0.02)
        finally:
            self.drained.set()
        time.sleep(STOPPED_SCRIPT_SECONDS)
        self._run.finish({"state": "cancelled", "message": STOPPED})
