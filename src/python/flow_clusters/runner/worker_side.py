"""What runs on the workers.

They are made by a factory: a local function cannot be pickled by name, so cloudpickle sends it by value and the
workers of a foreign cluster need no file of ours. For the same reason nothing here may use this module's globals.
"""

from types import SimpleNamespace


def task_runner_factory():
    """Makes the plain task runner that workers of Prefect 3 get with the flow: tasks may submit further tasks by it."""

    def make_task_runner(address):
        from prefect_dask import DaskTaskRunner

        class WorkersTaskRunner(DaskTaskRunner):
            @property
            def client(self):
                if not self._client:
                    from distributed import get_worker

                    # With the worker's certificates, as ours do not travel.
                    self.client_kwargs.setdefault("security", get_worker().security)
                return super().client

            def __reduce__(self):
                return make_task_runner, (self.address,)

        return WorkersTaskRunner(address=address)

    return make_task_runner


def make(topic, gate, tell=None):
    """`observe(fn, id, name, label)` wraps one task run of Prefect 2 or 3; `handler` is a Prefect 1 state handler.

    Both tell `topic` what happens, or call `tell` where there are no workers. `gate` names a `distributed.Event`:
    while it is not set, no task begins.
    """

    def say(**fields):
        if tell:
            tell(fields)
            return
        import time

        from distributed import get_worker

        try:
            worker = get_worker()
            worker.log_event(topic, dict(fields, time=time.time(), worker=worker.address))
        except Exception:  # a task must never fail for a line about it
            pass

    def allowed():
        from distributed import get_worker
        from distributed.utils import sync

        try:
            worker = get_worker()
            return sync(worker.loop, worker.scheduler.event_is_set, name=gate)
        except Exception:  # an old or a leaving scheduler: the task decides
            return True

    def mapped(state):
        """A state of Prefect 2 or 3 as one of `TaskRunState`."""
        kind = str(getattr(state.type, "value", state.type)).lower()
        if state.name in ("Cached", "Rollback"):
            return "cached" if state.name == "Cached" else "failed"
        if state.name in ("Retrying", "AwaitingRetry"):
            return "retrying"
        known = ("running", "completed", "failed", "crashed", "cancelled")
        nearest = {"cancelling": "cancelled", "paused": "running", "pending": "submitted"}
        return kind if kind in known else nearest.get(kind, "submitted")

    def trouble(error):
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        return {"type": type(error).__name__, "error": str(error)[:2000], "traceback": text[-20000:]}

    def watch_retries(task_run_id, tell):
        """Prefect retries inside of one Dask task. Its engine says so in one place: listen there, change nothing."""
        from prefect import engine

        if hasattr(engine, "begin_task_run"):
            return watch_engine2(engine, task_run_id, tell)
        from prefect import task_engine

        listeners = getattr(task_engine, "_flow_clusters_listeners", None)
        if listeners is None:
            listeners = task_engine._flow_clusters_listeners = {}

            def listen(engine_class):
                original = engine_class.set_state

                def tell_listener(engine, state):
                    listener = listeners.get(str(getattr(engine.task_run, "id", "")))
                    if listener:
                        listener(state)

                if engine_class.__name__.startswith("Async"):

                    async def set_state(self, state, *args, **kwargs):
                        tell_listener(self, state)
                        return await original(self, state, *args, **kwargs)
                else:

                    def set_state(self, state, *args, **kwargs):
                        tell_listener(self, state)
                        return original(self, state, *args, **kwargs)

                engine_class.set_state = set_state

            for name in ("SyncTaskRunEngine", "AsyncTaskRunEngine"):
                listen(getattr(task_engine, name))
        listeners[task_run_id] = tell
        return listeners

    def watch_engine2(engine, task_run_id, tell):
        listeners = getattr(engine, "_flow_clusters_listeners", None)
        if listeners is None:
            listeners = engine._flow_clusters_listeners = {}
            original = engine.propose_state

            async def propose_state(client, state, *args, **kwargs):
                accepted = await original(client, state, *args, **kwargs)
                listener = listeners.get(str(kwargs.get("task_run_id", "")))
                if listener:
                    listener(accepted)
                return accepted

            engine.propose_state = propose_state
        listeners[task_run_id] = tell
        return listeners

    def observe(fn, task_run_id, name, label, retries):
        about = {"id": task_run_id, "name": name, "label": label}

        told = ["running"]

        def tell(state):
            again = state.name == "Retrying"  # it runs once more; a wait before that is AwaitingRetry
            steps = ("retrying", "running") if again else (mapped(state),)
            for step in steps:
                if step in ("running", "retrying") and step != told[0]:
                    told[0] = step
                    say(state=step, message=state.message, **about)

        def run(*args, **kwargs):
            import inspect

            if not allowed():
                from prefect.states import Cancelled

                say(state="cancelled", message="Stopped before it started", **about)
                return Cancelled(message="Stopped before it started")
            say(state="running", **about)
            listeners = {}
            try:
                if retries:
                    listeners = watch_retries(task_run_id, tell)
                state = fn(*args, **kwargs)
                if inspect.isawaitable(state):  # Prefect 2 may hand over a coroutine function
                    import asyncio

                    state = asyncio.run(state)
            except BaseException as error:
                say(state="crashed", **dict(about, **trouble(error)))
                raise
            finally:
                listeners.pop(task_run_id, None)
            final = dict(about, state=mapped(state))
            if state.message:
                final["message"] = state.message[:2000]
            if final["state"] in ("failed", "crashed"):
                error = state.data
                error = getattr(error, "result", error)
                if isinstance(error, BaseException):
                    final.update(trouble(error))
            say(**final)
            return state

        run.__name__ = name  # Dask groups tasks by it
        return run

    states1 = {
        "Submitted": "submitted",
        "Running": "running",
        "Retrying": "retrying",
        "Cached": "cached",
        "Skipped": "skipped",
        "Cancelled": "cancelled",
        "Cancelling": "cancelled",
    }

    def will_retry(task, error):
        import prefect

        only = getattr(task, "retry_on", None)
        runs = prefect.context.get("task_run_count") or 1
        return runs <= (task.max_retries or 0) and (not only or isinstance(error, tuple(only)))

    def handler(runner, old, new):
        """Prefect 1: called at each change of a task run's state."""
        import prefect

        context = prefect.context
        kind = type(new).__name__
        state = states1.get(kind)
        if kind == "Mapped" or (kind == "Failed" and will_retry(runner.task, new.result)):
            return new  # the children report for themselves; it becomes Retrying at once
        if state is None:
            state = "completed" if new.is_successful() else "failed" if new.is_failed() else "submitted"
        name = runner.task.name
        index = context.get("map_index")
        suffix = "" if index is None else "[%d]" % index
        # Not by the task run's id: a retry gets another.
        fields = {"id": "%s%s" % (context.get("task_id") or name, suffix), "name": name, "label": name + suffix}
        fields["state"] = state
        if new.message:
            fields["message"] = str(new.message)[:2000]
        if state == "failed" and isinstance(new.result, BaseException):
            fields.update(trouble(new.result))
        say(**fields)
        return new

    return SimpleNamespace(observe=observe, handler=handler, mapped=mapped, trouble=trouble)
