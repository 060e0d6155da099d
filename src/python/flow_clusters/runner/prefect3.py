"""Prefect 3 on a given scheduler."""

import concurrent.futures
import threading

import distributed
from prefect_dask import DaskTaskRunner
from prefect_dask.client import PrefectDaskClient

from . import prefect23, worker_side

prepare = prefect23.prepare


def run(run_, prepared, order):
    _leave_heartbeats_behind()
    return prefect23.run_flow(run_, prepared, order, _make_runner, _set_intent)


def _leave_heartbeats_behind():
    """A sync flow waits, when all is done, till the heartbeat thread wakes from a sleep of a second.

    Async flows do not wait for it. It is a daemon thread and sees that it is to stop, so neither need sync ones.
    """
    from prefect import flow_engine

    original = getattr(flow_engine, "_send_heartbeats", None)
    if original is not None:
        flow_engine._send_heartbeats = lambda engine, join_on_exit=True: original(engine, join_on_exit=False)


def _set_intent():
    """Makes the engine record Cancelled, not Crashed, and call the user's on_cancellation. A private name."""
    try:
        from prefect._internal import control_listener

        control_listener._set_intent("cancel")
    except Exception:
        pass  # then `Session.cancelled` records it through the API


def _make_runner(session, flow):
    class Observed(distributed.Client):
        """Stands between PrefectDaskClient and Client: sees the finished call of each task run."""

        def submit(self, func, *args, **kwargs):
            if "task_run_id" not in kwargs:
                return super().submit(func, *args, **kwargs)
            task, task_run_id = kwargs["task"], str(kwargs["task_run_id"])
            label = "%s-%s" % (task.name, task_run_id[:3])
            call = self.on_worker.observe(func, task_run_id, task.name, label, task.retries)
            future = super().submit(call, *args, **kwargs)
            session.submitted(task_run_id, task.name, label, future)
            return future

    class Client(PrefectDaskClient, Observed):
        pass

    def connect():
        client = Client(session.address, **options)
        client.on_worker = worker_side.make(session.watch.attach(client), session.watch.gate)
        return client

    options = dict({"name": session.watch.client_name, "set_as_default": False}, **session.client_options(flow))
    early = concurrent.futures.Future()
    threading.Thread(target=_fulfil, args=(early, connect), daemon=True).start()
    taken = []

    class Runner(DaskTaskRunner):
        @property
        def client(self):
            if not self._client:
                client = connect() if taken else early.result()
                taken.append(client)
                self._client = self._exit_stack.enter_context(client)
            return self._client

        def __exit__(self, *exc_info):
            # The engine's own cancel_all comes only after the client is closed, too late to wait for anything.
            if session.run.channel.stopping.is_set():
                session.drain()
            super().__exit__(*exc_info)

        def __reduce__(self):
            return worker_side.task_runner_factory(), (self.address,)

    return Runner(address=session.address, client_kwargs=options)


def _fulfil(future, call):
    """Connecting takes as long as Prefect's first calls to its API: both at once."""
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
