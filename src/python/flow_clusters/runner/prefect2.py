"""Prefect 2 on a given scheduler."""

from functools import partial

from prefect_dask import DaskTaskRunner

from . import prefect23, worker_side

prepare = prefect23.prepare


def run(run_, prepared, order):
    return prefect23.run_flow(run_, prepared, order, _make_runner, lambda: None)


class Stopped(BaseException):
    """Raised into the flow when it submits a task after a stop."""


def _make_runner(session, flow):
    observe, _ = worker_side.make(session.watch.topic, session.watch.topic)

    class Runner(DaskTaskRunner):
        async def _start(self, exit_stack):
            await super()._start(exit_stack)
            await session.watch.attach_async(self._client)
            exit_stack.push_async_callback(_before_close, session)

        async def submit(self, key, call):
            if session.run.channel.stopping.is_set():
                raise Stopped
            task_run = call.keywords.get("task_run")
            if task_run is None:
                await super().submit(key, call)
                return
            task, task_run_id = call.keywords["task"], str(task_run.id)
            observed = observe(call.func, task_run_id, task.name, task_run.name, task.retries)
            await super().submit(key, partial(observed, **call.keywords))
            session.submitted(task_run_id, task.name, task_run.name, self._dask_futures[key])

    options = {"name": session.watch.client_name}
    if isinstance(flow.task_runner, DaskTaskRunner):
        options.update(flow.task_runner.client_kwargs)
    return Runner(address=session.address, client_kwargs=options)


async def _before_close(session):
    """While the client is still there: after a stop, wait for the tasks that had begun."""
    if not session.run.channel.stopping.is_set():
        return
    import anyio

    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(session.drain)
