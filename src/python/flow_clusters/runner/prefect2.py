"""Prefect 2 on a given scheduler."""

import asyncio
import threading
from functools import partial

import anyio
from prefect.task_runners import ConcurrentTaskRunner
from prefect_dask import DaskTaskRunner

from . import load, prefect23, worker_side
from .submissions import Stopped

STOP_SECONDS = 10
LEAVE_SECONDS = 1

prepare = prefect23.prepare


def run(run_, prepared, order):
    return prefect23.run_flow(run_, prepared, order, Session)


def run_as_written(run_, prepared, order):
    """With the task runner that the flow's source gives it."""
    run_.channel.when_stopped(lambda: load.interrupt(run_))  # until the flow is there
    return prefect23.run_flow(run_, prepared, order, AsWritten)


class Session(prefect23.Session):
    def __init__(self, run_):
        super().__init__(run_)
        self._announced = threading.Event()
        self._engine = None  # its loop and its task
        self._engine_over = threading.Event()
        self.leaving = threading.Event()  # its task runner is closing
        self._let_a_stop_come_first()
        self._see_the_engine_end()

    def _let_a_stop_come_first(self):
        """A flow whose tasks may not begin any more must not end as failed a moment before its cancel is known."""
        from prefect import engine

        propose_state = engine.propose_state

        async def propose(*args, **kwargs):
            if self.run.channel.stopping.is_set() and kwargs.get("flow_run_id"):
                await anyio.to_thread.run_sync(self._announced.wait, STOP_SECONDS)
            return await propose_state(*args, **kwargs)

        engine.propose_state = propose

    def _see_the_engine_end(self):
        """It works in a thread of its own, which a flow that is interrupted would take down in the middle of that."""
        from prefect import engine

        begin, end_thread = engine.create_then_begin_flow_run, engine.wait_for_global_loop_exit

        async def create_then_begin_flow_run(*args, **kwargs):
            self._engine = (asyncio.get_running_loop(), asyncio.current_task())
            try:
                return await begin(*args, **kwargs)
            finally:
                self._engine_over.set()

        def wait_for_global_loop_exit(*args, **kwargs):
            if self.run.channel.stopping.is_set() and self._engine:
                if not self.leaving.wait(LEAVE_SECONDS):
                    # The flow had ended when the signal came: the engine waits for tasks that never will.
                    loop, task = self._engine
                    loop.call_soon_threadsafe(task.cancel)
                self._engine_over.wait()  # and with it for the active tasks
            return end_thread(*args, **kwargs)

        engine.create_then_begin_flow_run = create_then_begin_flow_run
        engine.wait_for_global_loop_exit = wait_for_global_loop_exit

    def task_runner(self, flow):
        return _task_runner_class(self)(address=self.address, client_kwargs=self.client_options(flow))

    def goes_along(self, task_runner):
        return isinstance(task_runner, DaskTaskRunner) or type(task_runner) is ConcurrentTaskRunner

    def announce_stop(self):
        """Of a flow run that is being cancelled the API takes no other end, and its on_cancellation is called."""
        from prefect.client.orchestration import get_client
        from prefect.states import Cancelling

        try:
            if self.flow_run_id is not None:
                with get_client(sync_client=True) as client:
                    client.set_flow_run_state(self.flow_run_id, Cancelling(message="Stopped from the editor"))
        except Exception:
            pass  # then `Session.cancelled` says what is wrong
        finally:
            self._announced.set()


class AsWritten(prefect23.AsWritten, Session):
    pass


def _task_runner_class(session):
    class Runner(DaskTaskRunner):
        async def _start(self, exit_stack):
            await super()._start(exit_stack)
            topic = await session.watch.attach_async(self._client)
            self._observe = worker_side.make(topic, session.watch.gate).observe
            exit_stack.callback(session.watch.detach, self._client)
            exit_stack.push_async_callback(_before_close, session)

        async def submit(self, key, call):
            task_run = call.keywords.get("task_run")
            if task_run is None:
                await super().submit(key, call)
                return
            task, task_run_id = call.keywords["task"], str(task_run.id)
            observed = self._observe(call.func, task_run_id, task.name, task_run.name, task.retries)
            try:
                await super().submit(key, partial(observed, **call.keywords))
            except Stopped:
                # Raised into the engine's task group it would tear down everything at once: the signal does it better.
                await anyio.sleep_forever()
            session.submitted(task_run_id, task.name, task_run.name, self._dask_futures[key])

    return Runner


async def _before_close(session):
    """After a stop, while the client is still there, wait for the tasks that had begun, however often one cancels."""
    if not session.run.channel.stopping.is_set():
        return
    session.leaving.set()
    draining = asyncio.get_running_loop().run_in_executor(None, session.drain)
    with anyio.CancelScope(shield=True):
        while not draining.done():
            try:
                await asyncio.wait([draining])
            except asyncio.CancelledError:
                pass  # it is on its way out
    draining.result()
