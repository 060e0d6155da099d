"""Prefect 3 on a given scheduler."""

import concurrent.futures
import signal
import threading

import distributed
from prefect.exceptions import TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_dask import DaskTaskRunner
from prefect_dask.client import PrefectDaskClient

from . import load, own_tasks, prefect23, worker_side

STOP_SECONDS = 10

prepare = prefect23.prepare


def run(run_, prepared, order):
    _leave_heartbeats_behind()
    own_tasks.listen(run_)
    return prefect23.run_flow(run_, prepared, order, Session)


def run_as_written(run_, prepared, order):
    """With the task runner that the flow's source gives it."""
    run_.channel.when_stopped(lambda: load.interrupt(run_))  # until the flow is there
    _leave_heartbeats_behind()
    return prefect23.run_flow(run_, prepared, order, AsWritten)


def _leave_heartbeats_behind():
    """A sync flow waits, when all is done, till the heartbeat thread wakes from a sleep of a second.

    Async flows do not wait for it. It is a daemon thread and sees that it is to stop, so neither need sync ones.
    """
    from prefect import flow_engine

    original = getattr(flow_engine, "_send_heartbeats", None)
    if original is not None:
        flow_engine._send_heartbeats = lambda engine, join_on_exit=True: original(engine, join_on_exit=False)


def _let_a_stop_come_first(run_, interrupt):
    """A flow whose tasks may not begin any more must not end as failed a moment before it is interrupted."""
    from prefect import flow_engine

    def waiting(original):
        def handle(engine, *args, **kwargs):
            if run_.channel.stopping.is_set() and threading.current_thread() is threading.main_thread():
                interrupt.await_it(STOP_SECONDS)
            return original(engine, *args, **kwargs)

        return handle

    for engine in (getattr(flow_engine, name, None) for name in ("FlowRunEngine", "AsyncFlowRunEngine")):
        for name in ("handle_success", "handle_exception"):
            if hasattr(engine, name):
                setattr(engine, name, waiting(getattr(engine, name)))


class Session(prefect23.Session):
    def __init__(self, run_):
        super().__init__(run_)
        run_.submissions.stopped = self._interruption
        _let_a_stop_come_first(run_, self.interrupt)

    def task_runner(self, flow):
        return _task_runner_class(self, flow)(address=self.address, client_kwargs=self.client_options(flow))

    def goes_along(self, task_runner):
        return isinstance(task_runner, DaskTaskRunner) or task_runner == ThreadPoolTaskRunner()

    def announce_stop(self):
        """Makes the engine record Cancelled, not Crashed, and call the user's on_cancellation. A private name."""
        try:
            from prefect._internal import control_listener

            control_listener._set_intent("cancel")
        except Exception:
            pass  # then `Session.cancelled` records it through the API

    def _interruption(self):
        """What a flow gets that submits a task after a stop: as from the signal, which then need not come."""
        self.announce_stop()
        if threading.current_thread() is threading.main_thread():
            self.interrupt.hold()  # for good
        return TerminationSignal(signal.SIGTERM)


class AsWritten(prefect23.AsWritten, Session):
    pass


def _task_runner_class(session, flow):
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
        client = Client(session.address, **dict({"set_as_default": False}, **session.client_options(flow)))
        client.on_worker = worker_side.make(session.watch.attach(client), session.watch.gate)
        return client

    subflow = session.flow_run_id is not None
    early = None if subflow else _early(connect)

    class Runner(DaskTaskRunner):
        @property
        def client(self):
            nonlocal early
            if not self._client:
                taken, early = early, None
                self._client = self._exit_stack.enter_context(taken.result() if taken else connect())
            return self._client

        def submit(self, *args, **kwargs):
            with session.interrupt.held():
                return super().submit(*args, **kwargs)

        def __exit__(self, *exc_info):
            session.interrupt.hold()
            # The engine's own cancel_all comes only after the client is closed, too late to wait for anything.
            if session.run.channel.stopping.is_set():
                session.drain()
            if self._client or early:
                session.watch.detach(self.client)
            super().__exit__(*exc_info)
            if subflow and exc_info[0] is None:  # the flow around it goes on
                session.interrupt.let()

        def __reduce__(self):
            return worker_side.task_runner_factory(), (self.address,)

    return Runner


def _early(call):
    """Connecting takes as long as Prefect's first calls to its API: both at once. Returns a future."""
    future = concurrent.futures.Future()

    def fulfil():
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=fulfil, daemon=True).start()
    return future
