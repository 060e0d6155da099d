"""Prefect 2 on a given scheduler."""

from functools import partial

from prefect_dask import DaskTaskRunner

from . import prefect23, worker_side

prepare = prefect23.prepare


def run(run_, prepared, order):
    return prefect23.run_flow(run_, prepared, order, _make_runner)


def _make_runner(session, flow):
    class Runner(DaskTaskRunner):
        async def _start(self, exit_stack):
            await super()._start(exit_stack)
            topic = await session.watch.attach_async(self._client)
            self._observe = worker_side.make(topic, session.watch.gate).observe
            exit_stack.push_async_callback(_before_close, session)

        async def submit(self, key, call):
            task_run = call.keywords.get("task_run")
            if task_run is None:
                await super().submit(key, call)
                return
            task, task_run_id = call.keywords["task"], str(task_run.id)
            observed = self._observe(call.func, task_run_id, task.name, task_run.name, task.retries)
            await super().submit(key, partial(observed, **call.keywords))
            session.submitted(task_run_id, task.name, task_run.name, self._dask_futures[key])

    options = dict({"name": session.watch.client_name}, **session.client_options(flow))
    return Runner(address=session.address, client_kwargs=options)


async def _before_close(session):
    """While the client is still there: after a stop, wait for the tasks that had begun."""
    if not session.run.channel.stopping.is_set():
        return
    import anyio

    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(session.drain)
